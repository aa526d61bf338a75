import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { withAccountsFile } from '../accountsFile';
import { partChanges, readAccountsFile, writeAccountsFile } from '../cli/import/accountsFile';
import { configChanges } from '../cli/import/changes';
import { report } from '../components/settings/mistakes';
import { newSealingKey, sealed, unsealed } from '../components/settings/sealed';
import { stackConfig } from '../settings';

const key = newSealingKey();
const folder = mkdtempSync(join(tmpdir(), 'accounts-'));
const file = join(folder, 'Pulumi.dev.accounts.yaml');
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => rmSync(file, { force: true }));

const read = (input: Record<string, unknown>) =>
  withAccountsFile(file, input, stackConfig, ['mailhost:accountsKey']);
const problems = (input: Record<string, unknown>) => {
  const { mistakes, frontEnd } = read(input);
  return report(mistakes, frontEnd).split('\n').slice(1).join('\n');
};

describe('a sealed value', () => {
  it('is opened by its key alone, and only as it was made', () => {
    const value = sealed('$6$salt$hash', key);
    expect(value).not.toContain('$6$');
    expect(sealed('$6$salt$hash', key)).not.toBe(value);
    expect(unsealed(value, key)).toBe('$6$salt$hash');
    expect(unsealed(value, newSealingKey())).toBeUndefined();
    expect(unsealed(`${value.slice(0, -6)}AAAA==`, key)).toBeUndefined();
    expect(unsealed('v1:AAAA', key)).toBeUndefined();
    expect(unsealed('plain', key)).toBeUndefined();
    expect(() => sealed('x', 'short')).toThrow('not a key of 32 octets');
  });
});

describe('the file of accounts', () => {
  it('is not needed, and then its key is no setting', () => {
    expect(read({ accounts: [1], accountsKey: key })).toMatchObject({
      input: { accounts: [1] },
      mistakes: [],
    });
  });

  it('has 2,000 accounts that were imported, after those of the config, with no hash in the clear', () => {
    const hash = (i: number) => `$6$salt$${i}`;
    const accounts = Array.from({ length: 2000 }, (_, i) => ({
      ...{ address: `user${i}@example.org`, hash: hash(i), quota: 500 },
    }));
    const aliases = [
      { address: 'first@example.org', recipients: ['user0@example.org'] },
      { address: 'all@example.org', recipients: ['user0@example.org', 'user1@example.org'] },
    ];
    const config = {
      domains: [{ name: 'example.org' }],
      accounts: [{ address: 'anna@example.org', passwordHash: 'x' }],
      aliases: [],
    };
    const old = { accounts, aliases, catchAlls: [], problems: [] };
    const parts = partChanges(configChanges(old, config), config);
    expect([...parts.config.plain, ...parts.config.secret]).toEqual([]);
    writeAccountsFile(file, parts, key);
    expect(readFileSync(file, 'utf8')).not.toContain('$6$');

    const { input, mistakes } = read({ accounts: config.accounts, accountsKey: key });
    expect(mistakes).toEqual([]);
    expect(input).toEqual({
      accounts: [
        ...config.accounts,
        ...accounts.map(({ address, quota }, i) => ({
          ...{ address, quota, passwordHash: hash(i) },
          ...(i === 0 ? { aliases: ['first@example.org'] } : {}),
        })),
      ],
      aliases: [aliases[1]],
    });
    const again = readAccountsFile(file);
    const both = { ...config, ...again, accounts: [...config.accounts, ...again.accounts] };
    const repeated = configChanges(old, both);
    expect([...repeated.plain, ...repeated.secret]).toEqual([]);
  });

  it('names what is wrong by its place there', () => {
    writeFileSync(
      file,
      `accounts:
  - {address: a@example.org, passwordHash: secret}
  - {address: b@example.org, passwordHash: {secure: 'v1:AAAA'}}
domains: []
`,
    );
    const text = problems({ accounts: [{}], accountsKey: key });
    expect(text).toContain(`${file}: accounts[0].passwordHash is not encrypted`);
    expect(text).toContain(`${file}: accounts[1].passwordHash was not encrypted by the`);
    expect(text).toContain(`${file}: domains is not a list of this file`);
    expect(text).not.toContain(': secret');
    expect(problems({ accounts: [{}] })).toContain('mailhost:accountsKey is not set');
  });

  it('needs its key as a secret of the config', () => {
    const { mistakes } = withAccountsFile(file, { accountsKey: key }, stackConfig, []);
    expect(report(mistakes, stackConfig)).toContain(
      'mailhost:accountsKey is not encrypted; set it again: pulumi config set --secret mailhost:accountsKey',
    );
  });
});
