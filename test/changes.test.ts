import { describe, expect, it } from 'vitest';
import type { KeyHistory } from '../components/dns/dkimKeys';
import type { MailHostArgs } from '../components/mailHostArgs';
import {
  blockingChanges,
  droppedAddresses,
  mtaStsNoneSince,
  serverWarnings,
} from '../components/preflight/changes';
import { machineLosses } from '../components/preflight/machine';
import { summaryOf, type Summary } from '../components/preflight/summary';
import { parseSettings } from '../components/settings/parse';
import { example, hash } from './example';

const now = new Date('2026-01-08T00:00:00.000Z');
const blockers = (before: Summary, after: Summary) => blockingChanges(before, after, now);
const summary = (change: Partial<MailHostArgs> = {}) =>
  summaryOf(parseSettings({ ...example, ...change }), keys);
const keys: Record<string, KeyHistory> = {
  'example.org': { signs: 3, keys: [{ generation: 2 }, { generation: 3 }, { generation: 4 }] },
};
const confirmations = (change: Partial<MailHostArgs>, before = summary()) =>
  blockers(before, summary(change)).map(({ confirmation }) => confirmation);
const [anna, bert] = example.accounts!;

describe('a change', () => {
  it.each<[string, Partial<MailHostArgs>]>([
    ['nothing', {}],
    ['another order', { domains: [...example.domains].reverse() }],
    ['a domain more', { domains: [{ name: 'example.com' }, ...example.domains] }],
    [
      'an account more',
      { accounts: [...example.accounts!, { ...bert!, address: 'c@example.net' }] },
    ],
    [
      'another password',
      { accounts: [anna!, { ...bert!, passwordHash: hash.replace('salt', 'SALT') }] },
    ],
    ['another server type', { serverType: 'cx33' }],
    [
      'another DMARC policy',
      { domains: [{ name: 'example.org', dmarcPolicy: 'none' }, { name: 'example.net' }] },
    ],
    ['zones that are signed no more', { dnssec: false }],
    ['another server', { serverGeneration: 2 }],
    ['the next key', { dkimGeneration: 2 }],
    ['the next TLS key', { tlsGeneration: 2 }],
    ['a key that nobody may trust', { dkimGeneration: 3, dkimCompromised: [2] }],
  ])('of %s is not stopped', (_, change) => {
    expect(confirmations(change)).toEqual([]);
  });

  it.each<[Summary['mtaSts'], Summary['mtaSts'], string[]]>([
    ['testing', 'absent', ['drop MTA-STS']],
    ['enforce', 'absent', ['drop MTA-STS']],
    ['enforce', 'none', []],
    ['none', 'absent', []],
    ['absent', 'enforce', []],
  ])('of MTA-STS from %s to %s has to be confirmed by %j', (before, after, stopped) => {
    const found = blockers({ ...summary(), mtaSts: before }, { ...summary(), mtaSts: after });
    expect(found.map(({ confirmation }) => confirmation)).toEqual(stopped);
  });

  it.each<[string, string | undefined, string[]]>([
    ['within 7 days', '2026-01-01T00:00:00.001Z', ['drop MTA-STS']],
    ['after 7 days', '2026-01-01T00:00:00.000Z', []],
    ['where nothing was promised', undefined, []],
  ])('from a policy that ends MTA-STS to none at all is stopped: %s', (_, since, stopped) => {
    const before: Summary = { ...summary(), mtaSts: 'none', mtaStsNoneSince: since };
    const found = blockers(before, { ...before, mtaSts: 'absent' });
    expect(found.map(({ confirmation }) => confirmation)).toEqual(stopped);
    expect(blockers(before, { ...before, mtaSts: 'testing' })).toEqual([]);
  });

  it.each<[Summary['mtaSts'], Summary['mtaSts'], string | undefined]>([
    ['testing', 'none', now.toISOString()],
    ['enforce', 'none', now.toISOString()],
    ['none', 'none', 'since long'],
    ['absent', 'none', undefined],
    ['none', 'enforce', undefined],
    ['none', 'absent', undefined],
  ])('of MTA-STS from %s to %s ends promises since %s', (before, after, since) => {
    const noted = before === 'none' ? 'since long' : undefined;
    const one: Summary = { ...summary(), mtaSts: before, mtaStsNoneSince: noted };
    expect(mtaStsNoneSince(one, { ...summary(), mtaSts: after }, now)).toBe(since);
  });

  it.each<[string, Partial<MailHostArgs>, string]>([
    ['none', {}, 'mail to it is refused'],
    [
      'an alias',
      { aliases: [{ address: 'bert@example.net', recipients: ['anna@example.org'] }] },
      'mail to it goes where its alias leads',
    ],
    [
      'a catch-all',
      { domains: [{ name: 'example.org' }, { name: 'example.net', catchAll: 'anna@example.org' }] },
      'mail to it goes to the catch-all',
    ],
  ])('says what becomes of mail to an account that goes, with %s', (_, change, words) => {
    const [found] = blockers(summary(), summary({ accounts: [anna!], ...change }));
    expect(found!.message).toContain(`it cannot log in from then on, and ${words}. Its mail`);
  });

  it.each<[string, Partial<MailHostArgs>, (string | undefined)[]]>([
    ['an account less', { accounts: [anna!] }, ['remove bert@example.net']],
    [
      'a domain less, with its account',
      {
        domains: [{ name: 'example.org' }],
        accounts: [{ ...anna!, aliases: [] }],
      },
      ['remove example.net'],
    ],
    [
      'a domain that is parked',
      {
        domains: [{ name: 'example.org' }, { name: 'example.net', parked: true }],
        accounts: [{ ...anna!, aliases: [] }],
      },
      ['remove example.net'],
    ],
    [
      'another host name',
      { hostName: 'mx.example.org' },
      ['rename mail.example.org to mx.example.org'],
    ],
    ['system users', { accountKind: 'system' }, ['make accounts system']],
    ['a TLS key that has never been in DNS', { tlsGeneration: 3 }, [undefined]],
    ['a host without IPv6', { ipv6: false }, ['give up the IPv6 address']],
    ['records published by hand', { dns: 'manual' }, ['delete all records at Cloudflare']],
  ])('to %s is stopped', (_, change, stopped) => {
    expect(confirmations(change)).toEqual(stopped);
  });

  it('to another zone is stopped, and another way to write the same one is not', () => {
    const id = '0123456789abcdef'.repeat(2);
    const domains = [{ name: 'example.org' }, { name: 'a.example.net', zone: id }];
    const accounts = [{ ...anna!, aliases: [] }];
    const inZone = (zone: string, change: Partial<MailHostArgs> = {}) =>
      summaryOf(
        parseSettings({ ...example, accounts, aliases: [], domains, ...change }),
        keys,
        (one) => (one === id ? zone : one),
      );
    const stopped = (after: Summary) =>
      blockers(inZone('example.net'), after).map(({ confirmation }) => confirmation);
    expect(stopped(inZone('a.example.net'))).toEqual(['move a.example.net to zone a.example.net']);
    const named = [{ name: 'example.org' }, { name: 'a.example.net', zone: 'example.net' }];
    expect(stopped(inZone('', { domains: named }))).toEqual([]);
    const more = [...named, { name: 'example.com' }];
    expect(stopped(inZone('', { domains: more }))).toEqual([]);
  });

  it('to a provided key is stopped where TLSA records are out', () => {
    const stopped = (before: Summary) =>
      blockers(before, { ...before, issuer: 'provided' }).map(({ confirmation }) => confirmation);
    expect(stopped(summary())).toEqual(['serve a key that no TLSA record names']);
    expect(stopped(summary({ dnssec: false }))).toEqual([]);
    expect(stopped({ ...summary(), issuer: 'provided' })).toEqual([]);
  });

  it('to another with the same name as a system user is stopped as what it is', () => {
    const before = summary({ accountKind: 'system' });
    const next = { ...bert!, address: 'bert@example.org' };
    expect(confirmations({ accountKind: 'system', accounts: [anna!, next] }, before)).toEqual([
      'hand the mailbox of bert@example.net to bert@example.org',
    ]);
    expect(confirmations({ accounts: [anna!, next] }, before)).toEqual([
      'remove bert@example.net',
      'make accounts virtual',
    ]);
    // Mailboxes of another kind are elsewhere.
    expect(confirmations({ accountKind: 'system', accounts: [anna!, next] })).toEqual([
      'remove bert@example.net',
      'make accounts system',
    ]);
  });

  it.each([
    ['the same', {}, []],
    ['a larger volume', { volumeSize: 30 }, []],
    ['a smaller one, which nothing confirms', { volumeSize: 10 }, [undefined]],
    ['another location', { location: 'nbg1' }, ['move to nbg1 without the mail']],
    [
      'another location with a smaller volume',
      { location: 'nbg1', volumeSize: 10 },
      ['move to nbg1 without the mail'],
    ],
  ])('of the machine to %s', (_, change, stopped) => {
    const after = { location: 'fsn1', volumeSize: 20, ...change };
    const losses = machineLosses({ location: 'fsn1', size: 20 }, after);
    expect(losses.map(({ confirmation }) => confirmation)).toEqual(stopped);
    expect(machineLosses({}, after)).toEqual([]);
  });

  it.each([
    ['nothing', {}, undefined, []],
    ['another server', { serverGeneration: 2 }, undefined, [/another server takes the place/]],
    ['a restore', {}, 'latest', [/restore \(latest\) fills an empty volume only/]],
  ])('warns of what happens with the server: %s', (_, change, restore, warnings) => {
    const found = serverWarnings(summary(), summary(change), restore);
    expect(found).toEqual(warnings.map((words) => expect.stringMatching(words) as string));
  });

  it('stops a parked domain from going, which then anybody could send for', () => {
    const parked = { name: 'example.com', parked: true };
    const before = summary({ domains: [...example.domains, parked] });
    expect(confirmations({}, before)).toEqual(['remove example.com']);
    expect(
      confirmations({ domains: [...example.domains, { name: 'example.com' }] }, before),
    ).toEqual([]);
  });

  it('stops a key from being trusted again while it is in DNS', () => {
    const before = summary({ dkimGeneration: 3, dkimCompromised: [1, 2] });
    expect(confirmations({ dkimGeneration: 3, dkimCompromised: [] }, before)).toEqual([
      'trust s2 again',
    ]);
    expect(confirmations({ dkimGeneration: 3, dkimCompromised: [2] }, before)).toEqual([]);
    const other = { 'example.net': { signs: 7, keys: [{ generation: 7 }] } };
    const two = { ...before, dkim: { ...keys, ...other } };
    expect(blockers(two, { ...two, dkimCompromised: [1] }).map((one) => one.confirmation)).toEqual([
      'trust s2 again',
    ]);
  });

  it('says where the mail of who goes stays', () => {
    const [blocker] = blockers(summary(), summary({ accounts: [anna!] }));
    expect(blocker!.message).toContain('/srv/mailhost/mail/example.net/bert');
  });

  it('warns of each address that is refused from then on, and of no other', () => {
    const aliases = [
      { address: 'team@example.org', recipients: ['anna@example.org'] },
      { address: 'all@example.net', recipients: ['anna@example.org'] },
    ];
    const before = summary({
      aliases,
      domains: [{ name: 'example.org', catchAll: 'anna@example.org' }, { name: 'example.net' }],
    });
    expect(droppedAddresses(before, before)).toEqual([]);
    const dropped = droppedAddresses(
      before,
      summary({ accounts: [{ ...anna!, aliases: [] }, bert!] }),
    );
    expect(dropped).toEqual([
      'mail to addresses of example.org that nobody has is refused from now on',
      'mail to abuse@example.net is refused from now on',
      'mail to all@example.net is refused from now on',
      'mail to info@example.org is refused from now on',
      'mail to team@example.org is refused from now on',
    ]);
  });

  it('warns of no address of a domain that goes, which is stopped itself', () => {
    const domains = [{ name: 'example.org' }];
    const after = summary({ domains, accounts: [{ ...anna!, aliases: ['info@example.org'] }] });
    expect(droppedAddresses(summary(), after)).toEqual([]);
  });

  it('warns of no address that a catch-all takes', () => {
    const before = summary({
      aliases: [{ address: 'team@example.org', recipients: ['anna@example.org'] }],
    });
    const after = summary({
      domains: [{ name: 'example.org', catchAll: 'anna@example.org' }, { name: 'example.net' }],
    });
    expect(droppedAddresses(before, after)).toEqual([]);
  });
});

