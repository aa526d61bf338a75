import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { onHost } from '../../lab/machines';
import { addresses } from '../../lab/network';
import { longestWait, type Lab } from '../../lab/state';
import { SmtpDialogue } from '../lab/smtpDialogue';
import { zoneOf, type Settings } from '../lab/testLab';
import { NextHop, type Arrived } from './nextHop';
import { isPlain, isTaken, ledBack, rewritten, senders, withoutRoute } from './senders';

/** Its mail, and that of all domains below it, goes to the next hop. */
const zone = 'hop.example.com';

/** Two aliases that lead to the next hop, behind so many others. */
export const forwardingAliases = (others = 0): Settings => ({
  [`aliases[${others}].address`]: 'hop@example.org',
  [`aliases[${others}].recipients[0]`]: `first@${zone}`,
  [`aliases[${others + 1}].address`]: 'hop@example.net',
  [`aliases[${others + 1}].recipients[0]`]: `second@${zone}`,
});

/** Paths of recipients, and where each leads. */
const targets: Record<string, string> = {
  'hop@example.org': `first@${zone}`,
  'Hop+x@Example.ORG': `first@${zone}`,
  '@x.example:hop@example.org': `first@${zone}`,
  'hop@example.net': `second@${zone}`,
};

interface Case {
  sender: string;
  recipients: string[];
  /** Whether the next hop sends a bounce. */
  bounces: boolean;
}

const cases: fc.Arbitrary<Case> = fc.record({
  sender: senders(zone, 'example.org'),
  recipients: fc.constantFrom(...Object.keys(targets).map((one) => [one]), [
    'hop@example.org',
    'hop@example.net',
  ]),
  bounces: fc.boolean(),
});

/** Seeded cases, the same for the same numbers. */
export const someCases = (seed: number, count: number): Case[] =>
  fc.sample(cases, { seed, numRuns: count });

/**
 * Sends through a mail host to addresses that lead elsewhere, and compares what the next hop gets with what SRS should make of
 * it: each sender is refused, or arrives as a plain address that leads back to it.
 */
export class Forwarding {
  readonly counts = {
    sessions: 0,
    tried: 0,
    'no addresses': 0,
    refused: 0,
    accepted: 0,
    arrived: 0,
    bounced: 0,
    'led back': 0,
  };
  /** The most octets of a sender that arrived. */
  longest = 0;
  readonly faults: string[] = [];
  private readonly nextHop = new NextHop();
  private marks = 0;

  private constructor(
    private readonly lab: Lab,
    private readonly host: string,
    private readonly before: string,
  ) {}

  /** @param host address of the mail host of that lab, which has the aliases above */
  static async begin(lab: Lab, host: string): Promise<Forwarding> {
    const { create } = await zoneOf(lab, 'example.com');
    const hop = `mx.${zone}`;
    await create({ type: 'A', name: hop, content: addresses.outside.v4, ttl: 60 });
    for (const name of [zone, `*.${zone}`]) {
      await create({ type: 'MX', name, content: hop, priority: 10, ttl: 60 });
    }
    const forwarding = new Forwarding(lab, host, processes(lab));
    await forwarding.nextHop.listen(addresses.outside.v4);
    return forwarding;
  }

  /** Plays them in some sessions at a time; what goes wrong is among the faults. */
  async play(all: Case[], sessions: number): Promise<void> {
    const rest = [...all];
    const work = async () => {
      let dialogue: SmtpDialogue | undefined;
      for (let one = rest.shift(); one; one = rest.shift()) {
        this.counts.tried++;
        try {
          dialogue ??= await this.open();
          await inTime(this.playOne(dialogue, one));
        } catch (error) {
          dialogue?.end();
          dialogue = undefined;
          this.faults.push(`${(error as Error).message}\n  ${JSON.stringify(one)}`);
        }
      }
      dialogue?.end();
    };
    await Promise.all(Array.from({ length: sessions }, work));
  }

  /** When all is done: whether the host is what it was. */
  finish(): void {
    this.nextHop.end();
    for (const line of this.nextHop.garbage) this.faults.push(`garbage: ${JSON.stringify(line)}`);
    const after = processes(this.lab);
    if (after !== this.before) this.faults.push(`processes were ${this.before}, are ${after}`);
    const errors = onHost(this.lab, "journalctl --unit opensmtpd --grep 'Traceback' || true");
    if (/Traceback/.test(errors)) this.faults.push(errors);
  }

  private open(): Promise<SmtpDialogue> {
    this.counts.sessions++;
    return SmtpDialogue.open({ host: this.host, port: 25 });
  }

