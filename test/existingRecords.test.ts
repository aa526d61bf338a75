import { describe, expect, it } from 'vitest';
import { dnsRecords, type DnsRecord } from '../components/dns/dnsRecords';
import { asciiRecord, cloudflareDns } from '../components/dns/cloudflare';
import type { DnsProvider, ExistingRecord, Zone } from '../components/dns/provider';
import { recordContent, resourceName, withValue } from '../components/dns/recordForms';
import {
  findRecords as findRecordsIn,
  isReplaced,
  signerMistakes,
} from '../components/preflight/existingRecords';
import type { MtaSts } from '../components/settings/enums';
import { parseSettings } from '../components/settings/parse';
import { example } from './example';

const settings = parseSettings({
  ...example,
  domains: [
    ...example.domains,
    { name: 'parked.example', parked: true },
    { name: 'sub.example.org', zone: 'sub.example.org' },
  ],
});
const planned = dnsRecords(settings, () => ['s1', 's2']);
const wanted = planned.filter(({ zone }) => zone === 'example.org');

const existing = (
  type: string,
  name: string,
  content: string,
  more: Partial<ExistingRecord> & { priority?: number } = {},
) => ({
  id: 'r1',
  type,
  name,
  content,
  ...more,
});
const zone = (name: string): Zone => ({ id: 'z', name, status: 'active', nameServers: [] });
const findRecords = (
  records: DnsRecord[],
  there: ExistingRecord[],
  zoneName: string,
  mtaSts?: MtaSts,
  provider: DnsProvider = cloudflareDns,
) => findRecordsIn(records, there, zone(zoneName), provider, mtaSts);
const judge = (...records: ExistingRecord[]) => {
  const { same, conflicts } = findRecords(wanted, records, 'example.org');
  return {
    adopted: same.map(({ wanted: own }) => resourceName('mail', own)),
    refused: conflicts.map(({ confirmation, message }) => confirmation ?? message),
  };
};
const nothing = { adopted: [], refused: [] };

it('another MX may stay only where no policy tells others to refuse it', () => {
  const other = existing('MX', 'example.org', 'mx.example.com');
  const confirmations = (mtaSts?: MtaSts) =>
    findRecords(wanted, [other], 'example.org', mtaSts).conflicts.map((c) => c.confirmation);
  for (const mode of [undefined, 'none', 'testing'] as const)
    expect(confirmations(mode)).toEqual(['keep MX mx.example.com of example.org']);
  expect(confirmations('enforce')).toEqual([undefined]);
});

it.each([
  ['SRV', '0 1 993 mail.example.org', false],
  ['SRV', '0 1 993 MAIL.example.org', false],
  ['SRV', '0 1 993 old.example.org', true],
  ['SRV', '', false],
])('a %s of %s in the state gives way to another: %s', (type, content, expected) => {
  const imaps = wanted.find(({ name }) => name === '_imaps._tcp.example.org')!;
  const inState = existing(type, imaps.name, content);
  expect(isReplaced(imaps, inState, cloudflareDns)).toBe(expected);
});

it('a record of which only the content changes is updated in place', () => {
  const mx = wanted.find(({ type }) => type === 'MX')!;
  const inState = existing('MX', mx.name, 'old.example.org');
  expect(isReplaced(mx, inState, cloudflareDns)).toBe(false);
});

