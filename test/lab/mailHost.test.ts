import { readFileSync, writeFileSync } from 'node:fs';
import type { ParsedMail } from 'mailparser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { onHost } from '../../lab/machines';
import {
  moveMail,
  readMailbox,
  sendFromRemote,
  submit,
  waitForMail,
  waitForReceived,
  type Login,
} from '../../lab/mail';
import { manyDomains } from '../../bench/manyDomains/preview';
import { addresses } from '../../lab/network';
import { loginOf, proofs } from '../../lab/proof';
import { labResolver } from '../../lab/remote/resolver';
import type { StackOutputs } from '../../lab/stack';
import { waitFor, type Lab } from '../../lab/state';
import { page, plans } from './planTable';
import { changes, endLab, passDsOn, startLab, TestStack, zoneOf } from './testLab';

const name = 'test';
const erika = 'erika@remote.example';
let lab: Lab;
let stack: TestStack;
let outputs: StackOutputs;
let firstPreview: string;
let firstUp: string;

beforeAll(async () => {
  lab = startLab(name);
  stack = new TestStack(lab);
  await stack.select();
});
afterAll(() => endLab(name));

/** Logins by SSH that the host has seen. */
const sshLogins = () =>
  Number(onHost(lab, "journalctl --unit ssh --output cat | grep -c '^Accepted' || true"));
const hash = '$6$labsaltanna$';
/** Whatever is shown at the end of `make up`. */
const proveAll = async () => {
  for (const { title, run } of proofs(lab, outputs)) {
    await run().catch((error: unknown) => {
      throw new Error(title, { cause: error });
    });
  }
};
const hashOfCarl = `$6$salt$${'a'.repeat(86)}`;
/** The lines that a preview shows as gone or new, with their signs. */
const changedLines = (output: string) =>
  [...output.matchAll(/^ {10,}([-+]) (.+\S)\s*$/gm)].map(
    ([, sign, line]) => [sign!, line!] as const,
  );

