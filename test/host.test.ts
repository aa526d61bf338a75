import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { version } from '../package.json';

const folder = join(__dirname, 'host');
const files = readdirSync(folder).filter((file) => file.endsWith('_test.py'));
const usrLocal = join(__dirname, '../files/usr/local');
const PYTHONPATH = `${usrLocal}/lib:${usrLocal}/lib/mailhost/filters`;

const python = (...args: string[]) =>
  spawnSync('python3', ['-B', ...args], {
    env: { ...process.env, PYTHONPATH },
    encoding: 'utf8',
  });

it.each(files)('the host program passes %s', (file) => {
  const { status, stderr } = python(join(folder, file));
  expect(status, stderr).toBe(0);
  expect(stderr).toMatch(/^Ran [1-9]\d* tests/m);
});

it('the host program has the version of the package', () => {
  expect(python(join(usrLocal, 'sbin/mailhost'), '--version').stdout).toBe(`mailhost ${version}\n`);
});
