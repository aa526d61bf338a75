import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSmtpdFiles } from '../components/hostFiles/openSmtpdFiles';
import { exampleMail } from './example';

const programs = join(__dirname, '../files/usr/local/lib/mailhost/filters');
const mail = exampleMail({
  aliases: [
    { address: 'team@example.org', recipients: ['bert@example.net', 'erika@remote.example'] },
    { address: 'all@example.org', recipients: ['team@example.org'] },
    { address: 'both@example.org', recipients: ['anna@example.org', 'bert@example.net'] },
  ],
  domains: [
    { name: 'example.org' },
    { name: 'example.net', catchAll: 'bert@example.net' },
    { name: 'parked.example', parked: true },
  ],
});
const files = openSmtpdFiles(mail);
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'filters-'));
  for (const table of ['identities', 'domains', 'virtuals']) {
    writeFileSync(join(folder, table), files[`/etc/smtpd/${table}`]!.text);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What a client says; lines of the message as they are sent, without the last dot. */
interface Attempt {
  login?: string;
  from?: string;
  to?: string[];
  lines?: string[];
}

const headerOf = (...lines: string[]) => [
  'Received: by mail.example.org;',
  '\tnow',
  ...lines,
  '',
  'x',
];

/** Not node:readline: for that a carriage return alone ends a line. */
async function* linesOf(stream: AsyncIterable<string>): AsyncGenerator<string, void> {
  let pending = '';
  for await (const chunk of stream) {
    const lines = (pending + chunk).split('\n');
    pending = lines.pop()!;
    yield* lines;
  }
}

/** A filter that OpenSMTPD talks to, as far as one is concerned with it. */
class Filter {
  private readonly process: ChildProcessWithoutNullStreams;
  private readonly answers: AsyncGenerator<string, void>;
  private sessions = 0;
  errors = '';

  constructor(name: string, options: Record<string, string | number>) {
    const args = Object.entries(options).flatMap(([key, value]) => [`--${key}`, `${value}`]);
    this.process = spawn('python3', ['-B', join(programs, name), ...args]);
    this.process.stderr.on('data', (text) => (this.errors += `${text}`));
    this.answers = linesOf(this.process.stdout.setEncoding('latin1'));
    this.say('config|smtpd-version|7.6.0', 'config|ready');
  }

  say(...lines: string[]): void {
    this.process.stdin.write(lines.map((line) => `${line}\n`).join(''), 'latin1');
  }

  async answer(): Promise<string> {
    const { value, done } = await this.answers.next();
    if (done) throw new Error(`the filter ended: ${this.errors}`);
    return value;
  }

  async registered(): Promise<string[]> {
    const lines: string[] = [];
    for (let line = ''; line !== 'register|ready'; lines.push(line)) line = await this.answer();
    return lines;
  }

  /** @returns the step at which it was refused, and the words; or `accepted` */
  async send({ login, from = 'anna@example.org', to = ['erika@remote.example'], lines }: Attempt) {
    const session = (++this.sessions).toString(16).padStart(16, '0');
    const report = (event: string) => this.say(`report|0.7|1.0|smtp-in|${event}`);
    const step = async (name: string, value = '') => {
      this.say(`filter|0.7|1.0|smtp-in|${name}|${session}|00000000000000aa|${value}`);
      const line = await this.answer();
      const start = `filter-result|${session}|00000000000000aa|`;
      expect(line.startsWith(start), line).toBe(true);
      const [decision, words] = line.slice(start.length).split('|');
      return decision === 'proceed' ? undefined : `${name}: ${words}`;
    };
    try {
      if (login !== undefined) {
        report(`link-auth|${session}|fail|bert@example.net`);
        report(`link-auth|${session}|pass|${login}`);
      }
      let refused = await step('mail-from', from);
      if (refused) return refused;
      report(`tx-rcpt|${session}|00000001|permfail|refused@example.org`);
      for (const recipient of to) report(`tx-rcpt|${session}|00000001|ok|${recipient}`);
      refused = await step('data');
      if (refused) return refused;
      const data = [...(lines ?? headerOf('From: anna@example.org')), '.'];
      for (const line of data) {
        this.say(`filter|0.7|1.0|smtp-in|data-line|${session}|00000000000000aa|${line}`);
      }
      const echo: string[] = [];
      while (echo.length < data.length)
        echo.push((await this.answer()).split('|').slice(3).join('|'));
      expect(echo).toEqual(data);
      return (await step('commit')) ?? 'accepted';
    } finally {
      report(`link-disconnect|${session}`);
    }
  }

  end(): void {
    this.process.stdin.end();
  }
}

const submission = (options: Record<string, string | number> = {}) =>
  new Filter('submission', {
    'max-size': 10_000,
    'messages-per-hour': 1000,
    'recipients-per-day': 1000,
    'new-recipients-per-day': 1000,
    identities: join(folder, 'identities'),
    database: join(folder, 'sent.sqlite'),
    ...options,
  });

describe('the submission filter', () => {
  let filter: Filter;
  beforeAll(async () => {
    filter = submission();
    await filter.registered();
  });
  afterAll(() => filter.end());
  const anna = (...lines: string[]) =>
    filter.send({ login: 'anna@example.org', lines: headerOf(...lines) });

  it.each([
    'anna@example.org',
    '<anna@example.org>',
    'Anna Example <ANNA@Example.ORG>',
    'Anna Q. Example <anna@example.org>',
    '"Example, Anna" <info@example.org>',
    '"anna@example.org" <anna@example.org>',
    '=?utf-8?q?Ann=C3=A1?= <anna@example.org>',
    'anna@example.org (Anna)',
    'anna+news@example.org',
    'anna@example.org, Info <info@example.org>',
    'Anna\r\n <anna@example.org>',
  ])('takes a From of the login’s own: %s', async (value) => {
    expect(await anna(...`From: ${value}`.split('\r\n'), 'To: erika@remote.example')).toBe(
      'accepted',
    );
  });

  it.each([
    ['another’s', 'From: bert@example.net'],
    ['another’s behind a name', 'From: "anna@example.org" <bert@example.net>'],
    ['another’s beside one’s own', 'From: anna@example.org, bert@example.net'],
    ['without an angle', 'From: anna@example.org <bert@example.net>'],
    ['two addresses in one', 'From: <anna@example.org> <bert@example.net>'],
    ['a list in a group', 'From: us: anna@example.org;'],
    ['an empty group', 'From: us:;'],
    ['one in a comment', 'From: (bert@example.net) anna@example.org'],
    ['a comment inside', 'From: anna@(x)example.org'],
    ['a quoted local part', 'From: "anna"@example.org'],
    ['an encoded local part', 'From: =?utf-8?q?anna?=@example.org'],
    ['a source route', 'From: <@example.net:anna@example.org>'],
    ['no domain', 'From: anna'],
    ['no end', 'From: Anna <anna@example.org'],
    ['nothing', 'From:'],
    ['raw octets', 'From: Ann\u00e1 <anna@example.org>'],
    ['a space before the colon', 'FROM : anna@example.org'],
    ['a tab before the colon', 'From\t: anna@example.org'],
    ['no From', 'Subject: x'],
    ['two Froms', 'From: anna@example.org', 'From: anna@example.org'],
    ['two Froms, one of them hidden by a dot', 'From: anna@example.org', '.From: bert@example.net'],
    ['two Froms, one of them odd', 'From: anna@example.org', 'From : bert@example.net'],
    ['a carriage return alone', 'From: anna@example.org\rFrom: bert@example.net'],
    ['a line that is no field', 'From: anna@example.org', 'x'],
    ['another’s Sender', 'From: anna@example.org', 'Sender: bert@example.net'],
    ['another’s Resent-From', 'From: anna@example.org', 'Resent-From: bert@example.net'],
    ['another’s Resent-Sender', 'From: anna@example.org', 'Resent-Sender: bert@example.net'],
  ])('refuses %s', async (_what, ...lines) => {
    expect(await anna(...lines)).toMatch(/^commit: 550 5\.[67]\.[01] /);
  });

  it('reads the header only', async () => {
    expect(await anna('From: anna@example.org', '', 'From: bert@example.net')).toBe('accepted');
  });

  it('takes the envelope sender for what it is, and none', async () => {
    const from = (sender: string, login = 'anna@example.org') =>
      filter.send({ login, from: sender });
    expect(await from('')).toBe('accepted');
    expect(await from('Info+x@example.org')).toBe('accepted');
    expect(await from('bert@example.net')).toBe(
      'mail-from: 550 5.7.1 the envelope sender is bert@example.net, which is no address of anna@example.org',
    );
    expect(await from('@example.net:anna@example.org')).toMatch(/^mail-from: 550 /);
    expect(await from('anna@example.org', 'ANNA@example.org')).toBe('accepted');
    expect(await filter.send({})).toMatch(/^mail-from: 550 /);
  });

  it('refuses a message that is too big', async () => {
    const lines = [...headerOf('From: anna@example.org'), 'x'.repeat(9_999)];
    expect(await filter.send({ login: 'anna@example.org', lines })).toMatch(
      /^commit: 552 5\.3\.4 /,
    );
  });

  it('never lets another address through, and never ends, whatever is in From', async () => {
    const part = fc.constantFrom(
      'anna@example.org', 'bert@example.net', 'Anna', '<', '>', '"', '\\', '(', ')', ',', ';', ':', '@', ' ', '\t',
      '=?utf-8?q?bert=40example.net?=', '.', '[', ']', '\u00e1', '|',
    ); // prettier-ignore
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 8 }), async (parts) => {
        const value = parts.join('');
        const result = await anna(`From: ${value}`);
        if (result === 'accepted') {
          // Another parser reads the same.
          const { from } = await simpleParser(`From: ${value}\n\n`);
          expect(new Set(from!.value.map(({ address }) => address))).toEqual(
            new Set(['anna@example.org']),
          );
          const bare = value.replace(/"(\\.|[^"\\])*"/g, '');
          expect(bare).toContain('anna@example.org');
          expect(bare).not.toContain('bert@example.net');
        } else expect(result).toMatch(/^commit: 550 /);
      }),
      { numRuns: 500 },
    );
    expect(filter.errors).toBe('');
  });
});

