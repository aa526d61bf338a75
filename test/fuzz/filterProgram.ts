import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openSmtpd } from '../../components/daemons/openSmtpd';
import { example, exampleMail, filesOf } from '../example';

const programs = join(__dirname, '../../files/usr/local/lib/mailhost/filters');
const token = '00000000000000aa';

/** What OpenSMTPD reads a filter's answer into (IOBUF_MAX). Where the end of the line is not among it, it spins for ever. */
const answerBuffer = 65_536;

/** Writes the tables of an example with an alias that leads elsewhere; gives the options that name them. */
export function writeTables(folder: string): Record<'submission' | 'inbound', Options> {
  const files = filesOf(
    openSmtpd,
    exampleMail({
      accounts: [
        ...example.accounts!.slice(0, 1),
        { ...example.accounts![1]!, sendAs: ["o'example@example.org", 'r&d@example.org'] },
      ],
      aliases: [
        { address: 'team@example.org', recipients: ['bert@example.net', 'erika@remote.example'] },
        { address: 'all@example.org', recipients: ['team@example.org'] },
        { address: 'both@example.org', recipients: ['anna@example.org', 'bert@example.net'] },
        { address: 'apart@example.org', recipients: ["o'brien@remote.example"] },
        {
          address: 'many@example.org',
          recipients: [
            ...Array.from({ length: 100 }, (_, i) => `bert+a-long-tag-${i}@example.net`),
            'zoe@remote.example',
          ],
        },
        {
          address: 'ours@example.org',
          recipients: Array.from({ length: 100 }, (_, i) => `bert+a-long-tag-${i}@example.net`),
        },
      ],
      domains: [
        { name: 'example.org' },
        { name: 'example.net', catchAll: 'bert@example.net' },
        { name: 'straße.example' },
        { name: 'gasse.example' },
        { name: 'parked.example', parked: true },
      ],
    }),
  );
  for (const table of ['identities', 'logins', 'domains', 'virtuals']) {
    writeFileSync(join(folder, table), files[`/etc/smtpd/${table}`]!.text);
  }
  writeFileSync(
    join(folder, 'credentials'),
    'anna@example.org $6$anna\nbert@example.net $6$bert\n',
  );
  return {
    submission: {
      'max-size': 10_000,
      'messages-per-hour': 1e9,
      'recipients-per-day': 1e9,
      'new-recipients-per-day': 1e9,
      identities: join(folder, 'identities'),
      logins: join(folder, 'logins'),
      credentials: join(folder, 'credentials'),
      domains: join(folder, 'domains'),
      virtuals: join(folder, 'virtuals'),
      database: join(folder, 'sent.sqlite'),
    },
    inbound: {
      'max-size': 10_000,
      domains: join(folder, 'domains'),
      virtuals: join(folder, 'virtuals'),
    },
  };
}

type Options = Record<string, string | number>;

/** What a client says; lines of the message as they are sent, without the last dot. */
export interface Attempt {
  login?: string;
  from?: string;
  to?: string[];
  lines?: string[];
}

export const headerOf = (...lines: string[]) => [
  'Received: by mail.example.org;',
  '\tnow',
  ...lines,
  '',
  'x',
];

/** A filter that OpenSMTPD talks to, as far as one is concerned with it (smtpd-filters(7)). */
export class FilterProgram {
  private readonly process: ChildProcessWithoutNullStreams;
  private readonly open = new Map<string, Session>();
  private sessions = 0;
  private pending = '';
  private ready: (lines: string[]) => void = () => undefined;
  private readonly registrations: string[] = [];
  /** Resolves to what it registers for. */
  readonly registered: Promise<string[]>;
  /** The lines of the last message, as the filter gave them back. */
  passed: string[] = [];
  errors = '';

  constructor(name: string, options: Options) {
    const args = Object.entries(options).flatMap(([key, value]) => [`--${key}`, `${value}`]);
    // With its errors in the order of its answers.
    const command = ['-c', 'exec "$@" 2>&1', 'filter', 'python3', '-B', join(programs, name)];
    this.process = spawn('sh', [...command, ...args]);
    this.process.stdout.setEncoding('latin1').on('data', (text: string) => this.read(text));
    this.process.on('close', () => {
      for (const session of this.open.values()) session.fail(`the filter ended: ${this.errors}`);
    });
    this.process.stdin.on('error', () => undefined);
    this.registered = new Promise((resolve) => (this.ready = resolve));
    this.say('config|smtpd-version|7.6.0', 'config|admd|mail.example.org', 'config|ready');
  }

  say(...lines: string[]): void {
    this.process.stdin.write(lines.map((line) => `${line}\n`).join(''), 'latin1');
  }

