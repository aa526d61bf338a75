import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { onHost } from '../../lab/machines';
import { bogusZone } from '../../lab/dns';
import { readMailbox, sendFromRemote, submit, waitForMail, waitForReceived } from '../../lab/mail';
import { gtube, loginOf } from '../../lab/proof';
import { received } from '../../lab/remote/mailbox';
import { waitFor, type Lab } from '../../lab/state';
import { endLab, startLab, TestStack } from './testLab';

const erika = 'erika@remote.example';
/** The test file that every virus scanner knows, in two parts so that this file is none. */
const eicar = `X5O!P%@AP[4\\PZX54(P^)7CC)7}$${'EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*'}`;
const quarantine = '/srv/mailhost/quarantine';
let lab: Lab;
let stack: TestStack;

const anna = () => loginOf(stack.outputs(), 'anna@example.org');
const bert = () => loginOf(stack.outputs(), 'bert@example.net');
/** A message from outside to Bert; the postmaster, who gets the notices, is Anna. */
const toBert = (subject: string, text: string, more = {}) =>
  sendFromRemote(lab, { from: erika, to: bert().user, subject, text, ...more });
const held = () => onHost(lab, `ls ${quarantine}`).split('\n').filter(Boolean);
const up = async (settings: Record<string, string>) => {
  for (const [key, value] of Object.entries(settings)) await stack.set(`mailhost:${key}`, value);
  const { status, output } = await stack.up();
  expect(status, output).toBe(0);
};
/** Runs Python on the host, with the host program's modules at hand. */
const python = (code: string) =>
  onHost(lab, `PYTHONPATH=/usr/local/lib python3 -B - <<'E'\n${code}\nE`).trim();
const log = (pattern: string) =>
  onHost(lab, `journalctl --unit amavis --output cat | grep -E '${pattern}' || true`);
/** After a message that went in later has come out, whatever was before it is judged too. */
const waitForAnother = async () => {
  const subject = `another ${Date.now()}`;
  await toBert(subject, 'x');
  await waitForMail(bert(), subject);
};
const subjectsOf = async (mailbox: string) =>
  (await readMailbox(bert(), mailbox)).map(({ subject }) => subject);

beforeAll(async () => {
  lab = startLab('scan');
  stack = new TestStack(lab);
  await stack.select();
  await up({});
});
afterAll(() => endLab('scan'));

describe('the resolver of the host', () => {
  it('validates: what is signed by none of the keys that a parent names has no answer', () => {
    const rcode = (name: string) =>
      python(
        `import dns.rcode\nfrom mailhost import resolver\nprint(dns.rcode.to_text(resolver.ask("${name}", "A").rcode()))`,
      );
    expect(python('from mailhost import resolver; print(resolver.validates())')).toBe('True');
    expect(rcode('mx.remote.example')).toBe('NOERROR');
    expect(rcode(bogusZone)).toBe('SERVFAIL');
  });

  it('comes first in /etc/resolv.conf, before those that the machine came with', () => {
    const before = onHost(lab, 'cat /etc/resolv.conf');
    expect(before).toMatch(/^nameserver 127\.0\.0\.1\nnameserver 10\.88\.\d+\.3\n$/);
    // As systemd-resolved leaves it.
    const ask = python(`import os
from mailhost import resolver
os.makedirs("/run/systemd/resolve", exist_ok=True)
open("/run/systemd/resolve/stub-resolv.conf", "w").write("nameserver 127.0.0.53\\n")
open(resolver.SOURCES[1], "w").write("nameserver 192.0.2.1\\nnameserver 2001:db8::1\\nnameserver 192.0.2.2\\n")
os.unlink(resolver.SOURCES[0])
os.symlink("/run/systemd/resolve/stub-resolv.conf", resolver.SOURCES[0])
resolver.ask_own_resolver()
print(os.path.islink(resolver.SOURCES[0]), resolver.name_servers(resolver.SOURCES[0]))`);
    onHost(lab, `cat >/etc/resolv.conf <<'E'\n${before}E\nrm -r /run/systemd/resolve`);
    expect(ask).toBe("False ['127.0.0.1', '192.0.2.1', '2001:db8::1']");
  });

  it('may be down for a minute: what was taken meanwhile arrives, once', async () => {
    onHost(lab, 'systemctl stop unbound');
    const restarted = sleep(60_000).then(() => onHost(lab, 'systemctl start unbound'));
    let up = false;
    void restarted.then(() => (up = true));
    const sent: string[] = [];
    while (!up) {
      const number = sent.length;
      const [inward, outward] = [`down in ${number}`, `down out ${number}`];
      await toBert(inward, 'x');
      await submit(bert(), 465, { from: bert().user, to: erika, subject: outward, text: 'x' });
      sent.push(inward, outward);
      await sleep(2000);
    }
    await restarted;
    const arrived = async () => [
      ...(await subjectsOf('INBOX')),
      ...received(lab.dir).map(({ raw }) => /^Subject: (.*?)\r?$/m.exec(raw)![1]),
    ];
    await waitFor('all of them arrive', async () => {
      const subjects = await arrived();
      return sent.every((subject) => subjects.includes(subject));
    });
    await waitForAnother();
    const counted = (await arrived()).filter((subject) => subject?.startsWith('down '));
    console.log(`resolver down for 60 s: ${sent.length} sent, ${counted.length} delivered`);
    expect(counted.sort()).toEqual(sent.sort());
  });
});

