import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { $defs } from '../../components/hostDocuments.schema.json';
import { filesJobOf, jobOf } from '../../cli/import/mail/command';
import { openFiles, type FilesSource } from '../../cli/import/mail/files';
import { hostLine, type Result } from '../../cli/import/mail/lines';
import { duration, ProgressLine } from '../../cli/import/mail/progress';
import { statusOf, textReport } from '../../cli/import/mail/report';
import { readSecrets } from '../../cli/import/mail/secrets';
import { readTable } from '../../cli/import/mail/table';

const domains = ['example.org'];
const table = (text: string) => readTable(text, 'table.yaml', domains).atServers;
const row = (more = 'password: prompt', account = 'anna@example.org') =>
  `- { account: ${account}, server: imap.old.example, ${more} }\n`;

describe('a table of mailboxes', () => {
  it('has defaults for all that is the same at most hosts', () => {
    expect(table(row())).toEqual([
      {
        ...{ account: 'anna@example.org', host: 'imap.old.example', port: 993 },
        ...{ user: 'anna@example.org', kind: 'password', secret: 'prompt', folders: {} },
      },
    ]);
    const fingerprint = 'aB'.repeat(32);
    expect(
      table(
        '[{ account: Anna@example.org, server: "OLD.example:143", user: anna, master: boss, ' +
          `password: { file: x }, fingerprint: ${fingerprint}, folders: { Verzonden: Sent, All: null } }]`,
      )[0],
    ).toMatchObject({
      ...{ account: 'anna@example.org', host: 'old.example', port: 143, user: 'anna' },
      ...{ master: 'boss', fingerprint, folders: { Verzonden: 'Sent', All: '' } },
    });
    expect(table(row('token: { command: [t] }'))[0]).toMatchObject({ kind: 'token' });
  });

  it('names all mistakes at once, and copies nothing', () => {
    const text =
      row('password: secret') +
      row('password: prompt, token: prompt') +
      row('user: x') +
      row('password: prompt, frobnicate: 1') +
      row('password: prompt', 'anna@other.example') +
      row('token: prompt, master: boss, user: y') +
      row('token: prompt, user: y') +
      '- { account: anna, server: "a:99999", password: prompt }\n';
    expect(() => table(text)).toThrow(
      new RegExp(
        [
          'table.yaml has 8 mistakes; nothing was copied:',
          'row 1: password must be prompt,',
          'row 2: .* not both',
          'row 3: anna@example.org needs a password or a token',
          'row 4: .*frobnicate',
          'row 5: anna@other.example is not in a domain of the stack: example.org',
          'row 6: .* master user',
          'row 7: y at imap.old.example is there twice for anna@example.org',
          'row 8: account must be an address',
        ].join('[^]*'),
      ),
    );
    expect(() => table('a: b')).toThrow('table.yaml is not a list of mailboxes');
    expect(() => table('[')).toThrow('table.yaml is not valid YAML');
  });
});

