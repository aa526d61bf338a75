import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { bogusZone } from '../../lab/dns';
import { readMailbox, submit, waitForMail, waitForReceived } from '../../lab/mail';
import { gtube } from '../../lab/proof';
import { received } from '../../lab/remote/mailbox';
import { waitFor } from '../../lab/state';
import { erika, hostTest, type Host } from './hosts';

const it = hostTest();
/** On a host that looks for viruses, and holds them and spam. */
const itHolding = hostTest({ spamAction: 'hold', antivirus: 'true' });

/** The test file that every virus scanner knows, in two parts so that this file is none. */
const eicar = `X5O!P%@AP[4\\PZX54(P^)7CC)7}$${'EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*'}`;
const quarantine = '/srv/mailhost/quarantine';
/** The postmaster, who gets the notices. */
const anna = 'anna@example.org';
const bert = 'bert@example.net';

/** A message from outside to Bert. */
const toBert = (host: Host, subject: string, text: string, more = {}) =>
  host.receive({ to: bert, subject, text, ...more });
const held = (host: Host) => host.shell(`ls ${quarantine}`).split('\n').filter(Boolean);
/** The one that is held after there was none. */
const heldOne = async (host: Host) => {
  const [id] = await waitFor('it is held', () => held(host).length > 0 && held(host));
  return id!;
};
const emptyQuarantine = (host: Host) => host.shell(`rm --force ${quarantine}/*`);
/** The notice to the postmaster of what is held. */
const noticeOf = (host: Host, id: string) =>
  waitFor('the postmaster is told', async () =>
    (await readMailbox(host.login(anna))).find(({ text }) => text?.includes(id)),
  );
/** Runs Python on the host, with the host program's modules at hand. */
const python = (host: Host, code: string) =>
  host.shell(`PYTHONPATH=/usr/local/lib python3 -B - <<'E'\n${code}\nE`).trim();
const log = (host: Host, pattern: string) =>
  host.shell(`journalctl --unit amavis --output cat | grep -E '${pattern}' || true`);
/** After a message that went in later has come out, whatever was before it is judged too. */
const waitForAnother = async (host: Host) => {
  const subject = `another ${Date.now()}`;
  await toBert(host, subject, 'x');
  await waitForMail(host.login(bert), subject);
};
const subjectsOf = async (host: Host, mailbox: string) =>
  (await readMailbox(host.login(bert), mailbox)).map(({ subject }) => subject);

