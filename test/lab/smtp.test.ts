import { execFileSync } from 'node:child_process';
import { getPriority, setPriority } from 'node:os';
import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { openSmtpd } from '../../components/daemons/openSmtpd';
import { readMailbox, submit, waitForMail, waitForReceived } from '../../lab/mail';
import { addresses } from '../../lab/network';
import { passwords } from '../../lab/proof';
import { received } from '../../lab/remote/mailbox';
import { waitFor } from '../../lab/state';
import { exampleMail, filesOf, secretFilesOf } from '../example';
import { Forwarding, forwardingAliases, someCases } from '../fuzz/forwarding';
import { erika, hostTest, type Host } from './hosts';
import { SmtpDialogue, type Target } from './smtpDialogue';

const anna = 'anna@example.org';
const bert = 'bert@example.net';
const oNeill = "o'neill&co@example.org";
const oNeillPassword = 'o-password';
const oNeillHash = execFileSync(
  'openssl',
  ['passwd', '-6', '-salt', 'x'.repeat(16), oNeillPassword],
  { encoding: 'utf8' },
).trim();
/** More than one line of OpenSMTPD's table takes. */
const everybody = Array.from({ length: 80 }, (_, i) => `bert+one-of-a-long-list-${i}@example.net`);
const someone = 'someone@elsewhere.example';
/** A text in UTF-8, as a dialogue sends it and as the remote system keeps it: one character for each octet. */
const octetsOf = (text: string) => Buffer.from(text).toString('latin1');

const it = hostTest({
  'aliases[0].address': 'team@example.org',
  'aliases[0].recipients[0]': bert,
  'aliases[0].recipients[1]': erika,
  'accounts[1].sendAs[0]': 'team@example.org',
  'accounts[2].address': oNeill,
  'accounts[2].passwordHash': { secret: oNeillHash },
  'accounts[2].aliases[0]': 'neill@example.org',
  'aliases[1].address': 'sales@example.org',
  'aliases[1].recipients[0]': 'anna+Sales@example.org',
  'aliases[1].recipients[1]': 'Erika.Muster@Remote.Example',
  'aliases[2].address': 'everybody@example.org',
  ...Object.fromEntries(everybody.map((to, i) => [`aliases[2].recipients[${i}]`, to])),
  ...forwardingAliases(3),
  'domains[1].catchAll': bert,
  messageSize: '1',
  newRecipientsPerDay: '12',
});

const loggedIn = (user: keyof typeof passwords): Target['login'] => ({
  user,
  password: passwords[user],
});

/** How often amavis has had a message. */
const passes = (host: Host, messageId: string) =>
  Number(
    host.shell(
      `journalctl --unit amavis --output cat | grep -cF 'Message-ID: ${messageId}' || true`,
    ),
  );

/** Sends one message byte for byte; gives the first answer that refuses it, or the last. */
async function attempt(
  target: Target,
  from: string,
  to: string[],
  lines: string[],
): Promise<string> {
  const dialogue = await SmtpDialogue.open(target);
  try {
    const commands = [`MAIL FROM:<${from}>`, ...to.map((rcpt) => `RCPT TO:<${rcpt}>`), 'DATA'];
    for (const command of [...commands, `${lines.join('\r\n')}\r\n.`]) {
      const answer = await dialogue.say(command);
      if (!/^[23]/.test(answer) || !commands.includes(command)) return answer;
    }
    throw new Error('nothing was said');
  } finally {
    dialogue.end();
  }
}