describe('the limits of a login', () => {
  const people = (n: number, start = 0) =>
    Array.from({ length: n }, (_, i) => `p${start + i}@remote.example`);
  const limited = async (
    name: string,
    options: Record<string, number>,
    work: (f: Filter) => Promise<void>,
  ) => {
    const filter = submission({ database: join(folder, `${name}.sqlite`), ...options });
    await filter.registered();
    try {
      await work(filter);
    } finally {
      filter.end();
    }
  };
  const login = 'anna@example.org';

  it('ends messages an hour with the time when it may go on, for this login alone, across a restart', async () => {
    const options = { 'messages-per-hour': 2 };
    await limited('messages', options, async (filter) => {
      expect(await filter.send({ login })).toBe('accepted');
      expect(await filter.send({ login, lines: headerOf('From: bert@example.net') })).toMatch(
        / 550 /,
      );
      expect(await filter.send({ login: 'Anna@Example.org' })).toBe('accepted');
    });
    await limited('messages', options, async (filter) => {
      const before = Date.now();
      const refused = await filter.send({ login });
      const [, end] =
        /^data: 451 4\.7\.1 anna@example\.org has reached the limit of 2 messages an hour, try again after (.*) UTC$/.exec(
          refused,
        )!;
      const wait = new Date(`${end}Z`).getTime() - before;
      expect(wait).toBeGreaterThan(3500_000);
      expect(wait).toBeLessThan(3603_000);
      const from = 'bert@example.net';
      expect(await filter.send({ login: from, from, lines: headerOf(`From: ${from}`) })).toBe(
        'accepted',
      );
    });
  });

  it('counts what several sessions send at the same time', async () => {
    await limited('parallel', { 'recipients-per-day': 5 }, async (filter) => {
      expect(await filter.send({ login, to: people(3) })).toBe('accepted');
      expect(await filter.send({ login, to: people(3) })).toMatch(
        /^data: 451 .* 5 recipients a day/,
      );
      expect(await filter.send({ login, to: people(2) })).toBe('accepted');
      expect(await filter.send({ login, to: people(1) })).toMatch(/^data: 451 /);
    });
  });

  it('tells new recipients from known ones', async () => {
    await limited('new', { 'new-recipients-per-day': 3 }, async (filter) => {
      expect(await filter.send({ login, to: people(2) })).toBe('accepted');
      expect(await filter.send({ login, to: people(3) })).toBe('accepted');
      expect(await filter.send({ login, to: people(1, 10) })).toMatch(
        /451 .* 3 new recipients a day/,
      );
      expect(await filter.send({ login, to: people(3) })).toBe('accepted');
      expect(await filter.send({ login, to: people(4, 20) })).toMatch(
        /^data: 550 .* the limit of 3 new/,
      );
    });
  });

  it('forgets what is out of its window', async () => {
    const path = join(folder, 'old.sqlite');
    await limited(
      'old',
      { 'messages-per-hour': 1, 'new-recipients-per-day': 1 },
      async (filter) => {
        expect(await filter.send({ login })).toBe('accepted');
        expect(await filter.send({ login })).toMatch(/451/);
        const python = (code: string) =>
          execFileSync(
            'python3',
            [
              '-c',
              `import sqlite3; db = sqlite3.connect(${JSON.stringify(path)}); ${code}; db.commit()`,
            ],
            { encoding: 'utf8' },
          );
        python(
          "db.execute('UPDATE messages SET time = time - 86401'); db.execute('UPDATE recipients SET first = first - 86401, last = last - 367 * 86400'); db.execute('UPDATE notices SET time = time - 86401')",
        );
        expect(await filter.send({ login, to: people(1) })).toBe('accepted');
        expect(
          python(
            "print(*db.execute('SELECT COUNT(*) FROM messages UNION ALL SELECT COUNT(*) FROM recipients'))",
          ),
        ).toBe('(1,) (1,)\n');
      },
    );
  });

  it('holds mail back while it cannot count, and goes on when it can', async () => {
    const path = join(folder, 'broken.sqlite');
    writeFileSync(path, 'no database'.repeat(100));
    await limited('broken', {}, async (filter) => {
      expect(await filter.send({ login })).toMatch(/^data: 451 4\.3\.0 /);
      rmSync(path);
      expect(await filter.send({ login })).toBe('accepted');
      expect(filter.errors).toContain('file is not a database');
    });
  });
});