describe('the resolver of the host', () => {
  it('validates: what is signed by none of the keys that a parent names has no answer', ({
    host,
  }) => {
    const rcode = (name: string) =>
      python(
        host,
        `import dns.rcode\nfrom mailhost import resolver\nprint(dns.rcode.to_text(resolver.ask("${name}", "A").rcode()))`,
      );
    expect(python(host, 'from mailhost import resolver; print(resolver.validates())')).toBe('True');
    expect(rcode('mx.remote.example')).toBe('NOERROR');
    expect(rcode(bogusZone)).toBe('SERVFAIL');
  });

  it('comes first in /etc/resolv.conf, before those that the machine came with', ({ host }) => {
    const before = host.shell('cat /etc/resolv.conf');
    expect(before).toMatch(/^nameserver 127\.0\.0\.1\nnameserver 10\.88\.\d+\.3\n$/);
    // As systemd-resolved leaves it.
    const ask = python(
      host,
      `import os
from mailhost import resolver
os.makedirs("/run/systemd/resolve", exist_ok=True)
open("/run/systemd/resolve/stub-resolv.conf", "w").write("nameserver 127.0.0.53\\n")
open(resolver.SOURCES[1], "w").write("nameserver 192.0.2.1\\nnameserver 2001:db8::1\\nnameserver 192.0.2.2\\n")
os.unlink(resolver.SOURCES[0])
os.symlink("/run/systemd/resolve/stub-resolv.conf", resolver.SOURCES[0])
resolver.ask_own_resolver()
print(os.path.islink(resolver.SOURCES[0]), resolver.name_servers(resolver.SOURCES[0]))`,
    );
    host.shell(`cat >/etc/resolv.conf <<'E'\n${before}E\nrm -r /run/systemd/resolve`);
    expect(ask).toBe("False ['127.0.0.1', '192.0.2.1', '2001:db8::1']");
  });

  it('may be down for a minute: what was taken meanwhile arrives, once', async ({ host }) => {
    host.shell('systemctl stop unbound');
    const restarted = sleep(60_000).then(() => host.shell('systemctl start unbound'));
    let up = false;
    void restarted.then(() => (up = true));
    const sent: string[] = [];
    while (!up) {
      const number = sent.length;
      const [inward, outward] = [`down in ${number}`, `down out ${number}`];
      await toBert(host, inward, 'x');
      const message = { from: bert, to: erika, subject: outward, text: 'x' };
      await submit(host.login(bert), 465, message);
      sent.push(inward, outward);
      await sleep(2000);
    }
    await restarted;
    const arrived = async () => [
      ...(await subjectsOf(host, 'INBOX')),
      ...received(host.lab.dir).map(({ raw }) => /^Subject: (.*?)\r?$/m.exec(raw)![1]),
    ];
    await waitFor('all of them arrive', async () => {
      const subjects = await arrived();
      return sent.every((subject) => subjects.includes(subject));
    });
    await waitForAnother(host);
    const counted = (await arrived()).filter((subject) => subject?.startsWith('down '));
    console.log(`resolver down for 60 s: ${sent.length} sent, ${counted.length} delivered`);
    expect(counted.sort()).toEqual(sent.sort());
  });
});

describe('mail from outside', () => {
  it('counts what DNS lists say, and not that they refuse to say it', async ({ host }) => {
    await toBert(host, 'listed', 'See http://spam-domain.com/ and more of it.');
    const listed = await waitForMail(host.login(bert), 'listed');
    expect(listed.headers.get('x-spam-status')).toContain('URIBL_BLACK=');
    await toBert(
      host,
      'refused',
      'See http://refused-as-too-many.com/ and http://refused-as-open.com/ and more.',
    );
    const refused = await waitForMail(host.login(bert), 'refused');
    expect(refused.headers.get('x-spam-status')).not.toMatch(/URIBL|BLOCKED/);
  });

  it('is spam where the domain of its From declares it forged', async ({ host }) => {
    const elsewhere = { envelopeFrom: 'erika@lab-cloud.example' };
    await toBert(host, 'forged', 'x', { ...elsewhere, unsigned: true });
    const forged = await waitForMail(host.login(bert), 'forged', 'Junk');
    expect(forged.headers.get('x-spam-status')).toContain('DMARC_REJECT=7');
    await toBert(host, 'genuine', 'x', elsewhere);
    const genuine = await waitForMail(host.login(bert), 'genuine');
    expect(genuine.headers.get('x-spam-status')).toContain('DMARC_PASS=');
    await toBert(host, 'forged as Anna', 'x', { from: anna, envelopeFrom: erika });
    await waitForMail(host.login(bert), 'forged as Anna', 'Junk');
  });

  it('is not looked through for viruses where nobody asked for it', async ({ host }) => {
    await toBert(host, 'test file', eicar);
    // Neither marked as unchecked, nor refused by a scanner that is not there.
    await waitForMail(host.login(bert), 'test file');
    expect(log(host, 'clam|AV-scanner|UNCHECKED')).toBe('');
  });
});