describe('mail from outside', () => {
  it('counts what DNS lists say, and not that they refuse to say it', async () => {
    await toBert('listed', 'See http://spam-domain.com/ and more of it.');
    const listed = await waitForMail(bert(), 'listed');
    expect(listed.headers.get('x-spam-status')).toContain('URIBL_BLACK=');
    await toBert(
      'refused',
      'See http://refused-as-too-many.com/ and http://refused-as-open.com/ and more.',
    );
    const refused = await waitForMail(bert(), 'refused');
    expect(refused.headers.get('x-spam-status')).not.toMatch(/URIBL|BLOCKED/);
  });

  it('is spam where the domain of its From declares it forged', async () => {
    const elsewhere = { envelopeFrom: 'erika@lab-cloud.example' };
    await toBert('forged', 'x', { ...elsewhere, unsigned: true });
    const forged = await waitForMail(bert(), 'forged', 'Junk');
    expect(forged.headers.get('x-spam-status')).toContain('DMARC_REJECT=7');
    await toBert('genuine', 'x', elsewhere);
    const genuine = await waitForMail(bert(), 'genuine');
    expect(genuine.headers.get('x-spam-status')).toContain('DMARC_PASS=');
    await toBert('forged as Anna', 'x', { from: anna().user, envelopeFrom: erika });
    await waitForMail(bert(), 'forged as Anna', 'Junk');
  });

  it('is not looked through for viruses where nobody asked for it', async () => {
    await toBert('test file', eicar);
    // Neither marked as unchecked, nor refused by a scanner that is not there.
    await waitForMail(bert(), 'test file');
    expect(log('clam|AV-scanner|UNCHECKED')).toBe('');
  });
});

describe('spam of an own account', () => {
  it('is held, told to the postmaster and to its sender, and leaves only when it is released, signed', async () => {
    const message = { from: bert().user, to: erika, subject: 'spam of ours', text: gtube };
    await submit(bert(), 465, message);
    const bounce = await waitFor('its sender is told', async () =>
      (await readMailbox(bert())).find(({ text }) => text?.includes('5.7.0 Reject')),
    );
    expect(bounce.from?.value[0]?.address).toBe('MAILER-DAEMON@mail.example.org');
    const [id] = held();
    const notice = await waitFor('the postmaster is told', async () =>
      (await readMailbox(anna())).find(({ text }) => text?.includes(id!)),
    );
    expect(notice.subject).toMatch(/spam/i);
    await submit(bert(), 465, { ...message, subject: 'after it', text: 'x' });
    await waitForReceived(lab, 'after it');
    expect(received(lab.dir).filter(({ raw }) => raw.includes('spam of ours'))).toEqual([]);

    expect(onHost(lab, `mailhost release ${id}`)).toMatch(/^250 /);
    const released = await waitForReceived(lab, 'spam of ours');
    expect(released.dmarc).toBe('pass');
    expect(released.dkim).toMatchObject([{ result: 'pass', domain: 'example.net' }]);
    expect(received(lab.dir).filter(({ dmarc }) => dmarc !== 'pass')).toEqual([]);
    expect(() => onHost(lab, 'mailhost release ../bayes/bayes_toks')).toThrow(/is held/);
  });

  it('is deleted when nobody has asked for it in 30 days', () => {
    onHost(lab, `cd ${quarantine}; touch --date '31 days ago' old; touch --date '29 days ago' new`);
    onHost(lab, 'systemd-tmpfiles --clean mailhost.conf');
    expect(held()).toContain('new');
    expect(held()).not.toContain('old');
    onHost(lab, `rm ${quarantine}/new`);
  });
});

describe('SpamAssassin', () => {
  it('gets new rules by a timer, and amavis with it; no network is no harm', async () => {
    expect(onHost(lab, 'systemctl is-active spamassassin-maintenance.timer')).toBe('active\n');
    // Nothing answers for the update server here.
    onHost(lab, 'systemctl start spamassassin-maintenance || true');
    expect(onHost(lab, 'systemctl show --property Result spamassassin-maintenance')).toBe(
      'Result=exit-code\n',
    );
    await waitForAnother();

    onHost(
      lab,
      `test -e /var/lib/spamassassin/sa-update-keys/pubring.kbx
       cat >/run/sa-update <<'E'
#!/bin/sh
echo 'body LAB_UPDATE /a word of the update/' >>/var/lib/spamassassin/4.000001/updates_spamassassin_org.cf
E
       chmod +x /run/sa-update; mount --bind /run/sa-update /usr/bin/sa-update
       systemctl start spamassassin-maintenance; umount /usr/bin/sa-update`,
    );
    await toBert('by new rules', 'It has a word of the update.');
    const message = await waitForMail(bert(), 'by new rules');
    expect(message.headers.get('x-spam-status')).toContain('LAB_UPDATE=1');
  });

  it('has as many workers in amavis as the machine is good for', () => {
    const [cores, kilobytes] = onHost(lab, "nproc; awk '/MemTotal/ {print $2}' /proc/meminfo")
      .trim()
      .split('\n')
      .map(Number);
    const workers = Math.max(2, Math.min(2 * cores!, Math.floor(kilobytes! / 1e6)));
    const running = onHost(
      lab,
      'pgrep --count --parent $(systemctl show --property MainPID --value amavis)',
    );
    expect(Number(running)).toBe(workers);
  });
});

