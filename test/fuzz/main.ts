import { mkdtempSync, rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { simpleParser } from 'mailparser';
import { FilterProgram, headerOf, writeTables, type Session } from './filterProgram';
import { isPlain, isTaken, rewritten, senders, withoutRoute } from './senders';

/**
 * Fuzzes both filters for as many minutes as given, one seed after the other. A failure is printed with its seed, in its
 * shortest form, and belongs in a test.
 *
 * Crashes and hangs of a filter fail, and so do answers that OpenSMTPD would end or hang at. In what is accepted, other
 * parsers read the same addresses, and every sender that is forwarded can be rewritten.
 */
const { values: given } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
  },
});

const runs = 200;
/** Milliseconds in which a filter has to answer, on a machine that does other things, too. */
let patience = 60_000;

const own = ['anna@example.org', 'info@example.org', 'abuse@example.net'];
const hosted = /(?:^|[.@])(?:example\.org|example\.net)$/;

const addresses = fc.constantFrom(
  ...own, 'ANNA@Example.ORG', 'anna+x@example.org', 'bert@example.net', 'erika@remote.example', 'x@sub.example.org', 'anna',
); // prettier-ignore
const signs = fc.constantFrom(
  ..."<>\"\\(),;:@[]. \t='`+-_?*|&%!#{}~^$/", '\r', '\u00e1', '\u00ff', '\u0001', '\u007f',
); // prettier-ignore
const words = fc.constantFrom(
  'Anna', 'Example', 'From:', 'bert', 'example', 'org', 'net', '\u00c3\u00a1', '\u00ef\u00bc\u00a0', '\u00e2\u0080\u008b', 'us',
  '=?', '?=', '?q?', '?b?', '=40', '=?utf-8?q?bert=40example.net?=', '=?utf-8?q?M=C3=BCller?=', '=?utf-8?q?=40?=',
  '=?utf-7?q?+AEA-?=', '=?utf-16be?b?AEA=?=', '=?x?b?YmVydEBleGFtcGxlLm5ldA==?=', '=?undefined?q?x?=',
  '=?idna?q?=E4..x?=', '=?punycode?q?-=40?=', '=?hex?q?x?=', 'x'.repeat(80),
); // prettier-ignore
const folds = fc.constantFrom('\n ', '\n\t', '\n \n ');
const parts = (maxLength: number) =>
  fc
    .array(fc.oneof({ weight: 3, arbitrary: addresses }, signs, signs, words, folds), { maxLength })
    .map((some) => some.join(''));
/** Any, and names before an address, in quotes or not. */
const value = fc.oneof(
  parts(12),
  fc.tuple(parts(4), fc.constantFrom(...own)).map(([name, address]) => `${name} <${address}>`),
  fc.tuple(parts(4), fc.constantFrom(...own)).map(([name, address]) => `"${name}" <${address}>`),
  fc.tuple(parts(4), addresses).map(([name, address]) => `${address} (${name})`),
  fc.tuple(words, addresses).map(([name, address]) => `${name} <${address}>`),
);
const names = fc.constantFrom(
  'From', 'FROM', 'from ', 'From\t', 'Sender', 'Resent-From', 'Resent-Sender', 'To', 'Cc', 'Subject', 'Date', 'Message-ID',
  'X'.repeat(600), '', 'Fr\u00f6m', '.From', ' From',
); // prettier-ignore
const field = fc.oneof(
  { weight: 4, arbitrary: value.map((text) => `From: ${text}`) },
  { weight: 4, arbitrary: fc.tuple(names, value).map(([name, text]) => `${name}: ${text}`) },
  value,
);
const line = fc.oneof(
  { weight: 8, arbitrary: value.map((text) => text.replaceAll('\n', '')) },
  fc.constantFrom('', '..', '.x', '. ', '.\r', '\r', 'x'.repeat(65_000), 'x'.repeat(65_534)),
);
const message = fc
  .tuple(
    fc.oneof(
      { weight: 3, arbitrary: value.map((text) => [`From: ${text}`]) },
      fc.array(field, { maxLength: 4 }),
    ),
    fc.oneof({ weight: 3, arbitrary: fc.constant(['', 'x']) }, fc.array(line, { maxLength: 6 })),
  )
  .map(([fields, body]) => [
    ...headerOf(...fields.flatMap((text) => text.split('\n'))).slice(0, -2),
    ...body,
  ])
  // A dot alone is the end.
  .map((lines) => lines.filter((text) => text !== '.'));
