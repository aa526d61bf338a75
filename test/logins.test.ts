import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dovecot } from '../components/daemons/dovecot';
import { loginNames } from '../components/daemons/logins';
import { openSmtpd } from '../components/daemons/openSmtpd';
import { example, exampleMail, filesOf, hash, secretFilesOf } from './example';

const domains = [{ name: 'example.org' }, { name: 'example.net' }, { name: 'bücher.example' }];
const accounts = [
  ...example.accounts!,
  { address: 'post@example.org', passwordHash: hash },
  { address: 'post@example.net', passwordHash: hash, aliases: ['info@example.net'] },
  { address: 'two@example.net', passwordHash: hash },
  { address: 'two@bücher.example', passwordHash: hash, aliases: ['zwei@bücher.example'] },
];
const aliases = [
  { address: 'sales@example.org', recipients: ['bert@example.net'] },
  { address: 'chain@example.org', recipients: ['sales@example.org'] },
  { address: 'team@example.org', recipients: ['anna@example.org', 'bert@example.net'] },
  { address: 'of-team@example.org', recipients: ['team@example.org'] },
  { address: 'away@example.org', recipients: ['erika@remote.example'] },
  { address: 'both@example.org', recipients: ['anna@example.org', 'erika@remote.example'] },
];
const mail = (accountKind: 'virtual' | 'system') =>
  exampleMail(
    accountKind === 'virtual'
      ? { accountKind, domains, accounts, aliases }
      : { accountKind, aliases },
  );

describe('the names that an account logs in with', () => {
  it.each([
    ['info@example.org', 'anna@example.org'],
    ['info', 'anna@example.org'],
    ['abuse@example.net', 'anna@example.org'],
    ['sales@example.org', 'bert@example.net'],
    ['chain@example.org', 'bert@example.net'],
    ['anna', 'anna@example.org'],
    ['bert', 'bert@example.net'],
    ['post', 'post@example.org'],
    ['two@bücher.example', 'two@xn--bcher-kva.example'],
    ['zwei@bücher.example', 'two@xn--bcher-kva.example'],
    ['zwei@xn--bcher-kva.example', 'two@xn--bcher-kva.example'],
    ['zwei', 'two@xn--bcher-kva.example'],
    // Which of two is not known.
    ['two', undefined],
    // Several people's, or nobody's here.
    ['team@example.org', undefined],
    ['of-team@example.org', undefined],
    ['away@example.org', undefined],
    ['both@example.org', undefined],
    // Roles that nobody was given as an alias.
    ['postmaster@example.org', undefined],
    // Names that are the user's own.
    ['anna@example.org', undefined],
  ])('%s is %s', (name, user) => {
    expect(loginNames(mail('virtual')).get(name)).toBe(user);
  });

  it('have no domain where accounts are system users', () => {
    expect(Object.fromEntries(loginNames(mail('system')))).toEqual({
      info: 'anna',
      abuse: 'anna',
      sales: 'bert',
      chain: 'bert',
    });
  });

  it('say the same to both daemons', () => {
    for (const kind of ['virtual', 'system'] as const) {
      const lines = (text: string) => text.split('\n').filter((line) => line !== '');
      const ofDovecot = lines(filesOf(dovecot, mail(kind))['/etc/dovecot/logins']!.text)
        .map((line) => /^([^:]+):{7}user=(\S+) noauthenticate$/.exec(line)!.slice(1))
        .filter(([name, user]) => name !== user);
      const smtpd = lines(filesOf(openSmtpd, mail(kind))['/etc/smtpd/logins']!.text);
      expect(smtpd.map((line) => line.split(' '))).toEqual(ofDovecot);
      expect(smtpd.length).toBeGreaterThan(3);
    }
  });
});

