import { generateKeyPairSync } from 'node:crypto';
import { expect, it } from 'vitest';
import { publicKeyHash } from '../components/dns/dnsRecords';
import { publishedKey } from '../components/publishedKey';

const [one, other] = [1, 2].map(
  () =>
    generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    }).publicKey,
);

it.each([
  ['is new', undefined],
  ['stays', one],
  ['stays, whatever the form of its PEM', one!.trimEnd()],
])('a key that %s is published', (_, before) => {
  expect(publishedKey('the key', one!, before && publicKeyHash(before))).toBe(one);
});

it('a key that was made anew is not', () => {
  expect(() => publishedKey('the key', other!, publicKeyHash(one!))).toThrow(
    /the key was made anew.*nothing is/,
  );
});