describe('a mail client', () => {
  const send = (host: Host, lines: string[], { from = anna, to = [erika] } = {}) =>
    attempt({ host: host.outputs.ipv4, port: 465, login: loggedIn(anna) }, from, to, [
      ...lines,
      '',
      'x',
    ]);

  it('is held back at a limit, whichever way it comes, and the postmaster is told once', async ({
    freshHost: host,
  }) => {
    const to = Array.from({ length: 12 }, (_, i) => `person${i}@remote.example`);
    const from = ['From: bert@example.net', '', 'x'];
    const at = { host: host.outputs.ipv6, port: 465, login: loggedIn(bert) } as const;
    // Somebody who is known counts no more.
    for (let i = 0; i < 2; i++) expect(await attempt(at, bert, [erika], from)).toMatch(/^250 /);
    expect(await attempt(at, bert, to.slice(1), from)).toMatch(/^250 /);
    host.shell('systemctl restart opensmtpd; until ss -Hltn | grep -q :465; do sleep 0.1; done');
    for (const user of [bert, 'BERT@example.net']) {
      const again = { ...at, login: { user, password: passwords[bert] } };
      expect(await attempt(again, bert, to.slice(0, 1), from)).toMatch(
        /^451 4\.7\.1 bert@example\.net has reached the limit of 12 new recipients a day, try again after \d{4}-/,
      );
    }
    expect(await attempt(at, bert, [to[3]!], from)).toMatch(/^250 /);
    const notice = await waitForMail(
      host.login(anna),
      'bert@example.net has reached a limit for sending',
    );
    expect(notice.text).toContain('12 new recipients a day');
    await host.queueIsEmpty();
    const notices = (await readMailbox(host.login(anna))).filter(
      ({ subject }) => subject === notice.subject,
    );
    expect(notices).toHaveLength(1);
  });

  it('sends as its own addresses, and as those that it may send as', async ({ host }) => {
    for (const [user, from] of [
      [anna, 'Anna <anna@example.org>'],
      [anna, 'info+x@example.org'],
      [bert, 'team@example.org'],
    ] as const) {
      const subject = `as ${from.replace(/\W/g, ' ')}`;
      await submit(host.login(user), 587, { from, to: erika, subject, text: 'x' });
      const { raw, dmarc } = await waitForReceived(host.lab, subject);
      expect((await simpleParser(raw)).from!.text.replace(/"/g, '')).toBe(from);
      expect(dmarc).toBe('pass');
    }
  });

  it('is refused another sender, in the envelope and in every form of header', async ({ host }) => {
    expect(await send(host, ['From: anna@example.org'], { from: bert })).toMatch(
      /^550 .*bert@example\.net/,
    );
    for (const lines of [
      ['From: bert@example.net'],
      ['From: ceo@example.org'],
      ['FROM : anna@example.org'],
      ['From\t: anna@example.org'],
      ['From: us: anna@example.org, bert@example.net;'],
      ['From: anna@example.org, bert@example.net'],
      ['From: "anna@example.org" <bert@example.net>'],
      ['From: anna@example.org', 'From: bert@example.net'],
      ['From: anna@example.org', '.From: bert@example.net'],
      ['From: anna@example.org', 'Sender: bert@example.net'],
      ['Subject: no From'],
    ]) {
      expect(await send(host, lines), lines.join()).toMatch(/^550 5\.[67]\.[01] /);
    }
  });

  it('confirms that a message was read, without an envelope sender', async ({ host }) => {
    expect(await send(host, ['From: anna@example.org', 'Subject: read'], { from: '' })).toMatch(
      /^250 /,
    );
    const { from, dkim } = await waitForReceived(host.lab, 'read');
    expect([from, dkim.map(({ result }) => result)]).toEqual(['', ['pass']]);
  });

  it('comes back after a filter has died', async ({ host }) => {
    const main = () => host.shell('systemctl show --property MainPID --value opensmtpd').trim();
    const before = main();
    host.shell("kill -KILL $(pgrep --uid opensmtpd --full '^/usr/bin/python3 .*/submission ')");
    await waitFor('OpenSMTPD runs again', () => !['0', before].includes(main()));
    const message = { from: anna, to: erika, subject: 'after a crash', text: 'x' };
    await waitFor('it takes mail', () =>
      submit(host.login(anna), 465, message).then(
        () => true,
        () => false,
      ),
    );
    await waitForReceived(host.lab, 'after a crash');
  });
});

describe('an address that leads to other systems', () => {
  const signers = ({ dkim }: { dkim: { result: string; domain: string }[] }) =>
    dkim.map(({ result, domain }) => `${result} ${domain}`);
  /** A message to the team, as the remote system got it back. */
  const forwarded = async (host: Host, subject: string) => {
    await host.receive({ to: 'Team+x@example.org', subject });
    await waitForMail(host.login(bert), subject);
    return waitForReceived(host.lab, subject);
  };

  it('forwards under a sender of its own, with the original signature whole and none of ours', async ({
    host,
  }) => {
    const message = await forwarded(host, 'for all');
    expect(message.from).toMatch(/^SRS0=\S+=remote\.example=erika@example\.org$/);
    expect([message.spf, signers(message), message.dmarc]).toEqual([
      'pass',
      ['pass remote.example'],
      'pass',
    ]);
  });

  it('brings bounces back to the original sender, unsigned, whoever they say that they are from', async ({
    host,
  }) => {
    const { from: back } = await forwarded(host, 'to bounce');
    await host.receive({ to: back, subject: 'a bounce', envelopeFrom: '' });
    const bounce = await waitForReceived(host.lab, 'a bounce');
    expect(passes(host, /^Message-ID: (.*)\r$/im.exec(bounce.raw)![1]!)).toBe(1);
    expect([bounce.from, bounce.to, signers(bounce)]).toEqual([
      '',
      [erika],
      ['pass remote.example'],
    ]);
    const forged = host.receive({ to: back, subject: 'forged', envelopeFrom: '', from: anna });
    await expect(forged).rejects.toThrow(/550 5\.7\.1 .* has to come with a login/);
  });

  it('refuses addresses of that kind that it has not made, also where a domain has a catch-all', async ({
    host,
  }) => {
    const { from: back } = await forwarded(host, 'to know the sender');
    for (const to of [
      back.replace(/=remote/, '=other'),
      'SRS0=aaaa=AA=remote.example=erika@example.net',
      'srs1=aaaa=remote.example==aaaa=AA=x.example=y@example.net',
    ]) {
      for (const envelopeFrom of ['', erika]) {
        const attempt = host.receive({ to, subject: 'x', envelopeFrom });
        await expect(attempt, to).rejects.toThrow('550');
      }
    }
    const withSender = host.receive({ to: back, subject: 'x' });
    await expect(withSender, 'with a sender').rejects.toThrow('550');
  });

  it('does not forward what claims to be ours', async ({ host }) => {
    const inbox = () => received(host.lab.dir).length;
    await host.queueIsEmpty();
    const before = inbox();
    const forged = { to: 'team@example.org', subject: 'forged' };
    await expect(host.receive({ ...forged, from: anna, envelopeFrom: erika })).rejects.toThrow(
      '550 5.7.1',
    );
    await expect(host.receive({ ...forged, envelopeFrom: anna })).rejects.toThrow('550 5.7.1');
    await host.queueIsEmpty();
    expect(inbox()).toBe(before);
  });

  it('leaves the sender of what a program of the host sends as it is', async ({ host }) => {
    host.shell(
      `python3 -c 'import smtplib; smtplib.SMTP("127.0.0.1").sendmail("root@mail.example.org", "${erika}", "Subject: program\\n\\nx\\n")'`,
    );
    const { from, dkim, spf } = await waitForReceived(host.lab, 'program');
    expect([from, dkim.map(({ result }) => result), spf]).toEqual([
      'root@mail.example.org',
      ['none'],
      'pass',
    ]);
  });

  it('forwards what its own users send, signed by us', async ({ host }) => {
    const subject = 'to the team';
    const own = { from: anna, to: 'team@example.org', subject, text: 'x' };
    await submit(host.login(anna), 465, own);
    await waitForMail(host.login(bert), subject);
    const message = await waitForReceived(host.lab, subject);
    expect([message.from, signers(message), message.dmarc]).toEqual([
      anna,
      ['pass example.org'],
      'pass',
    ]);
  });
});

describe('a domain', () => {
  it('has a catch-all that takes neither accounts, nor aliases, nor role addresses', async ({
    host,
  }) => {
    const to = async (address: string, user: keyof typeof passwords) => {
      await host.receive({ to: address, subject: `caught ${address}` });
      await waitForMail(host.login(user), `caught ${address}`);
    };
    await to('Nobody+x@example.net', bert);
    for (const role of ['abuse', 'hostmaster', 'postmaster']) {
      await to(`${role}@example.net`, anna);
    }
    const uncaught = host.receive({ to: 'nobody@example.org', subject: 'x' });
    await expect(uncaught).rejects.toThrow('550');
  });
});

describe('relaying', () => {
  /** All of them lead to others, or would, to whoever reads them in another way. */
  const foreign = ({ v4, v6 }: { v4: string; v6: string }) => [
    erika,
    erika.toUpperCase(),
    'erika+x@remote.example',
    'anna+x@remote.example',
    'root@remote.example',
    'root+x@remote.example',
    'postmaster@remote.example',
    'erika@remote.example.',
    'erika%remote.example@example.org',
    'erika%remote.example@mail.example.org',
    'erika@remote.example@example.org',
    'anna@example.org@remote.example',
    '"erika@remote.example"@example.org',
    '"anna@example.org"@remote.example',
    '@example.org:erika@remote.example',
    '@example.org,@mail.example.org:erika@remote.example',
    'remote.example!erika',
    'remote.example!erika@example.org',
    'example.org!remote.example!erika',
    'erika',
    'erika%remote.example',
    'anna@example.org%remote.example',
    'anna@example.org,erika@remote.example',
    'anna@example.org erika@remote.example',
    'anna@example.org\t@remote.example',
    `erika@[${v4}]`,
    `erika@${v4}`,
    `erika@[IPv6:${v6}]`,
    'mailhost-probe@mailhost-probe.invalid',
    'vmail@remote.example',
    '@remote.example',
    'SRS0=aaaa=AA=remote.example=erika@example.org',
    'SRS0=aaaa=AA=remote.example=erika@mail.example.org',
  ];
  const senders = ['', erika, anna, 'postmaster@mail.example.org', 'root'];

  it('takes nothing for others without a login, in no form of address, by either family', async ({
    host: { outputs },
  }) => {
    const accepted: string[] = [];
    const targets = foreign(addresses.remote);
    let tried = 0;
    for (const host of [outputs.ipv4, outputs.ipv6]) {
      for (const from of senders) {
        let dialogue = await SmtpDialogue.open({ host, port: 25 });
        for (const to of targets) {
          await dialogue.say('RSET');
          let answer = await dialogue.say(`MAIL FROM:<${from}>`);
          if (answer.startsWith('421')) {
            dialogue = await SmtpDialogue.open({ host, port: 25 });
            answer = await dialogue.say(`MAIL FROM:<${from}>`);
          }
          expect(answer, from).toMatch(/^250 /);
          tried++;
          if ((await dialogue.say(`RCPT TO:<${to}>`)).startsWith('2')) accepted.push(to);
        }
        expect(await dialogue.say(`RCPT TO:<${anna}>`)).toMatch(/^250 /);
        dialogue.end();
      }
    }
    expect(accepted).toEqual([]);
    expect(tried).toBe(2 * senders.length * targets.length);
  });

  it('takes no login on 25, nothing before a login on 465, and with it no sender but one’s own', async ({
    host: { outputs },
  }) => {
    for (const host of [outputs.ipv4, outputs.ipv6]) {
      const open = await SmtpDialogue.open({ host, port: 25 });
      expect(await open.say('AUTH PLAIN AGFubmEAeA==')).toMatch(/^50[23] /);
      open.end();
      expect(await attempt({ host, port: 465 }, anna, [erika], [])).toMatch(/^530 /);
      for (const from of [
        erika,
        bert,
        'root',
        'postmaster@mail.example.org',
        `@x.example:${anna}`,
        `${anna}@remote.example`,
      ]) {
        expect(
          await attempt({ host, port: 465, login: loggedIn(anna) }, from, [erika], []),
          from,
        ).toMatch(/^55[03] /);
      }
    }
  });
});

describe('every message', () => {
  it('passes amavis once, whichever way it goes', async ({ host }) => {
    // Of now: SpamAssassin scores a message that is older than some days.
    const date = new Date().toUTCString().replace('GMT', '+0000');
    const raw = (id: string, from: string) =>
      `From: ${from}\nMessage-ID: <${id}>\nDate: ${date}\nSubject: ${id}\n\nx\n`;
    const target = { host: host.outputs.ipv4, port: 25 } as const;
    const ids = {
      inbound: 'in@x',
      forwarded: 'forwarded@x',
      submitted: 'out@x',
      colleague: 'colleague@x',
      local: 'local@x',
      both: 'both@x',
    };
    const outside = (id: string, to: string) =>
      attempt(target, someone, [to], raw(id, someone).trimEnd().split('\n'));
    expect(await outside(ids.inbound, anna)).toMatch(/^250/);
    expect(await outside(ids.forwarded, 'team@example.org')).toMatch(/^250/);
    const own = (id: string, to: string) =>
      submit(host.login(anna), 587, { from: anna, to, subject: id, raw: raw(id, anna) });
    await own(ids.submitted, erika);
    await own(ids.colleague, bert);
    await own(ids.both, 'team@example.org');
    host.shell(
      `printf '%b' '${raw(ids.local, 'root@mail.example.org').replaceAll('\n', '\\n')}' | sendmail -f root@mail.example.org ${erika} root`,
    );
    await Promise.all([
      waitForMail(host.login(anna), ids.inbound),
      waitForMail(host.login(anna), ids.local),
      ...[ids.forwarded, ids.colleague, ids.both].map((id) => waitForMail(host.login(bert), id)),
      ...[ids.forwarded, ids.submitted, ids.both, ids.local].map((id) =>
        waitForReceived(host.lab, id),
      ),
    ]);
    await host.queueIsEmpty();
    for (const [way, id] of Object.entries(ids)) expect(passes(host, `<${id}>`), way).toBe(1);
    for (const id of [ids.submitted, ids.both, ids.local]) {
      expect(
        received(host.lab.dir).filter(({ raw: text }) => text.includes(`<${id}>`)),
      ).toHaveLength(1);
    }
  });

  it('has at most the size that is set, on every port, and gets through up to that', async ({
    host,
  }) => {
    const { ipv4, ipv6 } = host.outputs;
    const message = (size: number) => {
      const header = ['From: anna@example.org', `Subject: of ${size} octets`, ''];
      const rest = size - header.join('\n').length - 1;
      const lines = Array.from({ length: Math.ceil(rest / 71) }, () => 'x'.repeat(70));
      return [...header, ...lines].join('\n').slice(0, size).split('\n');
    };
    const limit = 1 << 20;
    for (const target of [
      { host: ipv4, port: 25 },
      { host: ipv6, port: 465, login: loggedIn(anna) },
    ] as const) {
      const dialogue = await SmtpDialogue.open(target);
      // What comes back from amavis is larger, and has to pass, too.
      expect(dialogue.extensions).toContain(`SIZE ${limit + 65536}\r\n`);
      dialogue.end();
      const to = (size: number) => attempt(target, anna, [bert], message(size));
      expect(await to(limit)).toMatch(/^552 5\.3\.4 .*1048576/);
      const size = limit - 1000 - target.port;
      expect(await to(size)).toMatch(/^250 /);
      await Promise.any(
        ['INBOX', 'Junk'].map((box) => waitForMail(host.login(bert), `of ${size} octets`, box)),
      );
    }
    await host.queueIsEmpty();
  });
});

describe('the configuration', () => {
  it.for([
    ['a smarthost, STARTTLS', {}, { smarthost: { host: 'smtp.remote.example', port: 587 } }],
    ['a smarthost, TLS', {}, { smarthost: { host: 'smtp.remote.example', port: 465 } }],
    ['IPv4 alone', { ipv6: false }, {}],
    ['system users', { accountKind: 'system' }, {}],
  ] as const)('is one that OpenSMTPD takes, with %s', ([, change, given], { host }) => {
    const mail = exampleMail(change);
    const smarthostLogin = 'smarthost' in given ? 'us:x' : undefined;
    const files = {
      ...filesOf(openSmtpd, mail, given),
      ...secretFilesOf(openSmtpd, { credentials: [], smarthostLogin }, mail),
    };
    const check = `import pathlib, sys
sys.path.insert(0, "/usr/local/lib")
from mailhost.daemons import DAEMONS
from mailhost.documents import parsed
from mailhost.files import Files
from mailhost.transaction import in_stage, put
files, stage = parsed(Files, sys.stdin.read(), "stdin"), pathlib.Path("/run/stage-of-the-test")
for path, file in files.items(): put(f"{stage}{path}", file)
DAEMONS["opensmtpd"].check(files, lambda *command: print(in_stage(stage, files, command)), {})`;
    host.shell(
      `python3 -c '${check}' <<'FILES'
${JSON.stringify(files).replaceAll("'", '\\u0027')}
FILES
rm -r /run/stage-of-the-test`,
    );
  });
});

describe('clients that are odd, and clients that mean harm', () => {
  const port25 = ({ outputs }: Host) => ({ host: outputs.ipv4, port: 25 }) as const;
  const port465 = ({ outputs }: Host) =>
    ({ host: outputs.ipv6, port: 465, login: loggedIn(anna) }) as const;
  const header = (subject: string, from = someone) => [`From: ${from}`, `Subject: ${subject}`];
  const message = (subject: string, from = someone) => [...header(subject, from), '', 'x'];
  const ofSubject = (host: Host, subject: string) =>
    received(host.lab.dir).filter(({ raw }) => raw.includes(`Subject: ${subject}`));
  /** What waits for all that was sent before: mail takes its turn. */
  const settled = async (host: Host, mark: string) => {
    expect(await attempt(port25(host), someone, [anna], message(mark))).toMatch(/^250 /);
    await Promise.any(['INBOX', 'Junk'].map((box) => waitForMail(host.login(anna), mark, box)));
    await host.queueIsEmpty();
  };
  const subjects = async (host: Host) =>
    (await Promise.all(['INBOX', 'Junk'].map((box) => readMailbox(host.login(anna), box))))
      .flat()
      .map(({ subject }) => subject);

  it('never sends a sender that is neither the given one nor one by SRS', async ({ host }) => {
    // The remote system takes senders of 253 octets.
    const senders: [sender: string, expected: RegExp | undefined][] = [
      [`${'b'.repeat(210)}@elsewhere.example`, /^SRS0=.{4}=..=elsewhere\.example=b{210}@example\.org$/],
      [`${'b'.repeat(213)}@elsewhere.example`, undefined],
      [`${'b'.repeat(255)}@elsewhere.example`, undefined],
      [`b@${'d.'.repeat(109)}example`, /^SRS0=.{4}=..=(?:d\.){109}example=b@example\.org$/],
      [`b@${'d.'.repeat(112)}example`, undefined],
      ['SRS0=abcd=TT=x.example=y@elsewhere.example', /^SRS1=.{4}=elsewhere\.example==abcd=TT=x\.example=y@example\.org$/],
      [`SRS0=${'c'.repeat(230)}@elsewhere.example`, undefined],
      ['SRS1=abcd=x.example==hhhh=TT=y.example=z@elsewhere.example', /^SRS1=.{4}=x\.example==hhhh=TT=y\.example=z@example\.org$/],
      ['SRS1=x@elsewhere.example', undefined],
      ['srs1=abcdxe==f@elsewhere.example', undefined],
    ]; // prettier-ignore
    for (const [i, [sender, expected]] of senders.entries()) {
      const answer = await attempt(port25(host), sender, ['team@example.org'], message(`srs ${i}`));
      expect(answer, sender).toMatch(expected ? /^250 / : /^550 5\.1\.7 team@example\.org /);
      if (expected) expect((await waitForReceived(host.lab, `srs ${i}`)).from).toMatch(expected);
      // In a mailbox it is what it is.
      expect(await attempt(port25(host), sender, [anna], message(`mailbox ${i}`))).toMatch(/^250 /);
    }
    await settled(host, 'after senders');
    for (const [i, [, expected]] of senders.entries()) {
      expect(ofSubject(host, `srs ${i}\r`)).toHaveLength(expected ? 1 : 0);
    }
  });

  it('rewrites each sender that it forwards for to an address that leads back to it', async ({
    host,
  }) => {
    const forwarding = await Forwarding.begin(host.lab, host.outputs.ipv4);
    await forwarding.play(someCases(1, 40), 8);
    await host.queueIsEmpty();
    forwarding.finish();
    expect(forwarding.faults).toEqual([]);
    for (const what of ['no addresses', 'refused', 'arrived', 'led back'] as const)
      expect(forwarding.counts[what], what).toBeGreaterThan(2);
  });

  it.for([25, 465] as const)('goes on after lines of any length, on %d', async (port, { host }) => {
    const [target, from] =
      port === 25 ? ([port25(host), someone] as const) : ([port465(host), anna] as const);
    for (const length of [65_000, 65_470, 65_490, 65_533]) {
      expect(
        await attempt(
          target,
          from,
          [anna],
          [...header(`long ${length}`, from), '', 'x'.repeat(length)],
        ),
      ).toMatch(
        length > 65_000 ? /^550 5\.6\.0 the line "x+\.\.\." has more than 65000 octets$/ : /^250 /,
      );
    }
    expect(
      await attempt(target, from, [anna], message(`after long lines on ${port}`, from)),
    ).toMatch(/^250 /);
    await host.queueIsEmpty();
  });

  it.for([25, 465] as const)(
    'says what is wrong with the form of a message, on %d',
    async (port, { host }) => {
      const [target, from] =
        port === 25 ? ([port25(host), someone] as const) : ([port465(host), anna] as const);
      const many = Array.from({ length: 4000 }, (_, i) => ` p${i}@remote.example,`);
      for (const [lines, words] of [
        [
          message('x', from).map((line) => `${line}\r`),
          `the line "From: ${from}" ends in CR CR LF: only CR LF may end a line`,
        ],
        [
          [...message('x', from), 'y\rz'],
          'the line "y?z" has a carriage return (CR) within: only CR LF may end a line',
        ],
        [
          ['Hello Anna', 'how are you?'],
          'the line "Hello Anna" is no header field (Name: value): after the header comes an empty line',
        ],
        [
          [`From: ${from}`, 'To: x@remote.example,', ...many, ' y@remote.example', '', 'x'],
          'To has more than 65000 octets: use Bcc, or send to fewer recipients at once',
        ],
      ] as const) {
        // prettier-ignore
        expect(await attempt(target, from, [anna], [...lines])).toBe(`550 5.6.0 ${words}`);
      }
    },
  );

  describe('who smuggle a message', () => {
    // Its lines have to be sent in time, whatever else the machine does.
    const usual = getPriority();
    beforeAll(() => setPriority(-20));
    afterAll(() => setPriority(usual));

    const ends = [
      '\n.\n',
      '\n.\r\n',
      '\r\n.\n',
      '\r.\r',
      '\r\n.\r',
      '\r.\r\n',
      '\n.\r\r\n',
      '\r\n.\0x\r\n',
    ];
    /** A message, and another that is hidden in its body: line by line, each to be sent at once. */
    const smuggling = (end: string, mark: string) => [
      `${header(`outer ${mark}`).join('\r\n')}\r\n\r\nx${end}`,
      'MAIL FROM:<postmaster@elsewhere.example>\r\n',
      `RCPT TO:<${anna}>\r\n`,
      'DATA\r\n',
      `${header(`smuggled ${mark}`).join('\r\n')}\r\n\r\nx\r\n.\r\nQUIT\r\n`,
    ];
    const inData = async (host: Host, tls: boolean) => {
      const dialogue = await SmtpDialogue.open(port25(host));
      if (tls) await dialogue.startTls();
      for (const line of [`MAIL FROM:<${someone}>`, `RCPT TO:<${anna}>`, 'DATA']) {
        expect(await dialogue.say(line)).toMatch(/^[23]/);
      }
      return dialogue;
    };

    it.for<[string, boolean, (lines: string[]) => string[], number]>([
      ['at once', false, (lines) => [lines.join('')], 0],
      ['at once, under TLS', true, (lines) => [lines.join('')], 0],
      ['line by line', false, (lines) => lines, 0],
      ['line by line, under TLS', true, (lines) => lines, 0],
      ['line by line, 20 ms apart', false, (lines) => lines, 20],
      ['line by line, 20 ms apart, under TLS', true, (lines) => lines, 20],
    ])('gets it refused: %s', async ([how, tls, cut, pause], { host }) => {
      // Of what came too late to be told from a client that waits, as a busy machine sends it.
      const late = new Set<string>();
      for (const [i, end] of ends.entries()) {
        for (let tries = 1; ; tries++) {
          const mark = `${how} ${i} ${tries}`;
          const dialogue = await inData(host, tls);
          let last = performance.now();
          let longest = 0;
          for (const text of cut(smuggling(end, mark))) {
            longest = Math.max(longest, performance.now() - last);
            last = performance.now();
            await dialogue.write(text);
            await new Promise((resolve) => setTimeout(resolve, pause));
          }
          // The words of the refusal are lost where the connection is cut while more is under way.
          const answers = await dialogue.answersToEnd();
          if (longest > 50) {
            late.add(`smuggled ${mark}`);
            expect(tries, 'this machine sends no lines in time').toBeLessThan(50);
            continue;
          }
          expect(
            answers.filter((answer) => answer.startsWith('354')),
            mark,
          ).toEqual([]);
          break;
        }
      }
      await settled(host, `after ${how}`);
      const smuggled = (await subjects(host)).filter((subject) =>
        subject?.startsWith(`smuggled ${how} `),
      );
      expect(smuggled.filter((subject) => !late.has(subject!))).toEqual([]);
    });

    it('finds no BDAT, and no PIPELINING', async ({ host }) => {
      const dialogue = await SmtpDialogue.open(port25(host));
      expect(dialogue.extensions).not.toMatch(/PIPELINING|CHUNKING|BDAT/i);
      expect(await dialogue.say(`MAIL FROM:<${someone}>`)).toMatch(/^250 /);
      expect(await dialogue.say(`RCPT TO:<${anna}>`)).toMatch(/^250 /);
      expect(await dialogue.say('BDAT 5 LAST')).toMatch(/^500 /);
      dialogue.end();
    });

    it('hinders none who sends several messages in turn', async ({ host }) => {
      const dialogue = await SmtpDialogue.open(port25(host));
      await dialogue.startTls();
      for (const i of [1, 2, 3]) {
        for (const line of [`MAIL FROM:<${someone}>`, `RCPT TO:<${anna}>`, 'DATA']) {
          expect(await dialogue.say(line)).toMatch(/^[23]/);
        }
        expect(await dialogue.say(`${message(`in turn ${i}`).join('\r\n')}\r\n.`)).toMatch(/^250 /);
      }
      dialogue.end();
      await host.queueIsEmpty();
    });
  });

  it.for([
    ['bare', 'From: anna@example.org', 'anna@example.org'],
    ['coded quoted', 'From: "=?utf-8?Q?M=C3=BCller_Anna?=" <anna@example.org>', 'Müller Anna'],
    ['coded close', 'From: =?utf-8?Q?Anna_M=C3=BCller?=<anna@example.org>', 'Anna Müller'],
    ['twice', 'From: anna@example.org <anna@example.org>', 'anna@example.org'],
    ['raw', `From: ${octetsOf('Müller')} <anna@example.org>`, octetsOf('Müller')],
    ['raw and not UTF-8', 'From: M\u00fcller <anna@example.org>', 'M\u00fcller'],
    ['company', 'From: Example Inc. <anna@example.org>', 'Example Inc.'],
  ])(
    'sends without Date as with it, signed and without a notice: %s',
    async ([name, from, shown], { host }) => {
      const subject = `from ${name}`;
      expect(
        await attempt(port465(host), anna, [erika], [from!, `Subject: ${subject}`, '', 'x']),
      ).toMatch(/^250 /);
      const { raw, dkim, dmarc } = await waitForReceived(host.lab, subject);
      expect([dkim.map(({ result }) => result), dmarc]).toEqual([['pass'], 'pass']);
      const mail = await simpleParser(raw);
      expect(mail.from!.text).toContain(shown);
      const signed = /\sh=([\s\S]*?);/.exec(raw)![1]!.replace(/\s/g, '').split(':');
      expect(signed).toEqual(expect.arrayContaining(['date', 'message-id', 'from']));
      expect(mail.date).toBeInstanceOf(Date);
      expect(mail.messageId).toMatch(/@mail\.example\.org>$/);
      expect(raw).not.toContain('X-Amavis-Alert');
      await host.queueIsEmpty();
      const notices = (await subjects(host)).filter((each) => /header|BAD/i.test(each ?? ''));
      expect(notices).toEqual([]);
    },
  );

  it('has an account with signs in its name, an alias to a tag, and case where it belongs to others', async ({
    host,
  }) => {
    const own = { ...host.login(anna), user: oNeill, password: oNeillPassword };
    await submit(own, 465, {
      from: `"O'Neill & Co" <${oNeill}>`,
      to: 'Erika.Case@remote.example',
      subject: 'with signs',
      text: 'x',
    });
    const sent = await waitForReceived(host.lab, 'with signs');
    expect([sent.from, sent.to, sent.dmarc]).toEqual([
      oNeill,
      ['Erika.Case@remote.example'],
      'pass',
    ]);
    await host.receive({ to: "O'Neill&Co+x@Example.org", subject: 'to signs' });
    await waitForMail(own, 'to signs');
    await host.receive({ to: 'neill@example.org', subject: 'to signs by an alias' });
    await waitForMail(own, 'to signs by an alias');
    await host.receive({ to: 'sales@example.org', subject: 'to sales' });
    await waitForMail(host.login(anna), 'to sales');
    expect((await waitForReceived(host.lab, 'to sales')).to).toEqual([
      'Erika.Muster@remote.example',
    ]);
  });

  it('delivers to everybody in a long list', async ({ host }) => {
    await host.receive({ to: 'everybody@example.org', subject: 'to everybody' });
    await host.queueIsEmpty();
    const got = (await readMailbox(host.login(bert))).filter(
      ({ subject }) => subject === 'to everybody',
    );
    expect(got).toHaveLength(everybody.length);
  });
});
