import { describe, expect } from 'vitest';
import { readMailbox, submit, waitForMail } from '../../lab/mail';
import { loopbackZone, refusedZone } from '../../lab/remote/zone';
import { waitFor } from '../../lab/state';
import { erika, hostTest, type Host } from './hosts';
import { SmtpDialogue } from './smtpDialogue';

const anna = 'anna@example.org';
const bert = 'bert@example.net';

const it = hostTest({
  'aliases[0].address': 'refused@example.org',
  'aliases[0].recipients[0]': `nobody@${refusedZone}`,
});

/** Messages that amavis has passed on so far. */
const scans = (host: Host) =>
  Number(host.shell("journalctl --unit amavis --output cat | grep -c ') Passed ' || true"));

/** Seconds of CPU time that amavis has taken since it started. */
const cpuTime = (host: Host) =>
  Number(host.shell('systemctl show --property CPUUsageNSec --value amavis')) / 1e9;

/** Waits for a message in Bert's inbox, or where spam is filed. */
const arrived = (host: Host, subject: string) =>
  waitFor(`"${subject}" arrives`, async () =>
    (await Promise.all([readMailbox(host.login(bert)), readMailbox(host.login(bert), 'Junk')]))
      .flat()
      .find((message) => message.subject === subject),
  );

/** A message from outside, line by line. */
async function deliver(
  host: Host,
  subject: string,
  header: string[],
  body: string[],
): Promise<void> {
  const dialogue = await SmtpDialogue.open({ host: host.outputs.ipv4, port: 25 });
  try {
    for (const command of [
      `MAIL FROM:<${erika}>`,
      `RCPT TO:<${bert}>`,
      'DATA',
      [
        `From: ${erika}`,
        `To: ${bert}`,
        `Subject: ${subject}`,
        `Message-ID: <${subject.replace(/\W/g, '.')}.${Date.now()}@remote.example>`,
        ...header,
        '',
        ...body,
        '.',
      ].join('\r\n'),
    ]) {
      expect(await dialogue.say(command)).toMatch(/^[23]/);
    }
  } finally {
    dialogue.end();
  }
}

const html = 'Content-Type: text/html; charset=utf-8';
const repeated = (text: string, times: number) => Array.from({ length: times }, () => text);
const nested = '<div><b><i><table><tr><td>';

/**
 * Stops the process of amavis that scans a message whose scan was cut so many times; `go` lets it run again.
 *
 * It has noted that before it scans (70-mailhost-scan): one that has only taken the connection has not.
 */
function heldWorker(host: Host, cuts = 0): { go: () => void } {
  const pid = host.shell(
    `set -e; pid=; tries=0
     until test -n "$pid"; do
       tries=$((tries + 1)); test $tries -lt 5000
       find /var/lib/amavis/scanning -type f -size ${cuts + 1}c | grep --quiet . || continue
       pid=$(ss -Htnp state established '( sport = :10024 )' | sed -n 's/.*pid=\\([0-9]*\\).*/\\1/p' | head --lines 1)
     done
     kill -STOP $pid; echo $pid`,
  );
  return { go: () => void host.shell(`kill -CONT ${pid}`) };
}

/** A message whose scan takes seconds, so that it can be held. */
const deliverSlow = (host: Host, subject: string) =>
  deliver(host, subject, [html], repeated(nested, 10_000));

