import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const folder = join(__dirname, 'host');
const files = readdirSync(folder).filter((file) => file.endsWith('_test.py'));

it.each(files)('the host program passes %s', (file) => {
  const { status, stderr } = spawnSync('python3', [join(folder, file)], { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  expect(stderr).toMatch(/^Ran [1-9]\d* tests/m);
});
