import type { ParsedMail } from 'mailparser';
import { describe, expect } from 'vitest';
import { readMailbox, submit, waitForMail, waitForReceived } from '../../lab/mail';
import { addresses } from '../../lab/network';
import { labResolver } from '../../lab/remote/resolver';
import { waitFor } from '../../lab/state';
import { erika, hostTest, type Host } from './hosts';
import { page, plans } from './planTable';
import { changes, passDsOn, step } from './testLab';

const it = hostTest();

/** Logins by SSH that the host has seen. */
const sshLogins = (host: Host) =>
  Number(host.shell("journalctl --unit ssh --output cat | grep -c '^Accepted' || true"));
const hash = '$6$labsaltanna$';
const hashOfCarl = `$6$salt$${'a'.repeat(86)}`;
/** The lines that a preview shows as gone or new, with their signs. */
const changedLines = (output: string) =>
  [...output.matchAll(/^ {10,}([-+]) (.+\S)\s*$/gm)].map(
    ([, sign, line]) => [sign!, line!] as const,
  );

describe('a preview', () => {
  it('touches no more than what carries a change, and tells it in docs/changes.md', async ({
    host,
  }) => {
    const before = sshLogins(host);
    const found = await plans(host.stack);
    expect(sshLogins(host)).toBe(before);
    expect(found.get('nothing')).toEqual([]);
    expect(found.get('the order of every list')).toEqual([]);
    const lost = [...found].flatMap(([title, steps]) =>
      steps
        .filter(({ op }) => op !== 'create' && op !== 'update')
        .filter(({ urn }) => /:(Server|PrimaryIp|Volume|PrivateKey)::/.test(urn))
        .map(({ urn }) => `${title}: ${urn}`),
    );
    expect(lost).toEqual([]);
    await expect(page(found)).toMatchFileSnapshot('../../docs/changes.md');
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
    const { output } = await host.preview({ spamTagLevel: '3.5' }, '--diff');
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
      changedLines(output).filter(([, line]) => line.includes('--new-recipients-per-day 6')),
    ).toEqual([['+', expect.stringMatching(/^filter submission proc-exec .*"$/)]]);
  });

  it('shows an account more as new lines alone', async ({ host }) => {
    const before = new Set(host.shell('cat /etc/dovecot/users /etc/smtpd/*').split('\n'));
    const carl = {
      'accounts[2].address': 'carl@example.org',
      'accounts[2].passwordHash': { secret: hashOfCarl },
    };
    const added = changedLines((await host.preview(carl, '--diff')).output);
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