describe('a message that is slow to scan', () => {
  // Each takes 10 to 40 s of CPU time without a bound, on a fast machine.
  const slow: [string, string[], string[]][] = [
    ['tables never closed', [html], repeated(nested, 10_000)],
    [
      'tables closed',
      [html],
      [...repeated('<table><tr><td>', 8000), ...repeated('</table>', 8000)],
    ],
    [
      'tables in several parts',
      ['MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary=b'],
      [...repeated(['--b', html, '', ...repeated(nested, 1700)].join('\r\n'), 4), '--b--'],
    ],
  ];
  for (const [kind, header, body] of slow) {
    it(`passes after some seconds of CPU time, marked: ${kind}`, async ({ host }) => {
      await host.queueIsEmpty();
      const before = cpuTime(host);
      await deliver(host, kind, header, body);
      const message = await arrived(host, kind);
      const taken = cpuTime(host) - before;
      console.log(`${kind}: ${taken.toFixed(1)} s of CPU time`);
      expect(taken).toBeLessThan(9);
      expect(message.headers.get('x-spam-scan')).toBe('incomplete');
      // The rules still ran on what there was.
      expect(message.headers.get('x-spam-status')).toContain('HTML_MESSAGE=');
    });
  }

  it('waits for all keys of its signatures together, of which there are a few', async ({
    host,
  }) => {
    await host.queueIsEmpty();
    // As where name servers do not answer: amavis asks the host's resolver, and then those that the machine came with.
    host.shell(
      `nft -f - <<'E'
       table inet silent {
         chain in { type filter hook input priority 0; iifname "lo" udp dport 53 drop; }
         chain out { type filter hook output priority 0; oifname != "lo" meta skuid amavis udp dport 53 drop; }
       }
E`,
    );
    try {
      const signatures = Array.from(
        { length: 50 },
        (_, i) =>
          `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=d${i}.remote.example; s=s; h=from; bh=AAAA; b=AAAA`,
      );
      await deliver(host, 'many signatures', signatures, ['x']);
      const { headers } = await arrived(host, 'many signatures');
      const verdicts = headers.get('authentication-results') as string;
      expect(verdicts).toContain('no time left for keys');
      expect(verdicts.match(/header\.d=/g)).toHaveLength(10);
    } finally {
      host.shell('nft delete table inet silent');
    }
  });

  it('is marked by this host alone', async ({ host }) => {
    await deliver(host, 'marked elsewhere', ['X-Spam-Scan: incomplete'], ['x']);
    const message = await arrived(host, 'marked elsewhere');
    expect(message.headers.has('x-spam-scan')).toBe(false);
  });

  it('is waited for by no other while a worker is free', async ({ host }) => {
    await host.queueIsEmpty();
    await deliverSlow(host, 'held');
    const { go } = heldWorker(host);
    try {
      for (const subject of ['not behind it', 'nor this one']) {
        await deliver(host, subject, [], ['x']);
        await arrived(host, subject);
      }
      expect(host.shell('smtpctl show queue')).not.toBe('');
    } finally {
      go();
    }
    await arrived(host, 'held');
  });

  it('is cut by a restart, arrives once, and leaves no note behind', async ({ host }) => {
    await host.queueIsEmpty();
    await deliverSlow(host, 'cut');
    heldWorker(host);
    const started = Date.now();
    host.shell('mailhost restart amavis');
    console.log(`restart while a message is scanned: ${(Date.now() - started) / 1000} s`);
    await arrived(host, 'cut');
    await host.queueIsEmpty();
    const copies = [
      ...(await readMailbox(host.login(bert))),
      ...(await readMailbox(host.login(bert), 'Junk')),
    ].filter(({ subject }) => subject === 'cut');
    expect(copies).toHaveLength(1);
    expect(host.shell('ls /var/lib/amavis/scanning')).toBe('');
  });

  it('gets no scan at all where two were cut', async ({ host }) => {
    await host.queueIsEmpty();
    host.shell('rm --force /var/lib/amavis/scanning/*');
    await deliverSlow(host, 'cut twice');
    for (const cuts of [0, 1]) {
      heldWorker(host, cuts);
      host.shell('mailhost restart amavis');
    }
    const message = await arrived(host, 'cut twice');
    expect(message.headers.get('x-spam-scan')).toBe('incomplete');
    expect(message.headers.get('x-spam-status')).toBeUndefined();
  });

  it('has one scan for all its recipients', async ({ host }) => {
    await host.queueIsEmpty();
    const before = scans(host);
    const dialogue = await SmtpDialogue.open({ host: host.outputs.ipv4, port: 25 });
    const to = Array.from({ length: 20 }, (_, number) => `bert+${number}@example.net`);
    for (const command of [
      `MAIL FROM:<${erika}>`,
      ...to.map((address) => `RCPT TO:<${address}>`),
      'DATA',
      `From: ${erika}\r\nSubject: for many\r\n\r\nx\r\n.`,
    ]) {
      expect(await dialogue.say(command)).toMatch(/^[23]/);
    }
    dialogue.end();
    await arrived(host, 'for many');
    await host.queueIsEmpty();
    expect(scans(host) - before).toBe(1);
  });
});