describe('spam and viruses, held', () => {
  it('asks for a machine with the memory for it', () => {
    const pushes = { mode: '0644', owner: 'root:root', text: 'antivirus\n' };
    const files = JSON.stringify({ '/etc/mailhost/pushes': pushes });
    const prepare = `sed 's/^MemTotal:.*/MemTotal: 1950000 kB/' /proc/meminfo >/run/meminfo
      device=$(systemctl show --property What --value srv-mailhost.mount)
      printf %s '${files}' | unshare --mount sh -c "mount --bind /run/meminfo /proc/meminfo
        mailhost prepare --volume-device $device" 2>&1 || true`;
    expect(onHost(lab, prepare)).toContain(
      'antivirus needs 4 GB of memory, and this machine has 2.0',
    );
    expect(onHost(lab, 'ls /usr/sbin')).not.toContain('clamd');
    expect(onHost(lab, 'cat /etc/mailhost/pushes')).not.toContain('antivirus');
  });

  it('are told to the postmaster alone, and can be released', async () => {
    await up({ spamAction: 'hold', antivirus: 'true' });
    onHost(lab, `rm --force ${quarantine}/*`);
    const before = received(lab.dir).length;
    for (const [subject, text, kind] of [
      ['held spam', gtube, /spam/i],
      ['held virus', eicar, /virus/i],
    ] as const) {
      await toBert(subject, text);
      const [id] = await waitFor('it is held', () => held().length > 0 && held());
      const notice = await waitFor('the postmaster is told', async () =>
        (await readMailbox(anna())).find((mail) => mail.text?.includes(id!)),
      );
      expect(notice.subject).toMatch(kind);
      await waitForAnother();
      expect(await subjectsOf('INBOX')).not.toContain(subject);
      expect(await subjectsOf('Junk')).not.toContain(subject);
      expect(onHost(lab, `mailhost release ${id}`)).toMatch(/^250 /);
      await waitForMail(bert(), subject);
      onHost(lab, `rm ${quarantine}/${id}`);
    }
    expect(received(lab.dir).length).toBe(before);
  });

  it('do not leave either', async () => {
    const message = { from: bert().user, to: erika, subject: 'virus of ours', text: eicar };
    await submit(bert(), 465, message);
    const [id] = await waitFor('it is held', () => held().length > 0 && held());
    await waitFor('the postmaster is told', async () =>
      (await readMailbox(anna())).find(({ text }) => text?.includes(id!)),
    );
    await submit(bert(), 465, { ...message, subject: 'after the virus', text: 'x' });
    await waitForReceived(lab, 'after the virus');
    expect(received(lab.dir).filter(({ raw }) => raw.includes('virus of ours'))).toEqual([]);
  });

  it('wait while the scanner is down', async () => {
    onHost(lab, 'systemctl stop clamav-daemon.socket clamav-daemon');
    await toBert('unscanned', 'x');
    await waitFor('amavis puts it off', () => onHost(lab, 'smtpctl show queue').includes('|451 '));
    expect(await subjectsOf('INBOX')).not.toContain('unscanned');
    onHost(
      lab,
      'systemctl start clamav-daemon.socket clamav-daemon; smtpctl resume mta; smtpctl schedule all',
    );
    await waitForMail(bert(), 'unscanned');
  });
});

describe('spam and viruses, dropped', () => {
  it('are gone, with a line in the log', async () => {
    await up({ spamAction: 'drop', virusAction: 'drop' });
    onHost(lab, `rm --force ${quarantine}/*`);
    const before = received(lab.dir).length;
    await toBert('dropped spam', gtube);
    await toBert('dropped virus', eicar);
    await waitFor('both are dropped', () =>
      ['SPAM', 'INFECTED'].every((kind) => log(`Blocked ${kind}.*DiscardedInbound[^,]`) !== ''),
    );
    await waitForAnother();
    for (const mailbox of ['INBOX', 'Junk']) {
      expect((await subjectsOf(mailbox)).filter((s) => s?.startsWith('dropped'))).toEqual([]);
    }
    expect(held()).toEqual([]);
    expect(received(lab.dir).length).toBe(before);
  });

  it('leave no scanner running when it is asked for no more', async () => {
    await stack.unset('mailhost:virusAction');
    await up({ antivirus: 'false' });
    expect(onHost(lab, 'systemctl is-active clamav-daemon clamav-freshclam || true')).toBe(
      'inactive\ninactive\n',
    );
    await toBert('test file again', eicar);
    await waitForMail(bert(), 'test file again');
  });
});