describe('spam of an own account', () => {
  it('is held, told to the postmaster and to its sender, and leaves only when it is released, signed', async ({
    host,
  }) => {
    const { lab } = host;
    const login = host.login(bert);
    const message = { from: bert, to: erika, subject: 'spam of ours', text: gtube };
    await submit(login, 465, message);
    const bounce = await waitFor('its sender is told', async () =>
      (await readMailbox(login)).find(({ text }) => text?.includes('5.7.0 Reject')),
    );
    expect(bounce.from?.value[0]?.address).toBe('MAILER-DAEMON@mail.example.org');
    const id = await heldOne(host);
    const notice = await noticeOf(host, id);
    expect(notice.subject).toMatch(/spam/i);
    await submit(login, 465, { ...message, subject: 'after it', text: 'x' });
    await waitForReceived(lab, 'after it');
    expect(received(lab.dir).filter(({ raw }) => raw.includes('spam of ours'))).toEqual([]);

    expect(host.shell(`mailhost release ${id}`)).toMatch(/^250 /);
    const released = await waitForReceived(lab, 'spam of ours');
    expect(released.dmarc).toBe('pass');
    expect(released.dkim).toMatchObject([{ result: 'pass', domain: 'example.net' }]);
    expect(received(lab.dir).filter(({ dmarc }) => dmarc !== 'pass')).toEqual([]);
    expect(() => host.shell('mailhost release ../bayes/bayes_toks')).toThrow(/is held/);
  });

  it('is deleted when nobody has asked for it in 30 days', ({ host }) => {
    host.shell(`cd ${quarantine}; touch --date '31 days ago' old; touch --date '29 days ago' new`);
    host.shell('systemd-tmpfiles --clean mailhost.conf');
    expect(held(host)).toContain('new');
    expect(held(host)).not.toContain('old');
    host.shell(`rm ${quarantine}/new`);
  });
});

describe('SpamAssassin', () => {
  it('gets new rules by a timer, and amavis with it; no network is no harm', async ({ host }) => {
    expect(host.shell('systemctl is-active spamassassin-maintenance.timer')).toBe('active\n');
    // Nothing answers for the update server here.
    host.shell('systemctl start spamassassin-maintenance || true');
    expect(host.shell('systemctl show --property Result spamassassin-maintenance')).toBe(
      'Result=exit-code\n',
    );
    await waitForAnother(host);

    host.shell(
      `test -e /var/lib/spamassassin/sa-update-keys/pubring.kbx
       cat >/run/sa-update <<'E'
#!/bin/sh
echo 'body LAB_UPDATE /a word of the update/' >>/var/lib/spamassassin/4.000001/updates_spamassassin_org.cf
E
       chmod +x /run/sa-update; mount --bind /run/sa-update /usr/bin/sa-update
       systemctl start spamassassin-maintenance; umount /usr/bin/sa-update`,
    );
    await toBert(host, 'by new rules', 'It has a word of the update.');
    const message = await waitForMail(host.login(bert), 'by new rules');
    expect(message.headers.get('x-spam-status')).toContain('LAB_UPDATE=1');
  });

  it('has as many workers in amavis as the machine is good for', async ({ host }) => {
    const [cores, kilobytes] = host
      .shell("nproc; awk '/MemTotal/ {print $2}' /proc/meminfo")
      .trim()
      .split('\n')
      .map(Number);
    const workers = Math.max(2, Math.min(2 * cores!, Math.floor(kilobytes! / 1e6)));
    const running = () =>
      Number(
        host.shell(
          'pgrep --count --parent $(systemctl show --property MainPID --value amavis) || true',
        ),
      );
    // It starts them one by one, and another in the place of one that has had its number of messages.
    await waitFor(`there are ${workers}`, () => running() === workers);
  });
});