const sender = fc.oneof(
  fc.constantFrom('', 'erika@remote.example', 'anna@example.org', 'anna'),
  senders('remote.example', 'example.org'),
);
const recipients = fc.array(
  fc.constantFrom(
    'team@example.org', 'Team+X@example.org', '@x.example:team@example.org', 'anna@example.org', 'all@example.org', 'postmaster',
    'SRS0=abcd=AB=remote.example=erika@example.org', `${'x'.repeat(240)}:team@example.org`,
  ),
  { minLength: 1, maxLength: 3 },
); // prettier-ignore
/** After how many steps the client goes; none for one that stays. */
const end = fc.oneof(
  { weight: 5, arbitrary: fc.constant(Infinity) },
  fc.integer({ min: 0, max: 12 }),
);
const client = fc.record({ sender, recipients, message, end, repeats: fc.boolean() });

interface Client {
  sender: string;
  recipients: string[];
  message: string[];
  end: number;
  repeats: boolean;
}

const counts = { messages: 0, accepted: 0, refused: 0, left: 0 };

class Left extends Error {}

/** One client's session; another may go on at the same time. */
async function play(filter: FilterProgram, login: string | undefined, of: Client): Promise<void> {
  const session = filter.session();
  try {
    if (login !== undefined) session.report('link-auth', `pass|${login}`);
    for (let left = of.repeats ? 2 : 1; left > 0; left--) {
      counts.messages++;
      const result =
        (await begun(session, of, login === undefined)) ?? (await session.data(of.message));
      if (result === undefined) {
        counts.accepted++;
        await judge(login !== undefined, of);
      } else counts.refused++;
      if (session.passed.length > 0) compare(of.message, session.passed);
    }
  } catch (error) {
    if (!(error instanceof Left)) throw error;
    counts.left++;
  } finally {
    session.disconnect();
  }
}

/** The envelope, as far as the client comes. */
async function begun(
  session: Session,
  of: Client,
  isInbound: boolean,
): Promise<string | undefined> {
  let left = of.end;
  const go = () => {
    if (left-- <= 0) throw new Left();
  };
  go();
  const refused = await session.step('mail-from', of.sender);
  if (refused) return refused;
  for (const recipient of of.recipients) {
    go();
    const unknown = await session.step('rcpt-to', recipient);
    if (unknown) return unknown;
    session.report('tx-rcpt', `00000001|ok|${recipient}`);
  }
  go();
  const full = await session.step('data');
  if (isInbound) judgeSender(of, full);
  if (full) return full;
  if (left < of.message.length) {
    for (const text of of.message.slice(0, left)) session.ask('data-line', text);
    throw new Left();
  }
  return undefined;
}

/** What the filter gives back is what it got, but for two fields, and the end of a line that is too long. */
function compare(sent: string[], passed: string[]): void {
  const added =
    /^(?:Date: \w{3}, \d\d \w{3} \d{4} [\d:]+ [+-]\d{4}|Message-ID: <[\w.]+@mail\.example\.org>)$/;
  const rest = [...passed];
  for (const text of [...sent, '.']) {
    while (rest.length > 0 && rest[0] !== text.slice(0, 65_000) && added.test(rest[0]!))
      rest.shift();
    if (rest.shift() !== text.slice(0, 65_000))
      throw new Error(`not given back: ${text.slice(0, 80)}`);
  }
  if (rest.length > 0) throw new Error(`added: ${rest.join('\n')}`);
}

/** Whether the inbound filter is right to take the sender, or to refuse it. */
function judgeSender({ sender, recipients }: Client, refusal: string | undefined): void {
  const bare = withoutRoute(sender);
  if (!isTaken(bare)) return;
  const can = outsideOf(recipients).every((to) => isPlain(rewritten(bare, domainOf(to))));
  const isRefused = refusal?.startsWith('data: 550 5.1.7 ') ?? false;
  if (!isRefused && !can) throw new Error(`forwarded, though ${sender} cannot be rewritten`);
  // Some that begin so would become addresses by chance.
  if (isRefused && can && !/^srs1=/i.test(bare))
    throw new Error(`${refusal}, though ${sender} can be rewritten`);
}