  session(): Session {
    const id = (++this.sessions).toString(16).padStart(16, '0');
    const session = new Session(this, id, () => this.open.delete(id));
    this.open.set(id, session);
    return session;
  }

  /** @returns the step at which it was refused, and the words; or `accepted` */
  async send({ login, from = 'anna@example.org', to = ['erika@remote.example'], lines }: Attempt) {
    const session = this.session();
    try {
      if (login !== undefined) {
        session.report('link-auth', 'fail|bert@example.net');
        session.report('link-auth', `pass|${login}`);
      }
      return (
        (await session.envelope(from, to)) ??
        (await session.data(lines ?? headerOf('From: anna@example.org'))) ??
        'accepted'
      );
    } finally {
      this.passed = session.passed;
      session.disconnect();
    }
  }

  end(): void {
    this.process.stdin.end();
  }

  /** Ends it whatever it does. */
  kill(): void {
    this.process.kill('SIGKILL');
  }

  private read(text: string): void {
    const lines = (this.pending + text).split('\n');
    this.pending = lines.pop()!;
    for (const line of lines) {
      if (line.startsWith('register|')) {
        this.registrations.push(line);
        if (line === 'register|ready') this.ready(this.registrations);
        continue;
      }
      const [kind, id, given, ...rest] = line.split('|');
      if (kind !== 'filter-result' && kind !== 'filter-dataline') {
        this.errors += `${line}\n`;
        continue;
      }
      const session = this.open.get(id!);
      // One that has gone may still be answered.
      if (session === undefined) continue;
      if (line.length >= answerBuffer) session.fail(`${line.length} octets for an answer`);
      else if (given !== token) session.fail(`no token in ${line}`);
      else session.take(kind, rest.join('|'));
    }
  }
}

/** A connection of a client. */
export class Session {
  private readonly answers: [kind: string, text: string][] = [];
  private failure?: Error;
  private change: () => void = () => undefined;
  /** The lines of the last message, as the filter gave them back. */
  passed: string[] = [];

  constructor(
    private readonly filter: FilterProgram,
    readonly id: string,
    private readonly close: () => void,
  ) {}

  report(event: string, values: string): void {
    this.filter.say(`report|0.7|1.0|smtp-in|${event}|${this.id}|${values}`);
  }

  disconnect(): void {
    this.filter.say(`report|0.7|1.0|smtp-in|link-disconnect|${this.id}`);
    this.close();
  }

  /** Asks, without waiting for the answer. */
  ask(step: string, value = ''): void {
    this.filter.say(`filter|0.7|1.0|smtp-in|${step}|${this.id}|${token}|${value}`);
  }

  /** @returns undefined, or the step and the words of a refusal */
  async step(name: string, value = ''): Promise<string | undefined> {
    this.ask(name, value);
    return this.result(name);
  }

  async result(name: string): Promise<string | undefined> {
    const [kind, text] = await this.answer();
    if (kind !== 'filter-result') throw new Error(`${name}: ${kind}`);
    if (text === 'proceed') return undefined;
    const refused = /^(?:reject|disconnect)\|([45]\d\d \d\.\d\.\d [ -~]+)$/.exec(text);
    if (!refused) throw new Error(`${name}: ${text}`);
    return `${name}: ${refused[1]}`;
  }

  get isAnswered(): boolean {
    return this.answers.length > 0;
  }

  async envelope(from: string, to: string[]): Promise<string | undefined> {
    const refused = await this.step('mail-from', from);
    if (refused) return refused;
    this.report('tx-rcpt', '00000001|permfail|refused@example.org');
    for (const recipient of to) {
      const unknown = await this.step('rcpt-to', recipient);
      if (unknown) return unknown;
      this.report('tx-rcpt', `00000001|ok|${recipient}`);
    }
    return this.step('data');
  }

  async data(lines: string[]): Promise<string | undefined> {
    for (const line of [...lines, '.']) this.ask('data-line', line);
    this.passed = [];
    while (this.passed.at(-1) !== '.') {
      const [kind, text] = await this.answer();
      if (kind !== 'filter-dataline') throw new Error(`in the message: ${kind}`);
      this.passed.push(text);
    }
    return this.step('commit');
  }

  take(kind: string, text: string): void {
    this.answers.push([kind, text]);
    this.change();
  }

  fail(reason: string): void {
    this.failure ??= new Error(reason);
    this.change();
  }

  private async answer(): Promise<[kind: string, text: string]> {
    for (;;) {
      const answer = this.answers.shift();
      if (answer) return answer;
      if (this.failure) throw this.failure;
      await new Promise<void>((resolve) => (this.change = resolve));
    }
  }
}
