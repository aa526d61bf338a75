import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect } from 'vitest';
import type { Result } from '../../cli/import/mail/lines';
import { hostRoot } from '../../lab/machines';
import { useScript } from '../../lab/manageSieve';
import { withImap, type Login } from '../../lab/mail';
import { OldHost, type OldMessage } from '../../lab/oldHost';
import { project } from '../../lab/sources';
import { run, waitFor } from '../../lab/state';
import { hostTest, type Host } from './hosts';
import { SecretSearch } from './secretSearch';
import { holdsMail, step } from './testLab';

const it = hostTest();
const secrets = {
  carol: 'Carols-old-pässword-4711',
  dave: 'Daves-old-password-0815',
  master: 'The-old-masters-password-99',
  wrong: 'Not-the-password-of-anybody',
};
const january = Date.UTC(2021, 0, 1) / 1000;
const message = (id: string, more = '', body = 'x'): string =>
  `From: erika@remote.example\r\nSubject: ${id}\r\nMessage-ID: <${id}@old.example>\r\n${more}\r\n${body}\r\n`;
const old = (text: string | Buffer, flags = 'S', days = 0): OldMessage => ({
  ...{ text, flags, arrived: january + days * 86_400 },
});

const odd = [
  old(message('plain'), ''),
  old(message('answered'), 'FRS', 1),
  old(message('keyword'), 'Sa', 2),
  old('From: erika@remote.example\r\nSubject: no id\r\n\r\nx\r\n', 'S', 3),
  old(message('twice'), 'S', 4),
  old(message('twice'), '', 5),
  old(message('twice', '', 'another text with this Message-ID'), 'S', 6),
  old(Buffer.from(message('eight', 'X-Name: J\xf6rg\r\n'), 'latin1'), 'S', 7),
  old(message('date', 'Date: gestern um vier\r\n'), 'S', 8),
  old('no header at all', 'S', 9),
];
/** As the old host has them on the disk; as they are here. */
const folders = {
  '.Gesendet': 'Sent',
  '.Projekte.Haus': 'Projekte/Haus',
  '.&2D3eAA- Spa&AN8-': '😀 Spaß',
  '.100%41': '100%41',
  '.Papierkorb': 'Trash',
};

const folder = mkdtempSync(join(tmpdir(), 'import-'));
const fileOf = (name: keyof typeof secrets): string => {
  const path = join(folder, name);
  writeFileSync(path, `${secrets[name]}\n`, { mode: 0o600 });
  return path;
};

