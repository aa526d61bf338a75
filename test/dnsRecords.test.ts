import { createHash, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  dkimKeyRecord,
  dnsRecords,
  foreignRecords,
  publicKeyHash,
  revokedKeyRecord,
  tlsKeyName,
} from '../components/dns/dnsRecords';
import { mtaStsId, mtaStsPolicy } from '../components/dns/mtaSts';
import { isKnown, publicRecord, quoteTxt, rdata, withValue } from '../components/dns/recordForms';
import type { MailHostArgs } from '../components/mailHostArgs';
import type { MtaSts } from '../components/settings/enums';
import { liesIn, normalDomain } from '../components/settings/names';
import { parseSettings } from '../components/settings/parse';
import type { Settings } from '../components/settings/settings';
import { example } from './example';

const list = (change: Partial<MailHostArgs> = {}) =>
  dnsRecords(parseSettings({ ...example, ...change }), () => ['s1']);

/** Records of one owner, as lines. */
const linesOf = (owner: string, records = list()) =>
  records
    .filter((record) => record.owner.name === owner)
    .map((record) => {
      const data = isKnown(record)
        ? rdata(record)
        : JSON.stringify('value' in record && record.value);
      return `${record.key}: ${record.name} ${record.type} ${data}`;
    });

describe('dkimKeyRecord', () => {
  it('carries the key as one line of base64', () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const body = pem.replace(/-----[^-]+-----|\n/g, '');
    expect(dkimKeyRecord(pem)).toBe(`v=DKIM1; k=rsa; p=${body}`);
    expect(dkimKeyRecord(pem.trimEnd())).toBe(dkimKeyRecord(pem));
  });

  it('refuses a key that amavis cannot sign with', () => {
    const { publicKey } = generateKeyPairSync('ed25519');
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
    expect(() => dkimKeyRecord(pem)).toThrow(/RSA/);
  });
});

it('a TLSA record has the hash of the key, whatever its certificate', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const der = publicKey.export({ type: 'spki', format: 'der' });
  expect(publicKeyHash(publicKey.export({ type: 'spki', format: 'pem' }).toString())).toBe(
    createHash('sha256').update(der).digest('hex'),
  );
  expect([1, 2, 3].map(tlsKeyName)).toEqual(['key', 'key-2', 'key-3']);
});

