import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
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

const folder = mkdtempSync(join(tmpdir(), 'import-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The paths of files with these texts. */
const written = <Texts extends Record<string, string | undefined>>(texts: Texts) =>
  Object.fromEntries(
    Object.entries(texts).map(([name, text]) => {
      const path = join(folder, `old-${name}`);
      writeFileSync(path, text ?? '');
      return [name, path];
    }),
  ) as { [name in keyof Texts]: string };

// As mariadb-dump 11 writes it, and mysqldump where all columns are named.
const mailcowDump = `-- MariaDB dump
CREATE TABLE \`mailbox\` (
  \`username\` varchar(255) NOT NULL,
  \`password\` varchar(255) NOT NULL,
  \`name\` varchar(255) DEFAULT NULL,
  \`quota\` bigint(20) NOT NULL DEFAULT 102400,
  \`attributes\` longtext CHARACTER SET utf8mb4 DEFAULT NULL,
  \`kind\` varchar(100) NOT NULL DEFAULT '',
  \`authsource\` enum('mailcow','keycloak') DEFAULT 'mailcow',
  \`active\` tinyint(1) NOT NULL DEFAULT 1,
  PRIMARY KEY (\`username\`)
) ENGINE=InnoDB;
INSERT INTO \`mailbox\` VALUES
('anna@example.org','{BLF-CRYPT}${bcrypt}','Anna (a), b; \\'c\\' \\\\',3221225472,_binary '{"a": "b''c\\n"}','','mailcow',1),
('o\\'neil@example.org','{BLF-CRYPT}${bcrypt}',NULL,0,NULL,'',NULL,1),
('room@example.org','x','Room',0,'{}','location','mailcow',1),
('gone@example.org','{BLF-CRYPT}${bcrypt}','',0,'{}','','mailcow',0),
('sso@example.org','x','',0,'{}','','keycloak',1);
INSERT INTO \`alias\` (\`id\`, \`address\`, \`goto\`, \`internal\`, \`active\`) VALUES (1,'anna@example.org','anna@example.org',0,1),(2,'team@example.org','anna@example.org,o\\'neil@example.org',0,1);
INSERT INTO \`alias\` (\`id\`, \`address\`, \`goto\`, \`internal\`, \`active\`) VALUES (3,'@example.org','anna@example.org',0,1),(4,'staff@example.org','team@example.org',1,1),(5,'drop@example.org','null@localhost',0,1);
INSERT INTO \`alias_domain\` (\`alias_domain\`, \`target_domain\`, \`active\`) VALUES ('example.net','example.org',1);
INSERT INTO \`quarantine\` VALUES (1,'INSERT INTO \`mailbox\` VALUES (');
`;

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
        ...{ aliases: [], catchAlls: [] },
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
        ...{ aliases: [], catchAlls: [], problems: [] },
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
        ...{ aliases: [], catchAlls: [] },
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
        aliases: `info@example.org anna@example.org,bert@example.org\nanna@example.org anna@example.org\nbert@example.org bert@example.org x@remote.example\n@example.org anna@example.org\n@example.net x@remote.example\nbroken\n`,
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
        catchAlls: [{ domain: 'example.org', address: 'anna@example.org' }],
        problems: [
          'bert@example.org has the quota many, which is not read: set its quota',
          'anna@example.org is there twice: the first one is taken',
          'bert@example.org is an account that forwards to bert@example.org, x@remote.example: have it do so by a Sieve script',
          'the alias broken for nobody is not read: add it to aliases',
          '@example.net is a catch-all for x@remote.example, which is not one account or alias: set catchAll of the domain',
        ],
      },
    ],
  ])('is read from a file of %s', (_, format, { domain, ...texts }, expected) => {
    expect(readOldHost(format, { ...written(texts), domain })).toEqual(expected);
  });

  it('is read from the database of Mail-in-a-Box', () => {
    const path = join(folder, 'users.sqlite');
    const database = new DatabaseSync(path);
    database.exec(`
      CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT NOT NULL UNIQUE, password TEXT NOT NULL, extra, privileges TEXT NOT NULL DEFAULT '', quota TEXT NOT NULL DEFAULT '0');
      CREATE TABLE aliases (id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL UNIQUE, destination TEXT NOT NULL, permitted_senders TEXT);
      CREATE TABLE auto_aliases (id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL UNIQUE, destination TEXT NOT NULL, permitted_senders TEXT);
      INSERT INTO users (email, password, quota) VALUES ('anna@example.org', '{SHA512-CRYPT}${sha512}', '5G'), ('bert@example.org', '{SHA512-CRYPT}${sha512}', '0');
      INSERT INTO aliases (source, destination) VALUES ('team@example.org', 'anna@example.org,\nbert@example.org'), ('@example.net', '@example.org'), ('own@example.org', '');
      INSERT INTO auto_aliases (source, destination) VALUES ('abuse@example.org', 'administrator@box.example.org');
    `);
    database.close();
    expect(readOldHost('mail-in-a-box', { accounts: path })).toEqual({
      accounts: [
        { address: 'anna@example.org', hash: sha512, quota: 5120 },
        { address: 'bert@example.org', hash: sha512 },
      ],
      aliases: [
        { address: 'team@example.org', recipients: ['anna@example.org', 'bert@example.org'] },
        { address: 'anna@example.net', recipients: ['anna@example.org'] },
        { address: 'bert@example.net', recipients: ['bert@example.org'] },
        { address: 'team@example.net', recipients: ['team@example.org'] },
      ],
      ...{ catchAlls: [], problems: [] },
    });
  });

  it('is read from a dump of the database of mailcow', () => {
    const { accounts } = written({ accounts: mailcowDump });
    expect(readOldHost('mailcow', { accounts })).toEqual({
      accounts: [
        { address: 'anna@example.org', hash: bcrypt, quota: 3072 },
        { address: "o'neil@example.org", hash: bcrypt },
      ],
      aliases: [
        { address: 'team@example.org', recipients: ['anna@example.org', "o'neil@example.org"] },
        { address: 'anna@example.net', recipients: ['anna@example.org'] },
        { address: "o'neil@example.net", recipients: ["o'neil@example.org"] },
        { address: 'team@example.net', recipients: ['team@example.org'] },
      ],
      catchAlls: [{ domain: 'example.org', address: 'anna@example.org' }],
      problems: [
        'room@example.org is a resource of the calendar (location)',
        'gone@example.org is switched off',
        'sso@example.org has its password at keycloak: give it one, by `openssl passwd -6`',
        'the alias staff@example.org is for senders of the host alone, which there is not here: add it to aliases if it may be open',
        'the alias drop@example.org for null@localhost is not read: add it to aliases',
      ],
    });
  });

  it('is refused where a dump has no mailboxes, or was cut off', () => {
    const read = (text: string) => () => readOldHost('mailcow', written({ accounts: text }));
    expect(read('CREATE TABLE `other` (\n  `id` int\n);\n')).toThrow(
      'no rows of the table mailbox',
    );
    expect(read(mailcowDump.slice(0, mailcowDump.indexOf('{"a"')))).toThrow('cut off');
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
    catchAlls: [{ domain: 'example.org', address: 'info@example.org' }],
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
        ['mailhost:domains[0].catchAll', 'info@example.org'],
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
  mailhost:domains: [{name: example.org, catchAll: bert@example.net}, {name: example.net}]
  mailhost:accounts:
    - {address: Anna@example.org, passwordHash: {secure: v1:x}}
    - {address: bert@example.net}
  mailhost:aliases: [{address: info@example.org, recipients: [bert@example.net]}]
`);
    expect(configChanges(old, stack)).toEqual({
      plain: [],
      secret: [['mailhost:accounts[1].passwordHash', sha256]],
      there: ['anna@example.org', 'info@example.org', '@example.org'],
    });
  });

  it('have an alias of one account as an address of that, and what else it may send as', () => {
    const accounts = [{ address: 'anna@example.org', hash: sha512, sendAs: ['team@example.org'] }];
    const aliases = [
      { address: 'info@example.org', recipients: ['anna@example.org'] },
      { address: 'sales@example.org', recipients: ['info@example.org'] },
    ];
    const stack = readStack('config:\n  mailhost:domains: [{name: example.org}]\n');
    expect(configChanges({ accounts, aliases, catchAlls: [], problems: [] }, stack).plain).toEqual([
      ['mailhost:accounts[0].address', 'anna@example.org'],
      ['mailhost:accounts[0].sendAs[0]', 'team@example.org'],
      ['mailhost:accounts[0].aliases[0]', 'info@example.org'],
      ['mailhost:aliases[0].address', 'sales@example.org'],
      ['mailhost:aliases[0].recipients[0]', 'info@example.org'],
    ]);
  });

  it('are refused where a list is encrypted as a whole', () => {
    expect(() => readStack('config:\n  mailhost:accounts:\n    secure: v1:x\n')).toThrow(
      'mailhost:accounts is not a list that can be read',
    );
  });
});

describe('mailhost import-accounts', () => {
  const root = join(__dirname, '..', '..');
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
  const textOf = (file: string) => readFileSync(join(folder, file), 'utf8');

  it('prints what it would set, and sets it where it is told to, secrets by standard input', () => {
    const words = ['--from', 'docker-mailserver', 'accounts'];
    const { status, stdout, stderr } = mailhost(...words);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain('mailhost:accounts[0].address anna@example.org');
    expect(existsSync(join(folder, 'arguments'))).toBe(false);

    expect(mailhost(...words, '--set')).toMatchObject({ status: 0, stdout });
    expect(textOf('arguments')).not.toContain('$6$');
    expect(textOf('arguments').trim().split('\n')).toEqual([
      '--non-interactive config set-all --stack dev --path --plaintext mailhost:domains[0].name=example.org --plaintext mailhost:domains[0].delivery=elsewhere --plaintext mailhost:accounts[0].address=anna@example.org',
      '--non-interactive config set --stack dev --path --secret mailhost:accounts[0].passwordHash',
    ]);
    expect(textOf('input').trim()).toBe(sha512);
  });

  it('tells by its exit status what it could not take', () => {
    writeFileSync(join(folder, 'bad'), 'anna@example.org|{SSHA}AAAA\n');
    expect(mailhost('--from', 'docker-mailserver', 'bad').status).toBe(2);
    expect(mailhost('--from', 'docker-mailserver', 'none').status).toBe(1);
    expect(mailhost('--from', 'other', 'bad').status).toBe(1);
  });
});