describe('findRecords', () => {
  it('leaves foreign records alone', () => {
    expect(
      judge(
        existing('TXT', 'example.org', '"site-verification=1"'),
        existing('A', 'example.org', '192.0.2.1'),
        existing('A', 'www.example.org', '192.0.2.1'),
        existing('TXT', 'other._domainkey.example.org', '"v=DKIM1; p=AAAA"'),
        existing('MX', 'lists.example.org', 'mx.other.example'),
        existing('CNAME', '*.example.org', 'www.other.example'),
        existing('TXT', '_smtp._tls.example.org', '"hello"'),
        existing('SRV', '_sip._tcp.example.org', '0 1 5060 sip.other.example'),
      ),
    ).toEqual(nothing);
  });

  it('lets a CNAME of the zone itself stand, which Cloudflare flattens, beside all but addresses', () => {
    const alias = existing('CNAME', 'Example.org', 'www.other.example');
    expect(judge(alias)).toEqual(nothing);
    expect(findRecords(wanted, [alias], 'org').conflicts).not.toEqual([]);
    const another = { ...cloudflareDns, flattensCname: false };
    const { conflicts } = findRecords(wanted, [alias], 'example.org', undefined, another);
    expect(conflicts).not.toEqual([]);
    const address: DnsRecord = {
      ...wanted.find(({ type }) => type === 'A')!,
      name: 'example.org',
    };
    expect(findRecords([address], [alias], 'example.org').conflicts).toHaveLength(1);
  });

  it.each<[string, ExistingRecord, { adopted?: string[]; refused?: unknown[] }]>([
    [
      'the same MX',
      existing('MX', 'example.org', 'mail.example.org', { priority: 10 }),
      { adopted: ['mail-example.org/mx'] },
    ],
    [
      'the same SPF',
      existing('TXT', 'example.org', '"v=spf1 mx -all"'),
      { adopted: ['mail-example.org/spf'] },
    ],
    [
      'another SPF',
      existing('TXT', 'example.org', '"v=spf1 include:x.example -all"'),
      { refused: [expect.stringContaining('delete it at Cloudflare')] },
    ],
    [
      'SPF without quotes',
      existing('TXT', 'example.org', 'v=spf1 mx -all'),
      { refused: [expect.stringContaining('delete it at Cloudflare')] },
    ],
    [
      'another DMARC',
      existing('TXT', '_dmarc.example.org', '"v=DMARC1; p=none"'),
      { refused: [expect.stringContaining('delete it at Cloudflare')] },
    ],
    [
      'a CNAME for DMARC',
      existing('CNAME', '_dmarc.example.org', 'x.example'),
      { refused: [expect.stringContaining('delete it at Cloudflare')] },
    ],
    [
      'a CNAME to the host where it has one',
      existing('CNAME', 'autoconfig.example.org', 'Mail.example.org'),
      { adopted: ['mail-example.org/autoconfig'] },
    ],
    [
      'a CNAME elsewhere',
      existing('CNAME', 'autodiscover.example.org', 'autodiscover.other.example'),
      { refused: [expect.stringContaining('delete it at Cloudflare')] },
    ],
    [
      'an address where a CNAME is to be',
      existing('A', 'autoconfig.example.org', '192.0.2.1'),
      { refused: [expect.stringContaining('delete it at Cloudflare')] },
    ],
    [
      'the same SRV, as older answers of the API have it',
      existing('SRV', '_imaps._tcp.example.org', '0\t1\t993\tmail.example.org', { priority: 0 }),
      { adopted: ['mail-example.org/imaps'] },
    ],
    [
      'another SRV',
      existing('SRV', '_imaps._tcp.example.org', '0 1 993 imap.other.example', { priority: 0 }),
      { refused: [expect.stringContaining('delete it at Cloudflare')] },
    ],
    [
      'another TLS-RPT',
      existing('TXT', '_smtp._tls.example.org', '"v=TLSRPTv1; rua=mailto:x@other.example"'),
      { refused: [expect.stringContaining('delete it at Cloudflare')] },
    ],
    [
      'a key under the selector',
      existing('TXT', 's1._domainkey.example.org', '"v=DKIM1; p=AAAA"'),
      { refused: [expect.stringContaining('delete it at Cloudflare')] },
    ],
  ])('finds %s', (_, found, expected) => {
    expect(judge(found)).toEqual({ ...nothing, ...expected });
  });

  it('lets another MX stand beside its own, if told so', () => {
    expect(judge(existing('MX', 'example.org', 'mx.other.example', { priority: 10 }))).toEqual({
      adopted: [],
      refused: ['keep MX mx.other.example of example.org'],
    });
  });

  it('takes no name of the host that is a CNAME or proxied', () => {
    const {
      conflicts: [alias],
    } = findRecords(wanted, [existing('CNAME', 'mail.example.org', 'x.example')], 'example.org');
    expect(alias!.message).toMatch(/CNAME.*delete it/);
    const proxied = findRecords(
      wanted,
      [existing('A', 'mail.example.org', '192.0.2.1', { proxied: true })],
      'example.org',
    );
    expect(proxied.conflicts.map(({ message }) => message).join()).toMatch(/proxied.*delete it/);
  });
});

