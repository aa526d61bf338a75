import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';

it('puts a daemon’s files in force wholly or not at all', () => {
  const { status, stderr } = spawnSync('python3', [join(__dirname, 'host/transaction_test.py')], {
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  expect(stderr).toMatch(/^Ran \d{2} tests/m);
});
