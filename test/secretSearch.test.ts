import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { SecretSearch } from './lab/secretSearch';

const secret = "$6$sa/lt$Xy.z'1+2=0";
const search = new SecretSearch({ password: secret, other: 'never-there-at-all' });
const base64 = (text: string) => Buffer.from(text).toString('base64');

it.each([
  ['as it is', secret],
  ...['', 'a', 'bc', 'def'].map((before) => ['in Base64', base64(`${before}${secret} and more`)]),
  ['in Base64 for URLs', Buffer.from(`x${secret}yz`).toString('base64url')],
  ['in hexadecimal', Buffer.from(secret).toString('hex')],
  ['in a URL', `https://example.org/?x=${encodeURIComponent(secret)}`],
  ['in JSON', JSON.stringify({ a: secret })],
  ['as a hash', createHash('sha256').update(secret).digest('hex')],
  ['quoted for a shell', `'${secret.replaceAll("'", "'\\''")}'`],
  ['escaped for a shell', "\\$6\\$sa/lt\\$Xy.z\\'1+2=0"],
])('finds a secret %s', (_, text) => {
  expect(search.in(`before ${text} after`)).toEqual(['password']);
  const folder = mkdtempSync(join(tmpdir(), 'secrets-'));
  try {
    writeFileSync(join(folder, 'found'), `\0\x01${text}\n`);
    writeFileSync(join(folder, 'other'), 'nothing\n');
    expect(search.below(folder)).toEqual([join(folder, 'found')]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it.each([0, 10, 25, 40, 57])('finds a long one in wrapped Base64, after %i octets', (octets) => {
  const long = 'MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF';
  const wrapped = base64(`${'x'.repeat(octets)}${long} and more`).replace(/.{76}/g, '$&\n');
  expect(wrapped).toContain('\n');
  expect(new SecretSearch({ key: long }).in(wrapped)).toEqual(['key']);
});

it('finds none in another text', () => {
  expect(search.in('$6$sa/lt')).toEqual([]);
});
