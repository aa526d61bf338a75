import * as pulumi from '@pulumi/pulumi';
import { describe, expect, it } from 'vitest';
import { probeAddress } from '../components/daemons/probe';
import type { MailHostArgs } from '../components/mailHostArgs';
import { seconds } from '../components/settings/duration';
import { mailDomains, mailSettings, roles } from '../components/settings/mailSettings';
import {
  asciiName,
  isZoneId,
  liesIn,
  normalAddress,
  normalDomain,
  normalRecipient,
  registrableDomain,
} from '../components/settings/names';
import { secretSettings } from '../components/settings/fields';
import {
  argumentNames,
  pathText,
  report,
  SettingsError,
  valueAt,
  type Mistake,
} from '../components/settings/mistakes';
import { parseSettings } from '../components/settings/parse';
import type { Settings } from '../components/settings/settings';
import { stackConfig } from '../settings';
import { hash, sshKey } from './example';

const anna = { address: 'anna@example.org', passwordHash: hash };
const tls = { issuer: 'selfSigned' } as const;
const good: MailHostArgs = {
  tls,
  hostName: 'mail.example.org',
  domains: [{ name: 'example.org' }],
  accounts: [anna],
  postmaster: 'anna@example.org',
};

const sftp = { repository: 'sftp:mail@backup.example:/mail', password: 'secret', hostKey: sshKey };
const rest = { repository: 'rest:https://backup.example/mail', password: 'secret' };
const machine = {
  ipv4: '192.0.2.7',
  sshHostKey: sshKey,
  sshPrivateKey: `-----BEGIN OPENSSH PRIVATE KEY-----\n${Buffer.from('openssh-key-v1\0\0\0\0\x04none and more').toString('base64')}\n-----END OPENSSH PRIVATE KEY-----`,
};

/** Each mistake as the stack prints it: the path, and what stands behind it. */
function mistakesOf(input: unknown): { path: string; message: string }[] {
  try {
    parseSettings(input);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return error.mistakes.map((mistake) => {
      const [, line] = report([mistake], stackConfig).split('\n');
      const path = pathText(mistake.path);
      return { path, message: line!.slice(`  mailhost:${path}`.length) };
    });
  }
  return [];
}

/** What is known only while the program runs. */
const later = pulumi.output('x');

describe('mailSettings', () => {
  const full: MailHostArgs = {
    ...good,
    domains: [
      { name: 'example.org', spf: ['a:b.example'], catchAll: 'anna@example.org' },
      { name: 'example.net', spf: ['a:b.example'], dkimGeneration: 7 },
      { name: 'parked.example', parked: true },
    ],
    accounts: [{ ...anna, aliases: ['info@example.org'], sendAs: ['team@example.org'], quota: 50 }],
    aliases: [{ address: 'team@example.org', recipients: ['anna@example.org'] }],
    dkimGeneration: 3,
    smarthost: { host: 'smtp.example.com', username: 'user', password: 'secret' },
    backup: sftp,
  };

  it('have what the files are rendered from, and no secret', () => {
    const mail = mailSettings(parseSettings(full));
    expect(mail).toMatchObject({
      domains: [
        { name: 'example.net', selector: 's7' },
        { name: 'example.org', selector: 's3', catchAll: 'anna@example.org' },
      ],
      accounts: [
        {
          address: 'anna@example.org',
          aliases: ['info@example.org'],
          sendAs: ['team@example.org'],
          quota: 50,
        },
      ],
      mtaSts: 'none',
      tls: { issuer: 'selfSigned', contact: 'anna@example.org' },
    });
    expect(mail.domains[0]).not.toHaveProperty('catchAll');
    expect(mail.backup).toEqual({
      keepDaily: 7,
      keepWeekly: 5,
      keepMonthly: 12,
    });
    expect(JSON.stringify(mail)).not.toMatch(/secret|\$6\$/);
    expect(mailDomains(mail)).toEqual(['example.net', 'example.org', 'mail.example.org']);
    expect(mailSettings(parseSettings(good))).not.toHaveProperty('backup');
  });

  it('have the policy that domains announce, and the contact that a CA has', () => {
    const acme = {
      acceptTerms: true,
      contact: 'info@example.org',
      directory: 'https://ca.example/',
    };
    const mail = mailSettings(parseSettings({ ...good, tls: acme, mtaSts: 'enforce' }));
    expect(mail).toMatchObject({
      mtaSts: 'enforce',
      tls: { issuer: 'acme', contact: 'info@example.org', directory: 'https://ca.example/' },
    });
  });

  it.each([
    [true, 'acme', true],
    [true, 'selfSigned', true],
    [true, 'provided', false],
    [false, 'acme', false],
    [false, 'provided', false],
  ] as const)('know whether TLSA records are there: dnssec %s, %s', (dnssec, issuer, expected) => {
    const settings = { ...parseSettings({ ...good, dnssec }), tls: { issuer } } as Settings;
    expect(mailSettings(settings).tlsa).toBe(expected);
  });
});

it.each([
  ['90s', 90],
  ['2m', 120],
  ['3h', 10_800],
  ['21d', 1_814_400],
])('%s is %i seconds', (duration, expected) => {
  expect(seconds(duration)).toBe(expected);
});