describe('rows of files', () => {
  const files = (text: string) => readTable(text, 'table.yaml', domains).inFiles;

  it('have a path or a command, and nothing of a server', () => {
    expect(
      files(
        '[{ account: anna@example.org, files: old.tar, folders: { Old: null } },' +
          '{ account: bert@example.org, user: b@old.example, files: { command: [ssh, old, tar] } }]',
      ),
    ).toEqual([
      {
        ...{ account: 'anna@example.org', user: 'anna@example.org' },
        ...{ files: 'old.tar', folders: { Old: '' } },
      },
      {
        ...{ account: 'bert@example.org', user: 'b@old.example' },
        ...{ files: { command: ['ssh', 'old', 'tar'] }, folders: {} },
      },
    ]);
    expect(() =>
      files(
        '[{ account: anna@example.org, files: a, password: prompt }, { account: anna@example.org, files: b },' +
          '{ account: anna@example.org, files: c }, { account: anna@example.org, files: 5 },' +
          '{ account: anna@other.example, files: d }]',
      ),
    ).toThrow(
      /4 mistakes[^]*row 1: .*password[^]*row 3: anna@example.org in files is there twice[^]*row 4: files must be a path[^]*row 5: .* not in a domain/,
    );
  });

  it('are sent as a tar behind the job, and what fails of it is told', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'files-'));
    mkdirSync(join(dir, 'cur'));
    writeFileSync(join(dir, 'cur/1:2,S'), 'x');
    writeFileSync(join(dir, '-Old mail.mbox'), 'From ');
    const sent = async (source: FilesSource) => {
      const { stream, close } = openFiles(source, 'job\n');
      const all = await buffer(stream);
      expect(all.subarray(0, 4).toString()).toBe('job\n');
      const listed = spawnSync('tar', ['-tf', '-'], { input: all.subarray(4), encoding: 'utf8' });
      return {
        listed: listed.stdout.split('\n').filter(Boolean).sort(),
        failed: await close(true),
      };
    };
    expect(await sent(dir)).toEqual({
      ...{ listed: ['./', './-Old mail.mbox', './cur/', './cur/1:2,S'], failed: undefined },
    });
    expect((await sent(join(dir, '-Old mail.mbox'))).listed).toEqual(['./-Old mail.mbox']);
    spawnSync('tar', ['-cf', join(dir, 'a.tar'), '-C', dir, 'cur']);
    expect(await sent(join(dir, 'a.tar'))).toMatchObject({ listed: ['cur/', 'cur/1:2,S'] });
    const half = { command: ['sh', '-c', `tar -cf - -C ${dir} cur; exit 3`] };
    expect(await sent(half)).toEqual({
      ...{ listed: ['cur/', 'cur/1:2,S'], failed: 'sh failed with exit status 3' },
    });
    expect((await sent({ command: ['no-such-program'] })).failed).toMatch('cannot be run');
    expect(() => openFiles(join(dir, 'nowhere'), '')).toThrow('ENOENT');
    const endless = openFiles({ command: ['yes'] }, '');
    expect(await endless.close(false)).toBe('yes failed with SIGTERM');
  });
});

describe('secrets of mailboxes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'secrets-'));
  const file = join(folder, 'secret');
  writeFileSync(file, 'of the file\nand no more', { mode: 0o600 });

  it('are read once each, from a file, a command, or a person', async () => {
    const ask = vi.fn(() => Promise.resolve('typed'));
    const print = '[node, -e, "console.log(1 + 1)"]';
    const rows = table(
      row('master: boss, password: prompt') +
        row(`password: { file: ${file} }, user: b`) +
        row(`token: { command: ${print} }, user: c`) +
        row('master: boss, password: prompt, user: d'),
    );
    expect(await readSecrets(rows, ask)).toEqual(['typed', 'of the file', '2', 'typed']);
    expect(ask.mock.calls).toEqual([['Password of boss at imap.old.example: ']]);
  });

  it('that cannot be read are named before a person is asked', async () => {
    const open = join(folder, 'open');
    writeFileSync(open, 'x');
    chmodSync(open, 0o644);
    const ask = vi.fn(() => Promise.resolve(''));
    const rows = table(
      row('password: prompt') +
        row(`password: { file: ${open} }, user: b`) +
        row('password: { file: /nowhere }, user: c') +
        row('password: { command: ["false"] }, user: d') +
        row('password: { command: ["true"] }, user: e') +
        row('password: { command: [no-such-program] }, user: f'),
    );
    await expect(readSecrets(rows, ask)).rejects.toThrow(
      /^5 secrets cannot be read; nothing was copied:\n- b .*chmod 600 .*open\n- c .*ENOENT[^]*- d .*exit status 1\n- e .*empty\n- f .*cannot be run/,
    );
    expect(ask).not.toHaveBeenCalled();
    await expect(readSecrets(table(row()), ask)).rejects.toThrow('it is empty');
  });
});

