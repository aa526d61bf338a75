import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { accounts } from '../components/daemons/accounts';
import { amavis } from '../components/daemons/amavis';
import { backup } from '../components/daemons/backup';
import { wantedDaemons } from '../components/daemons/catalogue';
import { dovecot } from '../components/daemons/dovecot';
import type { HostFiles } from '../components/hostFiles/files';
import { openSmtpd } from '../components/daemons/openSmtpd';
import { packages } from '../components/hostFiles/systemFiles';
import { spamAssassin } from '../components/daemons/spamAssassin';
import type { AccountKind } from '../components/settings/enums';
import type { MailSettings } from '../components/settings/mailSettings';
import { example, exampleMail, filesOf, hash, secretFilesOf, sshKey } from './example';

const mail = (accountKind: AccountKind = 'virtual') =>
  exampleMail({ accountKind, dkimGeneration: 2, spamTagLevel: 2.5 });
const credentials = [
  { address: 'anna@example.org', passwordHash: '$6$anna$aaaa' },
  { address: 'bert@example.net', passwordHash: '$6$bert$bbbb' },
];

const allFiles = (settings: MailSettings): HostFiles =>
  Object.assign(
    {},
    ...wantedDaemons(settings).map((daemon) => filesOf(daemon, settings)),
  ) as HostFiles;
const lines = (files: HostFiles, path: string) => files[path]!.text.trimEnd().split('\n');
/** Without comments and empty lines. */
const directives = (files: HostFiles, path: string) =>
  lines(files, path).filter((line) => line !== '' && !line.startsWith('#'));

/** What expand_line() of OpenSMTPD 7.6 reads in the targets of an alias, a buffer of 2048 octets; undefined where it gives up. */
function expanded(targets: string): string[] | undefined {
  if (targets.length >= 2048) return undefined;
  const found = [''];
  let quote: string | undefined;
  for (const [character] of targets.matchAll(/\\?./g)) {
    if (character === ',' && quote === undefined) {
      found.push('');
      continue;
    }
    found[found.length - 1] += character.replace(/^\\/, '');
    if (character === quote) quote = undefined;
    else if (quote === undefined && `'"`.includes(character)) quote = character;
  }
  return quote === undefined ? found : undefined;
}

