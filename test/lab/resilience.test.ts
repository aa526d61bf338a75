import { describe, expect } from 'vitest';
import { readMailbox, waitForMail } from '../../lab/mail';
import { waitFor } from '../../lab/state';
import { hostTest, type Host } from './hosts';

const it = hostTest();

/** Writes to /run/push what a push of SpamAssassin's files brings, with a comment more. */
const pushWith = (comment: string) =>
  `python3 -c '
import json
files = {p: {"mode": f["mode"], "owner": f["owner"], "text": open(p).read()} for p, f in json.load(open("/var/lib/mailhost/manifest/spamassassin.json")).items()}
files["/etc/spamassassin/local.cf"]["text"] += "# ${comment}\\n"
print(json.dumps(files))' >/run/push`;
const rules = 'cat /etc/spamassassin/local.cf';
const backups = 'ls /var/lib/mailhost/backup';

/** Ends a push by that signal once the first of its files is in its place. */
const cutOff = (host: Host, signal: string) =>
  host.shell(
    `${pushWith('cut off')}
     mailhost activate spamassassin </run/push >/dev/null 2>&1 &
     until grep --quiet 'cut off' /etc/spamassassin/local.cf; do sleep 0.01; done
     kill -${signal} $!; wait $! || true; rm /run/push`,
  );

describe('a push', () => {
  it('puts the old files back where a daemon does not run with the new ones', ({ host }) => {
    const before = host.shell('sha256sum /etc/dovecot/dovecot.conf');
    const activate = (tail: string) =>
      host.shell(
        `python3 - >/run/push <<'E'
import json
files = {p: {"mode": "0644", "owner": "root:root", "text": open(p).read()} for p in json.load(open("/var/lib/mailhost/manifest/dovecot.json")) if p != "/etc/dovecot/passwords"}
files["/etc/dovecot/dovecot.conf"]["text"] += ${JSON.stringify(tail)}
print(json.dumps(files))
E
mailhost activate dovecot --secrets $(ls /var/lib/mailhost/staged | grep ^dovecot | cut -d. -f2) </run/push 2>&1; echo "status $?"; rm /run/push`,
      );
    // The daemon's own check finds this one.
    expect(activate('no_such_setting = yes\n')).toMatch(/no_such_setting[\s\S]*status 1/);
    // This one only shows when the service cannot take its port.
    const refused = activate(
      'service imap-login {\n  inet_listener smtp {\n    port = 25\n  }\n}\n',
    );
    expect(refused).toMatch(/the files from before are back, and so is the daemon[\s\S]*status 1/);
    expect(host.shell('sha256sum /etc/dovecot/dovecot.conf')).toBe(before);
    expect(host.shell('systemctl is-active dovecot')).toBe('active\n');
  });

  it('that was cut off is undone by the next boot', ({ host }) => {
    const before = host.shell(rules);
    cutOff(host, 'KILL');
    // What a boot does.
    host.shell('systemctl is-enabled mailhost-undo && systemctl start mailhost-undo');
    expect(host.shell(`${rules}; ${backups}`)).toBe(before);
  });

  it('that was cut off is undone by the next command, which tells it', ({ host }) => {
    const before = host.shell(rules);
    cutOff(host, 'KILL');
    expect(host.shell('mailhost history spamassassin')).toContain(
      'spamassassin: a push was cut off; the files from before are back, and so is the daemon',
    );
    expect(host.shell(`${rules}; ${backups}`)).toBe(before);
  });

  it('undoes itself where it is asked to end', ({ host }) => {
    const before = host.shell(rules);
    cutOff(host, 'TERM');
    expect(host.shell(`${rules}; ${backups}`)).toBe(before);
  });

  it('converges after one that was killed at any point', ({ freshHost: host }) => {
    for (const delay of ['0.1', '0.4', '0.8', '1.2', '1.6', '2', '3']) {
      host.shell(
        `${pushWith(delay)}
         timeout --signal KILL ${delay} mailhost activate spamassassin </run/push || true`,
      );
      host.shell('mailhost activate spamassassin </run/push');
      expect(
        host.shell('tail -1 /etc/spamassassin/local.cf; systemctl is-active spamd amavis'),
      ).toBe(`# ${delay}\nactive\nactive\n`);
    }
    expect(host.shell(backups)).toBe('');
  });
});

describe('a mail host', () => {
  it('answers again after a reboot, with its mail', async ({ freshHost: host }) => {
    const login = host.login('anna@example.org');
    const subjects = async () => (await readMailbox(login)).map(({ subject }) => subject);
    await host.receive({ to: login.user, subject: 'before the reboot' });
    await waitForMail(login, 'before the reboot');
    const before = await subjects();
    host.shell('touch /run/before-the-reboot; systemctl reboot');
    const check = `test ! -e /run/before-the-reboot &&
      echo '{"hostName": "mail.example.org", "domains": []}' | mailhost check`;
    await waitFor('the host is back and its check passes', () => {
      try {
        return host.shell(check);
      } catch {
        return false;
      }
    });
    expect(await subjects()).toEqual(before);
  });

  it('loses nothing that it took while each of its daemons is killed', async ({
    freshHost: host,
  }) => {
    const taken: string[] = [];
    let ended = false;
    const sending = (async () => {
      for (let i = 0; !ended; i++) {
        // Each attempt is another message: what was not taken may be lost.
        const subject = `killed ${i}`;
        await host.receive({ to: 'anna@example.org', subject }).then(
          () => taken.push(subject),
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
      host.shell(`systemctl kill --signal KILL ${unit}`);
    }
    await more(3);
    ended = true;
    await sending;
    const anna = host.login('anna@example.org');
    const subjects = async () => (await readMailbox(anna)).map(({ subject }) => subject ?? '');
    const delivered = await waitFor('what was taken is delivered', async () => {
      // Without waiting for the next try of what met a daemon that was down.
      host.shell('smtpctl schedule all >/dev/null');
      const found = await subjects().catch(() => [] as string[]);
      return taken.every((subject) => found.includes(subject)) ? found : undefined;
    });
    const own = delivered.filter((subject) => subject.startsWith('killed '));
    // What was handed on when a daemon died is handed on again: by SMTP nobody can know that it had arrived.
    const twice = own.length - new Set(own).size;
    expect(twice).toBeLessThanOrEqual(units.length);
    console.log(`each daemon killed: ${taken.length} taken, all delivered, ${twice} twice`);
  });
});
