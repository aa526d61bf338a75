import { expect, it } from 'vitest';
import { caaValue } from '../components/acmeAccount';

it('lets nobody but the account at the CA issue, by the one way that the host proves itself', () => {
  const account = 'https://acme.example.com/acct/1';
  expect(caaValue('https://acme.example.com/directory', JSON.stringify({ uri: account }))).toBe(
    `example.com; accounturi=${account}; validationmethods=http-01`,
  );
  const known = { uri: account, caaIdentities: ['ca.example'] };
  expect(caaValue('https://acme.example.com/directory', JSON.stringify(known))).toBe(
    `ca.example; accounturi=${account}; validationmethods=http-01`,
  );
  expect(caaValue('https://acme.example.com/directory', '{}\n')).toBe(
    'example.com; validationmethods=http-01',
  );
});
