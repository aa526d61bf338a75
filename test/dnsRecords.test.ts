import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { dkimKeyRecord, dnsRecords, publishedGenerations } from '../components/dnsRecords';
import type { MailHostArgs } from '../components/mailHostArgs';
import { isKnown, rdata } from '../components/recordForms';
import { parseSettings } from '../components/settings';
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

it.each([
  [1, [1, 2]],
  [2, [1, 2, 3]],
  [7, [6, 7, 8]],
])('generation %i publishes %j', (generation, published) => {
  expect(publishedGenerations(generation)).toEqual(published);
});

describe('dnsRecords', () => {
  it('names the host, with an address of each family that it has', () => {
    expect(linesOf('mail.example.org')).toEqual([
      'a: mail.example.org A {"from":"ipv4"}',
      'aaaa: mail.example.org AAAA {"from":"ipv6"}',
      'spf: mail.example.org TXT "v=spf1 a -all"',
    ]);
    expect(linesOf('mail.example.org', list({ ipv6: false })).join()).not.toContain('AAAA');
  });

  it('names every record of a domain in full and sends reports only inside it', () => {
    expect(linesOf('example.net')).toEqual([
      'mx: example.net MX 10 mail.example.org.',
      'spf: example.net TXT "v=spf1 mx -all"',
      'dmarc: _dmarc.example.net TXT "v=DMARC1; p=reject; adkim=s; aspf=s; rua=mailto:dmarc-reports@example.net"',
      'dkim-s1: s1._domainkey.example.net TXT {"from":"dkim","domain":"example.net","selector":"s1"}',
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
  });

  it('finds the zone of the host name by the nearest domain', () => {
    const domains = [...example.domains, { name: 'sub.example.org', zone: 'sub.example.org' }];
    const records = list({ domains, hostName: 'mail.sub.example.org' });
    expect(records[0]).toMatchObject({ name: 'mail.sub.example.org', zone: 'sub.example.org' });
  });
});