describe('a mail host', () => {
  it('refuses bad input before anything is touched, all mistakes at once', async () => {
    const bad = new TestStack(lab);
    await bad.set('mailhost:domains[2].name', 'not_a_domain', '--path');
    await bad.set('mailhost:accounts[1].address', 'anna@example.org', '--path');
    await bad.unset('mailhost:accounts[0].passwordHash');
    await bad.set('mailhost:dkimGeneration', 'two');
    await bad.set('mailhost:colour', 'red');
    const { status, output } = await bad.run(['preview']);
    expect(status).not.toBe(0);
    expect(output.replace(/\s+/g, ' ')).toContain('5 mistakes; nothing was changed');
    for (const key of [
      'mailhost:domains[2].name = "not_a_domain" is no domain name',
      'mailhost:accounts[1].address is "anna@example.org" again',
      'mailhost:accounts[0].passwordHash is missing: must be',
      'mailhost:dkimGeneration = "two" must be a whole number',
      'mailhost:colour is no setting',
    ]) {
      expect(output).toContain(key);
    }
    expect(output).not.toMatch(/at .*\.ts:\d+/);
    expect(changes(output)).not.toHaveProperty('created');
    // Written over by the next stack's copy.
    stack = new TestStack(lab);
  });

  it('previews 200 domains with 2,000 accounts', async () => {
    const { resources, output } = await manyDomains(lab, 200);
    // A component, twelve records, a component for the keys and two of these, for each; 46 for the host.
    expect(resources, output).toBeGreaterThan(200 * 16);
  });

  it('is stopped by records that collide, and takes over what is there already', async () => {
    const zone = await zoneOf(lab, 'example.org');
    const record = { ttl: 300, name: 'example.org' };
    await zone.create({ ...record, type: 'MX', content: 'mail.example.org', priority: 20 });
    await zone.create({ ...record, type: 'TXT', content: '"site-verification=1"' });
    const other = await zone.create({
      ...record,
      type: 'TXT',
      content: '"v=spf1 a:x.example -all"',
    });
    const refused = await stack.run(['preview']);
    expect(refused.status).not.toBe(0);
    expect(refused.output).toContain('example.org already has TXT "v=spf1 a:x.example -all"');
    expect(refused.output).not.toContain('already has MX');
    expect(refused.output).not.toContain('site-verification');
    expect(refused.output).not.toMatch(/at .*\.ts:\d+/);
    // The stack itself, and nothing in it.
    expect(refused.output).toMatch(/\+ 1 to create\s+1 errored/);

    await zone.delete(other);
    const { status, output } = await stack.run(['preview', '--diff']);
    expect(status, output).toBe(0);
    expect(output).toMatch(/= cloudflare:index\/dnsRecord:DnsRecord: \(import\)/);
    firstPreview = output;
  });

  it('stands up from nothing, also after a first try that was killed half-way', async () => {
    let killed = false;
    await stack.up((text, kill) => {
      if (!killed && text.includes('dovecot-secrets created')) {
        killed = true;
        kill();
      }
    });
    expect(killed).toBe(true);
    await stack.run(['cancel', '--yes']);
    const { status, output } = await stack.up();
    firstUp = output;
    expect(status, output).toBe(0);
    outputs = stack.outputs();
    expect(outputs.nextSteps).toContain('IMAP: mail.example.org, port 993, TLS');
    // Nothing was made that the first preview did not show.
    const made = stack.resources().filter(({ type }) => !type.startsWith('pulumi:providers:'));
    const summary = firstPreview.slice(firstPreview.lastIndexOf('Resources:'));
    const planned = [...summary.matchAll(/(\d+) to (?:create|import)/g)].map(([, n]) => Number(n));
    expect(planned.length, summary).toBe(2);
    expect(planned[0]! + planned[1]!).toBe(made.length);
  });

  it('works, seen from outside', async () => {
    await proveAll();
  });

  it('takes mail for its addresses, whatever their case and tag, and refuses unknown ones at once', async () => {
    const anna = loginOf(outputs, 'anna@example.org');
    const bert = loginOf(outputs, 'bert@example.net');
    const recipients: [string, Login][] = [
      ['Anna+news@EXAMPLE.org', anna],
      ['info@example.org', anna],
      ['postmaster@example.net', anna],
      ['abuse@mail.example.org', anna],
      ['bert@example.net', bert],
    ];
    for (const [to, login] of recipients) {
      const message = { from: erika, to, subject: `to ${to}`, text: 'x' };
      await sendFromRemote(lab, message);
      await waitForMail(login, message.subject);
      await sendFromRemote(lab, { ...message, subject: `${message.subject} by IPv6`, ipv6: true });
      await waitForMail(login, `${message.subject} by IPv6`);
    }
    const unknown = ['nobody@example.org', 'anna@example.net', 'root@example.org'];
    for (const to of [...unknown, 'mailhost-probe@mailhost-probe.invalid']) {
      const attempt = sendFromRemote(lab, {
        from: erika,
        to: 'anna@example.org',
        envelopeTo: to,
        subject: 'x',
        text: 'x',
      });
      await expect(attempt, to).rejects.toThrow('550');
    }
    expect(onHost(lab, 'smtpctl show queue')).toBe('');
  });

  it('signs for who has logged in, as who they are, and never for a stranger', async () => {
    const anna = loginOf(outputs, 'anna@example.org');
    const bert = loginOf(outputs, 'bert@example.net');
    const signers = (message: ParsedMail) =>
      message.headerLines
        .filter(({ key }) => key === 'dkim-signature')
        .map(({ line }) => / d=([^;]+);/.exec(line)?.[1]);
    const subject = 'to a colleague';
    await submit(anna, 587, { from: 'info@example.org', to: bert.user, subject, text: 'x' });
    expect(signers(await waitForMail(bert, subject))).toEqual(['example.org']);

    const asBert = { from: bert.user, to: erika, subject: 'not mine', text: 'x' };
    await expect(submit(anna, 465, asBert)).rejects.toThrow('the envelope sender is bert@');
    const alsoAsBert = { ...asBert, envelope: anna.user };
    await expect(submit(anna, 465, alsoAsBert)).rejects.toThrow('From is bert@example.net');

    const forged = {
      from: anna.user,
      envelopeFrom: erika,
      to: bert.user,
      subject: 'forged',
      text: 'x',
    };
    await sendFromRemote(lab, forged);
    expect(signers(await waitForMail(bert, 'forged', 'Junk'))).not.toContain('example.org');
  });

  it('completes and signs what a client sends without Date and Message-ID, on both ports', async () => {
    const anna = loginOf(outputs, 'anna@example.org');
    for (const port of [465, 587] as const) {
      const subject = `bare ${port}`;
      const raw = `From: ${anna.user}\r\nTo: ${erika}\r\nSubject: ${subject}\r\n\r\nx\r\n`;
      await submit(anna, port, { from: anna.user, to: erika, subject, raw });
      const message = await waitForReceived(lab, subject);
      expect(message.raw).toMatch(/^Date: /m);
      expect(message.raw).toMatch(/^Message-ID: /im);
      expect([message.dkim.map(({ result }) => result), message.dmarc]).toEqual([['pass'], 'pass']);
    }
  });

  it('brings its own messages to the postmaster', async () => {
    onHost(lab, 'printf "Subject: from cron\\n\\nx\\n" | sendmail root');
    await waitForMail(loginOf(outputs, 'anna@example.org'), 'from cron');
  });

  it('learns from what a user puts into Junk and takes out of it', async () => {
    const login = loginOf(outputs, 'bert@example.net');
    const count = (kind: 'spam' | 'ham') =>
      Number(
        onHost(
          lab,
          `sa-learn --dbpath /srv/mailhost/bayes/bayes --dump magic 2>/dev/null | awk '/data: n${kind}$/ {print $3}'`,
        ),
      );
    const text = 'A message that is long enough to have some words to learn from.';
    await sendFromRemote(lab, { from: erika, to: login.user, subject: 'learn', text });
    await waitForMail(login, 'learn');
    const spam = count('spam');
    await moveMail(login, 'learn', 'INBOX', 'Junk');
    expect(count('spam')).toBe(spam + 1);
    const ham = count('ham');
    await moveMail(login, 'learn', 'Junk', 'INBOX');
    expect(count('ham')).toBe(ham + 1);
    expect(onHost(lab, 'stat --format %U /srv/mailhost/bayes/bayes_toks')).toBe('amavis\n');
  });

  it('has a check that tells what is broken', () => {
    const broken = onHost(
      lab,
      `echo '@bypass_spam_checks_maps = (1); 1;' >/etc/amavis/conf.d/99-broken
       systemctl restart amavis
       systemd-run --quiet --unit stray --property RuntimeMaxSec=60 python3 -m http.server 8080
       until ss --listening --tcp --numeric | grep -q :8080; do :; done
       check() { echo '{"hostName": "mail.example.org", "domains": [{"name": "example.org", "selector": "s9"}]}' | mailhost check 2>&1 || true; }
       check
       systemctl stop stray
       check
       rm /etc/amavis/conf.d/99-broken; systemctl restart amavis
       key=/etc/amavis/dkim/example.org.s1.pem
       cp -p $key /run/key; openssl genrsa 2048 >$key 2>/dev/null
       echo '{"hostName": "mail.example.org", "domains": [{"name": "example.org", "selector": "s1"}]}' | mailhost check 2>&1 || true
       mv /run/key $key`,
    );
    expect(broken).toContain('something listens on port 8080');
    expect(broken).toMatch(/a spam probe came through unmarked/);
    expect(broken).toContain('example.org: an outbound message is not signed with selector s9');
    expect(broken).toContain(
      'amavis signs with another key than that of s1._domainkey.example.org: pulumi config set mailhost:drift mend',
    );
  });

  it('says plainly when outbound port 25 is closed', () => {
    const { v4 } = addresses.remote;
    const unused = v4.replace(/\d+$/, '250');
    const out = onHost(
      lab,
      `cp /etc/hosts /run/hosts; echo '${unused} gmail-smtp-in.l.google.com' >>/etc/hosts
       echo '{"hostName": "mail.example.org", "domains": []}' | mailhost check; cat /run/hosts >/etc/hosts`,
    );
    expect(out).toContain('WARNING: outbound port 25 seems to be blocked');
  });

  it('has nothing to do a second time, and does not even connect', async () => {
    const before = sshLogins();
    const { status, output } = await stack.up();
    expect(status, output).toBe(0);
    expect(Object.keys(changes(output))).toEqual(['unchanged']);
    expect(sshLogins()).toBe(before);
    // Until the registrar has the DS records, a refresh finds that DNSSEC is pending.
    for (const zone of ['example.org', 'example.net']) passDsOn(name, zone);
    const refresh = await stack.run(['preview', '--refresh', '--expect-no-changes']);
    expect(refresh.status, refresh.output).toBe(0);
  });

  it('touches no more than what carries a change, and tells it in docs/changes.md', async () => {
    const before = sshLogins();
    const found = await plans(stack);
    expect(sshLogins()).toBe(before);
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

  it('stops what would lose something until it is confirmed, and warns of addresses that go', async () => {
    const original = readFileSync(stack.configFile!);
    await stack.unset('mailhost:accounts[1]');
    await stack.unset('mailhost:accounts[0].aliases[0]');
    const before = sshLogins();
    const refused = await stack.up();
    expect(refused.status).not.toBe(0);
    const words = 'remove bert@example.net';
    expect(refused.output).toContain(`pulumi config set --path 'mailhost:confirm[0]' '${words}'`);
    expect(refused.output).toContain('/srv/mailhost/mail/example.net/bert');
    expect(sshLogins()).toBe(before);

    await stack.set('mailhost:confirm[0]', words, '--path');
    const { status, output } = await stack.run(['preview']);
    expect(status, output).toBe(0);
    expect(output).toContain('confirmed: bert@example.net would no longer be an account');
    expect(output).toContain('mail to info@example.org is refused from now on');

    writeFileSync(stack.configFile!, original);
    await stack.set('mailhost:confirm[0]', words, '--path');
    const stale = await stack.run(['preview', '--expect-no-changes']);
    expect(stale.status, stale.output).toBe(0);
    expect(stale.output).toContain(`confirm holds "${words}", which nothing asks for any more`);
    writeFileSync(stack.configFile!, original);
  });

  it('deletes what an account has left, and no account', () => {
    onHost(lab, 'mkdir -p /srv/mailhost/mail/example.org/gone/mail');
    expect(onHost(lab, 'mailhost purge gone@example.org')).toContain('deleted');
    expect(onHost(lab, 'ls /srv/mailhost/mail/example.org')).not.toContain('gone');
    for (const address of ['anna@example.org', 'gone@example.org', '../../x@example.org']) {
      expect(() => onHost(lab, `mailhost purge '${address}' 2>/dev/null`), address).toThrow();
    }
    expect(onHost(lab, 'ls /srv/mailhost/mail/example.org')).toContain('anna');
  });

  it('previews a change as the lines that change, and no secret', async () => {
    await stack.set('mailhost:spamTagLevel', '3.5');
    const { output } = await stack.run(['preview', '--diff']);
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
    await stack.set('mailhost:spamTagLevel', '2');

    // The engine cuts longer lines unless it is asked not to.
    await stack.set('mailhost:newRecipientsPerDay', '6');
    const full = (await stack.run(['preview', '--diff', '--show-full-output'])).output;
    expect(
      changedLines(full).filter(([, line]) => line.includes('--new-recipients-per-day 6')),
    ).toEqual([['+', expect.stringMatching(/^filter submission proc-exec .*"$/)]]);
    await stack.unset('mailhost:newRecipientsPerDay');

    const before = new Set(onHost(lab, 'cat /etc/dovecot/users /etc/smtpd/*').split('\n'));
    await stack.set('mailhost:accounts[2].address', 'carl@example.org', '--path');
    await stack.set('mailhost:accounts[2].passwordHash', hashOfCarl, '--path', '--secret');
    const added = changedLines((await stack.run(['preview', '--diff'])).output);
    expect(added.filter(([sign, line]) => sign === '-' || before.has(line))).toEqual([]);
    expect(added.map(([, line]) => line)).toEqual(
      expect.arrayContaining([
        'carl@example.org:::::/srv/mailhost/mail/example.org/carl::userdb_quota_storage_size=2000M',
        'carl@example.org vmail',
        'carl@example.org carl@example.org',
        'carl@example.org',
      ]),
    );
    await stack.unset('mailhost:accounts[2]');
  });

  it('puts the old files back where a daemon does not run with the new ones', () => {
    const before = onHost(lab, 'sha256sum /etc/dovecot/dovecot.conf');
    const push = `python3 - <<'E'
import json
files = {p: {"mode": "0644", "owner": "root:root", "text": open(p).read()} for p in json.load(open("/var/lib/mailhost/manifest/dovecot.json")) if p != "/etc/dovecot/passwords"}
files["/etc/dovecot/dovecot.conf"]["text"] += TAIL
print(json.dumps(files))
E`;
    const activate = (tail: string) =>
      onHost(
        lab,
        `(${push.replace('TAIL', JSON.stringify(tail))}
) >/tmp/push; mailhost activate dovecot --secrets $(ls /var/lib/mailhost/staged | grep ^dovecot | cut -d. -f2) </tmp/push 2>&1; echo "status $?"; rm /tmp/push`,
      );
    // The daemon's own check finds this one.
    expect(activate('no_such_setting = yes\n')).toMatch(/no_such_setting[\s\S]*status 1/);
    // This one only shows when the service cannot take its port.
    const refused = activate(
      'service imap-login {\n  inet_listener smtp {\n    port = 25\n  }\n}\n',
    );
    expect(refused).toMatch(/the files from before are back, and so is the daemon[\s\S]*status 1/);
    expect(onHost(lab, 'sha256sum /etc/dovecot/dovecot.conf')).toBe(before);
    expect(onHost(lab, 'systemctl is-active dovecot')).toBe('active\n');
  });

  it('converges after a push that was killed at any point', () => {
    const push = `python3 -c '
import json
files = {p: {"mode": f["mode"], "owner": f["owner"], "text": open(p).read()} for p, f in json.load(open("/var/lib/mailhost/manifest/spamassassin.json")).items()}
files["/etc/spamassassin/local.cf"]["text"] += "# DELAY\\n"
print(json.dumps(files))'`;
    for (const delay of ['0.1', '0.4', '0.8', '1.2', '1.6', '2', '3']) {
      const files = push.replace('DELAY', delay);
      onHost(
        lab,
        `${files} | timeout --signal KILL ${delay} mailhost activate spamassassin || true`,
      );
      onHost(lab, `${files} | mailhost activate spamassassin`);
      expect(
        onHost(lab, 'tail -1 /etc/spamassassin/local.cf; systemctl is-active spamd amavis'),
      ).toBe(`# ${delay}\nactive\nactive\n`);
    }
    expect(onHost(lab, 'ls /var/lib/mailhost/backup')).toBe('');

    const before = onHost(lab, 'cat /etc/spamassassin/local.cf');
    const cutOff = (signal: string) =>
      onHost(
        lab,
        `${push.replace('DELAY', 'cut off')} >/tmp/push
         mailhost activate spamassassin </tmp/push >/tmp/said 2>&1 &
         until grep --quiet 'cut off' /etc/spamassassin/local.cf; do sleep 0.01; done
         kill -${signal} $!; wait $! || true; rm /tmp/push`,
      );
    cutOff('KILL');
    // What a boot does.
    onHost(lab, 'systemctl is-enabled mailhost-undo && systemctl start mailhost-undo');
    expect(onHost(lab, 'cat /etc/spamassassin/local.cf')).toBe(before);
    cutOff('KILL');
    expect(onHost(lab, 'mailhost history spamassassin')).toContain(
      'spamassassin: a push was cut off; the files from before are back, and so is the daemon',
    );
    expect(onHost(lab, 'cat /etc/spamassassin/local.cf')).toBe(before);
    cutOff('TERM');
    expect(onHost(lab, 'cat /etc/spamassassin/local.cf; ls /var/lib/mailhost/backup')).toBe(before);
  });

  it('keeps secrets out of state, logs and what others may read on the host', async () => {
    const state = stack.state();
    // A key file begins with what its public part tells too; the lines taken here are private.
    const secrets = onHost(
      lab,
      `cut -d' ' -f2 /etc/smtpd/credentials
       for key in /etc/amavis/dkim/*.pem; do sed -n '10,24p' $key; done
       sed -n 2p /etc/ssl/mailhost/privkey.pem`,
    )
      .trim()
      .split('\n');
    expect(secrets.length).toBe(2 + 2 * 15 + 1);
    const places = { state, firstUp, journal: onHost(lab, 'journalctl --no-pager --output cat') };
    for (const [place, text] of Object.entries(places)) {
      expect(
        secrets.filter((secret) => text.includes(secret)),
        place,
      ).toEqual([]);
    }
    const readable = onHost(
      lab,
      `cut -d' ' -f2 /etc/smtpd/credentials >/run/patterns; chmod 600 /run/patterns
       find / -xdev -type f -perm -o=r -size -1M -not -path '/proc/*' -not -path '/sys/*' -print0 |
         xargs -0 grep --files-with-matches --fixed-strings --file /run/patterns || true; rm /run/patterns`,
    );
    expect(readable).toBe('');
    const { output } = await stack.run(['stack', 'output']);
    expect(output).toMatch(/sshPrivateKey\s+\[secret\]/);
  });

  it('answers again after a reboot, with its mail', async () => {
    const login = loginOf(outputs, 'anna@example.org');
    const subjects = async () => (await readMailbox(login)).map(({ subject }) => subject);
    const before = await subjects();
    onHost(lab, 'touch /run/before-the-reboot; systemctl reboot');
    const check = `test ! -e /run/before-the-reboot &&
      echo '{"hostName": "mail.example.org", "domains": []}' | mailhost check`;
    await waitFor('the host is back and its check passes', () => {
      try {
        return onHost(lab, check);
      } catch {
        return false;
      }
    });
    expect(await subjects()).toEqual(before);
  });

  it('loses nothing that it took while each of its daemons is killed', async () => {
    const taken: string[] = [];
    let ended = false;
    const sending = (async () => {
      for (let i = 0; !ended; i++) {
        // Each attempt is another message: what was not taken may be lost.
        const message = { from: erika, to: 'anna@example.org', subject: `killed ${i}`, text: 'x' };
        await sendFromRemote(lab, message).then(
          () => taken.push(message.subject),
          () => undefined,
        );
      }
    })();
    const more = (count: number) => {
      const enough = taken.length + count;
      return waitFor(`${count} messages are taken`, () => taken.length >= enough);
    };
    const units = ['opensmtpd', 'amavis', 'dovecot', 'spamd', 'unbound', 'nginx'];
    for (const unit of units) {
      await more(3);
      onHost(lab, `systemctl kill --signal KILL ${unit}`);
    }
    await more(3);
    ended = true;
    await sending;
    const anna = loginOf(outputs, 'anna@example.org');
    const subjects = async () => (await readMailbox(anna)).map(({ subject }) => subject ?? '');
    const delivered = await waitFor(
      'what was taken is delivered',
      async () => {
        // Without waiting for the next try of what met a daemon that was down.
        onHost(lab, 'smtpctl schedule all >/dev/null');
        const found = await subjects().catch(() => [] as string[]);
        return taken.every((subject) => found.includes(subject)) ? found : undefined;
      },
      600,
    );
    const own = delivered.filter((subject) => subject.startsWith('killed '));
    // What was handed on when a daemon died is handed on again: by SMTP nobody can know that it had arrived.
    const twice = own.length - new Set(own).size;
    expect(twice).toBeLessThanOrEqual(units.length);
    console.log(`each daemon killed: ${taken.length} taken, all delivered, ${twice} twice`);
  });

  it('parks a domain: the world is told that it has no mail, and mail to it comes back at once', async () => {
    await stack.set('mailhost:domains[2].name', 'example.com', '--path');
    await stack.set('mailhost:domains[2].parked', 'true', '--path');
    const { status, output } = await stack.up();
    expect(status, output).toBe(0);
    expect(changes(output)).toMatchObject({ created: 6 });
    const resolve = labResolver(addresses.resolver.v4);
    expect(await resolve('example.com', 'MX')).toEqual([{ priority: 0, exchange: '' }]);
    expect(await resolve('example.com', 'TXT')).toEqual([['v=spf1 -all']]);
    const again = await stack.up();
    expect(Object.keys(changes(again.output))).toEqual(['unchanged']);
    const refreshed = await stack.run(['preview', '--refresh']);
    expect(refreshed.status, refreshed.output).toBe(0);
    expect(refreshed.output).not.toMatch(/DnsRecord .*\[diff/);

    const anna = loginOf(outputs, 'anna@example.org');
    const subject = 'to a parked domain';
    await submit(anna, 465, { from: anna.user, to: 'x@example.com', subject, text: 'x' });
    const isBounce = ({ text }: ParsedMail) => text?.includes('x@example.com') === true;
    await waitFor('the bounce', async () => (await readMailbox(anna)).some(isBounce));
    expect(onHost(lab, 'smtpctl show queue')).toBe('');
  });

  it('can have system users for accounts instead', async () => {
    await stack.set('mailhost:accountKind', 'system');
    await stack.set('mailhost:confirm[0]', 'make accounts system', '--path');
    const { status, output } = await stack.up();
    expect(status, output).toBe(0);
    const login = { ...loginOf(outputs, 'anna@example.org'), user: 'anna' };
    await sendFromRemote(lab, {
      from: erika,
      to: 'info@example.org',
      subject: 'to a system user',
      text: 'x',
    });
    await waitForMail(login, 'to a system user');
    await submit(login, 587, {
      from: 'anna@example.org',
      to: erika,
      subject: 'from a system user',
      text: 'x',
    });
    const { dmarc } = await waitForReceived(lab, 'from a system user');
    expect(dmarc).toBe('pass');
    expect(onHost(lab, 'getent passwd anna | cut -d: -f6,7')).toBe(
      '/srv/mailhost/home/anna:/usr/sbin/nologin\n',
    );
    expect(
      onHost(lab, 'cd /srv/mailhost/home/anna/mail/Folders/INBOX/.maildir; ls cur new'),
    ).toMatch(/\d/);
  });

  it('is not destroyed while it is protected, nor any of its records', async () => {
    await stack.set('mailhost:protect', 'true');
    const up = await stack.up();
    expect(up.status, up.output).toBe(0);
    const { status, output } = await stack.run(['destroy', '--yes']);
    expect(status).not.toBe(0);
    expect(output).toMatch(/protected/);
    const resolve = labResolver(addresses.resolver.v4);
    expect(await resolve('example.org', 'MX')).toEqual([
      { priority: 10, exchange: 'mail.example.org' },
    ]);
    await stack.set('mailhost:protect', 'false');
    const down = await stack.up();
    expect(down.status, down.output).toBe(0);
  });

  it('is gone after destroy', async () => {
    const { status, output } = await stack.run(['destroy', '--yes', '--skip-preview']);
    expect(status, output).toBe(0);
    for (const kind of ['servers', 'volumes', 'primary_ips', 'firewalls', 'ssh_keys']) {
      const response = await fetch(`${stack.env.HCLOUD_ENDPOINT}/${kind}`, {
        headers: { authorization: `Bearer ${stack.env.HCLOUD_TOKEN}` },
      });
      expect(await response.json()).toMatchObject({ [kind]: [] });
    }
  });
});