const schemaOf = (name: keyof typeof $defs) =>
  z.fromJSONSchema({ $ref: `#/$defs/${name}`, $defs } as Parameters<typeof z.fromJSONSchema>[0]);

const named = { folder: 'INBOX', message: '<a@example>', size: 5 };
const result = (more: Partial<Result> = {}): Result => ({
  ...{ account: 'anna@example.org', copied: 2, moved: 1, flagged: 0, refused: [] },
  comparison: { equal: 2, elsewhere: 0, deleted: [], missing: [], here: [named] },
  ...more,
});

describe('what goes to the host and comes back', () => {
  it('is as both sides have it', () => {
    const rows = table(row('master: boss, password: prompt'));
    const job = jobOf(rows, ['x'], 4);
    expect(schemaOf('importJob').parse(job)).toEqual(job);
    const filesRow = { account: 'anna@example.org', user: 'a', files: 'x', folders: { a: 'b' } };
    const files = filesJobOf([filesRow]);
    expect(schemaOf('importFilesJob').parse(files)).toEqual(files);
    const line = { account: 'anna@example.org', result: result({ error: 'x' }) };
    expect(hostLine.parse(schemaOf('importLine').parse(line))).toEqual(line);
  });

  it('is reported with what is missing, and what fails by the exit status', () => {
    const whole = result();
    expect(textReport([whole], false)).toBe(
      [
        'equal anna@example.org: 2 copied, 1 moved',
        '  on both sides: 2 messages',
        '  only here: 1 message',
        '    INBOX: <a@example>, 5 octets',
        '',
      ].join('\n'),
    );
    expect(statusOf([whole])).toBe(0);
    const missing = Array.from({ length: 21 }, () => named);
    const lacks = result({ comparison: { ...whole.comparison!, missing, elsewhere: 3 } });
    expect(textReport([lacks], false)).toMatch(
      /^not equal[^]*and 3 here in another folder\n {2}missing here: 21 messages[^]*and 1 more, which --json lists/,
    );
    expect(
      [lacks, result({ error: 'x' }), result({ refused: ['x'] })].map((one) => statusOf([one])),
    ).toEqual([3, 3, 3]);
    const hostile = result({ error: 'a\u001b[2Jb', comparison: undefined });
    expect(textReport([hostile], false)).toContain('error: a<U+001B>[2Jb');
  });
});

describe('the progress of an import', () => {
  const progress = (messages: number, totalMessages: number) => ({
    ...{ messages, totalMessages, octets: messages << 20, totalOctets: totalMessages << 20 },
  });

  it('has a bar, the rate and the time left', () => {
    let now = 0;
    const written: string[] = [];
    const line = new ProgressLine(
      3,
      { isTTY: true, write: (text) => written.push(text) },
      () => now,
    );
    line.tell('a', progress(0, 100));
    now = 10_000;
    line.tell('a', progress(50, 100));
    expect(line.text()).toBe(
      '[##########          ] 50 %, 0 of 3 mailboxes, 50 of 100 messages, 50 of 100 MB, 5 messages/s, 10 s left',
    );
    line.tell('b', progress(0, 100));
    line.end(result({ account: 'a' }));
    line.receive(40 << 20);
    expect(line.text()).toBe('sending files: 40 MB, 1 of 3 mailboxes');
    // Another one comes into the same account.
    line.tell('a', progress(0, 200));
    expect(line.text()).toContain('1 of 3 mailboxes, 50 of 400 messages');
    expect(written.at(-1)).toContain('\r\u001b[K[');
  });

  it('is a line now and then where each one stays', () => {
    let now = 0;
    const written: string[] = [];
    const line = new ProgressLine(2, { write: (text) => written.push(text) }, () => now);
    for (now = 40_000; now < 100_000; now += 1000) line.tell('a', progress(1, 2));
    expect(written).toHaveLength(2);
    expect(duration(200)).toBe('4 min');
    expect(duration(20_000)).toBe('6 h');
  });
});
