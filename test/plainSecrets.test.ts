import { describe, expect, it } from 'vitest';
import { pathText } from '../components/settings/mistakes';
import { plainSecrets } from '../settings';

describe('plainSecrets', () => {
  const input = { accounts: [{ passwordHash: 'a' }, { passwordHash: 'b' }] };
  const file = (...values: unknown[]) => ({
    config: { 'mailhost:accounts': values.map((passwordHash) => ({ passwordHash })) },
  });
  const paths = (marked: string[], stackFile: unknown) =>
    plainSecrets(input, marked, stackFile).map(({ path }) => pathText(path));
  const both = ['accounts[0].passwordHash', 'accounts[1].passwordHash'];

  it.each([
    ['all marked', ['mailhost:accounts'], file({ secure: 'x' }, { secure: 'y' }), []],
    ['one that is not', ['mailhost:accounts'], file({ secure: 'x' }, 'b'), [both[1]]],
    ['none marked, in a file elsewhere', [], undefined, both],
    ['a file that is not the one in use', ['mailhost:accounts'], file('c', 'd'), []],
    ['an account that has none', ['mailhost:accounts'], { config: {} }, []],
  ])('%s', (_, marked, stackFile, expected) => {
    expect(paths(marked, stackFile)).toEqual(expected);
  });

  it('are found in a backup, too', () => {
    const backup = {
      repository: '/mnt/backup',
      password: 'secret',
      environment: { AWS_ACCESS_KEY_ID: 'x' },
    };
    expect(plainSecrets({ backup }, [], undefined).map(({ path }) => pathText(path))).toEqual([
      'backup.password',
      'backup.environment.AWS_ACCESS_KEY_ID',
    ]);
  });
});
