import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { hostProgram } from '../components/hostFiles/systemFiles';
import { version } from '../package.json';

const folder = join(__dirname, 'host');
const files = readdirSync(folder).filter((file) => file.endsWith('_test.py'));
const library = join(__dirname, '../files/usr/local/lib');

const python = (args: string[], path: string) =>
  spawnSync('python3', ['-B', ...args], {
    env: { ...process.env, PYTHONPATH: path },
    encoding: 'utf8',
  });

it.each(files)('the host program passes %s', (file) => {
  const { status, stderr } = python([join(folder, file)], `${library}:${library}/mailhost/filters`);
  expect(status, stderr).toBe(0);
  expect(stderr).toMatch(/^Ran [1-9]\d* tests?/m);
});

it('the host program runs by itself with what is pushed of it, in the version of the package', () => {
  const root = mkdtempSync(join(tmpdir(), 'program-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const [path, { text }] of Object.entries(hostProgram())) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const { stdout, stderr } = python([join(root, 'usr/local/sbin/mailhost'), '--version'], '');
  expect(stdout, stderr).toBe(`mailhost ${version}\n`);
});