it('offers no second MX beside a null MX, and adopts its own whatever the priority', () => {
  expect(judge(existing('MX', 'example.org', '.'))).toEqual({
    adopted: [],
    refused: [expect.stringContaining('delete it at Cloudflare')],
  });
  expect(judge(existing('MX', 'example.org', 'Mail.Example.org', { priority: 0 }))).toEqual({
    adopted: ['mail-example.org/mx'],
    refused: [],
  });
});

it('tells once that a name is delegated elsewhere', () => {
  const {
    conflicts: [conflict, ...more],
  } = findRecords(wanted, [existing('NS', 'mail.example.org', 'ns.x.example')], 'example.org');
  expect(more).toEqual([]);
  expect(conflict!.message).toContain('set the zone');
});

it('takes over nothing that is proxied', () => {
  const one = withValue(
    wanted.find(({ type }) => type === 'A')!,
    () => '192.0.2.1',
  );
  const { same } = findRecords(
    [one],
    [existing('A', one.name, '192.0.2.1', { proxied: true })],
    'example.org',
  );
  expect(same).toEqual([]);
});

it.each<DnsRecord>(wanted)('knows what $key at $name may not collide with: itself', (one) => {
  const known = withValue<string>(one, ({ from }) => `of ${from}`);
  const same = existing(one.type, one.name, recordContent(known));
  expect(findRecords([known], [same], 'example.org')).toEqual({
    same: [{ wanted: known, existing: same }],
    conflicts: [],
  });
});

it('takes over nothing whose content it cannot know to be its own', () => {
  const address = wanted.find(({ type }) => type === 'A')!;
  const { same, conflicts } = findRecords(
    [address],
    [existing('A', address.name, '192.0.2.1')],
    'example.org',
  );
  expect(same).toEqual([]);
  expect(conflicts).toHaveLength(1);
});

it('takes over one of two records of a name where an `up` was cut off between them', () => {
  const both = ['11', '22'].map((hash) => {
    const one = wanted.find(({ type }) => type === 'TLSA')!;
    return withValue<string>({ ...one, key: `tlsa-${hash}` }, () => hash.repeat(32));
  });
  const there = existing('TLSA', both[1]!.name, recordContent(both[1]!));
  expect(findRecords(both, [there], 'example.org')).toEqual({
    same: [{ wanted: both[1], existing: there }],
    conflicts: [],
  });
});

describe('a key that is to sign', () => {
  it.each([
    ['is there', ['key'], []],
    ['was removed', [], [/s2\._domainkey\.example\.org .* removed by hand/]],
    ['was changed', ['other'], [/changed by hand/]],
    ['is there twice', ['key', 'key'], [/another text stands there/]],
    ['stands beside another text', ['other', 'key'], [/another text stands there/]],
  ])('%s', (_, there, mistakes) => {
    expect(signerMistakes('s2._domainkey.example.org', 'key', there, cloudflareDns)).toEqual(
      mistakes.map((words) => expect.stringMatching(words) as string),
    );
  });
});

