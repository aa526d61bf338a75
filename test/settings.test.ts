import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MailHostArgs } from '../components/mailHostArgs';
import { pathText, report, SettingsError } from '../components/settings/mistakes';
import { parseSettings } from '../components/settings/parse';
import { stackConfig } from '../settings';
import { example, hash, sshKey } from './example';

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

describe('parseSettings', () => {
  it('derives zones and fills in the defaults', () => {
    const settings = parseSettings({
      ...good,
      domains: [{ name: 'sub.example.co.uk' }, { name: 'example.org' }],
    });
    expect(settings.domains).toMatchObject([
      { name: 'example.org', zone: 'example.org', parked: false },
      { name: 'sub.example.co.uk', zone: 'example.co.uk' },
    ]);
    expect(settings.accounts).toMatchObject([{ quota: 2000, sendAs: [] }]);
    expect(settings).toMatchObject({ dkimGeneration: 1, spamTagLevel: 2, protect: true });
  });

  it('takes numbers and truth values as stack config has them, as text', () => {
    const settings = parseSettings({
      ...good,
      dkimGeneration: '3',
      spamTagLevel: '2.5',
      protect: 'false',
    });
    expect(settings).toMatchObject({ dkimGeneration: 3, spamTagLevel: 2.5, protect: false });
  });

  it.each([
    [{ ...good, dkimgenration: 2 }, ' is not a setting; did you mean dkimGeneration?'],
    [
      { ...good, colour: 'blue' },
      ' is not a setting; remove it, or correct its name: pulumi config rm mailhost:colour',
    ],
    [{ ...good, accounts: [{ ...anna, quotas: 1 }] }, ' is not a setting; did you mean quota?'],
    [{ ...good, accounts: [{ ...anna, alias: [] }] }, ' is not a setting; did you mean aliases?'],
    [{ ...good, tls: { ...tls, directry: 'x' } }, ' is not a setting; did you mean directory?'],
  ])('tells which setting may be meant', (input, message) => {
    expect(mistakesOf(input).map((mistake) => mistake.message)).toContain(message);
  });

  it('takes a user name of digits alone, of which stack config makes a number', () => {
    const smarthost = { host: 'smtp.example.com', username: 12345, password: 'x' };
    const domains = [{ name: 'example.org', spf: ['include:example.com'] }];
    const settings = parseSettings({ ...good, domains, smarthost });
    expect(settings.smarthost).toMatchObject({ username: '12345' });
  });

  it('brings names into one form: lower case, A-labels', () => {
    const settings = parseSettings({
      tls,
      hostName: 'Mail.Bücher.example',
      domains: [{ name: 'BÜCHER.example' }],
      accounts: [{ ...anna, address: 'Anna@Bücher.Example' }],
      postmaster: 'ANNA@xn--bcher-kva.example',
    });
    expect(settings.hostName).toBe('mail.xn--bcher-kva.example');
    expect(settings.domains).toMatchObject([{ name: 'xn--bcher-kva.example' }]);
    expect(settings.accounts).toMatchObject([{ address: 'anna@xn--bcher-kva.example' }]);
    expect(settings.postmaster).toBe('anna@xn--bcher-kva.example');
  });

  it.each([
    ['example.org.', 'example.org'],
    ['Bücher.example.', 'xn--bcher-kva.example'],
    ['bücher。example。', 'xn--bcher-kva.example'],
  ])('takes the name %s as in a zone file', (name, normal) => {
    const settings = parseSettings({
      tls,
      hostName: `mail.${name}`,
      domains: [{ name, zone: name, spf: [`include:_spf.${name}`] }],
      accounts: [{ ...anna, address: `anna@${name}`, aliases: [`info@${name}`] }],
      aliases: [{ address: `team@${name}`, recipients: [`anna@${name}`, `x@elsewhere.${name}`] }],
      postmaster: `anna@${name}`,
      dmarcReports: `team@${name}`,
      smarthost: { host: `smtp.${name}`, username: 'x', password: 'x' },
    });
    expect(JSON.stringify(settings)).not.toMatch(/[^\0-\x7f]|\.["@]/);
    expect(settings).toMatchObject({
      hostName: `mail.${normal}`,
      domains: [{ name: normal, zone: normal, spf: [`include:_spf.${normal}`] }],
      postmaster: `anna@${normal}`,
      smarthost: { host: `smtp.${normal}` },
    });
  });

  it.each(['example.org..', '.', 'org.', '.example.org', 'a..example.org'])(
    'takes %s for no name',
    (name) => {
      expect(mistakesOf({ ...good, domains: [{ name }] }).map(({ path }) => path)).toContain(
        'domains[0].name',
      );
    },
  );

  it('gives the same for every order of every list', () => {
    const input: MailHostArgs = {
      ...example,
      domains: [
        ...example.domains,
        { name: 'example.com', spf: ['mx:a.example', 'ip4:192.0.2.1'] },
      ],
      aliases: [
        { address: 'team@example.org', recipients: ['anna@example.org', 'bert@example.net'] },
        { address: 'all@example.org', recipients: ['team@example.org', 'x@elsewhere.example'] },
      ],
      adminNetworks: ['192.0.2.0/24', '198.51.100.0/24'],
    };
    const reversed = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(reversed).reverse();
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, reversed(v)]));
    };
    expect(parseSettings(reversed(input))).toEqual(parseSettings(input));
  });

  it('takes a zone by its id, a role for reports, and names that no web server needs', () => {
    const { domains } = parseSettings({
      ...good,
      domains: [{ name: 'example.org', zone: 'ABCDEF'.padEnd(32, '0') }],
      dmarcReports: 'dmarc-reports@example.org',
      hostName: 'autoconfig.example.org',
      web: false,
    });
    expect(domains).toMatchObject([{ zone: 'abcdef'.padEnd(32, '0'), dmarcPolicy: 'reject' }]);
  });

  it.each<[string, unknown, string]>([
    ['a wrong domain', { ...good, domains: [{ name: 'not_a_domain' }] }, 'domains[0].name'],
    ['an address for a domain', { ...good, domains: [{ name: '192.0.2.1' }] }, 'domains[0].name'],
    [
      'a label of 64 octets',
      { ...good, domains: [{ name: `${'a'.repeat(64)}.example` }] },
      'domains[0].name',
    ],
    [
      'a domain that leaves no room for the names below it',
      { ...good, domains: [{ name: `${'a.'.repeat(120)}example` }] },
      'domains[0].name',
    ],
    ['a long host name', { ...good, hostName: `${'a'.repeat(60)}.example.org` }, 'hostName'],
    ['no host name', { ...good, hostName: undefined }, 'hostName'],
    ['an unknown key', { ...good, dkimGenration: 2 }, 'dkimGenration'],
    [
      'an unknown key inside',
      { ...good, domains: [{ name: 'example.org', dkim: 1 }] },
      'domains[0].dkim',
    ],
    [
      'a domain that is the same in another spelling',
      { ...good, domains: [{ name: 'example.org' }, { name: 'Example.ORG' }] },
      'domains[1].name',
    ],
    [
      'a missing hash',
      { ...good, accounts: [{ address: 'anna@example.org' }] },
      'accounts[0].passwordHash',
    ],
    [
      'a plain password',
      { ...good, accounts: [{ address: 'anna@example.org', passwordHash: 'hunter2' }] },
      'accounts[0].passwordHash',
    ],
    ['a non-numeric generation', { ...good, dkimGeneration: 'two' }, 'dkimGeneration'],
    ['one address twice', { ...good, accounts: [anna, anna] }, 'accounts[1].address'],
    [
      'one address twice in two spellings',
      { ...good, accounts: [anna, { ...anna, address: 'Anna@example.org' }] },
      'accounts[1].address',
    ],
    [
      'an alias that is an account',
      { ...good, accounts: [{ ...anna, aliases: ['anna@example.org'] }] },
      'accounts[0].aliases[0]',
    ],
    [
      'a foreign account',
      { ...good, accounts: [anna, { ...anna, address: 'bob@example.net' }] },
      'accounts[1].address',
    ],
    [
      'a foreign address to send as',
      { ...good, accounts: [{ ...anna, sendAs: ['boss@example.net'] }] },
      'accounts[0].sendAs[0]',
    ],
    ['a tag in an address', { ...good, postmaster: 'anna+x@example.org' }, 'postmaster'],
    ['a local part that is not ASCII', { ...good, postmaster: 'jörg@example.org' }, 'postmaster'],
    ['a postmaster that nobody reads', { ...good, postmaster: 'root@example.org' }, 'postmaster'],
    ['no domain', { ...good, domains: [], accounts: [], postmaster: 'a@example.net' }, 'domains'],
    [
      'a foreign zone',
      { ...good, domains: [{ name: 'example.org', zone: 'example.com' }] },
      'domains[0].zone',
    ],
    ['a score below zero', { ...good, spamTagLevel: '-5' }, 'spamTagLevel'],
    [
      'a zone that is neither a name nor an id',
      { ...good, domains: [{ name: 'example.org', zone: '0'.repeat(31) }] },
      'domains[0].zone',
    ],
    [
      'an id at Cloudflare that nobody asks',
      { ...good, dns: 'manual', domains: [{ name: 'example.org', zone: '0'.repeat(32) }] },
      'domains[0].zone',
    ],
    [
      'a host name that mail clients look for',
      { ...good, hostName: 'autoconfig.example.org' },
      'hostName',
    ],
    [
      'a domain that mail servers look for a policy at',
      { ...good, domains: [{ name: 'example.org' }, { name: 'mta-sts.example.org' }] },
      'domains[1].name',
    ],
    ['a policy that others cannot check', { ...good, mtaSts: 'enforce' }, 'mtaSts'],
    [
      'a policy without a web server',
      { ...good, mtaSts: 'enforce', web: false, tls: { issuer: 'acme' } },
      'mtaSts',
    ],
    [
      'metrics without a web server',
      { ...good, metrics: true, web: false, adminNetworks: ['192.0.2.0/24'] },
      'metrics',
    ],
    ['metrics for everyone', { ...good, metrics: true }, 'metrics'],
    ['reports to nobody', { ...good, dmarcReports: 'nobody@example.org' }, 'dmarcReports'],
    [
      'reports whose consent is too long a name',
      {
        ...good,
        dmarcReports: `a@${'x'.repeat(63)}.${'y'.repeat(63)}.${'z'.repeat(63)}.${'w'.repeat(35)}.example`,
      },
      'dmarcReports',
    ],
    [
      'a parked domain with a policy of its own',
      {
        ...good,
        domains: [
          { name: 'example.org' },
          { name: 'example.net', parked: true, dmarcPolicy: 'none' },
        ],
      },
      'domains[1].dmarcPolicy',
    ],
    [
      'an address with two dots in a row',
      { ...good, accounts: [{ ...anna, address: 'a..b@example.org' }] },
      'accounts[0].address',
    ],
    ['a host name outside the domains', { ...good, hostName: 'mx.example.com' }, 'hostName'],
    ['a host name that is a domain', { ...good, hostName: 'example.org' }, 'hostName'],
    [
      'a postmaster at the host itself',
      { ...good, postmaster: 'root@mail.example.org' },
      'postmaster',
    ],
    [
      'a system user twice',
      {
        ...good,
        domains: [{ name: 'example.org' }, { name: 'example.net' }],
        accounts: [anna, { ...anna, address: 'anna@example.net' }],
        accountKind: 'system',
      },
      'accounts[1].address',
    ],
    [
      'a system user that begins with a digit',
      { ...good, accounts: [anna, { ...anna, address: '1st@example.org' }], accountKind: 'system' },
      'accounts[1].address',
    ],
    [
      'a line break',
      { ...good, hostName: 'mail.example.org\nmatch from any for any action "x"' },
      'hostName',
    ],
    [
      'an alias to nobody',
      { ...good, aliases: [{ address: 'team@example.org', recipients: ['bob@example.org'] }] },
      'aliases[0].recipients[0]',
    ],
    [
      'an alias with no recipient',
      { ...good, aliases: [{ address: 'team@example.org', recipients: [] }] },
      'aliases[0].recipients',
    ],
    [
      'an alias that leads to itself',
      {
        ...good,
        aliases: [
          { address: 'a@example.org', recipients: ['b@example.org', 'anna@example.org'] },
          { address: 'b@example.org', recipients: ['a@example.org'] },
        ],
      },
      'aliases[0].recipients',
    ],
    [
      'an account in a parked domain',
      {
        ...good,
        domains: [{ name: 'example.org' }, { name: 'example.net', parked: true }],
        accounts: [anna, { ...anna, address: 'bob@example.net' }],
      },
      'accounts[1].address',
    ],
    [
      'a catch-all that nobody has',
      { ...good, domains: [{ name: 'example.org', catchAll: 'bob@example.org' }] },
      'domains[0].catchAll',
    ],
    [
      'a catch-all elsewhere',
      { ...good, domains: [{ name: 'example.org', catchAll: 'bob@elsewhere.example' }] },
      'domains[0].catchAll',
    ],
    [
      'a parked domain that lets others send',
      {
        ...good,
        domains: [{ name: 'example.org' }, { name: 'example.net', parked: true, spf: ['a'] }],
      },
      'domains[1].spf',
    ],
    [
      'SPF of more than ten look-ups',
      {
        ...good,
        domains: [
          { name: 'example.org', spf: [...'abcdefghij'].map((c) => `include:${c}.example`) },
        ],
      },
      'domains[0].spf',
    ],
    [
      'a second SPF record instead of a mechanism',
      { ...good, domains: [{ name: 'example.org', spf: ['v=spf1 include:a.example'] }] },
      'domains[0].spf[0]',
    ],
    [
      'a level of spam below that of its mark',
      { ...good, spamTagLevel: 6, spamJunkLevel: 5 },
      'spamJunkLevel',
    ],
    ['a quota below one message', { ...good, quota: 10, messageSize: 35 }, 'quota'],
    ['dropping viruses that nobody looks for', { ...good, virusAction: 'drop' }, 'virusAction'],
    ['half an SSH key', { ...good, adminSshKeys: ['ssh-ed25519 AAAA me'] }, 'adminSshKeys[0]'],
    ['a difference with its hyphen', { ...good, driftAccepted: ['- x'] }, 'driftAccepted[0]'],
    ['nonsense for an SSH key', { ...good, adminSshKeys: ['ssh-rsa foo'] }, 'adminSshKeys[0]'],
    ['a numeric location', { ...good, location: '2' }, 'location'],
    ['a data center for a location', { ...good, location: 'fsn1-dc14' }, 'location'],
    ['networks that shut Pulumi out', { ...good, adminNetworks: ['::/0'] }, 'adminNetworks'],
    [
      'an account in a domain that is parked in other words',
      {
        ...good,
        domains: [{ name: 'example.org' }, { name: 'example.net', parked: 'yes' }],
        accounts: [anna, { ...anna, address: 'bob@example.net' }],
      },
      'accounts[1].address',
    ],
    ['an empty quota', { ...good, accounts: [{ ...anna, quota: null }] }, 'accounts[0].quota'],
    ['a truth value for a number', { ...good, messagesPerHour: true }, 'messagesPerHour'],
    ['a number in another base', { ...good, dkimGeneration: '0x2' }, 'dkimGeneration'],
    ['a score of too many digits', { ...good, spamJunkLevel: '5.123456' }, 'spamJunkLevel'],
    [
      'a hash that was cut off',
      { ...good, accounts: [{ ...anna, passwordHash: hash.slice(0, -1) }] },
      'accounts[0].passwordHash',
    ],
    [
      'a catch-all that leads elsewhere',
      {
        ...good,
        domains: [{ name: 'example.org', catchAll: 'team@example.org' }],
        aliases: [{ address: 'team@example.org', recipients: ['x@elsewhere.example'] }],
      },
      'domains[0].catchAll',
    ],
    [
      'an alias that leads back by a role address',
      {
        ...good,
        aliases: [{ address: 'team@example.org', recipients: ['abuse@example.org'] }],
        postmaster: 'team@example.org',
      },
      'aliases[0].recipients',
    ],
    [
      'a system user that Debian has',
      {
        ...good,
        accounts: [anna, { ...anna, address: 'news@example.org' }],
        accountKind: 'system',
      },
      'accounts[1].address',
    ],
    [
      'a smarthost that SPF forbids',
      { ...good, smarthost: { host: 'smtp.example.com', username: 'x', password: 'y' } },
      'domains[0].spf',
    ],
    [
      'a smarthost that is the host',
      { ...good, smarthost: { host: 'mail.example.org', username: 'x', password: 'y' } },
      'smarthost.host',
    ],
    [
      'a smarthost without a password',
      { ...good, smarthost: { host: 'smtp.example.com', username: 'x' } },
      'smarthost.password',
    ],
    ...(
      [
        ['over SSH without a host key', { ...sftp, hostKey: undefined }, 'hostKey'],
        ['over SSH with half a host key', { ...sftp, hostKey: 'ssh-ed25519 AAAA' }, 'hostKey'],
        ['elsewhere with a host key', { ...sftp, repository: '/mnt/backup' }, 'hostKey'],
        ['without a password', { ...sftp, password: undefined }, 'password'],
        ['onto what is saved', { repository: '/srv/mailhost/b', password: 'x' }, 'repository'],
        ['to what restic does not know', { ...sftp, repository: 'ftp://x.example' }, 'repository'],
        ['in the clear', { ...rest, repository: 'rest:http://x.example/' }, 'repository'],
        [
          'in the clear, to what only looks like this host',
          { ...rest, repository: 'rest:http://127.0.0.1@x.example/' },
          'repository',
        ],
        [
          'by a password for all to see',
          { ...rest, repository: 'rest:https://u:p@x.example/' },
          'repository',
        ],
        [
          'with a variable of the system',
          { ...rest, environment: { LD_PRELOAD: 'x' } },
          'environment.LD_PRELOAD',
        ],
        [
          'with a line too many',
          { ...rest, environment: { AWS_ACCESS_KEY_ID: 'x\ny' } },
          'environment.AWS_ACCESS_KEY_ID',
        ],
        ['for no day', { ...rest, keepDaily: 0 }, 'keepDaily'],
      ] as const
    ).map(([title, backup, key]): [string, unknown, string] => [
      `a backup ${title}`,
      { ...good, backup },
      `backup.${key}`,
    ]),
    ['a restore from nowhere', { ...good, restore: 'latest' }, 'restore'],
    ['a restore of no snapshot', { ...good, backup: rest, restore: 'newest' }, 'restore'],
    ['an image by number', { ...good, image: '12345' }, 'image'],
    ['a DKIM key that goes while mail waits', { ...good, dkimRetention: '3d' }, 'dkimRetention'],
    ['mail that waits for longer', { ...good, queueLifetime: '22d' }, 'dkimRetention'],
  ])('refuses %s, naming the key', (_, input, path) => {
    expect(mistakesOf(input).map((m) => m.path)).toContain(path);
  });

  it.each([
    ['a tag and an apostrophe elsewhere', ["o'brien+work@elsewhere.example"]],
    ['a role address', ['abuse@example.org']],
    ['a tag of an own address', ['anna+sales@example.org', 'Anna+Sales@Example.org']],
    ['a tag of a role address', ['abuse+sales@example.org']],
  ])('lets an alias lead to %s', (_, recipients) => {
    const aliases = [{ address: 'team@example.org', recipients }];
    expect(mistakesOf({ ...good, aliases })).toEqual([]);
  });

  it('finds a circle of aliases behind a tag, and a tag of an address that nobody has', () => {
    const aliases = [
      { address: 'team@example.org', recipients: ['team+x@example.org'] },
      { address: 'sales@example.org', recipients: ['nobody+x@example.org'] },
    ];
    expect(mistakesOf({ ...good, aliases }).map((m) => m.path)).toEqual([
      'aliases[1].recipients[0]',
      'aliases[0].recipients',
    ]);
  });

  it('allows as many aliases in a row as OpenSMTPD follows', () => {
    const chain = (length: number) =>
      Array.from({ length }, (_, i) => ({
        address: `a${i}@example.org`,
        recipients: i + 1 < length ? [`a${i + 1}+x@example.org`] : ['anna@example.org'],
      }));
    expect(mistakesOf({ ...good, aliases: chain(5) })).toEqual([]);
    expect(mistakesOf({ ...good, aliases: chain(7) })).toEqual(
      [0, 1].map((i) => ({
        path: `aliases[${i}].recipients`,
        message:
          ' lead through more than 5 aliases in a row, which OpenSMTPD does not follow; name the addresses behind them',
      })),
    );
  });

  it('leaves the case of a local part elsewhere as it is, and of no other', () => {
    const recipients = ['Erika.Muster+X@Elsewhere.EXAMPLE', 'Anna+X@Example.org'];
    const aliases = [{ address: 'Team@example.org', recipients }];
    expect(parseSettings({ ...good, aliases }).aliases).toEqual([
      {
        address: 'team@example.org',
        recipients: ['Erika.Muster+X@elsewhere.example', 'anna+x@example.org'],
      },
    ]);
  });

  it.each(['_anna_@example.org', 'anna-@example.org'])(
    'takes a sign at either end: %s',
    (address) => {
      expect(
        mistakesOf({ ...good, accounts: [{ ...anna, address }], postmaster: address }),
      ).toEqual([]);
    },
  );

  it.each(["o'example@example.org", 'r&d@example.org'])('takes %s as an own address', (address) => {
    const account = { ...anna, address, aliases: [`x${address}`] };
    expect(mistakesOf({ ...good, accounts: [account], postmaster: address })).toEqual([]);
    expect(
      mistakesOf({ ...good, accounts: [account], postmaster: address, accountKind: 'system' }),
    ).toMatchObject([{ path: 'accounts[0].address' }]);
  });

  it.each([
    '|/bin/sh@elsewhere.example',
    '/etc/passwd@elsewhere.example',
    '"a b"@elsewhere.example',
  ])('lets no alias lead to %s', (recipient) => {
    const aliases = [{ address: 'team@example.org', recipients: [recipient] }];
    expect(mistakesOf({ ...good, aliases }).map((m) => m.path)).toEqual([
      'aliases[0].recipients[0]',
    ]);
  });

  it('names a network by its first address, once', () => {
    const adminNetworks = ['192.0.2.7/24', '192.0.2.0/24', '2001:DB8::1/32', '2001:db8::/32'];
    expect(parseSettings({ ...good, adminNetworks }).adminNetworks).toEqual([
      '192.0.2.0/24',
      '2001:db8::/32',
    ]);
  });

  it.each([
    ['accounts', '[{"passwordHash":"$6$SALT$HASH"},]'],
    ['accounts', ['anna@example.org:$6$SALT$HASH']],
    ['smarthost', 'smtp://user:$6$SALT$HASH@example.com'],
    ['smarthost', { host: 'smtp.example.com', username: 'user:$6$SALT$HASH', password: 'x' }],
    ['backup', 's3:https://user:$6$SALT$HASH@backup.example/mail'],
    ['backup', { repository: 'rest:https://user:$6$SALT$HASH@backup.example/', password: 'x' }],
    ['backup', { repository: '/x', password: 'x', environment: '$6$SALT$HASH' }],
    ['backup', { ...rest, environment: { AWS_ACCESS_KEY_ID: '$6$SALT$HASH \n' } }],
  ])('shows nothing of %s that may hold a secret: %j', (key, value) => {
    const mistakes = mistakesOf({ ...good, [key]: value });
    expect(mistakes).not.toEqual([]);
    expect(JSON.stringify(mistakes)).not.toContain('SALT');
  });

  it('says how to make a hash where there is a password, without showing it', () => {
    const [mistake] = mistakesOf({ ...good, accounts: [{ ...anna, passwordHash: 'hunter2' }] });
    expect(mistake!.message).toContain('openssl passwd -6');
    expect(mistake!.message).not.toContain('hunter2');
  });

  it('tells every mistake at once, with the wrong values and no secret', () => {
    const mistakes = mistakesOf({
      hostName: 'mail.example.org',
      domains: [{ name: 'example.org' }],
      tls: { privateKey: 'hunter2' },
      accounts: [
        { address: 'anna@example.org', passwordHash: 'hunter2' },
        anna,
        { ...anna, address: 'bob@example.net' },
      ],
      postmaster: 'nobody@example.org',
      dkimGeneration: 'two',
      colour: 'blue',
    });
    expect(mistakes.map((m) => m.path).sort()).toEqual([
      'accounts[0].passwordHash',
      'accounts[1].address',
      'accounts[2].address',
      'colour',
      'dkimGeneration',
      'postmaster',
      'tls.acceptTerms',
      'tls.privateKey',
      'tls.privateKey',
    ]);
    const text = JSON.stringify(mistakes);
    expect(text).not.toContain('hunter2');
    for (const value of ['two', 'anna@example.org', 'bob@example.net', 'nobody@example.org']) {
      expect(text).toContain(value);
    }
  });

  /** Every setting that is text, each with its path. */
  const everything: MailHostArgs = {
    ...example,
    domains: [
      {
        name: 'example.org',
        zone: 'example.org',
        catchAll: 'anna@example.org',
        spf: ['a:b.example'],
      },
      { name: 'example.net', spf: ['a:b.example'] },
    ],
    accounts: [
      {
        address: 'anna@example.org',
        passwordHash: hash,
        aliases: ['info@example.org'],
        sendAs: ['team@example.org'],
      },
    ],
    aliases: [{ address: 'team@example.org', recipients: ['x@elsewhere.example'] }],
    smarthost: { host: 'smtp.example.com', username: 'user', password: 'secret' },
    backup: { ...sftp, environment: { AWS_ACCESS_KEY_ID: 'secret' } },
    restore: 'latest',
    tls: {
      issuer: 'acme',
      directory: 'https://ca.example/directory',
      contact: 'anna@example.org',
      acceptTerms: true,
    },
    serverType: 'cx23',
    location: 'fsn1',
    adminSshKeys: [`${sshKey} anna`],
    adminNetworks: ['192.0.2.0/24'],
    driftAccepted: ['nothing listens on port 443'],
  };
  const texts = (value: unknown, path: string[] = []): string[][] => {
    if (typeof value === 'string') return [path];
    return Object.entries(value as object).flatMap(([key, v]) => texts(v, [...path, key]));
  };
  const withText = (value: unknown, [key, ...rest]: string[], text: string): unknown => {
    if (key === undefined) return text;
    const copy: unknown = Array.isArray(value)
      ? [...(value as unknown[])]
      : { ...(value as object) };
    const fields = copy as Record<string, unknown>;
    fields[key] = withText(fields[key], rest, text);
    return copy;
  };

  it('takes every kind of setting', () => {
    expect(mistakesOf(everything)).toEqual([]);
  });

  it.each(texts(everything).map((path) => [path.join('.'), path] as const))(
    'lets no control character or line break through %s',
    (_, path) => {
      const right = path.reduce<unknown>(
        (v, key) => (v as Record<string, unknown>)[key],
        everything,
      );
      const control = fc.constantFrom('\n', '\r', '\0', '\t', '\x1b', '\x7f', '\u0085', '\u2028');
      fc.assert(
        fc.property(control, fc.nat((right as string).length), (char, at) => {
          const text = `${(right as string).slice(0, at)}${char}${(right as string).slice(at)}`;
          expect(mistakesOf(withText(everything, path, text))).not.toEqual([]);
        }),
      );
    },
  );
});