const two = [{ name: 'example.org' }, { name: 'example.net' }];
const smarthost = { host: 'smtp.eu.example.com', username: 'x', password: 'y' };
/** Mechanisms of which the SPF record has so many octets. */
const spfOf = (octets: number) => {
  const room = octets - 'v=spf1 mx  -all'.length;
  const some = Array.from({ length: 100 }, (_, i) => `ip4:192.0.2.${100 + i}`);
  return [...some, `a:${'x'.repeat(room - some.join(' ').length - ' a:.b'.length)}.b`];
};
/** An address whose consent to reports on example.org has a name of so many octets. */
const consentOf = (octets: number) => {
  const labels = ['x', 'y', 'z'].map((letter) => letter.repeat(63)).join('.');
  const rest = octets - `example.org._report._dmarc.${labels}..example`.length;
  return `a@${labels}.${'w'.repeat(rest)}.example`;
};

it.each<[string, object, [path: string, ...words: string[]][]]>([
  [
    'a domain twice',
    { domains: [{ name: 'example.org' }, { name: 'Example.ORG' }] },
    [['domains[1].name', 'example.org', 'domains[0]']],
  ],
  [
    'a foreign zone',
    { domains: [{ name: 'example.org', zone: 'example.com' }] },
    [['domains[0].zone', '"example.com"', 'example.org']],
  ],
  [
    'an id for nobody',
    { dns: 'manual', domains: [{ name: 'example.org', zone: '0'.repeat(32) }] },
    [['domains[0].zone', 'dns manual']],
  ],
  [
    'a name for a person',
    { dns: 'manual', domains: [{ name: 'example.org', zone: 'example.org' }] },
    [],
  ],
  [
    'a parked domain',
    {
      domains: [
        { name: 'example.org' },
        {
          name: 'example.net',
          parked: true,
          catchAll: 'anna@example.org',
          spf: ['a'],
          dmarcPolicy: 'none',
          dkimGeneration: 2,
        },
      ],
    },
    [
      ['domains[1].catchAll', 'example.net, which is parked'],
      ['domains[1].spf', 'example.net, which is parked'],
      ['domains[1].dmarcPolicy', 'example.net, which is parked'],
      ['domains[1].dkimGeneration', 'example.net, which is parked'],
    ],
  ],
  [
    'a parked domain with what it has anyway',
    {
      domains: [
        { name: 'example.org' },
        { name: 'example.net', parked: 'true', spf: [], dmarcPolicy: 'reject' },
      ],
    },
    [],
  ],
  ['the longest SPF record', { domains: [{ name: 'example.org', spf: spfOf(2048) }] }, []],
  [
    'one that is longer',
    { domains: [{ name: 'example.org', spf: spfOf(2049) }] },
    [['domains[0].spf', '2049', '2048']],
  ],
  [
    'nine names in SPF',
    { domains: [{ name: 'example.org', spf: [...'abcdefghi'].map((c) => `a:${c}.example`) }] },
    [],
  ],
  [
    'ten',
    { domains: [{ name: 'example.org', spf: [...'abcdefghij'].map((c) => `a:${c}.example`) }] },
    [['domains[0].spf', '11 DNS look-ups']],
  ],
  [
    'a host outside',
    { hostName: 'mx.example.com' },
    [['hostName', '"mx.example.com"', 'mail.example.org']],
  ],
  [
    'a host that is a domain',
    { hostName: 'example.net', domains: two },
    [['hostName', '"example.net"', 'mail.example.org']],
  ],
  ['a host below the second domain', { hostName: 'mail.example.net', domains: two }, []],
  [
    'a host with no domain',
    { hostName: 'mail.example.org', domains: [], accounts: [], aliases: [], postmaster: undefined },
    [['domains'], ['postmaster'], ['hostName', 'mail.example.org']],
  ],
  [
    'a host beside a domain that is none',
    { hostName: 'mx.example.com', domains: [{ name: 'example.org' }, { name: '_' }] },
    [['domains[1].name', '"_"']],
  ],
  [
    'a name that clients look for',
    { hostName: 'autodiscover.example.org' },
    [['hostName', '"autodiscover.example.org"', 'look example.org up']],
  ],
  [
    'one that clients of no parked domain look for',
    {
      hostName: 'mail.example.org',
      domains: [
        { name: 'example.org' },
        { name: 'example.net', parked: true },
        { name: 'mta-sts.example.net' },
      ],
    },
    [],
  ],
  [
    'a domain that servers look for',
    { domains: [{ name: 'example.org' }, { name: 'mta-sts.example.org' }] },
    [['domains[1].name', '"mta-sts.example.org"', 'look example.org up']],
  ],
  [
    'the same without a web server',
    { web: 'no', domains: [{ name: 'example.org' }, { name: 'mta-sts.example.org' }] },
    [],
  ],
  [
    'a promise without a web server',
    { mtaSts: 'enforce', web: false, tls: { acceptTerms: true } },
    [['mtaSts', 'mailhost:web true']],
  ],
  ['a promise by a CA of the stack', { mtaSts: 'enforce' }, [['mtaSts', 'public CA']]],
  ['a promise', { mtaSts: 'enforce', web: true, tls: { acceptTerms: true } }, []],
  ['the longest consent', { dmarcReports: consentOf(253) }, []],
  ['one that is longer still', { dmarcReports: consentOf(254) }, [['dmarcReports', '254', '253']]],
  [
    'an address twice',
    {
      accounts: [
        anna,
        { ...anna, address: 'bob@example.org', aliases: ['anna@example.org', 'x@example.org'] },
      ],
      aliases: [{ address: 'x@example.org', recipients: ['anna@example.org'] }],
    },
    [
      ['accounts[1].aliases[0]', '"anna@example.org"', 'accounts[0].address'],
      ['aliases[0].address', '"x@example.org"', 'accounts[1].aliases[1]'],
    ],
  ],
  [
    'a foreign address',
    { accounts: [{ ...anna, sendAs: ['x@example.com'] }] },
    [['accounts[0].sendAs[0]', '"x@example.com"', 'add example.com']],
  ],
  [
    'an address in a parked domain',
    {
      domains: [{ name: 'example.org' }, { name: 'example.net', parked: true }],
      accounts: [{ ...anna, aliases: ['x@example.net'] }],
    },
    [['accounts[0].aliases[0]', '"x@example.net"', 'domains[1].parked']],
  ],
  [
    'an alias to nobody',
    { aliases: [{ address: 'x@example.org', recipients: ['y@example.org'] }] },
    [['aliases[0].recipients[0]', '"y@example.org"']],
  ],
  [
    'an alias to a role of a parked domain',
    {
      domains: [{ name: 'example.org' }, { name: 'example.net', parked: true }],
      aliases: [{ address: 'x@example.org', recipients: ['abuse@example.net'] }],
    },
    [['aliases[0].recipients[0]', '"abuse@example.net"']],
  ],
  [
    'a role of another name',
    { postmaster: 'abuse@example.org' },
    [['postmaster', '"abuse@example.org"']],
  ],
  ['reports to nobody', { dmarcReports: 'x@example.org' }, [['dmarcReports', '"x@example.org"']]],
  ['reports to a role', { dmarcReports: 'abuse@example.org' }, []],
  ['reports to an account', { dmarcReports: 'anna@example.org' }, []],
  [
    'a catch-all that is an account',
    { domains: [{ name: 'example.org', catchAll: 'anna@example.org' }] },
    [],
  ],
  [
    'a catch-all that nobody has',
    { domains: [{ name: 'example.org', catchAll: 'x@example.org' }] },
    [['domains[0].catchAll', '"x@example.org"']],
  ],
  [
    'a catch-all that leads elsewhere by a role',
    {
      domains: [{ name: 'example.org', catchAll: 'team@example.org' }],
      aliases: [
        { address: 'team@example.org', recipients: ['abuse@example.org'] },
        { address: 'out@example.org', recipients: ['x@elsewhere.example'] },
      ],
      postmaster: 'out@example.org',
    },
    [['domains[0].catchAll', '"team@example.org"', 'x@elsewhere.example']],
  ],
  [
    'a circle of three, and one that leads into it',
    {
      aliases: [
        { address: 'a@example.org', recipients: ['b@example.org'] },
        { address: 'b@example.org', recipients: ['anna@example.org', 'c@example.org'] },
        { address: 'c@example.org', recipients: ['a+x@example.org'] },
        { address: 'd@example.org', recipients: ['a@example.org', 'anna@example.org'] },
      ],
    },
    [
      ['aliases[0].recipients', 'a@example.org -> b@example.org -> c@example.org -> a@example.org'],
      ['aliases[1].recipients', 'b@example.org -> c@example.org -> a@example.org -> b@example.org'],
      ['aliases[2].recipients', 'c@example.org -> a@example.org -> b@example.org -> c@example.org'],
    ],
  ],
  [
    'a diamond, which is no circle',
    {
      aliases: [
        { address: 'a@example.org', recipients: ['b@example.org', 'c@example.org'] },
        { address: 'b@example.org', recipients: ['d@example.org'] },
        { address: 'c@example.org', recipients: ['d@example.org'] },
        { address: 'd@example.org', recipients: ['anna@example.org'] },
      ],
    },
    [],
  ],
  [
    'system users',
    {
      accountKind: 'system',
      domains: two,
      accounts: [
        anna,
        { ...anna, address: 'anna@example.net' },
        { ...anna, address: '1st@example.org' },
        { ...anna, address: 'news@example.org' },
        { ...anna, address: 'mailhost-probe@example.org' },
        { ...anna, address: `${'a'.repeat(31)}@example.org` },
        { ...anna, address: `${'b'.repeat(32)}@example.org` },
        { ...anna, address: 'x.y_z-9@example.org' },
        { ...anna, address: '@' },
      ],
    },
    [
      ['accounts[8].address', '"@"'],
      ['accounts[1].address', '"anna"', 'accounts[0].address'],
      ['accounts[2].address', '"1st"', '31'],
      ['accounts[3].address', '"news"'],
      ['accounts[4].address', '"mailhost-probe"'],
      ['accounts[6].address', '"bbbb', '31'],
    ],
  ],
  [
    'the same names in tables',
    {
      domains: two,
      accounts: [
        anna,
        { ...anna, address: 'anna@example.net' },
        { ...anna, address: 'news@example.org' },
      ],
    },
    [],
  ],
  ['the default key, as compromised', { dkimCompromised: [1] }, [['dkimGeneration', ': 1 ']]],
  [
    'one of a domain, as text',
    { dkimCompromised: ['3'], domains: [{ name: 'example.org', dkimGeneration: '3' }] },
    [['domains[0].dkimGeneration', ': 3 ']],
  ],
  ['another key', { dkimCompromised: [2], dkimGeneration: 3 }, []],
  ['a key that goes in time', { dkimRetention: '4d', queueLifetime: '96h' }, []],
  ['a key that goes early', { dkimRetention: '345599s' }, [['dkimRetention', '345599s', '4d']]],
  ['mail that waits long', { queueLifetime: '22d' }, [['dkimRetention', '21d', '22d']]],
  ['a wrong time', { queueLifetime: '22w', dkimRetention: '1d' }, [['queueLifetime', '"22w"']]],
  ['a time that is no text', { queueLifetime: 22, dkimRetention: '1d' }, [['queueLifetime', '22']]],
  [
    'no terms',
    { tls: { acceptTerms: 'no' } },
    [['tls.acceptTerms', 'https://letsencrypt.org/repository/']],
  ],
  [
    'terms of another CA',
    { tls: { directory: 'https://ca.example/' } },
    [['tls.acceptTerms', 'which https://ca.example/ names']],
  ],
  ['no terms of nobody', { tls: { issuer: 'selfSigned', acceptTerms: false } }, []],
  [
    'half a pair',
    { tls: { issuer: 'provided', privateKey: 'x' } },
    [['tls.privateKey'], ['tls.chain', 'tls.chain < fullchain.pem']],
  ],
  [
    'the other half',
    { tls: { issuer: 'provided', chain: 'x' } },
    [['tls.chain'], ['tls.privateKey', 'tls.privateKey < privkey.pem']],
  ],
  [
    'a pair for nobody',
    { tls: { ...tls, chain: later, privateKey: later } },
    [
      ['tls.chain', 'tls.issuer'],
      ['tls.privateKey', 'tls.issuer'],
    ],
  ],
  [
    'a pair that is known later',
    { tls: { issuer: 'provided', chain: later, privateKey: later } },
    [],
  ],
  [
    'a smarthost without SPF',
    { smarthost, domains: [...two, { name: 'parked.example', parked: true }] },
    [
      ['domains[0].spf', 'example.org', 'include:_spf.example.com'],
      ['domains[1].spf', 'example.net', 'include:_spf.example.com'],
    ],
  ],
  [
    'a smarthost in SPF',
    { smarthost, domains: [{ name: 'example.org', spf: ['a:b.example'] }] },
    [],
  ],
  [
    'itself for a smarthost',
    {
      smarthost: { ...smarthost, host: 'MAIL.example.org' },
      domains: [{ name: 'example.org', spf: ['a:b.example'] }],
    },
    [['smarthost.host']],
  ],
  [
    'levels of spam as text',
    { spamTagLevel: '10', spamJunkLevel: '9.5' },
    [['spamJunkLevel', '9.5', '10']],
  ],
  ['a mark above the standard', { spamTagLevel: 6 }, [['spamJunkLevel', ': 5 ', '6']]],
  ['junk below the standard', { spamJunkLevel: 1 }, [['spamJunkLevel', ': 1 ', '2']]],
  ['levels that are one', { spamTagLevel: 5 }, []],
  [
    'a scanner that is off',
    { virusAction: 'drop', antivirus: 'no' },
    [['virusAction', 'antivirus']],
  ],
  ['a scanner that is on', { virusAction: 'drop', antivirus: 'yes' }, []],
  [
    'quotas',
    {
      quota: '34',
      accounts: [
        { ...anna, quota: 10 },
        { ...anna, address: 'b@example.org', quota: 0 },
        { ...anna, address: 'c@example.org', quota: 35 },
      ],
    },
    [
      ['quota', '34', '35'],
      ['accounts[0].quota', '10', '35'],
    ],
  ],
  [
    'a message that is larger than the standard quota',
    { messageSize: 100, quota: 99 },
    [['quota', '99', '100']],
  ],
  ['no IPv4 network', { adminNetworks: ['2001:db8::/32'] }, [['adminNetworks']]],
  ['one of both', { adminNetworks: ['2001:db8::/32', '192.0.2.0/24'] }, []],
  [
    'a backup onto itself',
    { backup: { repository: '/srv/mailhost', password: 'x' } },
    [['backup.repository']],
  ],
  ['a backup beside it', { backup: { repository: '/srv/mailhostel', password: 'x' } }, []],
  [
    'a backup by SSH to whom',
    { backup: { ...sftp, hostKey: undefined } },
    [['backup.hostKey', 'ssh-keyscan']],
  ],
  [
    'a host key for nobody',
    { backup: { ...rest, hostKey: sshKey } },
    [['backup.hostKey', 'sftp:', 'pulumi config rm']],
  ],
  [
    'a restore from nowhere',
    { restore: 'latest' },
    [['restore', 'set backup', 'pulumi config rm']],
  ],
  ['a restore', { restore: 'latest', backup: rest }, []],
  ['no network at all', { adminNetworks: [] }, [['adminNetworks', 'is empty']]],
  [
    'what forms a server, beside a machine',
    { machine, location: 'nbg1', ipv6: false, adminNetworks: ['0.0.0.0/0', '192.0.2.0/24'] },
    [
      ['location', '"nbg1"', 'only to a server', 'pulumi config rm'],
      ['ipv6', ': false ', 'machine.ipv6', 'pulumi config rm'],
      ['adminNetworks', 'cloud firewall', 'pulumi config rm'],
    ],
  ],
  [
    'defaults beside a machine',
    { machine, serverType: 'cx23', adminNetworks: ['0.0.0.0/0', '::/0'] },
    [],
  ],
])('says of %s what is wrong, and what to write', (_, change, expected) => {
  const mistakes = mistakesOf({ ...good, ...change });
  expect(mistakes.map(({ path }) => path)).toEqual(expected.map(([path]) => path));
  for (const [i, [, ...words]] of expected.entries())
    for (const word of words) expect(mistakes[i]!.message).toContain(word);
});

