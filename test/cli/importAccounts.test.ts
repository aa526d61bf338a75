import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { changesText, configChanges, readStack } from '../../cli/import/changes';
import { passwordOf } from '../../cli/import/hashes';
import { readOldHost, type Format, type OldFiles } from '../../cli/import/readers';
import { parseSettings } from '../../components/settings/parse';

const sha512 = `$6$saltsaltsaltsalt$${'a'.repeat(86)}`;
const sha256 = `$5$saltsalt$${'a'.repeat(43)}`;
const bcrypt = `$2y$05$${'a'.repeat(53)}`;
const yescrypt = `$y$j9T$saltsalt$${'a'.repeat(43)}`;

describe('a password', () => {
  it.each([
    [`{SHA512-CRYPT}${sha512}`, sha512],
    [`{sha512-crypt}${sha512}`, sha512],
    [`{SHA256-CRYPT}${sha256}`, sha256],
    [`{BLF-CRYPT}${bcrypt}`, bcrypt],
    [`{CRYPT}${yescrypt}`, yescrypt],
    [sha512, sha512],
    [yescrypt, yescrypt],
    [bcrypt.replace('2y', '2b'), bcrypt.replace('2y', '2b')],
  ])('%s is taken, in a form that the settings take', (field, hash) => {
    expect(passwordOf(field)).toEqual({ hash });
    const settings = {
      hostName: 'mail.example.org',
      domains: [{ name: 'example.org' }],
      accounts: [{ address: 'anna@example.org', passwordHash: hash }],
      postmaster: 'anna@example.org',
      tls: { issuer: 'selfSigned' },
    };
    expect(() => parseSettings(settings)).not.toThrow();
  });

  it.each([
    ['{SSHA}c2VjcmV0c2VjcmV0', 'has a password in the form {SSHA}'],
    ['{SSHA512}c2VjcmV0c2VjcmV0', 'has a password in the form {SSHA512}'],
    ['{PLAIN-MD5}c2VjcmV0', 'has a password in the form {PLAIN-MD5}'],
    ['{MD5-CRYPT}$1$secret$secret', 'has a password in the form {MD5-CRYPT}'],
    ['{ARGON2ID}$argon2id$secret', 'has a password in the form {ARGON2ID}'],
    ['{SHA512-CRYPT.B64}c2VjcmV0', 'has a password in the form {SHA512-CRYPT.B64}'],
    ['{PLAIN}secret', 'has its password in plain text'],
    ['$1$secret$secret', 'has a password in MD5'],
    ['$argon2id$secret', 'has a password in Argon2'],
    ['secretsecret1', 'has a password in DES'],
    ['secret', 'has a password in an unknown form'],
    [`!${sha512}`, 'has no password'],
    ['*', 'has no password'],
    ['', 'has no password'],
  ])('%s is not taken, and not shown', (field, problem) => {
    const found = passwordOf(field) as { problem: string };
    expect(found.problem).toContain(problem);
    expect(found.problem).toContain('openssl passwd -6');
    expect(found.problem).not.toMatch(/secret|c2Vj/);
  });
});

describe('an old host', () => {
  it.each<[string, Format, OldFiles, ReturnType<typeof readOldHost>]>([
    [
      'passwd-file',
      'dovecot',
      {
        accounts: `# users\nAnna@Example.org:{SHA512-CRYPT}${sha512}:5000:5000::/var/mail/anna::userdb_quota_rule=*:storage=5G\nbert@example.org:{SSHA}AAAA::::::\ncarl:${sha512}\n`,
      },
      {
        accounts: [{ address: 'anna@example.org', hash: sha512, quota: 5120 }],
        aliases: [],
        problems: [
          'bert@example.org has a password in the form {SSHA}: give the account a new password, by `openssl passwd -6`',
          'carl has no domain: name one by --domain',
        ],
      },
    ],
    [
      'passwd-file of 2.4',
      'dovecot',
      { accounts: `anna@example.org:${bcrypt}:::::: quota_storage_size=500M` },
      {
        accounts: [{ address: 'anna@example.org', hash: bcrypt, quota: 500 }],
        ...{ aliases: [], problems: [] },
      },
    ],
    [
      'shadow',
      'shadow',
      {
        accounts: `root:*:19000:0:99999:7:::\ndaemon:!:1::::::\nnew:!!:1::::::\nanna:${yescrypt}:19000:0:99999:7:::\nbert:!${sha512}:19000::::::\n`,
        domain: 'example.org',
      },
      {
        accounts: [{ address: 'anna@example.org', hash: yescrypt }],
        aliases: [],
        problems: [
          'bert@example.org has no password: give the account a new password, by `openssl passwd -6`',
        ],
      },
    ],
    [
      'docker-mailserver',
      'docker-mailserver',
      {
        accounts: `anna@example.org|{SHA512-CRYPT}${sha512}\nbert@example.org|{SHA512-CRYPT}${sha512}|userdb_x=1\nanna@example.org|x\n`,
        aliases: `info@example.org anna@example.org,bert@example.org\nanna@example.org anna@example.org\nbert@example.org bert@example.org x@remote.example\n@example.org anna@example.org\nbroken\n`,
        quotas: 'anna@example.org:1G\nbert@example.org:many\n',
      },
      {
        accounts: [
          { address: 'anna@example.org', hash: sha512, quota: 1024 },
          { address: 'bert@example.org', hash: sha512 },
        ],
        aliases: [
          { address: 'info@example.org', recipients: ['anna@example.org', 'bert@example.org'] },
        ],
        problems: [
          'bert@example.org has the quota many, which is not read: set its quota',
          'anna@example.org is there twice: the first one is taken',
          'bert@example.org is an account that forwards to bert@example.org, x@remote.example: have it do so by a Sieve script',
          '@example.org is a catch-all for anna@example.org: set catchAll of the domain',
          'the alias broken is not read: add it to aliases',
        ],
      },
    ],
  ])('is read from a file of %s', (_, format, files, expected) => {
    expect(readOldHost(format, files)).toEqual(expected);
  });
});

