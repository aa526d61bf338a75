import { describe, expect, it } from 'vitest';
import {
  importFile,
  recordConflicts,
  resourceName,
  type ExistingRecord,
} from '../components/existingRecords';
import { MailHost } from '../components/mailHost';
import { dnsRecords, type DnsRecord } from '../components/dnsRecords';
import { cloudflareContent, isKnown } from '../components/recordForms';
import { parseSettings } from '../components/settings';
import { example } from './example';
import { record } from './mocks';

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
  more: Partial<ExistingRecord> = {},
) => ({
  id: 'r1',
  type,
  name,
  content,
  ...more,
});
const judge = (...records: ExistingRecord[]) =>
  recordConflicts(wanted, records).map(({ wanted: w, adoptable, words }) => ({
    key: resourceName('mail', w),
    adoptable,
    ...(words ? { words } : {}),
  }));

it('plans the very records that the components make', async () => {
  const made = (await record((opts) => void new MailHost('mail', settings as never, opts)))
    .filter(({ type }) => type.endsWith(':DnsRecord'))
    .map(
      ({ name, inputs }) =>
        `${String(inputs.zoneId)} ${name} ${String(inputs.type)} ${String(inputs.name)}`,
    );
  const expected = planned.map(
    (r) => `id of ${r.zone} ${resourceName('mail', r)} ${r.type} ${r.name}`,
  );
  expect(made.sort()).toEqual(expected.sort());
});

describe('recordConflicts', () => {
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
    ).toEqual([]);
  });

  it.each<[string, ExistingRecord, string, boolean | 'maybe']>([
    [
      'the same MX',
      existing('MX', 'example.org', 'mail.example.org', { priority: 10 }),
      'mail-example.org/mx',
      true,
    ],
    [
      'the same SPF',
      existing('TXT', 'example.org', '"v=spf1 mx -all"'),
      'mail-example.org/spf',
      true,
    ],
    [
      'another SPF',
      existing('TXT', 'example.org', '"v=spf1 include:x.example -all"'),
      'mail-example.org/spf',
      false,
    ],
    [
      'SPF without quotes',
      existing('TXT', 'example.org', 'v=spf1 mx -all'),
      'mail-example.org/spf',
      false,
    ],
    [
      'another DMARC',
      existing('TXT', '_dmarc.example.org', '"v=DMARC1; p=none"'),
      'mail-example.org/dmarc',
      false,
    ],
    [
      'a CNAME for DMARC',
      existing('CNAME', '_dmarc.example.org', 'x.example'),
      'mail-example.org/dmarc',
      false,
    ],
    [
      'a CNAME to the host where it has one',
      existing('CNAME', 'autoconfig.example.org', 'Mail.example.org'),
      'mail-example.org/autoconfig',
      true,
    ],
    [
      'a CNAME elsewhere',
      existing('CNAME', 'autodiscover.example.org', 'autodiscover.other.example'),
      'mail-example.org/autodiscover',
      false,
    ],
    [
      'an address where a CNAME is to be',
      existing('A', 'autoconfig.example.org', '192.0.2.1'),
      'mail-example.org/autoconfig',
      false,
    ],
    [
      'the same SRV, as older answers of the API have it',
      existing('SRV', '_imaps._tcp.example.org', '0\t1\t993\tmail.example.org', { priority: 0 }),
      'mail-example.org/imaps',
      true,
    ],
    [
      'another SRV',
      existing('SRV', '_imaps._tcp.example.org', '0 1 993 imap.other.example', { priority: 0 }),
      'mail-example.org/imaps',
      false,
    ],
    [
      'another TLS-RPT',
      existing('TXT', '_smtp._tls.example.org', '"v=TLSRPTv1; rua=mailto:x@other.example"'),
      'mail-example.org/tls-reports',
      false,
    ],
    [
      'a key under the selector',
      existing('TXT', 's1._domainkey.example.org', '"v=DKIM1; p=AAAA"'),
      'mail-example.org/dkim-s1',
      'maybe',
    ],
  ])('finds %s', (_, found, key, adoptable) => {
    expect(judge(found)).toEqual([{ key, adoptable }]);
  });

  it('lets another MX stand beside its own, if told so', () => {
    expect(judge(existing('MX', 'example.org', 'mx.other.example', { priority: 10 }))).toEqual([
      {
        key: 'mail-example.org/mx',
        adoptable: false,
        words: 'keep MX mx.other.example of example.org',
      },
    ]);
  });

  it('takes no name of the host that is a CNAME or proxied', () => {
    const [alias] = recordConflicts(wanted, [existing('CNAME', 'mail.example.org', 'x.example')]);
    expect(alias!.message).toMatch(/CNAME.*delete it/);
    const proxied = recordConflicts(wanted, [
      existing('A', 'mail.example.org', '192.0.2.1', { proxied: true }),
    ]);
    expect(proxied.map(({ message }) => message).join()).toMatch(/proxied.*delete it/);
  });
});

it('offers no second MX beside a null MX, and adopts its own whatever the priority', () => {
  expect(judge(existing('MX', 'example.org', '.'))).toEqual([
    { key: 'mail-example.org/mx', adoptable: false },
  ]);
  expect(judge(existing('MX', 'example.org', 'Mail.Example.org', { priority: 0 }))).toEqual([
    { key: 'mail-example.org/mx', adoptable: true },
  ]);
});

it('tells once that a name is delegated elsewhere', () => {
  const [conflict, ...more] = recordConflicts(wanted, [
    existing('NS', 'mail.example.org', 'ns.x.example'),
  ]);
  expect(more).toEqual([]);
  expect(conflict!.message).toContain('set the zone');
});

it('takes over nothing of which there are two, and nothing proxied', () => {
  const two = [
    existing('A', 'mail.example.org', '192.0.2.1', { id: 'a' }),
    existing('A', 'mail.example.org', '192.0.2.2', { id: 'b' }),
  ];
  expect(judge(...two).map(({ adoptable }) => adoptable)).toEqual([false, false]);
  expect(judge(existing('A', 'mail.example.org', '192.0.2.1', { proxied: true }))).toMatchObject([
    { adoptable: false },
  ]);
});

it('adopts records with the components above them, once each', () => {
  const conflicts = recordConflicts(wanted, [
    existing('MX', 'example.org', 'mail.example.org', { priority: 10, id: 'a' }),
    existing('TXT', 'example.org', '"v=spf1 mx -all"', { id: 'b' }),
  ]);
  const file = importFile(
    'mail',
    conflicts.map((conflict) => ({ zoneId: 'z', conflict })),
  );
  expect(JSON.parse(file)).toEqual({
    resources: [
      { type: 'mailhost:index:MailHost', name: 'mail', component: true },
      {
        type: 'mailhost:index:DomainDns',
        name: 'mail-example.org',
        component: true,
        parent: 'mail',
      },
      ...['mx', 'spf'].map((key, i) => ({
        type: 'cloudflare:index/dnsRecord:DnsRecord',
        name: `mail-example.org/${key}`,
        id: `z/${'ab'[i]}`,
        parent: 'mail-example.org',
      })),
    ],
  });
});

it.each<DnsRecord>(wanted)('knows what $key at $name may not collide with: itself', (one) => {
  const known = isKnown(one);
  const content = known ? cloudflareContent(one) : 'unknown';
  expect(recordConflicts([one], [existing(one.type, one.name, content)])).toMatchObject([
    { adoptable: known ? true : 'maybe' },
  ]);
});