/** Runs a command as an operator does. */
async function mailhost(host: Host, ...words: string[]) {
  const child = spawn(
    process.execPath,
    [
      ...['--import', join(project, 'node_modules/tsx/dist/loader.mjs')],
      ...[join(project, 'cli/main.ts'), ...words],
    ],
    { cwd: project, env: host.stack.env, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  const [status, stdout, stderr] = await Promise.all([
    ended,
    text(child.stdout),
    text(child.stderr),
  ]);
  return { status, stdout, stderr };
}

async function importMail(host: Host, rows: object[]) {
  const table = join(folder, 'table.yaml');
  writeFileSync(table, JSON.stringify(rows));
  const output = await mailhost(host, 'import', table, '--json');
  return { ...output, results: (output.stdout ? JSON.parse(output.stdout) : []) as Result[] };
}

/** All of a mailbox but its UIDs. */
const contentOf = (login: Login) =>
  withImap(login, async (client) => {
    const found: Record<string, string[]> = {};
    for (const { path, flags } of await client.list()) {
      if (flags.has('\\Noselect')) continue;
      await client.mailboxOpen(path, { readOnly: true });
      const lines: string[] = [];
      for await (const one of client.fetch('1:*', {
        ...{ flags: true, envelope: true, internalDate: true, size: true },
      })) {
        const set = [...(one.flags ?? [])].filter((flag) => flag !== '\\Recent').sort();
        const day = (new Date(one.internalDate!).getTime() / 1000 - january) / 86_400;
        lines.push(`${one.envelope?.subject ?? ''} day ${day} ${set.join(' ')}`.trim());
      }
      if (lines.length > 0) found[path] = lines.sort();
    }
    return found;
  });

describe('mailhost import', () => {
  it('copies mailboxes of another host with all that is odd in them, once, whatever happens meanwhile', async ({
    freshHost: host,
  }) => {
    const { carol, dave, master } = secrets;
    const theirs = new OldHost(host.lab, { carol, dave }, { user: 'boss', password: master });
    theirs.fill('carol', '', odd, ['$Forwarded']);
    for (const [folder, name] of Object.entries(folders))
      theirs.fill('carol', folder, [old(message(`in ${name}`))]);
    theirs.fill('carol', '.Leer', []);
    theirs.subscribe('carol', ['Leer', 'Projekte.Haus']);
    const many = Array.from({ length: 1500 }, (_, at) => old(message(`many ${at}`), 'S', at));
    theirs.fill('dave', '', many);
    await theirs.start();

    const { address: server, fingerprint } = theirs;
    const anna = { account: 'anna@example.org', server, user: 'carol', fingerprint };
    const ofCarol = { ...anna, password: { file: fileOf('carol') } };
    const bert = { account: 'bert@example.net', server, user: 'dave', fingerprint };
    const ofDave = { ...bert, master: 'boss', password: { command: ['cat', fileOf('master')] } };
    const search = new SecretSearch(secrets);
    const endWatch = search.watch();
    const login = host.login('anna@example.org');
    const only = ({ results }: { results: Result[] }) => results[0]!;

    await step('what cannot be copied', async () => {
      const answers = await importMail(host, [
        { ...anna, password: { file: fileOf('wrong') } },
        { ...bert, password: { file: fileOf('wrong') }, server: `${server}:994` },
      ]);
      expect(answers, answers.stderr).toMatchObject({ status: 3 });
      const errors = answers.results.map(({ account, error }) => `${account}: ${error}`).sort();
      expect(errors[0]).toMatch(/^anna.* refuses the login of carol: .*AUTHENTICATIONFAILED/);
      expect(errors[1]).toMatch(/^bert.*port 994 cannot be reached: .*refused/);
      const unpinned = { ...ofCarol, fingerprint: undefined };
      expect(only(await importMail(host, [unpinned])).error).toMatch(
        new RegExp(`certificate of ${server} is not valid: self-signed.* ${fingerprint}$`),
      );
      const pinned = only(await importMail(host, [{ ...ofCarol, fingerprint: '0'.repeat(64) }]));
      expect(pinned.error).toContain('has another fingerprint');
      expect((await importMail(host, [{ ...ofCarol, account: 'x@example.org' }])).stdout).toContain(
        'x@example.org is not an account of this host',
      );
      expect(await contentOf(login)).toEqual({});
    });

    await step('a quota that would not hold it', async () => {
      const users = '/etc/dovecot/users';
      host.shell(
        `cp -a ${users} /run/users; sed -i '/^bert/s/$/ userdb_quota_storage_size=100k/' ${users}`,
      );
      const { error, copied } = only(await importMail(host, [ofDave]));
      expect(error).toMatch(/^bert@example.net needs 1 MB more, .* nothing was copied/);
      expect(copied).toBe(0);
      host.shell(`cp -a /run/users ${users}`);
    });

    await step('killed, and resumed', async () => {
      const there = () =>
        Number(host.shell('find /srv/mailhost/mail/example.net/bert -path "*/cur/*" | wc -l'));
      const killed = importMail(host, [ofDave]);
      await waitFor('some are copied', () => there() > 100);
      host.shell('pkill -KILL -f "[m]ailhost import"');
      expect(only(await killed).error).toMatch(/import it again/);
      expect(there()).toBeLessThan(many.length);
      const resumed = await importMail(host, [ofDave]);
      expect(resumed, JSON.stringify(resumed)).toMatchObject({ status: 0 });
      expect(only(resumed).comparison).toMatchObject({ equal: many.length, here: [], missing: [] });
      expect(there()).toBe(many.length);
    });

    await step('all that is odd', async () => {
      const first = await importMail(host, [ofCarol]);
      expect(first, JSON.stringify(first)).toMatchObject({ status: 0 });
      const all = odd.length + Object.keys(folders).length;
      expect(only(first)).toMatchObject({ copied: all, comparison: { equal: all, here: [] } });
      expect(await contentOf(login)).toEqual({
        INBOX: [
          'day 9 \\Seen',
          'answered day 1 \\Answered \\Flagged \\Seen',
          'date day 8 \\Seen',
          'eight day 7 \\Seen',
          'keyword day 2 $Forwarded \\Seen',
          'no id day 3 \\Seen',
          'plain day 0',
          'twice day 4 \\Seen',
          'twice day 5',
          'twice day 6 \\Seen',
        ].sort(),
        ...Object.fromEntries(
          Object.values(folders).map((name) => [name, [expect.stringMatching(/^in .* \\Seen$/)]]),
        ),
      });
      const listed = await withImap(login, (client) => client.list());
      const subscribed = listed.filter((one) => one.subscribed).map(({ path }) => path);
      expect(subscribed).toEqual(expect.arrayContaining(['Leer', 'Projekte/Haus']));
      expect(subscribed).not.toContain('100%41');
    });

    await step('what changed at either side since', async () => {
      await withImap(login, async (client) => {
        await client.mailboxOpen('INBOX');
        await client.messageDelete({ header: { 'message-id': '<date@old.example>' } });
        await client.messageMove({ header: { 'message-id': '<eight@old.example>' } }, 'Archive');
      });
      const there = { host: server, user: 'carol', password: carol };
      await withImap(there, async (client) => {
        await client.mailboxOpen('INBOX');
        await client.messageFlagsAdd({ header: { 'message-id': '<plain@old.example>' } }, [
          '\\Seen',
        ]);
        await client.messageMove(
          { header: { 'message-id': '<keyword@old.example>' } },
          'INBOX.Leer',
        );
        await client.append('INBOX', message('late'), [], new Date((january + 86_400) * 1000));
      });
      const before = await contentOf(login);
      const again = await importMail(host, [ofCarol]);
      expect(only(again)).toMatchObject({ copied: 1, moved: 1, flagged: 1 });
      expect(only(again).comparison).toMatchObject({
        ...{ elsewhere: 1, missing: [], here: [] },
        deleted: [{ folder: 'INBOX', message: '<date@old.example>' }],
      });
      const after = await contentOf(login);
      expect(after.Leer).toEqual(['keyword day 2 $Forwarded \\Seen']);
      expect(after.INBOX).toEqual(
        [
          ...before.INBOX!.filter((line) => !/^(?:keyword|plain)/.test(line)),
          ...['late day 1', 'plain day 0 \\Seen'],
        ].sort(),
      );
      expect(only(await importMail(host, [ofCarol]))).toMatchObject({ copied: 0, moved: 0 });
      expect(await contentOf(login)).toEqual(after);
    });

    await step('taken out with its scripts, and into another account from both forms', async () => {
      await useScript(login, 'keep;');
      const into = host.login('bert@example.net');
      const subscribed = (whose: Login) =>
        withImap(whose, async (client) =>
          (await client.list()).filter((one) => one.subscribed).map(({ path }) => path),
        );
      for (const form of ['maildir', 'mbox']) {
        const output = await mailhost(
          ...([host, 'export', 'anna@example.org', '--format', form, '--to', folder] as const),
        );
        expect(output, output.stderr).toMatchObject({ status: 0 });
        const tar = join(folder, `anna@example.org.${form}.tar`);
        expect(run('tar', ['-xOf', tar, 'anna@example.org/sieve/own.sieve'])).toBe('keep;');
        expect(run('tar', ['-tvf', tar])).toContain('.dovecot.sieve -> sieve/own.sieve');
        await withImap(into, async (client) => {
          for (const { path } of (await client.list()).filter(holdsMail)) {
            await client.mailboxOpen(path);
            await client.messageDelete('1:*');
          }
        });
        const row = { account: 'bert@example.net', user: `${form}@old.example`, files: tar };
        const imported = await importMail(host, [row]);
        expect(imported, JSON.stringify(imported)).toMatchObject({ status: 0 });
        expect(only(imported).comparison).toMatchObject({ missing: [], here: [] });
        expect(await contentOf(into)).toEqual(await contentOf(login));
        expect(await subscribed(into)).toEqual(expect.arrayContaining(await subscribed(login)));
        expect(only(await importMail(host, [row]))).toMatchObject({
          copied: 0,
          moved: 0,
          flagged: 0,
        });
      }
    });

    await step('no secret is anywhere', () => {
      expect(endWatch()).toEqual([]);
      const root = hostRoot(host.lab);
      const places = ['etc', 'root', 'run', 'srv', 'tmp', 'var'].map((part) => join(root, part));
      expect(
        search.below(...places, join(host.lab.dir, 'log'), join(host.lab.dir, 'pulumi')),
      ).toEqual([]);
    });
  });
});