describe('the settings', () => {
  const old = {
    accounts: [
      { address: 'anna@example.org', hash: sha512, quota: 500 },
      { address: 'bert@example.net', hash: sha256 },
    ],
    aliases: [
      { address: 'info@example.org', recipients: ['anna@example.org', 'x@remote.example'] },
    ],
    problems: ['carl has no password'],
  };

  it('of a new stack prepare the domains, too', () => {
    const changes = configChanges(old, readStack(''));
    expect(changes).toEqual({
      plain: [
        ['mailhost:domains[0].name', 'example.org'],
        ['mailhost:domains[0].delivery', 'elsewhere'],
        ['mailhost:domains[1].name', 'example.net'],
        ['mailhost:domains[1].delivery', 'elsewhere'],
        ['mailhost:accounts[0].address', 'anna@example.org'],
        ['mailhost:accounts[0].quota', '500'],
        ['mailhost:accounts[1].address', 'bert@example.net'],
        ['mailhost:aliases[0].address', 'info@example.org'],
        ['mailhost:aliases[0].recipients[0]', 'anna@example.org'],
        ['mailhost:aliases[0].recipients[1]', 'x@remote.example'],
      ],
      secret: [
        ['mailhost:accounts[0].passwordHash', sha512],
        ['mailhost:accounts[1].passwordHash', sha256],
      ],
      there: [],
    });
    const text = changesText(changes, old.problems);
    expect(text).toContain('mailhost:accounts[0].passwordHash (secret)');
    expect(text).toContain('carl has no password');
    expect(text).not.toContain('$');
  });

  it('that are there stay as they are, and an import that was interrupted goes on', () => {
    const stack = readStack(`config:
  mailhost:domains: [{name: example.org}, {name: example.net}]
  mailhost:accounts:
    - {address: Anna@example.org, passwordHash: {secure: v1:x}}
    - {address: bert@example.net}
  mailhost:aliases: [{address: info@example.org, recipients: [bert@example.net]}]
`);
    expect(configChanges(old, stack)).toEqual({
      plain: [],
      secret: [['mailhost:accounts[1].passwordHash', sha256]],
      there: ['anna@example.org', 'info@example.org'],
    });
  });

  it('are refused where a list is encrypted as a whole', () => {
    expect(() => readStack('config:\n  mailhost:accounts:\n    secure: v1:x\n')).toThrow(
      'mailhost:accounts is not a list that can be read',
    );
  });
});

describe('mailhost import-accounts', () => {
  const root = join(__dirname, '..', '..');
  const folder = mkdtempSync(join(tmpdir(), 'import-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  // Writes down what it is called with, apart from what it reads.
  writeFileSync(
    join(folder, 'pulumi'),
    `#!/bin/sh\n[ "$2" = stack ] && echo dev\n[ "$2" = config ] && { echo "$*" >> ${folder}/arguments; cat >> ${folder}/input; echo >> ${folder}/input; }\nexit 0\n`,
    { mode: 0o755 },
  );
  writeFileSync(join(folder, 'accounts'), `anna@example.org|{SHA512-CRYPT}${sha512}\n`);
  const mailhost = (...words: string[]) =>
    spawnSync(
      process.execPath,
      [
        '--import',
        join(root, 'node_modules/tsx/dist/loader.mjs'),
        join(root, 'cli/main.ts'),
        'import-accounts',
        ...words,
      ],
      {
        cwd: folder,
        encoding: 'utf8',
        env: { ...process.env, PATH: `${folder}${delimiter}${process.env.PATH}` },
      },
    );
  const written = (file: string) => readFileSync(join(folder, file), 'utf8');

  it('prints what it would set, and sets it where it is told to, secrets by standard input', () => {
    const words = ['--from', 'docker-mailserver', 'accounts'];
    const { status, stdout, stderr } = mailhost(...words);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain('mailhost:accounts[0].address anna@example.org');
    expect(existsSync(join(folder, 'arguments'))).toBe(false);

    expect(mailhost(...words, '--set')).toMatchObject({ status: 0, stdout });
    expect(written('arguments')).not.toContain('$6$');
    expect(written('arguments').trim().split('\n')).toEqual([
      '--non-interactive config set-all --stack dev --path --plaintext mailhost:domains[0].name=example.org --plaintext mailhost:domains[0].delivery=elsewhere --plaintext mailhost:accounts[0].address=anna@example.org',
      '--non-interactive config set --stack dev --path --secret mailhost:accounts[0].passwordHash',
    ]);
    expect(written('input').trim()).toBe(sha512);
  });

  it('tells by its exit status what it could not take', () => {
    writeFileSync(join(folder, 'bad'), 'anna@example.org|{SSHA}AAAA\n');
    expect(mailhost('--from', 'docker-mailserver', 'bad').status).toBe(2);
    expect(mailhost('--from', 'docker-mailserver', 'none').status).toBe(1);
    expect(mailhost('--from', 'other', 'bad').status).toBe(1);
  });
});