describe('what later changes are judged against', () => {
  it('are domains, accounts and every address that mail is taken in for', () => {
    const domains = [
      { name: 'example.org', catchAll: 'anna@example.org' },
      { name: 'example.net' },
      { name: 'parked.example', parked: true, zone: 'parked.example' },
    ];
    const aliases = [{ address: 'all@example.org', recipients: ['anna@example.org'] }];
    const settings = parseSettings({
      ...example,
      domains,
      aliases,
      dkimGeneration: 3,
      dkimCompromised: [2],
      mtaSts: 'none',
      tls: { acceptTerms: true },
      serverGeneration: 4,
      tlsGeneration: 5,
    });
    expect(summaryOf(settings, keys, (zone) => `zone ${zone}`)).toEqual({
      hostName: 'mail.example.org',
      accountKind: 'virtual',
      ipv6: true,
      dkim: keys,
      dkimCompromised: [2],
      dkimRetention: 21 * 86_400,
      tlsGeneration: 5,
      issuer: 'acme',
      dnssec: true,
      dns: 'cloudflare',
      machine: 'made',
      mtaSts: 'none',
      serverGeneration: 4,
      zones: {
        'example.net': 'zone example.net',
        'example.org': 'zone example.org',
        'parked.example': 'zone parked.example',
      },
      domains: ['example.net', 'example.org'],
      parked: ['parked.example'],
      accounts: ['anna@example.org', 'bert@example.net'],
      addresses: [
        '@example.org',
        'abuse@example.net',
        'all@example.org',
        'anna@example.org',
        'bert@example.net',
        'info@example.org',
      ],
    });
    expect(summary()).toMatchObject({ mtaSts: 'absent', zones: { 'example.org': 'example.org' } });
  });
});

