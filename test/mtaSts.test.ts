import fc from 'fast-check';
import { parsePolicy, resolvePolicy, validateMx } from 'mailauth/lib/mta-sts';
import { expect, it } from 'vitest';
import { dnsRecords } from '../components/dns/dnsRecords';
import {
  announcedMtaSts,
  hasPublicCertificate,
  mtaStsId,
  mtaStsPolicy,
} from '../components/dns/mtaSts';
import { MtaSts } from '../components/settings/enums';
import { parseSettings } from '../components/settings/parse';
import type { Settings } from '../components/settings/settings';
import { example } from './example';

it('has a line for each key and each MX, each with the line break of the standard', () => {
  expect(mtaStsPolicy('enforce', ['a.example.org', 'b.example.org'])).toBe(
    'version: STSv1\r\nmode: enforce\r\nmx: a.example.org\r\nmx: b.example.org\r\nmax_age: 604800\r\n',
  );
});

it('is soon forgotten where it ends one', () => {
  expect(mtaStsPolicy('none', ['a.example.org'])).toContain('max_age: 86400\r\n');
});

it('has an id that is another one exactly where the policy is', () => {
  const policy = fc.tuple(fc.constantFrom(...Object.values(MtaSts)), fc.domain());
  fc.assert(
    fc.property(policy, policy, (one, other) => {
      const [a, b] = [one, other].map(([mode, mx]) => mtaStsPolicy(mode, [mx]));
      expect(mtaStsId(a!) === mtaStsId(b!)).toBe(a === b);
      expect(mtaStsId(a!)).toMatch(/^[a-z0-9]{1,32}$/);
    }),
  );
});

it.each([
  ['by a CA of the stack', 'selfSigned', true, undefined],
  ['by a public CA', 'acme', true, 'testing'],
  ['of somebody', 'provided', true, 'testing'],
  ['without a web server', 'acme', false, undefined],
])('is announced for a certificate %s: %s', (_, issuer, web, announced) => {
  const settings = { ...parseSettings({ ...example, web }), tls: { issuer } } as Settings;
  expect(announcedMtaSts(settings)).toBe(announced);
});

it('is understood by another implementation of the standard, as is what announces it', async () => {
  const settings = { ...parseSettings(example), mtaSts: 'enforce', tls: { issuer: 'acme' } };
  const records = dnsRecords(settings as Settings, () => []);
  const resolver = (name: string) =>
    Promise.resolve(
      records.flatMap((r) => (r.type === 'TXT' && r.name === name ? [[r.value as string]] : [])),
    );
  const policy = mtaStsPolicy('enforce', [settings.hostName]);
  const id = await resolvePolicy('example.net', { resolver: resolver, strict: true });
  expect(id).toBe(mtaStsId(policy));
  const parsed = parsePolicy(policy, { strict: true });
  expect(parsed).toMatchObject({ mode: 'enforce', mx: ['mail.example.org'] });
  for (const { name, type, ...rest } of records)
    if (type === 'MX' && 'target' in rest)
      expect(validateMx(rest.target, parsed), name).toMatchObject({ valid: true });
  expect(validateMx('mx.other.example', parsed)).toMatchObject({ valid: false });
});

it('takes a certificate for public where nothing says otherwise', () => {
  expect(hasPublicCertificate({})).toBe(true);
});