describe('the inbound filter', () => {
  let filter: Filter;
  beforeAll(async () => {
    filter = new Filter('inbound', {
      'max-size': 10_000,
      domains: join(folder, 'domains'),
      virtuals: join(folder, 'virtuals'),
    });
    await filter.registered();
  });
  afterAll(() => filter.end());
  const from = (author: string, ...to: string[]) =>
    filter.send({ from: 'erika@remote.example', to, lines: headerOf(`From: ${author}`) });

  it('takes mail for mailboxes, whoever it says that it is from', async () => {
    for (const to of [
      'anna@example.org',
      'both@example.org',
      'postmaster@example.net',
      'bert+x@example.net',
    ]) {
      expect(await from('anna@example.org', to), to).toBe('accepted');
    }
    expect(await from('us: anna@example.org;', 'anna@example.org')).toBe('accepted');
  });

  it('takes mail of others for an address that leads to other systems', async () => {
    expect(await from('Erika <erika@remote.example>', 'team@example.org')).toBe('accepted');
  });

  it('refuses what claims to be ours and would go out again', async () => {
    for (const to of [
      'team@example.org',
      'Team+x@Example.org',
      'all@example.org',
      'SRS0=abcd=AB=remote.example=erika@example.org',
      'SRS1=abcd=x==y@example.org',
    ]) {
      // prettier-ignore
      for (const author of ['anna@example.org', 'x@example.net', 'x@sub.example.org', 'erika@remote.example, anna@example.org']) {
        expect(await from(author, 'anna@example.org', to), to).toMatch(/^commit: 550 5\.7\.1 /);
      }
    }
    expect(await from('Group: erika@remote.example;', 'team@example.org')).toMatch(
      /^commit: 550 5\.6\.0/,
    );
    expect(
      await filter.send({
        to: ['team@example.org'],
        lines: headerOf('From: erika@remote.example'),
      }),
    ).toMatch(/^commit: 550 5\.7\.1 .* mail from anna@example\.org /);
    expect(await from('anna@notexample.org', 'team@example.org')).toBe('accepted');
  });

  it('refuses more than one From, however it is written', async () => {
    for (const second of [
      'From: x@remote.example',
      'FROM : x@remote.example',
      'from\t: x@remote.example',
      '.From: x@y.example',
    ]) {
      const lines = headerOf('From: erika@remote.example', second);
      expect(await filter.send({ to: ['anna@example.org'], lines })).toMatch(
        /^commit: 550 5\.6\.0 /,
      );
    }
  });
});