describe('a route that ends at this host', () => {
  const routes = (host: Host): [string, string][] => [
    ['loopback', 'x@[127.0.0.1]'],
    ['another address of loopback', 'x@[127.9.9.9]'],
    ['loopback by IPv6', 'x@[IPv6:::1]'],
    ['loopback by IPv6, as IPv4', 'x@[IPv6:::ffff:127.0.0.1]'],
    ['any address', 'x@[0.0.0.0]'],
    ['its own address', `x@[${host.outputs.ipv4}]`],
    ['its own address by IPv6', `x@[IPv6:${host.outputs.ipv6}]`],
    ['a mail exchanger that is loopback', `x@${loopbackZone}`],
  ];

  it('comes back to its sender at once, whichever way it is written', async ({ host }) => {
    for (const [kind, to] of routes(host)) {
      await host.queueIsEmpty();
      const before = scans(host);
      const subject = `round by ${kind}`;
      await submit(host.login(bert), 465, { from: bert, to, subject, text: 'x' });
      const bounce = await waitFor(`a bounce of ${to}`, async () =>
        (await readMailbox(host.login(bert))).find(({ text }) =>
          text?.includes(`${to.toLowerCase()}:`),
        ),
      );
      expect(bounce.text, to).toMatch(/554 5\.4\.6 .*this host itself/);
      await host.queueIsEmpty();
      // The message on its way out, and its bounce.
      expect(scans(host) - before, to).toBe(2);
    }
  });

  it('ends a bounce, which a stranger could start', async ({ host }) => {
    await host.queueIsEmpty();
    const before = scans(host);
    const dropped = () =>
      Number(
        host.shell("journalctl --unit opensmtpd --output cat | grep -c 'no return path' || true"),
      );
    const droppedBefore = dropped();
    await host.receive({
      to: 'refused@example.org',
      subject: 'refused and looped',
      envelopeFrom: `x@${loopbackZone}`,
    });
    await waitFor('the bounce is dropped', () => dropped() > droppedBefore);
    await host.queueIsEmpty();
    expect(scans(host) - before).toBe(2);
  });
});

describe('a message that a mail program has from other systems', () => {
  const earlier =
    'Received: from listed.example (listed.example [203.0.113.66]) by relay.example with ESMTP id 1; Mon, 30 Nov 2026 05:00:00 +0000';
  const testsOf = (status: unknown) => /tests=\[(.*?)\]/s.exec(status as string)![1]!.split(/,\s*/);

  it('is judged as if it began at the login, and signed', async ({ host }) => {
    const statuses: unknown[] = [];
    for (const [subject, lines] of [
      ['own', []],
      ['of others', [earlier]],
      // As a webmail writes it.
      ['of a webmail', ['X-Originating-IP: [203.0.113.66]', 'X-SenderIP: 203.0.113.66']],
    ] as const) {
      await submit(host.login(bert), 465, {
        from: bert,
        to: anna,
        subject,
        raw: [
          ...lines,
          `From: ${bert}`,
          `To: ${anna}`,
          `Subject: ${subject}`,
          '',
          'Hello Anna',
        ].join('\r\n'),
      });
      const { headers } = await waitForMail(host.login(anna), subject);
      statuses.push(testsOf(headers.get('x-spam-status')).sort());
      expect(headers.has('dkim-signature')).toBe(true);
      // It is still in the message.
      expect(JSON.stringify([...headers]).includes('203.0.113.66')).toBe(lines.length > 0);
    }
    expect(statuses.slice(1)).toEqual([statuses[0], statuses[0]]);
  });

  it('is judged by all of it where it comes from outside', async ({ host }) => {
    await deliver(host, 'of others, from outside', [earlier], ['Hello Bert']);
    await deliver(host, 'of nobody, from outside', [], ['Hello Bert']);
    const [one, other] = await Promise.all(
      ['of others, from outside', 'of nobody, from outside'].map(async (subject) => {
        const found = await arrived(host, subject);
        return testsOf(found.headers.get('x-spam-status'));
      }),
    );
    expect(one).not.toEqual(other);
  });
});
