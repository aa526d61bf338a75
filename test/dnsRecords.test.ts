import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  dkimKeyRecord,
  domainRecords,
  parkedRecords,
  publishedGenerations,
  quoteTxt,
} from '../components/dnsRecords';

const printable = fc.string({
  unit: fc.integer({ min: 0x20, max: 0x7e }).map((c) => String.fromCharCode(c)),
  maxLength: 1200,
});

describe('quoteTxt', () => {
  it('joins back to the value, every string but the last of 255 octets', () => {
    fc.assert(
      fc.property(printable, (value) => {
        const strings = [...quoteTxt(value).matchAll(/"((?:[^"\\]|\\.)*)"(?: |$)/g)].map((m) =>
          m[1]!.replace(/\\(.)/g, '$1'),
        );
        expect(strings.join('')).toBe(value);
        expect(strings.slice(0, -1).every((s) => s.length === 255)).toBe(true);
        expect(strings.at(-1)!.length).toBeLessThanOrEqual(255);
      }),
    );
  });

  it.each(['a\nb', 'tab\t', 'ü', '\u0000'])('refuses %j', (value) => {
    expect(() => quoteTxt(value)).toThrow(RangeError);
  });
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

describe('domainRecords', () => {
  const names = { domain: 'example.org', hostName: 'mail.example.org', spf: [] };

  it('names every record in full and sends reports only inside the domain', () => {
    expect(domainRecords(names)).toEqual([
      { key: 'mx', type: 'MX', name: 'example.org', content: 'mail.example.org', priority: 10 },
      { key: 'spf', type: 'TXT', name: 'example.org', content: '"v=spf1 mx -all"' },
      {
        key: 'dmarc',
        type: 'TXT',
        name: '_dmarc.example.org',
        content: '"v=DMARC1; p=reject; adkim=s; aspf=s; rua=mailto:dmarc-reports@example.org"',
      },
    ]);
  });

  it('puts what else may send into the one SPF record', () => {
    const records = domainRecords({ ...names, spf: ['include:_spf.example.com', 'ip4:192.0.2.1'] });
    expect(records.filter(({ content }) => content.includes('v=spf1'))).toMatchObject([
      { content: '"v=spf1 mx include:_spf.example.com ip4:192.0.2.1 -all"' },
    ]);
  });
});

it('says of a parked domain that it neither gets nor sends mail', () => {
  expect(parkedRecords('example.org').map((r) => `${r.type} ${r.name} ${r.content}`)).toEqual([
    'MX example.org .',
    'TXT example.org "v=spf1 -all"',
    'TXT _dmarc.example.org "v=DMARC1; p=reject; adkim=s; aspf=s"',
    'TXT *._domainkey.example.org "v=DKIM1; p="',
  ]);
});
