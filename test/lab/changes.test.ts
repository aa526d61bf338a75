import { execFileSync } from 'node:child_process';
import type { ParsedMail } from 'mailparser';
import { describe, expect } from 'vitest';
import { changedLines } from '../../components/review/lines';
import { parsePlan } from '../../cli/review/plan';
import { reviewOf } from '../../components/review/review';
import { textReview } from '../../components/review/text';
import {
  imapClient,
  readMailbox,
  submit,
  waitForMail,
  waitForReceived,
  withImap,
  type Login,
} from '../../lab/mail';
import { addresses } from '../../lab/network';
import { labResolver } from '../../lab/remote/resolver';
import { waitFor } from '../../lab/state';
import { erika, hostTest, type Host } from './hosts';
import { page, plans } from './planTable';
import { SmtpDialogue } from './smtpDialogue';
import { changes, passDsOn, step } from './testLab';

const it = hostTest();

/** Logins by SSH that the host has seen. */
const sshLogins = (host: Host) =>
  Number(host.shell("journalctl --unit ssh --output cat | grep -c '^Accepted' || true"));
const hash = '$6$labsaltanna$';
const hashOfCarl = `$6$salt$${'a'.repeat(86)}`;
/** The lines that a preview shows as gone or new, with their signs. */
const shownLines = (output: string) =>
  [...output.matchAll(/^ {10,}([-+]) (.+\S)\s*$/gm)].map(
    ([, sign, line]) => [sign!, line!] as const,
  );