it.each([
  null,
  'text',
  7,
  [],
  { domains: 'example.org' },
  { domains: [null, 'example.org', { name: 7, zone: 7, spf: 'a', parked: 'perhaps' }] },
  { ...good, domains: [{ name: 'example.org', spf: [7, 'a'] }] },
  { ...good, accounts: [null, 'anna@example.org', { address: null, aliases: 'x', sendAs: [7] }] },
  { ...good, aliases: [null, { address: 7, recipients: 'x' }, { recipients: [7] }] },
  { ...good, tls: null, smarthost: null, backup: null, adminNetworks: [null] },
  { ...good, tls: { issuer: 'provided', chain: 'x', privateKey: 'y' }, dkimCompromised: 'x' },
])('judges whatever it gets: %j', (input) => {
  expect(() => parseSettings(input)).toThrow(SettingsError);
});

/** The settings, with a value at a path. */
const at = (path: string, value: unknown): unknown => {
  const place = (of: unknown, [key, ...inside]: string[]): unknown =>
    key === undefined ? value : { ...(of as object), [key]: place((of as never)?.[key], inside) };
  const base = {
    ...good,
    domains: [{ name: 'example.org', spf: ['a:b.example'] }],
    smarthost,
    backup: rest,
  };
  return place(base, path.split('.'));
};
const account = (passwordHash: string) => [{ ...anna, passwordHash }];
const crypted = (octets: number) => 'aB./9'.repeat(20).slice(0, octets);
/** A line of authorized_keys(5), of strings as the wire has them (RFC 4251, section 5). */
const sshLine = (type: string, ...strings: (string | Buffer)[]) => {
  const fields = strings.map((text) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(text.length);
    return Buffer.concat([length, Buffer.from(text)]);
  });
  return `${type} ${Buffer.concat(fields).toString('base64')}`;
};
const ed25519 = sshLine('ssh-ed25519', 'ssh-ed25519', Buffer.alloc(32));
const withTail = (line: string, ...octets: number[]) => {
  const [type, base64] = line.split(' ');
  const body = Buffer.concat([Buffer.from(base64!, 'base64'), Buffer.from(octets)]);
  return `${type} ${body.toString('base64')}`;
};