  private async playOne(dialogue: SmtpDialogue, of: Case): Promise<void> {
    const sender = withoutRoute(of.sender);
    const mark = this.nextMark();
    const arriving = this.nextHop.messages(mark, new Set(of.recipients).size);
    const refused = await send(dialogue, of.sender, of.recipients, mark);
    const domains = of.recipients.map((path) => path.split('@').at(-1)!);
    if (refused) {
      this.nextHop.expectNot(mark);
      this.checkRefusal(refused, sender, domains);
      return;
    }
    this.counts.accepted++;
    const messages = await arriving;
    checkArrival(messages, of, domains);
    this.counts.arrived++;
    this.longest = Math.max(this.longest, ...messages.map(({ from }) => from.length));
    const [{ from }] = messages as [Arrived];
    if (of.bounces && from) await this.bounce(dialogue, from, sender);
  }

  private checkRefusal(answer: string, sender: string, domains: string[]): void {
    if (/^(?:50[013]|553) /.test(answer)) {
      // Of the form, by OpenSMTPD itself.
      assert(!isTaken(sender), answer);
      this.counts['no addresses']++;
      return;
    }
    this.counts.refused++;
    // One of ours, or one that becomes one of ours, takes a login.
    if (/^550 5\.7\.1 /.test(answer) && /^(?:[^@]+(?:@example\.org)?)?$/.test(sender)) return;
    assert.match(answer, /^550 5\.1\.7 /);
    const can = domains.every((domain) => isPlain(rewritten(sender, domain)));
    // Some that begin so would become addresses by chance.
    assert(!can || /^srs1=/i.test(sender), `refused, though it can be rewritten: ${answer}`);
  }

  /** Sends one to a sender that came, and follows it. */
  private async bounce(dialogue: SmtpDialogue, to: string, sender: string): Promise<void> {
    this.counts.bounced++;
    const mark = this.nextMark();
    const back = ledBack(to);
    const domain = back?.split('@').at(-1)!.toLowerCase() ?? '';
    // OpenSMTPD looks up no longer one.
    const isOurs = domain.endsWith(zone) && domain.length <= longestRelayDomain;
    const arriving = isOurs ? this.nextHop.messages(mark) : undefined;
    const refused = await send(dialogue, '', [to], mark);
    if (refused) {
      // OpenSMTPD has room for 255 octets, and tells filters of 254.
      const isTooLong = to.length > 254 && /^501 5\.1\.3 /.test(refused);
      assert(isTooLong || back === undefined, `the bounce to ${to} is refused: ${refused}`);
      return;
    }
    if (arriving === undefined) return;
    const [message] = (await arriving) as [Arrived];
    assert.equal(message.from, '');
    assert.deepEqual(message.to, [back]);
    if (!/^srs/i.test(sender)) assert.equal(back, sender);
    this.counts['led back']++;
  }

  private nextMark(): string {
    return `<fuzz-${++this.marks}@client.example>`;
  }
}

function checkArrival(messages: Arrived[], { sender, recipients }: Case, domains: string[]): void {
  const bare = withoutRoute(sender);
  const reached = messages.flatMap(({ to }) => to);
  for (const { from, lines } of messages)
    assert(from !== '' || bare === '', `it bounced:\n${lines.join('\n')}`);
  assert.deepEqual(reached.sort(), [...new Set(recipients.map((to) => targets[to]!))].sort());
  if (bare === '') return;
  const expected = domains.map((domain) => rewritten(bare, domain));
  for (const { from } of messages) {
    assert(isPlain(from), `no address: ${JSON.stringify(from)}`);
    // Hash and day, which the way back proves.
    const shown = from
      .replace(/^(SRS[01]=)[A-Za-z0-9_-]{4}=/, '$1HHHH=')
      .replace(/^(SRS0=HHHH=)[A-Z2-7]{2}=/, '$1TT=');
    assert(expected.includes(shown), `${from} is not ${expected.join(' or ')}`);
  }
}

/** @returns the answer that refuses it, if one does */
async function send(
  dialogue: SmtpDialogue,
  from: string,
  to: string[],
  mark: string,
): Promise<string | undefined> {
  const message = [
    `From: Erika <erika@${zone}>`,
    'To: undisclosed-recipients:;',
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: ${mark}`,
    'Subject: x',
    '',
    'x',
    '.',
  ].join('\r\n');
  const commands = [`MAIL FROM:<${from}>`, ...to.map((path) => `RCPT TO:<${path}>`), 'DATA'];
  for (const command of [...commands, message]) {
    const answer = await dialogue.say(command);
    if (/^[23]/.test(answer)) continue;
    if (command !== message) await dialogue.say('RSET');
    return answer;
  }
  return undefined;
}

/** Of those that mail depends on: OpenSMTPD ends with each of its parts, its filters among them. */
const processes = (lab: Lab): string =>
  onHost(lab, 'systemctl show --property MainPID,NRestarts opensmtpd amavis').replace(/\s+/g, ' ');

/** Octets of a domain that OpenSMTPD of Debian 13 looks up for relaying (HOST_NAME_MAX). */
const longestRelayDomain = 64;

async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no message came')), longestWait * 1000);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