describe('the words for a record that stands in the way', () => {
  const message = (found: ExistingRecord, among = wanted) =>
    findRecords(among, [found], 'example.org').conflicts.map((conflict) => conflict.message);

  it.each<[string, ExistingRecord, RegExp]>([
    ['a delegation', existing('NS', '_dmarc.example.org', 'ns.x.example'), /set the zone/],
    ['a CNAME', existing('CNAME', '_dmarc.example.org', 'x.example'), /a CNAME .*delete it/],
    ['beside a CNAME', existing('TXT', 'autoconfig.example.org', '"x"'), /a CNAME .*delete it/],
    ['another CNAME', existing('CNAME', 'autoconfig.example.org', 'x.example'), /a CNAME .*delete/],
    [
      'a proxied name',
      existing('A', 'mail.example.org', '192.0.2.9', { proxied: true }),
      /proxied .*delete it/,
    ],
    ['an address', existing('A', 'mail.example.org', '192.0.2.9'), /192\.0\.2\.9: delete it/],
    ['an MX', existing('MX', 'example.org', 'mx.x.example'), /mail would go .*delete it/],
    [
      'an SRV',
      existing('SRV', '_imaps._tcp.example.org', '0 1 993 x.example'),
      /mail clients would go .*delete it/,
    ],
    ['SPF', existing('TXT', 'example.org', '"v=spf1 -all"'), /RFC 7208.* spf .*delete it/],
    ['DMARC', existing('TXT', '_dmarc.example.org', 'V=dmarc1; p=none'), /RFC 7489.*delete it/],
    ['TLS reports', existing('TXT', '_smtp._tls.example.org', '"v=TLSRPTv1"'), /RFC 8460.*delete/],
    [
      'a DKIM key',
      existing('TXT', 's1._domainkey.example.org', '"v=DKIM1; p=AA"'),
      /p=AA": delete it/,
    ],
  ])('say of %s what to do', (_, found, words) => {
    const [text, ...more] = message(found);
    expect(more).toEqual([]);
    expect(text).toMatch(words);
    expect(text).toContain(`${found.name} already has ${found.type} ${found.content}: `);
  });

  it('are those of a policy where one is announced', () => {
    const name = '_mta-sts.example.org';
    const policy: DnsRecord = { ...wanted[0]!, type: 'TXT', name, value: 'v=STSv1; id=1' };
    expect(message(existing('TXT', name, '"v=STSv1; id=2"'), [policy])[0]).toMatch(/RFC 8461/);
    expect(message(existing('TXT', name, '"v=STSv10"'), [policy])).toEqual([]);
  });
});

it('a delegation is in the way of what lies below it alone', () => {
  const found = (name: string) =>
    findRecords(wanted, [existing('NS', name, 'ns.x.example')], 'example.org').conflicts.length;
  expect(found('_TCP.example.org')).toBe(1);
  expect(found('cp.example.org')).toBe(0);
  expect(found('www.example.org')).toBe(0);
  const two = ['mail.example.org', '_dmarc.example.org'].map((name, i) =>
    existing('NS', name, 'ns.x.example', { id: `r${i}` }),
  );
  expect(findRecords(wanted, two, 'example.org').conflicts).toHaveLength(2);
});

it('a text is the same to the letter, and no other record has to be', () => {
  expect(judge(existing('TXT', 'example.org', '"V=spf1 mx -all"')).adopted).toEqual([]);
  expect(judge(existing('MX', 'EXAMPLE.org', 'mail.example.org')).adopted).toEqual([
    'mail-example.org/mx',
  ]);
  expect(judge(existing('TXT', 'Example.org', '"v=spf1 mx -all"')).adopted).toEqual([
    'mail-example.org/spf',
  ]);
});