it.each<[string, unknown[], unknown[]]>([
  ['hostName', [`${'a'.repeat(51)}.example.org`], [`${'a'.repeat(52)}.example.org`]],
  [
    'accounts',
    [
      `$6$a$${crypted(86)}`,
      `$6$${crypted(16)}$${crypted(86)}`,
      `$6$rounds=1000$a$${crypted(86)}`,
      `$6$rounds=9999999$a$${crypted(86)}`,
      `$5$a$${crypted(43)}`,
      `$5$rounds=1000$${crypted(16)}$${crypted(43)}`,
      `$5$rounds=9999999$a$${crypted(43)}`,
      ...['04', '09', '10', '14'].map((cost) => `$2b$${cost}$${crypted(53)}`),
      `$2y$10$${crypted(53)}`,
      `$y$a$a$${crypted(43)}`,
      `$y$${crypted(20)}$${crypted(86)}$${crypted(43)}`,
      `$gy$j9T$abc$${crypted(43)}`,
    ].map(account),
    [
      'hunter2',
      `x$6$a$${crypted(86)}`,
      `$6$a$${crypted(87)}`,
      `$6$a$${crypted(85)}`,
      `$6$$${crypted(86)}`,
      `$6$${crypted(17)}$${crypted(86)}`,
      `$6$a:b$${crypted(86)}`,
      `$6$rounds=999$a$${crypted(86)}`,
      `$6$rounds=0999$a$${crypted(86)}`,
      `$6$rounds=10000000$a$${crypted(86)}`,
      `x$5$a$${crypted(43)}`,
      `$5$a$${crypted(44)}`,
      `$5$a$${crypted(42)}`,
      `$5$$${crypted(43)}`,
      `$5$${crypted(17)}$${crypted(43)}`,
      `$5$rounds=999$a$${crypted(43)}`,
      `$5$rounds=10000000$a$${crypted(43)}`,
      ...['03', '15', '4', '20'].map((cost) => `$2b$${cost}$${crypted(53)}`),
      `$2a$10$${crypted(53)}`,
      `x$2b$10$${crypted(53)}`,
      `$2b$10$${crypted(54)}`,
      `$2b$10$${crypted(52)}`,
      `x$y$a$a$${crypted(43)}`,
      `$y$a$a$${crypted(44)}`,
      `$y$a$a$${crypted(42)}`,
      `$y$${crypted(21)}$a$${crypted(43)}`,
      `$y$a$${crypted(87)}$${crypted(43)}`,
      `$y$$a$${crypted(43)}`,
      `$y$a$$${crypted(43)}`,
      `$7$a$a$${crypted(43)}`,
    ].map(account),
  ],
  ['smarthost.port', [1, '465', 65_535], [0, 65_536, '465 ', ' 465']],
  [
    'smarthost.username',
    ['x', '!~;9', 7, 'x'.repeat(200)],
    ['', 'a b', 'a:b', '\u00e4', 'x'.repeat(201), true],
  ],
  [
    'smarthost.password',
    ['x', 'a:b', later, 'x'.repeat(200)],
    ['', 'a b', 'x'.repeat(201), null, 7],
  ],
  ['backup.password', ['x', '!~', 'x'.repeat(1000)], ['', 'a b', '\u00e4', 'x'.repeat(1001)]],
  [
    'backup.repository',
    [
      '/mnt/x',
      's3:https://s3.example/x',
      'rest:https://u@x.example/',
      'rest:http://127.0.0.1:8000/',
      'rest:http://127.0.0.1',
      'rest:http://[::1]:8000/',
      'b2:x:y',
      'azure:x:/',
      'swift:x:/',
    ],
    [
      'x',
      'x/y',
      ' /x',
      '/x y',
      '/',
      's3:',
      'ftp:x',
      'xs3:y',
      'rest:https://:p@x.example/',
      'rest:https://u:@x.example/',
      'rest:http://x.example/',
      'rest:http://x.example/127.0.0.1',
      'rest:http://127.example/',
      'rest:http://127.0.0.1.example/',
      'rest:http://[::1]@x.example/',
    ],
  ],
  [
    'backup.environment',
    [
      'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_DEFAULT_REGION', 'B2_ACCOUNT_ID',
      'B2_ACCOUNT_KEY', 'AZURE_ACCOUNT_NAME', 'AZURE_ACCOUNT_KEY', 'AZURE_ACCOUNT_SAS', 'AZURE_ENDPOINT_SUFFIX',
      'OS_AUTH_URL', 'ST_KEY', 'RESTIC_REST_USERNAME', 'RESTIC_REST_PASSWORD',
    ].map((name) => ({ [name]: 'x' })), // prettier-ignore
    [
      'PATH', 'XAWS_ACCESS_KEY_ID', 'AWS_ACCESS_KEY_IDS', 'AWS_X', 'B2_ACCOUNT_X', 'AZURE_ACCOUNT_X', 'OS_', 'OS_x',
      'RESTIC_REST_X', 'RESTIC_PASSWORD',
    ].map((name) => ({ [name]: 'x' })), // prettier-ignore
  ],
  ['backup.keepDaily', [1, 1000], [0, 1001]],
  ['backup.keepWeekly', [0, 1000], [1001]],
  ['backup.keepMonthly', [0, 1000], [1001]],
  [
    'restore',
    ['latest', '0123abcd', 'a'.repeat(64)],
    ['0123abc', 'a'.repeat(65), 'latestx', 'xlatest', '0123ABCD'],
  ],
  ['serverType', ['cx23', 'cpx11', 'x1'], ['cx', '23', 'CX23', 'cx23x', '1cx23', '']],
  ['location', ['fsn1', 'ash'], ['fs1', 'fsn12', 'fsnx', 'FSN1', '1fsn']],
  [
    'driftAccepted',
    [['-x'], ['x y'], ['a-b - c']],
    [[''], ['- x'], [' x'], ['a\nb'], ['a\u2028b'], ['a\u2029b'], [7]],
  ],
  [
    'spamTagLevel',
    [0, '0.5', '5', 4.999],
    [-1, '1.', '.5', '1e1', '1.0000', '12345', '', true, null],
  ],
  ['spamJunkLevel', ['2', 100], [0.999, 100.001, '101']],
  ['messageSize', [1, '150'], [0, 151, 1.5, '1.0', '', '0x1', '1234567890', null]],
  ['volumeSize', [10, 10_240], [9, 10_241]],
  ['dkimGeneration', [1, 1000], [0, 1001]],
  [
    'dkimRetention',
    ['4d', '999999d', '345600s', '5760m', '96h'],
    ['0d', '30', '30w', '030d', '30dd', '1000000s', 30],
  ],
  ['protect', [true, 'true', 'no'], ['perhaps', 7, null]],
  ['dns', ['cloudflare', 'manual'], ['other', '', null]],
  [
    'tls.directory',
    ['https://ca.example/', 'https://ca-1.example:14000/dir?x=~&y'],
    [
      'http://ca.example/',
      'https://ca.example',
      'https://ca.example:123456/',
      'https://ca.example:/',
      "https://ca.example/'",
      'https://ca.example/a b',
      'xhttps://ca.example/',
    ],
  ],
  [
    'adminSshKeys',
    [
      ed25519,
      `${ed25519} anna@example.org`,
      `${ed25519} `,
      sshLine('ssh-ed25519', 'ssh-ed25519', 'x', ''),
      sshLine('sk-ssh-ed25519@openssh.com', 'sk-ssh-ed25519@openssh.com', 'a', 'b'),
      sshLine('ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp256', 'nistp256', 'x'),
      sshLine('ssh-rsa', 'ssh-rsa', 'e', 'n'.repeat(256)),
    ].map((line) => [line]),
    [
      sshLine('ssh-ed25519', 'ssh-rsa', 'x'),
      sshLine('ssh-ed25519', 'ssh-ed25519'),
      sshLine('dsa-x', 'dsa-x', 'x'),
      withTail(ed25519, 0),
      withTail(ed25519, 0, 0, 0),
      withTail(ed25519, 0, 0, 0, 1),
      `restrict ${ed25519}`,
      `${ed25519}\tanna`,
      `${ed25519} \u00e4`,
      ed25519.replace(' ', '  '),
      ed25519.replace(' ', ' *'),
      'ssh-ed25519',
    ].map((line) => [line]),
  ],
  [
    'adminNetworks',
    [['192.0.2.0/24'], ['0.0.0.0/0', '::/0']],
    [[], ['192.0.2.1'], ['192.0.2.0/33'], ['::ffff:192.0.2.0/120', '192.0.2.0/24'], ['x/8']],
  ],
])('takes and refuses values of %s', (path, right, wrong) => {
  for (const value of right) expect(mistakesOf(at(path, value)), JSON.stringify(value)).toEqual([]);
  for (const value of wrong)
    expect(
      mistakesOf(at(path, value))
        .map((m) => m.path)
        .join(),
      JSON.stringify(value),
    ).toContain(path);
});