describe('spam and viruses, held', () => {
  it('asks for a machine with the memory for it', ({ host }) => {
    const pushes = { mode: '0644', owner: 'root:root', text: 'antivirus\n' };
    const files = JSON.stringify({ '/etc/mailhost/pushes': pushes });
    const prepare = `sed 's/^MemTotal:.*/MemTotal: 1950000 kB/' /proc/meminfo >/run/meminfo
      device=$(systemctl show --property What --value srv-mailhost.mount)
      printf %s '${files}' | unshare --mount sh -c "mount --bind /run/meminfo /proc/meminfo
        mailhost prepare --volume-device $device" 2>&1 || true`;
    expect(host.shell(prepare)).toContain(
      'antivirus needs 4 GB of memory, and this machine has 2.0',
    );
    expect(host.shell('ls /usr/sbin')).not.toContain('clamd');
    expect(host.shell('cat /etc/mailhost/pushes')).not.toContain('antivirus');
  });

  itHolding('are told to the postmaster alone, and can be released', async ({ host }) => {
    emptyQuarantine(host);
    const before = received(host.lab.dir).length;
    for (const [subject, text, kind] of [
      ['held spam', gtube, /spam/i],
      ['held virus', eicar, /virus/i],
    ] as const) {
      await toBert(host, subject, text);
      const id = await heldOne(host);
      const notice = await noticeOf(host, id);
      expect(notice.subject).toMatch(kind);
      await waitForAnother(host);
      expect(await subjectsOf(host, 'INBOX')).not.toContain(subject);
      expect(await subjectsOf(host, 'Junk')).not.toContain(subject);
      expect(host.shell(`mailhost release ${id}`)).toMatch(/^250 /);
      await waitForMail(host.login(bert), subject);
      emptyQuarantine(host);
    }
    expect(received(host.lab.dir).length).toBe(before);
  });

  itHolding('do not leave either', async ({ host }) => {
    const { lab } = host;
    const login = host.login(bert);
    emptyQuarantine(host);
    const message = { from: bert, to: erika, subject: 'virus of ours', text: eicar };
    await submit(login, 465, message);
    await noticeOf(host, await heldOne(host));
    await submit(login, 465, { ...message, subject: 'after the virus', text: 'x' });
    await waitForReceived(lab, 'after the virus');
    expect(received(lab.dir).filter(({ raw }) => raw.includes('virus of ours'))).toEqual([]);
  });

  itHolding('wait while the scanner is down', async ({ host }) => {
    host.shell('systemctl stop clamav-daemon.socket clamav-daemon');
    await toBert(host, 'unscanned', 'x');
    await waitFor('amavis puts it off', () => host.shell('smtpctl show queue').includes('|451 '));
    expect(await subjectsOf(host, 'INBOX')).not.toContain('unscanned');
    host.shell(
      'systemctl start clamav-daemon.socket clamav-daemon; smtpctl resume mta; smtpctl schedule all',
    );
    await waitForMail(host.login(bert), 'unscanned');
  });
});

describe('spam and viruses, dropped', () => {
  itHolding('are gone, with a line in the log', async ({ freshHost: host }) => {
    await host.up({ spamAction: 'drop', virusAction: 'drop' });
    const before = received(host.lab.dir).length;
    await toBert(host, 'dropped spam', gtube);
    await toBert(host, 'dropped virus', eicar);
    await waitFor('both are dropped', () =>
      ['SPAM', 'INFECTED'].every(
        (kind) => log(host, `Blocked ${kind}.*DiscardedInbound[^,]`) !== '',
      ),
    );
    await waitForAnother(host);
    for (const mailbox of ['INBOX', 'Junk']) {
      expect((await subjectsOf(host, mailbox)).filter((s) => s?.startsWith('dropped'))).toEqual([]);
    }
    expect(held(host)).toEqual([]);
    expect(received(host.lab.dir).length).toBe(before);
  });

  itHolding(
    'leave no scanner running when it is asked for no more',
    async ({ freshHost: host }) => {
      await host.up({ antivirus: 'false' });
      expect(host.shell('systemctl is-active clamav-daemon clamav-freshclam || true')).toBe(
        'inactive\ninactive\n',
      );
      await toBert(host, 'test file again', eicar);
      await waitForMail(host.login(bert), 'test file again');
    },
  );
});