describe('OpenSMTPD', () => {
  const files = filesOf(openSmtpd, mail());
  const rules = directives(files, '/etc/smtpd.conf').filter((line) => line.startsWith('match '));

  it('has rules in an order that makes a loop impossible', () => {
    expect(rules).toEqual([
      'match tag Own from any for domain <domains> action mailbox',
      'match tag Own from any for any action outbound',
      'match tag Sieve from any for domain <domains> action mailbox',
      'match tag Sieve from any for any action outbound',
      'match tag Filtered from any for domain <domains> action mailbox',
      'match tag Filtered from any for any action forward',
      'match tag Signed from any for domain <domains> action mailbox',
      'match tag Signed from any for any action outbound',
      'match auth from any for any action sign',
      'match from local for domain "mailhost-probe.invalid" action scan',
      'match from any for domain <domains> rcpt-to regex "^[Ss][Rr][Ss][01]=" reject',
      'match from any for domain <domains> rcpt-to <recipients> action scan',
      'match from local for domain <domains> action mailbox',
      'match from local mail-from regex "^@$" for any action scan',
      'match from local for any action outbound',
    ]);
  });

  it('tags every listener on loopback, and asks for encryption and a login on the others but 25', () => {
    const listeners = directives(files, '/etc/smtpd.conf').filter((l) => l.startsWith('listen '));
    expect(listeners).toHaveLength(11);
    for (const listener of listeners) {
      if (/ on (127\.0\.0\.1|::1) /.test(listener)) {
        const [, tag] = / tag (\w+)( filter own)?$/.exec(listener)!;
        expect(listener.endsWith(' filter own')).toBe(tag === 'Own');
        expect(
          rules.filter((rule) => rule.startsWith(`match tag ${tag} from any for any `)),
        ).toHaveLength(1);
      } else if (!listener.includes(' port 25 ')) {
        expect(listener).toMatch(
          / (smtps|tls-require) .* auth <credentials> mask-src filter submission$/,
        );
      } else expect(listener).toMatch(/ no-dsn filter inbound$/);
    }
  });

  it('gives each message to an address of its own at amavis, which ends the session after it', () => {
    const [, bound] = /^\$inet_socket_bind = \[qw\((.*)\)\];$/m.exec(
      filesOf(amavis, mail())['/etc/amavis/conf.d/60-mailhost']!.text,
    )!;
    const addresses = bound!.split(' ');
    // The checks of the host program, and Debian's, ask here.
    expect(addresses[0]).toBe('127.0.0.1');
    expect(new Set(addresses).size).toBe(32);
    for (const [path, port] of [
      ['/etc/smtpd/scanners', 10024],
      ['/etc/smtpd/signers', 10026],
    ] as const) {
      expect(lines(files, path)).toEqual(
        addresses.map((address) => `smtp+notls://${address}:${port}`),
      );
    }
    const limits = directives(files, '/etc/smtpd.conf').filter((l) => l.startsWith('mta limit'));
    expect(limits).toHaveLength(addresses.length);
    for (const [index, limit] of limits.entries()) {
      expect(limit).toContain(`for domain "${addresses[index]}" `);
      expect(limit).toContain(' session-mail-max 1 session-keepalive 0');
    }
    expect(files['/usr/libexec/opensmtpd/table-scanner']!.mode).toBe('0755');
  });

  it('knows every address, each once, and takes mail for whole addresses only', () => {
    const recipients = lines(files, '/etc/smtpd/recipients');
    expect(recipients).toEqual([...new Set(recipients)]);
    for (const address of [
      'anna@example.org',
      'info@example.org',
      'bert@example.net',
      'postmaster@example.net',
      'abuse@mail.example.org',
    ]) {
      expect(recipients).toContain(address);
    }
    expect(recipients.filter((address) => !/^[^@]+@[^@]+$/.test(address))).toEqual([]);
    expect(recipients.some((address) => address.endsWith('.invalid'))).toBe(false);
  });

  it.each(['virtual', 'system'] as const)('maps no address to itself: %s accounts', (kind) => {
    const virtuals = lines(filesOf(openSmtpd, mail(kind)), '/etc/smtpd/virtuals').map((line) =>
      line.split(' '),
    );
    expect(virtuals.filter(([address, target]) => address === target)).toEqual([]);
    const user = kind === 'virtual' ? 'vmail' : 'anna';
    expect(virtuals).toContainEqual(['anna@example.org', user]);
    expect(virtuals).toContainEqual(['info@example.org', 'anna@example.org']);
    // An account's own alias comes before the role that it names.
    expect(virtuals).toContainEqual(['abuse@example.net', 'anna@example.org']);
    expect(virtuals).toContainEqual(['root', 'anna@example.org']);
  });

  it('lets an account send as its own addresses', () => {
    expect(lines(files, '/etc/smtpd/identities')).toEqual([
      'anna@example.org anna@example.org,abuse@example.net,info@example.org',
      'bert@example.net bert@example.net',
    ]);
  });

  it('keeps password hashes where its own user may read them, and nobody else', () => {
    expect(secretFilesOf(openSmtpd, { credentials }, mail())).toEqual({
      '/etc/smtpd/credentials': {
        mode: '0640',
        owner: 'root:opensmtpd',
        text: 'anna@example.org $6$anna$aaaa\nbert@example.net $6$bert$bbbb\n',
      },
    });
  });

  it('leads an alias to all its recipients, and the rest of a domain to its catch-all', () => {
    const many = filesOf(
      openSmtpd,
      exampleMail({
        domains: [{ name: 'example.org' }, { name: 'example.net', catchAll: 'bert@example.net' }],
        aliases: [
          { address: 'team@example.org', recipients: ['bert@example.net', 'erika@remote.example'] },
          { address: 'abuse@example.org', recipients: ['bert@example.net'] },
        ],
      }),
    );
    const virtuals = lines(many, '/etc/smtpd/virtuals');
    for (const line of [
      'team@example.org bert@example.net,erika@remote.example',
      'abuse@example.org bert@example.net',
      '@example.net bert@example.net',
      ...['hostmaster', 'postmaster'].map((role) => `${role}@example.net anna@example.org`),
      ...['dmarc-reports', 'tls-reports'].map(
        (role) => `${role}@example.net mailhost-reports@mailhost-probe.invalid`,
      ),
    ]) {
      expect(virtuals).toContain(line);
    }
    expect(lines(many, '/etc/smtpd/recipients').filter((a) => a.startsWith('@'))).toEqual([
      '@example.net',
    ]);
  });

  it('leads to every address that settings allow, in lines that OpenSMTPD can read', () => {
    const remote = (i: number) => `somebody-with-a-long-name-${i}@remote.example`;
    const lists: string[][] = [
      ["o'neill@example.org"],
      ['anna@example.org', "o'neill@example.org", 'bert@example.net'],
      ["o'brien+work@remote.example", 'r&d@example.org'],
      ...[40, 47, 48, 200].map((length) => Array.from({ length }, (_, i) => remote(i))),
    ];
    const [anna] = exampleMail().accounts;
    const many = filesOf(
      openSmtpd,
      exampleMail({
        accounts: [
          ...["o'neill@example.org", 'r&d@example.org', 'bert@example.net'],
          ...['anna@example.org'],
        ].map((address, i) => ({
          ...anna!,
          address,
          passwordHash: hash,
          aliases: i === 0 ? ['oneill@example.org'] : [],
        })),
        aliases: lists.map((recipients, i) => ({ address: `list-${i}@example.org`, recipients })),
        postmaster: "o'neill@example.org",
      }),
    );
    const virtuals = new Map(
      lines(many, '/etc/smtpd/virtuals').map((line) => line.split(' ') as [string, string]),
    );
    const reached = (name: string): string[] | undefined =>
      expanded(virtuals.get(name)!)?.flatMap((to) =>
        to.includes('@') ? [to] : (reached(to) ?? ['nothing']),
      );
    for (const [i, recipients] of lists.entries()) {
      expect(reached(`list-${i}@example.org`)).toEqual([...recipients].sort());
    }
    expect(reached('oneill@example.org')).toEqual(["o'neill@example.org"]);
    expect(reached('postmaster@example.net')).toEqual(["o'neill@example.org"]);
    // What no client can name, because a local part does not begin with a dot.
    const further = [...virtuals.keys()].filter((name) => name.startsWith('.'));
    expect(further.length).toBeGreaterThan(2);
    expect(lines(many, '/etc/smtpd/recipients').filter((to) => to.startsWith('.'))).toEqual([]);
  });

  it('lets an account send as what it is given besides its own', () => {
    const [anna] = exampleMail().accounts;
    const given = [{ ...anna!, passwordHash: hash, sendAs: ['team@example.org'] }];
    expect(
      lines(filesOf(openSmtpd, exampleMail({ accounts: given })), '/etc/smtpd/identities').map(
        (line) => line.endsWith(',team@example.org'),
      ),
    ).toEqual([true]);
  });

  it('sends by a smarthost whose certificate is right, with a password in a file of its own', () => {
    const actions = (port: number) =>
      directives(
        filesOf(openSmtpd, exampleMail(), { smarthost: { host: 'smtp.remote.example', port } }),
        '/etc/smtpd.conf',
      ).filter((line) => /^action (outbound|forward) /.test(line));
    const route = (url: string) => `host ${url} auth <smarthost> tls`;
    expect(actions(587)).toEqual([
      `action outbound relay helo mail.example.org ${route('smtp+tls://login@smtp.remote.example:587')}`,
      `action forward relay helo mail.example.org ${route('smtp+tls://login@smtp.remote.example:587')} srs`,
    ]);
    expect(actions(465)[0]).toContain(route('smtps://login@smtp.remote.example:465'));
    expect(
      secretFilesOf(openSmtpd, { credentials: [], smarthostLogin: 'us:secret' })[
        '/etc/smtpd/smarthost'
      ],
    ).toEqual({ mode: '0640', owner: 'root:opensmtpd', text: 'login us:secret\n' });
  });

  it('listens and sends by IPv4 alone where there is no IPv6', () => {
    const text = filesOf(openSmtpd, exampleMail({ ipv6: false }))['/etc/smtpd.conf']!.text;
    expect(text).not.toMatch(/^listen on ::/m);
    expect(text.match(/^action (outbound|forward) .* src 0\.0\.0\.0( srs)?$/gm)).toHaveLength(2);
    expect(files['/etc/smtpd.conf']!.text).not.toMatch(/^action (outbound|forward) .* src /m);
  });

  it('takes messages of the size that is set, and has room for what the host adds', () => {
    const text = filesOf(openSmtpd, exampleMail({ messageSize: 2 }))['/etc/smtpd.conf']!.text;
    expect(text).toMatch(/^smtp max-message-size 2162688$/m);
    expect(text.match(/--max-size 2097152\b/g)).toHaveLength(2);
  });

  it('uses no word of the grammar before 6.4', () => {
    const text = files['/etc/smtpd.conf']!.text;
    for (const old of ['accept ', 'deliver to', 'relay via', 'tagged', 'mask-source']) {
      expect(text).not.toContain(old);
    }
  });
});