describe('what is made of the settings', () => {
  it('has each thing once, in one order', () => {
    const settings = parseSettings({
      ...good,
      domains: [{ name: 'example.org', spf: ['mx:b.example', 'a', 'MX:b.example'] }],
      accounts: [
        {
          ...anna,
          aliases: ['z@example.org', 'y@example.org'],
          sendAs: ['z@example.org', 'y@example.org'],
        },
      ],
      aliases: [{ address: 'x@example.org', recipients: ['Z@example.org', 'anna@example.org'] }],
      dkimGeneration: 5,
      dkimCompromised: [10, '2', 10, 1],
      adminSshKeys: [`${sshKey} b`, `${sshKey} a`, `${sshKey} b`],
      adminNetworks: ['198.51.100.0/24', '192.0.2.0/24', '192.0.2.0/24'],
      driftAccepted: ['b', 'a', 'b'],
    });
    expect(settings).toMatchObject({
      domains: [{ spf: ['a', 'mx:b.example'], zone: 'example.org' }],
      accounts: [
        { aliases: ['y@example.org', 'z@example.org'], sendAs: ['y@example.org', 'z@example.org'] },
      ],
      aliases: [{ recipients: ['anna@example.org', 'z@example.org'] }],
      dkimCompromised: [1, 2, 10],
      adminSshKeys: [`${sshKey} a`, `${sshKey} b`],
      adminNetworks: ['192.0.2.0/24', '198.51.100.0/24'],
      driftAccepted: ['a', 'b'],
    });
  });

  it('has the quota of all for an account without one', () => {
    const accounts = [anna, { ...anna, address: 'bob@example.org', quota: 0 }];
    const settings = parseSettings({ ...good, accounts, quota: 50 });
    expect(settings.accounts.map(({ quota }) => quota)).toEqual([50, 0]);
  });
});