describe('the words of a change that is stopped', () => {
  const message = (before: Summary, after: Summary) =>
    blockers(before, after)
      .map((blocker) => blocker.message)
      .join('\n');
  const withAccounts = (count: number, change: Partial<MailHostArgs> = {}) =>
    summary({
      accounts: [
        { ...anna!, aliases: [] },
        ...Array.from({ length: count }, (_, i) => ({ ...bert!, address: `b${i}@example.net` })),
      ],
      ...change,
    });

  it('name the accounts of a domain that goes, five at most', () => {
    const after = withAccounts(0, { domains: [{ name: 'example.org' }] });
    const of = (count: number) => message(withAccounts(count), after);
    expect(of(0)).toMatch(/^example\.net would no longer have mail: /);
    expect(of(5)).toContain(
      'with its accounts b0@example.net, b1@example.net, b2@example.net, b3@example.net, b4@example.net: ',
    );
    expect(of(7)).toContain('b4@example.net and 2 more: ');
    expect(of(7)).toContain('/srv/mailhost/mail/example.net/');
  });

  it('name where mail lies, by the kind of account', () => {
    expect(message(withAccounts(1), withAccounts(0))).toContain(
      '/srv/mailhost/mail/example.net/b0,',
    );
    const system = { accountKind: 'system' } as const;
    expect(message(withAccounts(1, system), withAccounts(0, system))).toContain(
      '/srv/mailhost/home/b0,',
    );
  });

  it('name what was and what would be', () => {
    expect(message(summary(), summary({ hostName: 'mx.example.org' }))).toContain(
      'would be mx.example.org instead of mail.example.org',
    );
    expect(message(summary(), summary({ accountKind: 'system' }))).toContain(
      'would be system instead of virtual',
    );
    expect(message(summary(), summary({ tlsGeneration: 4 }))).toContain('from generation 1 to 4');
    const zones = { 'example.net': 'example.net', 'example.org': 'org' };
    expect(message(summary(), { ...summary(), zones })).toMatch(
      /records of example\.org would be deleted in the zone example\.org and made in org:/,
    );
    expect(message({ ...summary(), mtaSts: 'enforce' }, summary())).toContain('in mode enforce');
    const since = '2026-01-01T00:00:00.001Z';
    const ended: Summary = { ...summary(), mtaSts: 'none', mtaStsNoneSince: since };
    expect(message(ended, summary())).toContain('2026-01-08T00:00:00.001Z');
    const systems = summary({ accountKind: 'system' });
    const next = { ...bert!, address: 'bert@example.org' };
    expect(message(systems, summary({ accountKind: 'system', accounts: [anna!, next] }))).toBe(
      'bert@example.org would be the same system user as bert@example.net, and read all of its mail',
    );
    expect(
      machineLosses({ location: 'fsn1' }, { location: 'nbg1', volumeSize: 1 })[0]!.message,
    ).toMatch(/from fsn1 to nbg1/);
    expect(machineLosses({ size: 20 }, { location: 'x', volumeSize: 19 })[0]!.message).toMatch(
      /from 20 to 19 GB/,
    );
    expect(machineLosses({ size: 20 }, { location: 'x', volumeSize: 20 })).toEqual([]);
  });
});