describe('a preview', () => {
  it('touches no more than what carries a change, tells it in docs/changes.md, and is reviewed in few lines', async ({
    host,
  }) => {
    const before = sshLogins(host);
    const found = await plans(host.stack);
    expect(sshLogins(host)).toBe(before);
    expect(found.get('nothing')!.steps).toEqual([]);
    expect(found.get('the order of every list')!.steps).toEqual([]);
    for (const [title, { json }] of found) {
      const review = reviewOf(parsePlan(json));
      const text = textReview(review, { isColoured: false, context: 0, isSummary: false });
      const edits = review.sections.flatMap((part) => part.changes.flatMap((one) => one.edits));
      const most = 2 * changedLines(edits) + 12;
      expect(text.trimEnd().split('\n').length, title).toBeLessThanOrEqual(most);
    }
    const lost = [...found].flatMap(([title, { steps }]) =>
      steps
        .filter(({ op }) => op !== 'create' && op !== 'update')
        .filter(({ urn }) => /:(Server|PrimaryIp|Volume|PrivateKey)::/.test(urn))
        .map(({ urn }) => `${title}: ${urn}`),
    );
    expect(lost).toEqual([]);
    await expect(await page(found)).toMatchFileSnapshot('../../docs/changes.md');
  });

  it('stops what would lose something until it is confirmed, and warns of addresses that go', async ({
    host: { stack },
  }) => {
    await stack.temporarily(async () => {
      await stack.unset('mailhost:accounts[1]');
      await stack.unset('mailhost:accounts[0].aliases[0]');
      await stack.setAll({ 'confirm[0]': 'remove bert@example.net' });
      const { status, output } = await stack.run(['preview']);
      expect(status, output).toBe(0);
      expect(output).toContain('confirmed: bert@example.net would no longer be an account');
      expect(output).toContain('mail to info@example.org is refused from now on');
    });
  });

  it('tells of a confirmation that nothing asks for any more', async ({ host }) => {
    const words = 'remove bert@example.net';
    const { status, output } = await host.preview({ 'confirm[0]': words }, '--expect-no-changes');
    expect(status, output).toBe(0);
    expect(output).toContain(`confirm holds "${words}", which nothing asks for any more`);
  });

  it('shows a change as the lines that change, and no secret', async ({ host }) => {
    const { output } = await host.preview({ spamTagLevel: '3.5', review: 'off' }, '--diff');
    const lines = output
      .split('\n')
      .flatMap((line) => /^\s*([-+]) (.+\S)\s*$/.exec(line)?.slice(1) ?? []);
    expect(lines).toEqual([
      '-',
      'required_score 2',
      '+',
      'required_score 3.5',
      '-',
      '$sa_tag2_level_deflt = 2;',
      '+',
      '$sa_tag2_level_deflt = 3.5;',
    ]);
    expect(output).not.toContain(hash);
    expect(output).not.toContain('PRIVATE KEY');
  });

  it('shows a long line that changes in full, where it is asked to', async ({ host }) => {
    // The engine cuts longer lines unless it is asked not to.
    const settings = { newRecipientsPerDay: '6' };
    const { output } = await host.preview(settings, '--diff', '--show-full-output');
    expect(
      shownLines(output).filter(([, line]) => line.includes('--new-recipients-per-day 6')),
    ).toEqual([['+', expect.stringMatching(/^filter submission proc-exec .*"$/)]]);
  });

  it('shows an account more as new lines alone', async ({ host }) => {
    const before = new Set(host.shell('cat /etc/dovecot/users /etc/smtpd/*').split('\n'));
    const carl = {
      'accounts[2].address': 'carl@example.org',
      'accounts[2].passwordHash': { secret: hashOfCarl },
    };
    const added = shownLines((await host.preview(carl, '--diff')).output);
    expect(added.filter(([sign, line]) => sign === '-' || before.has(line))).toEqual([]);
    expect(added.map(([, line]) => line)).toEqual(
      expect.arrayContaining([
        'carl@example.org:::::/srv/mailhost/mail/example.org/carl::userdb_quota_storage_size=2000M',
        'carl@example.org vmail',
        'carl@example.org carl@example.org',
        'carl@example.org',
      ]),
    );
  });
});

describe('an up', () => {
  it('is stopped where it would lose something that is not confirmed, before it connects', async ({
    host,
  }) => {
    const { stack } = host;
    const before = sshLogins(host);
    await stack.temporarily(async () => {
      await stack.unset('mailhost:accounts[1]');
      const { status, output } = await stack.up();
      expect(status).not.toBe(0);
      expect(output).toContain(
        "pulumi config set --path 'mailhost:confirm[0]' 'remove bert@example.net'",
      );
      expect(output).toContain('/srv/mailhost/mail/example.net/bert');
    });
    expect(sshLogins(host)).toBe(before);
  });

  it('has nothing to do a second time, and does not even connect', async ({ freshHost: host }) => {
    const before = sshLogins(host);
    expect(Object.keys(changes(await host.up()))).toEqual(['unchanged']);
    expect(sshLogins(host)).toBe(before);
    // Until the registrar has the DS records, a refresh finds that DNSSEC is pending.
    for (const zone of ['example.org', 'example.net']) passDsOn(host.lab.name, zone);
    const refresh = await host.stack.run(['preview', '--refresh', '--expect-no-changes']);
    expect(refresh.status, refresh.output).toBe(0);
  });

  it('parks a domain: the world is told that it has no mail, and mail to it comes back at once', async ({
    freshHost: host,
  }) => {
    const output = await host.up({ 'domains[2].name': 'example.com', 'domains[2].parked': 'true' });
    expect(changes(output)).toMatchObject({ created: 6 });
    const resolve = labResolver(addresses.resolver.v4);
    expect(await resolve('example.com', 'MX')).toEqual([{ priority: 0, exchange: '' }]);
    expect(await resolve('example.com', 'TXT')).toEqual([['v=spf1 -all']]);
    for (const zone of Object.keys(host.outputs.dsRecords)) passDsOn(host.lab.name, zone);
    const refresh = await host.stack.run(['preview', '--refresh', '--expect-no-changes']);
    expect(refresh.status, refresh.output).toBe(0);

    const anna = host.login('anna@example.org');
    const subject = 'to a parked domain';
    await submit(anna, 465, { from: anna.user, to: 'x@example.com', subject, text: 'x' });
    const isBounce = ({ text }: ParsedMail) => text?.includes('x@example.com') === true;
    await waitFor('the bounce', async () => (await readMailbox(anna)).some(isBounce));
    await host.queueIsEmpty();
  });

  it('can have system users for accounts instead', async ({ freshHost: host }) => {
    await host.up({ accountKind: 'system', 'confirm[0]': 'make accounts system' });
    const login = { ...host.login('anna@example.org'), user: 'anna' };
    await host.receive({ to: 'info@example.org', subject: 'to a system user' });
    await waitForMail(login, 'to a system user');
    const subject = 'from a system user';
    await submit(login, 587, { from: 'anna@example.org', to: erika, subject, text: 'x' });
    expect((await waitForReceived(host.lab, subject)).dmarc).toBe('pass');
    expect(host.shell('getent passwd anna | cut -d: -f6,7')).toBe(
      '/srv/mailhost/home/anna:/usr/sbin/nologin\n',
    );
    expect(
      host.shell('cd /srv/mailhost/home/anna/mail/Folders/INBOX/.maildir; ls cur new'),
    ).toMatch(/\d/);
  });
});

describe('an up that changes accounts, passwords, aliases and quotas', () => {
  const [anna, bert, carl] = ['anna@example.org', 'bert@example.net', 'carl@example.org'] as const;
  const passwordHash = (password: string) => ({
    secret: execFileSync('openssl', ['passwd', '-6', password], { encoding: 'utf8' }).trim(),
  });

  it('ends only sessions of accounts that are removed or get another password', async ({
    freshHost: host,
  }) => {
    const logins = {
      anna: host.login(anna),
      bert: host.login(bert),
      newBert: { ...host.login(bert), password: 'another' },
      carl: { ...host.login(anna), user: carl, password: 'carl-password' },
    };
    /** A mail client that waits for mail, and one that is about to send. */
    const sessionsOf = async (login: Login) => {
      const reader = imapClient(login);
      await reader.connect();
      await reader.mailboxOpen('INBOX');
      const seen: number[] = [];
      reader.on('exists', ({ count }: { count: number }) => seen.push(count));
      void reader.idle().catch(() => undefined);
      const writer = await SmtpDialogue.open({ host: login.host, port: 465, login });
      return { reader, seen, writer };
    };
    const canLogIn = async (login: Login) => {
      const imap = await withImap(login, () => Promise.resolve(true)).catch(() => false);
      const smtp = await SmtpDialogue.open({ host: login.host, port: 465, login }).then(
        (session) => session.say('QUIT').then(() => true),
        (error: Error) => !error.message.startsWith('535'),
      );
      return { imap, smtp };
    };
    const refused = { imap: false, smtp: false };
    const taken = { imap: true, smtp: true };
    const processes = () => host.shell('systemctl show --property MainPID dovecot opensmtpd');
    const begun = processes();
    const sender = (address: string) => `MAIL FROM:<${address}>`;

    const [ofAnna, ofBert] = [await sessionsOf(logins.anna), await sessionsOf(logins.bert)];
    await step('an account, an alias and a quota more, and another password', async () => {
      const output = await host.up({
        'accounts[0].aliases[1]': 'sales@example.org',
        'accounts[0].quota': '3000',
        'accounts[1].passwordHash': passwordHash(logins.newBert.password),
        'accounts[2].address': carl,
        'accounts[2].passwordHash': passwordHash(logins.carl.password),
      });
      expect(output).not.toContain('restart');
      expect(processes()).toBe(begun);
      expect(await canLogIn(logins.carl)).toEqual(taken);
      expect(await canLogIn(logins.bert)).toEqual(refused);
      expect(await canLogIn(logins.newBert)).toEqual(taken);
      const { storage } = (await withImap(logins.anna, (client) => client.getQuota('INBOX'))) || {};
      expect(storage?.limit).toBe(3000 * 1024 * 1024);
    });
    await step('who has not changed works on, and who has is out', async () => {
      await host.receive({ to: 'sales@example.org', subject: 'to a new alias' });
      await waitFor('the waiting client is told of the message', () => ofAnna.seen.length > 0);
      expect(await ofAnna.writer.say(sender('sales@example.org'))).toMatch(/^250 /);
      await waitFor('the client of the old password is logged out', () => !ofBert.reader.usable);
      expect(await ofBert.writer.say(sender(bert))).toMatch(/^421 /);
    });
    await step('an account and an alias less', async () => {
      const ofCarl = await sessionsOf(logins.carl);
      await host.stack.unset('mailhost:accounts[2]');
      await host.stack.unset('mailhost:accounts[0].aliases[1]');
      await host.up({ 'confirm[0]': `remove ${carl}` });
      expect(processes()).toBe(begun);
      await waitFor('the client of the account is logged out', () => !ofCarl.reader.usable);
      expect(await ofCarl.writer.say(sender(carl))).toMatch(/^421 /);
      expect(await canLogIn(logins.carl)).toEqual(refused);
      for (const to of [carl, 'sales@example.org'])
        await expect(host.receive({ to, subject: 'to nobody' })).rejects.toThrow(/550/);
      expect(await ofAnna.writer.say('RSET')).toMatch(/^250 /);
      expect(await ofAnna.writer.say(sender('sales@example.org'))).toMatch(/^550 /);
      expect(await ofAnna.writer.say(sender(anna))).toMatch(/^250 /);
      expect(ofAnna.reader.usable).toBe(true);
      await ofAnna.reader.logout();
    });
  });
});

describe('a mail host', () => {
  it('is not destroyed while it is protected, nor any of its records, and gone where it is not', async ({
    freshHost: host,
  }) => {
    const { stack } = host;
    await step('it is protected', async () => {
      await host.up({ protect: 'true' });
      const { status, output } = await stack.run(['destroy', '--yes']);
      expect(status).not.toBe(0);
      expect(output).toMatch(/protected/);
      const resolve = labResolver(addresses.resolver.v4);
      expect(await resolve('example.org', 'MX')).toEqual([
        { priority: 10, exchange: 'mail.example.org' },
      ]);
    });
    await step('it is gone after destroy', async () => {
      await host.up({ protect: 'false' });
      const { status, output } = await stack.run(['destroy', '--yes', '--skip-preview']);
      expect(status, output).toBe(0);
      for (const kind of ['servers', 'volumes', 'primary_ips', 'firewalls', 'ssh_keys']) {
        expect(await host.hetzner(kind)).toMatchObject({ [kind]: [] });
      }
    });
  });
});
