import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { recordInputs } from '../components/dns/cloudflare';
import type { DnsRecord, RecordData } from '../components/dns/dnsRecords';
import {
  isKnown,
  quoteTxt,
  rdata,
  resourceName,
  recordContent,
  withValue,
  zoneFile,
} from '../components/dns/recordForms';

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

const record = <V>(name: string, data: RecordData<V>): DnsRecord<V> => ({
  ...data,
  name,
  zone: 'example.org',
  owner: { type: 'DomainDns', name: 'example.org' },
  key: 'x',
});

describe.each<[RecordData<string>, object, string, string]>([
  [
    { type: 'A', value: '192.0.2.1' },
    { content: '192.0.2.1', proxied: false },
    '192.0.2.1',
    '192.0.2.1',
  ],
  [
    { type: 'AAAA', value: '2001:db8::1' },
    { content: '2001:db8::1', proxied: false },
    '2001:db8::1',
    '2001:db8::1',
  ],
  [
    { type: 'CNAME', target: 'mail.example.org' },
    { content: 'mail.example.org', proxied: false },
    'mail.example.org',
    'mail.example.org.',
  ],
  [
    { type: 'MX', priority: 10, target: 'mail.example.org' },
    { content: 'mail.example.org', priority: 10 },
    'mail.example.org',
    '10 mail.example.org.',
  ],
  [{ type: 'MX', priority: 0, target: '.' }, { content: '.', priority: 0 }, '.', '0 .'],
  [{ type: 'TXT', value: 'a "b"' }, { content: '"a \\"b\\""' }, '"a \\"b\\""', '"a \\"b\\""'],
  [
    { type: 'SRV', priority: 0, weight: 1, port: 993, target: 'mail.example.org' },
    { priority: 0, data: { priority: 0, weight: 1, port: 993, target: 'mail.example.org' } },
    '0 1 993 mail.example.org',
    '0 1 993 mail.example.org.',
  ],
  [
    { type: 'CAA', flags: 0, tag: 'issue', value: 'ca.example' },
    { data: { flags: 0, tag: 'issue', value: 'ca.example' } },
    '0 issue "ca.example"',
    '0 issue "ca.example"',
  ],
  [
    { type: 'TLSA', usage: 3, selector: 1, matchingType: 1, value: 'ab12' },
    { data: { usage: 3, selector: 1, matchingType: 1, certificate: 'ab12' } },
    '3 1 1 ab12',
    '3 1 1 ab12',
  ],
])('%j', (data, inputs, content, text) => {
  const one = record('x.example.org', data);

  it('reads back from Cloudflare as it is written', () => {
    expect(recordInputs(one, quoteTxt)).toEqual({
      name: 'x.example.org',
      type: data.type,
      ttl: 300,
      ...inputs,
    });
    expect(recordContent(one)).toBe(content);
  });

  it('stands in a zone file', () => {
    expect(rdata(one)).toBe(text);
    expect(zoneFile([one])).toBe(`; example.org\nx.example.org. 300 IN ${data.type} ${text}\n`);
  });
});

it('puts one space between the strings of a long text', () => {
  expect(quoteTxt('a'.repeat(300))).toBe(`"${'a'.repeat(255)}" "${'a'.repeat(45)}"`);
});

it('names the resource by its owner and key', () => {
  expect(resourceName('mail', record('x', { type: 'A', value: '192.0.2.1' }))).toBe(
    'mail-example.org/x',
  );
});

it('keeps zones apart in a zone file', () => {
  const one = record('example.org', { type: 'A', value: '192.0.2.1' });
  const other = { ...one, zone: 'example.net', name: 'example.net' };
  const second = record('mail.example.org', { type: 'A', value: '192.0.2.2' });
  expect(zoneFile([one, other, second])).toBe(
    '; example.net\nexample.net. 300 IN A 192.0.2.1\n\n' +
      '; example.org\nexample.org. 300 IN A 192.0.2.1\nmail.example.org. 300 IN A 192.0.2.2\n',
  );
});

it('knows which values are known only later, and takes them in', () => {
  const later = record('x.example.org', { type: 'A', value: { from: 'ipv4' } } as const);
  expect(isKnown(later)).toBe(false);
  const known = withValue(later, ({ from }) => from);
  expect(known).toMatchObject({ value: 'ipv4' });
  expect(isKnown(known)).toBe(true);
  expect(withValue(record('x', { type: 'A', value: '192.0.2.1' }), () => 'other')).toMatchObject({
    value: '192.0.2.1',
  });
  expect(isKnown(record('x', { type: 'MX', priority: 0, target: '.' }))).toBe(true);
});