const outsideOf = (recipients: string[]) =>
  recipients.filter((to) => !/^(?:anna@|postmaster)/.test(to));

/** Whether what was taken may be taken. */
async function judge(isSubmission: boolean, of: Client): Promise<void> {
  const outside = outsideOf(of.recipients);
  const end = of.message.indexOf('');
  const head = of.message
    .slice(0, end < 0 ? undefined : end)
    .map((text) => (text.startsWith('.') ? text.slice(1) : text));
  const { from } = await simpleParser(Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'));
  const found = (from?.value ?? [])
    .flatMap(({ address, group }) => [address, ...(group ?? []).map((member) => member.address)])
    .map((address) => (address ?? '').toLowerCase());
  if (isSubmission) {
    const foreign = found.filter((address) => !own.includes(address.replace(/\+[^@]*/, '')));
    if (found.length === 0 || foreign.length > 0) throw new Error(`from ${found.join()}`);
    if (/bert@example\.net/i.test(from!.text)) throw new Error(`shown as ${from!.text}`);
    return;
  }
  if (outside.length === 0) return;
  const ours = found.filter((address) => hosted.test(address));
  if (ours.length > 0) throw new Error(`forwarded, though from ${ours.join()}`);
  // An address without one gets the host name, which is hosted.
  if (!of.sender.includes('@') && of.sender !== '') throw new Error(`forwarded, from ${of.sender}`);
}

const domainOf = (recipient: string) => recipient.split('@').slice(1).at(-1) ?? 'mail.example.org';

const inTime = async (work: Promise<unknown>): Promise<void> => {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${patience} ms`)), patience);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
};

/** Filters of one kind: another one for each failure, so that a shorter form of it is judged by itself. */
class Filters {
  private current: FilterProgram | undefined;

  constructor(private readonly make: () => FilterProgram) {}

  async use(work: (filter: FilterProgram) => Promise<void>): Promise<void> {
    const filter = (this.current ??= this.make());
    try {
      await filter.registered;
      await inTime(work(filter));
      if (filter.errors) throw new Error(filter.errors);
    } catch (error) {
      // Shorter forms of a hang are many.
      patience = 20_000;
      this.end();
      throw error;
    }
  }

  end(): void {
    this.current?.kill();
    this.current = undefined;
  }
}

async function round(seed: number): Promise<void> {
  // In memory: the submission filter waits for the disk at each message.
  const folder = mkdtempSync('/dev/shm/fuzz-');
  const options = writeTables(folder);
  try {
    for (const name of ['submission', 'inbound'] as const) {
      const filters = new Filters(() => new FilterProgram(name, options[name]));
      const login = name === 'submission' ? 'anna@example.org' : undefined;
      const before = counts.accepted;
      // Many, because each that repeats is made to wait by the filter.
      const some = fc.array(client, { minLength: 1, maxLength: 30, size: 'max' });
      const property = fc.asyncProperty(some, (clients) =>
        filters.use(async (filter) => {
          // Most with an own sender: From is of interest here.
          const all = clients.map((one) =>
            play(filter, login, login && one.message.length > 4 ? { ...one, sender: login } : one),
          );
          await Promise.all(all);
        }),
      );
      await fc.assert(property, { seed, numRuns: runs }).finally(() => filters.end());
      if (counts.accepted === before) throw new Error(`${name} accepts nothing`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function main(): Promise<void> {
  const start = Date.now();
  const first = Number(given.seed);
  let seed = first;
  do {
    await round(seed++);
    if ((seed - first) % 10 === 0 || seed === first + 1) tell(first, seed, start);
  } while (Date.now() - start < Number(given.minutes) * 60_000);
  tell(first, seed, start);
}

function tell(first: number, next: number, start: number): void {
  const minutes = ((Date.now() - start) / 60_000).toFixed(1);
  const { messages, accepted, refused, left } = counts;
  console.log(
    `${minutes} min, seeds ${first} to ${next - 1}: ${messages} messages, ${accepted} accepted, ${refused} refused, ` +
      `${left} broken off; 0 crashes, 0 hangs, 0 wrong answers`,
  );
}

void main();