describe('an error of the settings', () => {
  it('has a line for each mistake, with those that were found elsewhere', () => {
    const found: Mistake[] = [{ path: ['x'], problem: 'is y' }];
    const text = (input: object, more: Mistake[] = []) => {
      try {
        parseSettings(input, more);
      } catch (error) {
        const { name, message, mistakes } = error as SettingsError;
        expect(message).toBe(report(mistakes, argumentNames));
        return [name, ...message.split('\n')];
      }
      return [];
    };
    expect(text(good)).toEqual([]);
    expect(text(good, found)).toEqual([
      'SettingsError',
      expect.stringContaining('1 setting is invalid;'),
      '  x is y',
    ]);
    expect(text({ ...good, restore: 7 }, found)).toEqual([
      'SettingsError',
      expect.stringContaining('2 settings are invalid;'),
      expect.stringContaining('  restore: 7 '),
      expect.stringContaining('  restore needs '),
      '  x is y',
    ]);
  });

  it.each<[string, unknown, string | undefined]>([
    ['dkimgeneration', 1, 'did you mean dkimGeneration?'],
    ['DKIMGENERATION', 1, 'did you mean dkimGeneration?'],
    ['spam', 1, 'did you mean spamAction?'],
    ['acounts', 1, 'did you mean accounts?'],
    ['xyz', 1, undefined],
    ['tls.direct', 1, 'did you mean directory?'],
    ['smarthost.pasword', 1, 'did you mean password?'],
    ['smarthost.directory', 1, undefined],
  ])('tells of the name %s which may be meant', (path, value, remedy) => {
    const mistake = mistakesOf(at(path, value)).find((one) => one.path === path);
    expect(mistake?.message).toContain(remedy ?? 'remove it');
    if (remedy !== undefined) expect(mistake?.message.endsWith(remedy)).toBe(true);
  });

  it.each<[string, unknown, string]>([
    ['messageSize', 'two', ': "two" '],
    ['messageSize', false, ': false '],
    ['messageSize', [], ''],
    ['postmaster', undefined, ''],
    ['hostName', `${'a'.repeat(79)}!`, `: "${'a'.repeat(79)}\u2026 `],
    ['hostName', `${'a'.repeat(77)}!`, `: "${'a'.repeat(77)}!" `],
    ['smarthost', 'secret', ''],
    ['smarthost.host', 'x_', ': "x_" '],
    ['smarthost.port', 'x', ': "x" '],
    ['smarthost.username', 'a b', ''],
    ['smarthost.password', 'a b', ''],
    ['tls', 'secret', ''],
    ['tls.issuer', 'x', ': "x" '],
    ['tls.directory', 'x', ': "x" '],
    ['tls.contact', 'x', ': "x" '],
    ['tls.acceptTerms', 'x', ': "x" '],
    ['tls.chain', 'secret', ''],
    ['backup', 'secret', ''],
    ['backup.repository', 'secret', ''],
    ['backup.hostKey', 'x', ': "x" '],
    ['backup.keepDaily', 'x', ': "x" '],
    ['backup.keepMonthly', 'x', ': "x" '],
    ['backup.password', 'a b', ''],
    ['accounts', 'secret', ''],
  ])('shows the value of %s where it may: %j', (path, value, shown) => {
    const [mistake] = mistakesOf(at(path, value)).filter((one) => one.path === path);
    expect(mistake!.message.slice(0, shown.length)).toBe(shown);
    if (shown === '') expect(mistake!.message).not.toMatch(/^:|secret"|\ba b\b/);
  });

  it('shows nothing of an account but its address', () => {
    const secret = '$6$SALT$HASH';
    const [first, second] = mistakesOf({
      ...good,
      accounts: [{ ...anna, address: 'x_', passwordHash: secret }, secret, anna],
    });
    expect(first).toMatchObject({ path: 'accounts[0].address' });
    expect(first!.message).toMatch(/^: "x_" /);
    expect(second!.message).not.toContain('SALT');
  });

  it('names the place as `pulumi config set --path` takes it', () => {
    expect(pathText(['accounts', 0, 'aliases', 12])).toBe('accounts[0].aliases[12]');
    expect(valueAt({ a: [{ b: 7 }] }, ['a', 0, 'b'])).toBe(7);
    for (const input of [undefined, null, {}, { a: null }, { a: [] }])
      expect(valueAt(input, ['a', 0, 'b'])).toBeUndefined();
  });

  it('knows the secrets', () => {
    expect(secretSettings.sort()).toEqual([
      'accounts.passwordHash',
      'backup.environment',
      'backup.password',
      'machine.sshPrivateKey',
      'smarthost.password',
      'tls.privateKey',
    ]);
  });
});

describe('a name', () => {
  it.each([
    ['mail.2.example', 'mail.2.example'],
    ['mail.example.2', undefined],
    [`${'a.'.repeat(114)}example`, `${'a.'.repeat(114)}example`],
    [`${'a.'.repeat(113)}b.example.`, `${'a.'.repeat(113)}b.example`],
    [`b${'a.'.repeat(114)}example`, undefined],
    ['example', undefined],
  ])('%s is a domain: %s', (name, normal) => {
    expect(normalDomain(name)).toBe(normal);
  });

  it.each([
    ['.', '.'],
    ['_Dmarc.Example.ORG.', '_dmarc.example.org'],
    ['*.b\u00fccher.example', '*.xn--bcher-kva.example'],
  ])('%s from an API is %s', (name, ascii) => {
    expect(asciiName(name)).toBe(ascii);
  });

  it.each([
    ['a'.repeat(32), true],
    ['0'.repeat(33), false],
    [`g${'0'.repeat(32)}`, false],
    [`${'0'.repeat(32)}g`, false],
  ])('%s is the id of a zone: %s', (zone, is) => {
    expect(isZoneId(zone)).toBe(is);
  });

  it('belongs to whoever registered it, also below a suffix of somebody else', () => {
    expect(registrableDomain('a.b.example.co.uk')).toBe('example.co.uk');
    expect(registrableDomain('a.b.github.io')).toBe('b.github.io');
    expect(registrableDomain('co.uk')).toBe('co.uk');
  });

  it('lies in a domain that it ends in', () => {
    expect(liesIn('a.example.org', 'example.org')).toBe(true);
    expect(liesIn('example.org', 'example.org')).toBe(true);
    expect(liesIn('example.org.a', 'example.org')).toBe(false);
    expect(liesIn('xexample.org', 'example.org')).toBe(false);
  });

  it.each([
    'ab..c@example.org',
    '.a@example.org',
    'a.@example.org',
    `${'a'.repeat(65)}@example.org`,
  ])('%s is no address, here or elsewhere', (address) => {
    expect(normalAddress(address)).toBeUndefined();
    expect(normalRecipient(address)).toBeUndefined();
  });

  it('has roles that every domain answers, and a probe that no domain does', () => {
    expect(roles).toEqual(['abuse', 'dmarc-reports', 'hostmaster', 'postmaster', 'tls-reports']);
    expect(probeAddress).toBe('mailhost-probe@mailhost-probe.invalid');
  });
});

it('the directory of a CA has its host in lower case, and its path as it is', () => {
  const tls = { issuer: 'acme', acceptTerms: true, directory: 'HTTPS://CA.Example:14000/Dir' };
  expect(parseSettings({ ...good, tls }).tls.directory).toBe('https://ca.example:14000/Dir');
});