describe('dnsRecords', () => {
  it('belong to the host or to a domain', () => {
    const owners = list().map(({ owner }) => `${owner.type} ${owner.name}`);
    expect([...new Set(owners)]).toEqual([
      'HostDns mail.example.org',
      'DomainDns example.net',
      'DomainDns example.org',
    ]);
  });

  it('names the host, with an address of each family that it has', () => {
    expect(linesOf('mail.example.org')).toEqual([
      'a: mail.example.org A {"from":"ipv4"}',
      'aaaa: mail.example.org AAAA {"from":"ipv6"}',
      'spf: mail.example.org TXT "v=spf1 a -all"',
      'tlsa-1: _25._tcp.mail.example.org TLSA {"from":"tls","generation":1}',
      'tlsa-2: _25._tcp.mail.example.org TLSA {"from":"tls","generation":2}',
    ]);
    const tlsa = (change: Partial<MailHostArgs>) =>
      list(change).flatMap(({ key }) => (key.startsWith('tlsa-') ? [key] : []));
    expect(tlsa({ tlsGeneration: 3 })).toEqual(['tlsa-2', 'tlsa-3', 'tlsa-4']);
    expect(tlsa({ dnssec: false })).toEqual([]);
    expect(linesOf('mail.example.org', list({ ipv6: false })).join()).not.toContain('AAAA');
  });

  it('names every record of a domain in full', () => {
    expect(linesOf('example.net')).toEqual([
      'mx: example.net MX 10 mail.example.org.',
      'spf: example.net TXT "v=spf1 mx -all"',
      'dmarc: _dmarc.example.net TXT "v=DMARC1; p=reject; adkim=s; aspf=s; rua=mailto:dmarc-reports@example.net"',
      'tls-reports: _smtp._tls.example.net TXT "v=TLSRPTv1; rua=mailto:tls-reports@example.net"',
      'imaps: _imaps._tcp.example.net SRV 0 1 993 mail.example.org.',
      'sieve: _sieve._tcp.example.net SRV 0 1 4190 mail.example.org.',
      'submissions: _submissions._tcp.example.net SRV 0 1 465 mail.example.org.',
      'submission: _submission._tcp.example.net SRV 0 1 587 mail.example.org.',
      'autoconfig: autoconfig.example.net CNAME mail.example.org.',
      'autodiscover: autodiscover.example.net CNAME mail.example.org.',
      'dkim-s1: s1._domainkey.example.net TXT {"from":"dkim","domain":"example.net","selector":"s1"}',
    ]);
  });

  it('leads no client to a web server that is off', () => {
    expect(list({ web: false }).filter(({ type }) => type === 'CNAME')).toEqual([]);
  });

  it('lets nobody but the account at the CA issue for the host, and for what leads to it', () => {
    const caa = (issuer: 'acme' | 'selfSigned') =>
      linesOf('mail.example.org', list({ tls: { issuer, acceptTerms: true } })).filter((line) =>
        line.includes(' CAA '),
      );
    expect(caa('selfSigned')).toEqual([]);
    expect(caa('acme')).toEqual([
      'caa: mail.example.org CAA {"from":"acme"}',
      'caa-wildcard: mail.example.org CAA 0 issuewild ";"',
    ]);
  });

  it('announces an MTA-STS policy where the certificate is public', () => {
    const settings = { ...parseSettings(example), tls: { issuer: 'acme' } } as Settings;
    const lines = (mode: MtaSts) =>
      linesOf(
        'example.net',
        dnsRecords({ ...settings, mtaSts: mode }, () => []),
      ).filter((line) => line.startsWith('mta-sts'));
    const id = mtaStsId(mtaStsPolicy('enforce', ['mail.example.org']));
    expect(lines('enforce')).toEqual([
      'mta-sts-host: mta-sts.example.net CNAME mail.example.org.',
      `mta-sts: _mta-sts.example.net TXT "v=STSv1; id=${id}"`,
    ]);
    expect(lines('none')).toHaveLength(2);
    expect(lines('none')).not.toEqual(lines('enforce'));
  });

  it.each(['none', 'quarantine', 'reject'] as const)('has DMARC policy %s', (dmarcPolicy) => {
    const domains = [{ name: 'example.org' }, { name: 'example.net', dmarcPolicy }];
    const dmarc = linesOf('example.net', list({ domains })).filter((l) => l.startsWith('dmarc'));
    expect(dmarc).toEqual([
      `dmarc: _dmarc.example.net TXT "v=DMARC1; p=${dmarcPolicy}; adkim=s; aspf=s; rua=mailto:dmarc-reports@example.net"`,
    ]);
  });

  it('puts what else may send into the one SPF record', () => {
    const spf = ['include:_spf.example.com', 'ip4:192.0.2.1'];
    const lines = linesOf(
      'example.net',
      list({ domains: [{ name: 'example.org' }, { name: 'example.net', spf }] }),
    );
    expect(lines.filter((line) => line.includes('v=spf1'))).toEqual([
      'spf: example.net TXT "v=spf1 mx include:_spf.example.com ip4:192.0.2.1 -all"',
    ]);
  });

  it('says of a parked domain that it neither gets nor sends mail', () => {
    const domains = [...example.domains, { name: 'parked.example', parked: true }];
    expect(linesOf('parked.example', list({ domains }))).toEqual([
      'mx: parked.example MX 0 .',
      'spf: parked.example TXT "v=spf1 -all"',
      'dmarc: _dmarc.parked.example TXT "v=DMARC1; p=reject; adkim=s; aspf=s"',
      'dkim: *._domainkey.parked.example TXT "v=DKIM1; p="',
    ]);
    expect(list({ domains })).toContainEqual(
      expect.objectContaining({ name: 'parked.example', type: 'MX', target: '.' }),
    );
    expect(revokedKeyRecord).toBe('v=DKIM1; p=');
  });

  it('finds the zone of the host name by the nearest domain', () => {
    const domains = [...example.domains, { name: 'sub.example.org', zone: 'sub.example.org' }];
    const records = list({ domains, hostName: 'mail.sub.example.org' });
    expect(records[0]).toMatchObject({ name: 'mail.sub.example.org', zone: 'sub.example.org' });
  });

  it('relies on no wildcard, whatever is beside a domain in its zone', () => {
    const domains = [...example.domains, { name: 'sub.example.org' }];
    const ofSub = linesOf('sub.example.org', list({ domains }));
    const ofOrg = linesOf('example.net', list({ domains }));
    expect(ofSub).toEqual(ofOrg.map((line) => line.replaceAll('example.net', 'sub.example.org')));
    expect(list({ domains }).filter(({ name }) => name.startsWith('*'))).toEqual([]);
  });
});