it('names that an API tells are brought into one form', () => {
  for (const type of ['CNAME', 'MX', 'NS', 'PTR', 'SRV'])
    expect(
      asciiRecord({
        id: 'r',
        type,
        name: 'B\u00fccher.example.',
        content: '0 1 2 Mail.Example.ORG.',
      }),
    ).toEqual({
      id: 'r',
      type,
      name: 'xn--bcher-kva.example',
      content: '0 1 2 mail.example.org',
    });
  const text = { id: 'r', type: 'TXT', name: 'Example.org', content: '"Text."' };
  expect(asciiRecord(text)).toEqual({ ...text, name: 'example.org' });
});

it.each([
  ['_dmarc.example.org', 'v = DMARC1 ; p=none'],
  ['_dmarc.example.org', '"v =DMARC1;" " p=none"'],
  ['_dmarc.example.org', '"v=DM" "ARC1; p=none"'],
  ['_dmarc.example.org', '"v=DMARC1"'],
  ['_smtp._tls.example.org', '"v=TLSRPT" "v1; rua=mailto:x@other.example;"'],
  ['example.org', '"v=s" "pf1 include:x.example ~all"'],
  ['example.org', 'v=SPF1'],
])('a text at %s that receivers read as one of a kind is in the way: %s', (name, content) => {
  expect(judge(existing('TXT', name, content)).refused).toEqual([
    expect.stringContaining('with two'),
  ]);
});

it.each([
  ['"text" "v=spf1 -all"', []],
  ['"\\"v=spf1"', []],
  ['"v=spf1x"', []],
])('a text that only holds such words is not: %s', (content, refused) => {
  expect(judge(existing('TXT', 'example.org', content)).refused).toEqual(refused);
});

it.each([
  ['0 iodef "mailto:x@example.org"', 0],
  ['0 contactemail "x@example.org"', 0],
  ['0 issue "ca.other.example"', 1],
  ['128 ISSUE ";"', 1],
  ['0 issuewild "ca.other.example"', 1],
])('a CAA record is in the way where it says who may issue: %s', (content, conflicts) => {
  const name = 'mail.example.org';
  const own = [
    ['issue', 'ca.example'],
    ['issuewild', ';'],
  ].map(
    ([tag, value]) => ({ ...wanted[0]!, type: 'CAA', name, flags: 0, tag, value }) as DnsRecord,
  );
  const found = existing('CAA', name, content);
  expect(findRecords(own, [found], 'example.org').conflicts).toHaveLength(conflicts);
});

it('an SRV has its priority in its content, which Cloudflare shows beside it', () => {
  const imaps = wanted.find(({ name }) => name === '_imaps._tcp.example.org')!;
  for (const content of ['1 993 mail.example.org', '1\t993\tMail.example.org.']) {
    const told = asciiRecord(existing('SRV', imaps.name, content, { priority: 0 }));
    expect(judge(told)).toEqual({ adopted: ['mail-example.org/imaps'], refused: [] });
    expect(isReplaced(imaps, told, cloudflareDns)).toBe(false);
    const another = asciiRecord(existing('SRV', imaps.name, content, { priority: 10 }));
    expect(judge(another).adopted).toEqual([]);
    expect(isReplaced(imaps, another, cloudflareDns)).toBe(true);
  }
  const whole = existing('SRV', imaps.name, '0 1 993 mail.example.org', { priority: 0 });
  expect(asciiRecord(whole)).toEqual(whole);
});

it('nothing is made in the place of a record whose content only others know', () => {
  const tlsa = wanted.find(({ type }) => type === 'TLSA')!;
  expect(isReplaced(tlsa, existing('TLSA', tlsa.name, '3 1 1 00'), cloudflareDns)).toBe(false);
});

it('says what happened to the record of a key, and what to do', () => {
  const words = (...there: string[]) =>
    signerMistakes('s2._domainkey.example.org', 'key', there, cloudflareDns)[0];
  expect(words()).toMatch(/was removed by hand: set dkimGeneration back/);
  expect(words('other')).toMatch(/was changed by hand: set dkimGeneration back/);
  expect(words('other', 'key')).toMatch(/another text .*delete that at Cloudflare/);
});