describe('Dovecot', () => {
  it('begins with the version, and has no setting of 2.3', () => {
    const text = directives(filesOf(dovecot, mail()), '/etc/dovecot/dovecot.conf');
    expect(text.slice(0, 2)).toEqual([
      'dovecot_config_version = 2.4.1',
      'dovecot_storage_version = 2.4.1',
    ]);
    for (const old of [
      'ssl_cert =',
      'ssl_key =',
      'mail_location',
      'disable_plaintext_auth',
      'passdb {',
      'userdb {',
      'plugin {',
      '$mail_plugins',
    ]) {
      expect(text.join('\n')).not.toContain(old);
    }
  });

  it('gives every address a mailbox of its own, and keeps hashes out of the readable file', () => {
    expect(lines(filesOf(dovecot, mail()), '/etc/dovecot/users')).toEqual([
      'anna@example.org:::::/srv/mailhost/mail/example.org/anna::userdb_quota_storage_size=2000M',
      'bert@example.net:::::/srv/mailhost/mail/example.net/bert::userdb_quota_storage_size=2000M',
      'mailhost-probe@mailhost-probe.invalid:::::/srv/mailhost/mail/mailhost-probe.invalid/mailhost-probe',
    ]);
    expect(secretFilesOf(dovecot, { credentials }, mail())).toEqual({
      '/etc/dovecot/passwords': {
        mode: '0640',
        owner: 'root:dovecot',
        text: 'anna@example.org:{CRYPT}$6$anna$aaaa\nbert@example.net:{CRYPT}$6$bert$bbbb\n',
      },
    });
  });

  it('gives every account its own quota, or that of all, or none', () => {
    const given = [
      ...example.accounts!.map((account, i) => ({ ...account, quota: [0, 70][i]! })),
      { address: 'carl@example.org', passwordHash: hash },
    ];
    const usersOf = (accountKind: AccountKind) =>
      lines(
        filesOf(dovecot, exampleMail({ accountKind, accounts: given, quota: 50 })),
        '/etc/dovecot/users',
      );
    expect(usersOf('virtual').slice(0, 3)).toEqual([
      'anna@example.org:::::/srv/mailhost/mail/example.org/anna',
      'bert@example.net:::::/srv/mailhost/mail/example.net/bert::userdb_quota_storage_size=70M',
      'carl@example.org:::::/srv/mailhost/mail/example.org/carl::userdb_quota_storage_size=50M',
    ]);
    expect(usersOf('system')).toEqual([
      'bert:::::::userdb_quota_storage_size=70M',
      'carl:::::::userdb_quota_storage_size=50M',
    ]);
  });

  it('files spam by its score, where it is to be filed', () => {
    const filed = filesOf(dovecot, exampleMail({ spamJunkLevel: 6.5 }));
    expect(directives(filed, '/etc/dovecot/dovecot.conf')).toContain(
      'sieve_spamtest_score_max_value = 6.5',
    );
    for (const spamAction of ['hold', 'drop'] as const) {
      const files = filesOf(dovecot, exampleMail({ spamAction }));
      expect(files).not.toHaveProperty(['/etc/dovecot/sieve/junk.sieve']);
      expect(files['/etc/dovecot/dovecot.conf']!.text).not.toContain('junk.sieve');
    }
  });

  it('loads what every protocol needs before any protocol adds its own', () => {
    const text = directives(filesOf(dovecot, mail()), '/etc/dovecot/dovecot.conf');
    const protocols = text.filter((line) => line.startsWith('protocol '));
    expect(protocols).not.toEqual([]);
    expect(text.indexOf('mail_plugins {')).toBeLessThan(text.indexOf(protocols[0]!));
  });

  it('asks PAM and /etc/passwd where accounts are system users', () => {
    const files = filesOf(dovecot, mail('system'));
    expect(files['/etc/dovecot/dovecot.conf']!.text).toMatch(
      /passdb pam \{[\s\S]*userdb passwd \{/,
    );
    expect(lines(files, '/etc/dovecot/users')).toEqual([
      'anna:::::::userdb_quota_storage_size=2000M',
      'bert:::::::userdb_quota_storage_size=2000M',
    ]);
    expect(secretFilesOf(dovecot, { credentials }, mail('system'))).toEqual({});
    expect(lines(filesOf(accounts, mail('system')), '/etc/mailhost/system-users')).toEqual([
      'anna',
      'bert',
    ]);
    expect(secretFilesOf(accounts, { credentials })['/etc/mailhost/system-users.shadow']).toEqual({
      mode: '0600',
      owner: 'root:root',
      text: 'anna:$6$anna$aaaa\nbert:$6$bert$bbbb\n',
    });
  });
});

describe('amavis and SpamAssassin', () => {
  const files = filesOf(amavis, mail());
  const text = files['/etc/amavis/conf.d/60-mailhost']!.text;

  it('reads the file: its name has no dot, and it returns true', () => {
    expect(Object.keys(files)[0]).toMatch(/\/conf\.d\/[\w-]+$/);
    expect(text.trimEnd().endsWith('\n1;')).toBe(true);
  });

  it('signs on port 10026 only, with the active selector only', () => {
    expect(text.match(/originating => 1/g)).toHaveLength(1);
    expect(text).toContain("$interface_policy{'10026'} = 'ORIGINATING';");
    expect(text).not.toContain('0.0.0.0');
    expect(text.match(/^dkim_key.*$/gm)).toEqual([
      "dkim_key('example.net', 's2', '/etc/amavis/dkim/example.net.s2.pem') unless -e '/srv/mailhost/unsigned/example.net';",
      "dkim_key('example.org', 's2', '/etc/amavis/dkim/example.org.s2.pem') unless -e '/srv/mailhost/unsigned/example.org';",
    ]);
    const secrets = secretFilesOf(amavis, {
      dkimKeys: [
        {
          name: 'example.org',
          selector: 's2',
          privateKeyPem: 'PEM\n',
          publicKeys: { s2: 'AAAA', s3: 'BBBB' },
        },
      ],
    });
    expect(secrets['/etc/amavis/dkim/example.org.s2.pem']).toEqual({
      mode: '0640',
      owner: 'root:amavis',
      text: 'PEM\n',
    });
    expect(Object.keys(secrets)).toHaveLength(2);
    expect(JSON.parse(secrets['/etc/mailhost/dkim-keys.json']!.text)).toEqual({
      'example.org': { s2: 'AAAA', s3: 'BBBB' },
    });
  });

  it('tells the host which keys sign and which are out, and lets signatures hold as long as these stay', () => {
    expect(JSON.parse(files['/etc/mailhost/dkim.json']!.text)).toEqual({
      retention: 21 * 24 * 3600,
      domains: {
        'example.net': { signs: 's2', published: ['s2', 's3'] },
        'example.org': { signs: 's2', published: ['s2', 's3'] },
      },
    });
    expect(text).toContain('ttl => 1814400,');
  });

  it('has one threshold in both', () => {
    expect(text).toContain('$sa_tag2_level_deflt = 2.5;');
    expect(filesOf(spamAssassin, mail())['/etc/spamassassin/local.cf']!.text).toContain(
      'required_score 2.5\n',
    );
  });
});

describe('all files', () => {
  const label = fc.stringMatching(/^[a-z][a-z0-9]{0,10}$/);
  const domain = fc.tuple(label, label).map((parts) => parts.join('.'));
  const settings = fc
    .record({
      domains: fc.uniqueArray(domain, { minLength: 1, maxLength: 5 }),
      users: fc.uniqueArray(label, { maxLength: 5 }),
      kind: fc.constantFrom<AccountKind>('virtual', 'system'),
      spamTagLevel: fc.nat(20_000).map((n) => n / 1000),
    })
    .map(({ domains, users, kind, spamTagLevel }) =>
      exampleMail({
        hostName: `mail.${domains[0]}`,
        domains: domains.map((name) => ({ name })),
        accounts: users.map((user) => ({ address: `${user}@${domains[0]}`, passwordHash: hash })),
        postmaster: users[0] ? `${users[0]}@${domains[0]}` : 'someone@elsewhere.example',
        accountKind: kind,
        spamTagLevel,
        spamJunkLevel: Math.round((spamTagLevel + 3) * 1000) / 1000,
      }),
    );

  it('are whole, readable, owned by root, and end in a line break, whatever the settings', () => {
    fc.assert(
      fc.property(settings, (given) => {
        for (const [path, file] of Object.entries(allFiles(given))) {
          expect(path).toMatch(/^\/(etc|usr)\//);
          expect(file.owner).toBe('root:root');
          expect(file.mode).toMatch(/^07?[56]?[45]{2}$|^0644$|^0755$/);
          expect(file.text).not.toMatch(/\{\{|\}\}|undefined|\[object/);
          if (file.text !== '') expect(file.text.endsWith('\n')).toBe(true);
        }
        const virtuals = lines(filesOf(openSmtpd, given), '/etc/smtpd/virtuals').map((l) =>
          l.split(' '),
        );
        expect(virtuals.filter(([address, target]) => address === target)).toEqual([]);
      }),
    );
  });
});

describe('backupFiles', () => {
  const known = (repository: string) =>
    filesOf(backup, exampleMail({ backup: { repository, password: 'x', hostKey } }), {
      repository: { url: repository, hostKey },
    })['/etc/mailhost/restic.known_hosts']?.text;
  const hostKey = sshKey;

  it.each([
    ['sftp:mail@backup.example:/mail', 'backup.example'],
    ['sftp:backup.example:mail', 'backup.example'],
    ['sftp://mail@backup.example/mail', 'backup.example'],
    ['sftp://mail@backup.example:22/mail', 'backup.example'],
    ['sftp://mail@backup.example:23//mail', '[backup.example]:23'],
    ['sftp://mail@[2001:db8::1]:23//mail', '[2001:db8::1]:23'],
  ])('pins the host key of %s as ssh looks for it', (repository, host) => {
    expect(known(repository)).toBe(`${host} ${hostKey}\n`);
  });

  it('is nothing without the setting', () => {
    expect(filesOf(backup, exampleMail())).toEqual({});
    expect(packages(exampleMail())).not.toContain('restic');
  });
});