it('a TLS key may go one step forward or back, and no more', () => {
  const at = (tlsGeneration: number) => summary({ tlsGeneration });
  expect(blockers(at(3), at(2))).toEqual([]);
  expect(blockers(at(3), at(1)).map((blocker) => blocker.message)).toEqual([
    expect.stringContaining('from generation 3 to 1'),
  ]);
});

it('zones matter only while this stack publishes in them', () => {
  const zones = { 'example.net': 'net', 'example.org': 'org' };
  const manual = { ...summary(), dns: 'manual' } as const;
  expect(blockers(manual, { ...summary(), zones })).toEqual([]);
  expect(blockers(manual, { ...manual, zones })).toEqual([]);
  expect(blockers(summary(), { ...manual, zones }).map((blocker) => blocker.confirmation)).toEqual([
    'delete all records at Cloudflare',
  ]);
});

it('a key may be trusted again where only a domain without mail has it', () => {
  const gone = { 'gone.example': { keys: [{ generation: 2 }] } };
  const before = { ...summary(), dkim: gone, dkimCompromised: [2] };
  expect(blockers(before, { ...before, dkimCompromised: [] })).toEqual([]);
});

it('a server that is replaced and a restore that comes too late are two warnings', () => {
  expect(serverWarnings(summary(), summary({ serverGeneration: 2 }), 'latest')).toHaveLength(2);
});