describe('reports on DMARC at another address', () => {
  const reportTo = (dmarcReports: string, domains = example.domains) => {
    const settings = parseSettings({ ...example, domains, dmarcReports });
    const consents = dnsRecords(settings, () => [])
      .filter(({ name }) => name.includes('_report'))
      .map(({ owner, key, name }) => `${owner.name}/${key} ${name}`);
    return { consents, foreign: foreignRecords(settings).map(publicRecord) };
  };

  it('need the consent of a domain of another organisation, which the plan gives in its own zones', () => {
    expect(reportTo('anna@example.org')).toEqual({
      consents: ['example.org/dmarc-reports-example.net example.net._report._dmarc.example.org'],
      foreign: [],
    });
    const [dmarc] = list({ dmarcReports: 'anna@example.org' }).filter(
      ({ name }) => name === '_dmarc.example.net',
    );
    expect(dmarc).toMatchObject({
      value: expect.stringMatching(/rua=mailto:anna@example.org$/) as string,
    });
  });

  it('are asked for in a URI, in which an ampersand has another meaning', () => {
    const account = { ...example.accounts![0]!, aliases: ['r&d&x@example.org'] };
    const records = list({ accounts: [account], dmarcReports: 'r&d&x@example.org' });
    expect(records).toContainEqual(
      expect.objectContaining({
        name: '_dmarc.example.net',
        value: expect.stringMatching(/; rua=mailto:r%26d%26x@example\.org$/) as string,
      }),
    );
  });

  it('need that of others where the address lies elsewhere', () => {
    expect(reportTo('reports@collector.example')).toEqual({
      consents: [],
      foreign: ['example.net', 'example.org'].map((domain) => ({
        name: `${domain}._report._dmarc.collector.example`,
        type: 'TXT',
        data: '"v=DMARC1"',
      })),
    });
  });

  it('need none within one organisation', () => {
    const domains = [
      { name: 'example.org' },
      { name: 'sub.example.org' },
      { name: 'example.net', parked: true },
    ];
    const settings = {
      domains,
      accounts: [],
      aliases: [{ address: 'x@example.org', recipients: ['a@elsewhere.example'] }],
    };
    const consents = dnsRecords(
      parseSettings({
        ...example,
        ...settings,
        postmaster: 'x@example.org',
        dmarcReports: 'x@example.org',
      }),
      () => [],
    ).filter(({ name }) => name.includes('_report'));
    expect(consents).toEqual([]);
  });
});

describe('every record of every plan', () => {
  const label = fc.stringMatching(/^[a-z]([a-z0-9-]{0,20}[a-z0-9])?$/);
  const domain = fc.record({
    name: fc.oneof(
      fc.tuple(label, fc.constantFrom('example', 'Test', 'co.uk')).map((l) => l.join('.')),
      fc.constantFrom('Bücher.example', 'x.y.z.example', 'EXAMPLE.com'),
    ),
    parked: fc.boolean(),
    dmarcPolicy: fc.constantFrom(undefined, 'none', 'quarantine', 'reject'),
    spf: fc.array(
      fc.integer({ min: 0, max: 255 }).map((n) => `ip4:192.0.2.${n}`),
      { maxLength: 60 },
    ),
  });
  const plan = fc.record({
    domains: fc.uniqueArray(domain, {
      minLength: 1,
      maxLength: 5,
      selector: ({ name }) => normalDomain(name),
    }),
    web: fc.boolean(),
    ipv6: fc.boolean(),
    issuer: fc.constantFrom('acme', 'selfSigned'),
    mtaSts: fc.constantFrom('none', 'testing', 'enforce'),
  });

  it('has a full name in its zone, fits, and stands where it may', () => {
    fc.assert(
      fc.property(plan, ({ domains, issuer, mtaSts, ...rest }) => {
        const input = {
          ...rest,
          tls: { issuer, acceptTerms: true },
          hostName: 'mail.host.example',
          postmaster: 'a@elsewhere.example',
          dmarcReports: 'a@elsewhere.example',
          domains: [
            { name: 'host.example' },
            ...domains
              .filter(({ name }) => normalDomain(name) !== 'host.example')
              .map(({ spf, dmarcPolicy, ...d }) => (d.parked ? d : { ...d, spf, dmarcPolicy })),
          ],
        };
        const settings = { ...parseSettings(input), mtaSts } as Settings;
        const records = dnsRecords(settings, () => ['s1', 's2']).map((record) =>
          withValue(
            record,
            ({ from }) =>
              ({ ipv4: '192.0.2.1', ipv6: '2001:db8::1', acme: 'ca.example' })[from as string] ??
              `v=DKIM1; p=${'A'.repeat(392)}`,
          ),
        );
        for (const record of records) {
          expect(record.name).toMatch(/^(\*\.)?([a-z0-9_]([a-z0-9_-]*[a-z0-9])?\.)+[a-z0-9-]+$/);
          expect(record.name.length).toBeLessThanOrEqual(253);
          expect(liesIn(record.name, record.zone)).toBe(true);
          expect(rdata(record)).not.toContain('@.');
          for (const [, string] of quoteTxt('value' in record ? record.value : '').matchAll(
            /"((?:[^"\\]|\\.)*)"/g,
          ))
            expect(string!.replace(/\\(.)/g, '$1').length).toBeLessThanOrEqual(255);
        }
        const names = records.map(({ name }) => name);
        const cnames = records.filter(({ type }) => type === 'CNAME').map(({ name }) => name);
        for (const name of cnames) expect(names.filter((other) => other === name)).toHaveLength(1);
        const ids = records.map(({ owner, key }) => `${owner.name}/${key}`);
        expect(ids).toEqual([...new Set(ids)]);
        const texts = records.flatMap((r) =>
          r.type === 'TXT' ? [`${r.name} ${r.value.slice(0, 6)}`] : [],
        );
        expect(texts).toEqual([...new Set(texts)]);
      }),
    );
  });
});