describe('the table of OpenSMTPD', () => {
  let folder: string;
  const program = join(__dirname, '../files/usr/libexec/opensmtpd/table-accounts');
  const modules = join(__dirname, '../files/usr/local/lib/mailhost/filters');

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'logins-'));
    for (const kind of ['virtual', 'system'] as const) {
      mkdirSync(join(folder, kind));
      const credentials = mail(kind).accounts.map(({ address }, i) => ({
        address,
        passwordHash: `$6$${i}$of-${address}`,
      }));
      writeFileSync(
        join(folder, kind, 'credentials'),
        secretFilesOf(openSmtpd, { credentials }, mail(kind))['/etc/smtpd/credentials']!.text,
      );
      writeFileSync(
        join(folder, kind, 'logins'),
        filesOf(openSmtpd, mail(kind))['/etc/smtpd/logins']!.text,
      );
      // As on the host, but for where its files lie.
      writeFileSync(
        join(folder, kind, 'table'),
        readFileSync(program, 'utf8')
          .replace('/usr/local/lib/mailhost/filters', modules)
          .replace('Logins(hashes)', `Logins(hashes, "${join(folder, kind, 'logins')}")`),
      );
    }
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /** OpenSMTPD's side of the conversation: one request at a time, in one write. */
  async function conversation(kind: 'virtual' | 'system', requests: string[]): Promise<string[]> {
    const table = spawn('python3', [
      '-B',
      join(folder, kind, 'table'),
      join(folder, kind, 'credentials'),
    ]);
    const answers: string[] = [];
    let errors = '';
    table.stderr.on('data', (text) => (errors += `${text}`));
    const answered = async () => {
      for await (const chunk of table.stdout
        .setEncoding('utf8')
        .iterator({ destroyOnReturn: false })) {
        return (chunk as string).trimEnd();
      }
      throw new Error(`the table ended: ${errors}`);
    };
    table.stdin.write(
      'config|smtpd-version|7.6.0-portable\nconfig|protocol|0.1\nconfig|tablename|credentials\nconfig|ready\n',
    );
    expect(await answered()).toBe('register|credentials\nregister|ready');
    for (const request of requests) {
      table.stdin.write(`table|0.1|1796016593.123456|credentials|${request}\n`);
      answers.push(await answered());
    }
    table.stdin.end();
    expect(errors).toBe('');
    return answers;
  }
  const lookups = async (kind: 'virtual' | 'system', names: string[]) =>
    (
      await conversation(
        kind,
        names.map((name) => `lookup|credentials|0000abcd|${name}`),
      )
    ).map((answer) => answer.replace('lookup-result|0000abcd|', ''));

  it('has the hash of an account by each of its names', async () => {
    const anna = ['anna@example.org', 'anna', 'info@example.org', 'info', 'info+x@example.org'];
    const tagged = ['anna+news@example.org', 'anna+', ' anna@example.org', 'anna@example.org '];
    for (const found of await lookups('virtual', [...anna, ...tagged])) {
      expect(found).toMatch(/^found\|\$6\$\d\$of-anna@example.org$/);
    }
    const others = [
      'team@example.org',
      'nobody@example.org',
      'anna@wrong.example',
      '',
      '@',
      '+x',
      'a|b',
    ];
    expect(new Set(await lookups('virtual', others))).toEqual(new Set(['not-found']));
  });

  it('takes system users by their local part, at whatever domain', async () => {
    const names = ['anna', 'anna@example.org', 'anna+x@example.net', 'info@example.org', 'info'];
    for (const found of await lookups('system', names)) {
      expect(found).toMatch(/^found\|\$6\$\d\$of-anna@example.org$/);
    }
  });

  it('takes it in when its files are others, and knows no other kind of request', async () => {
    expect(
      await conversation('virtual', [
        'update|00000001',
        'check|credentials|00000002|anna@example.org',
        'check|credentials|00000003|nobody',
        'fetch|credentials|00000004',
      ]),
    ).toEqual([
      'update-result|00000001|ok',
      'check-result|00000002|found',
      'check-result|00000003|not-found',
      'fetch-result|00000004|not-found',
    ]);
  });

  it('gives one answer to each request, whatever a stranger has for a name', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc
            .array(fc.constantFrom(...'a|\n+@ ü', 'table|0.1|1|c|lookup|credentials|2|x'))
            .map((parts) => parts.join('')),
          { minLength: 1, maxLength: 5 },
        ),
        async (names) => {
          const answers = await lookups('virtual', names);
          expect(answers).toEqual(names.map(() => 'not-found'));
        },
      ),
      { numRuns: 15, seed: 1 },
    );
  });
});

describe('the submission filter’s view of a login', () => {
  /** vis(3) with VIS_WHITE and VIS_SAFE, as OpenSMTPD gives it to filters. */
  const vis = (text: string) =>
    [...Buffer.from(text)]
      .map((octet) => {
        const letter = (code: number) => String.fromCharCode(code);
        if (octet === 0x5c) return '\\\\';
        if (octet > 0x20 && octet < 0x7f) return letter(octet);
        if (octet === 0x20) return '\\040';
        if (octet >= 0xa1 && octet < 0xff) return `\\M-${letter(octet & 0x7f)}`;
        if (octet >= 0x80) return octet === 0xa0 ? '\\240' : `\\M^${letter((octet & 0x7f) ^ 0x40)}`;
        return `\\^${letter(octet ^ 0x40)}`;
      })
      .join('');

  it('has each name as the client gave it', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 20 }), (names) => {
        const { stdout } = spawnSync(
          'python3',
          [
            '-B',
            '-c',
            `import json, sys
sys.path.insert(0, sys.argv[1])
from logins import unvis
print(json.dumps([unvis(name) for name in json.load(sys.stdin)]))`,
            join(__dirname, '../files/usr/local/lib/mailhost/filters'),
          ],
          { input: JSON.stringify(names.map(vis)), encoding: 'utf8' },
        );
        expect(JSON.parse(stdout)).toEqual(names.map((name) => Buffer.from(name).toString()));
      }),
      { numRuns: 20, seed: 1 },
    );
  });
});
