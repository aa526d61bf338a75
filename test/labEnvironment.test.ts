import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import sdk from '@pulumi/tls/package.json';
import { environment } from '../lab/env';
import { stateRoot, type Lab } from '../lab/state';

let folder: string;
let home: string;
let lab: Lab;
const given = process.env.PULUMI_HOME;
const plugin = () => join(home, 'plugins', `resource-tls-v${sdk.version}`, 'pulumi-resource-tls');
const used = () =>
  join(lab.dir, 'pulumi-home/plugins', `resource-tls-v${sdk.version}`, 'pulumi-resource-tls');

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lab-'));
  home = join(folder, 'home');
  lab = { name: 'none', dir: join(folder, 'lab') };
  mkdirSync(join(plugin(), '..'), { recursive: true });
  mkdirSync(lab.dir);
  writeFileSync(plugin(), 'the official plugin', { mode: 0o555 });
  chmodSync(join(plugin(), '..'), 0o555);
});
afterEach(() => {
  if (given === undefined) delete process.env.PULUMI_HOME;
  else process.env.PULUMI_HOME = given;
  rmSync(folder, { recursive: true });
});

/** Every file of the user's home, with a hash of its content. */
const content = () =>
  readdirSync(home, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path, createHash('sha256').update(readFileSync(path)).digest('hex')];
    });

it("passes over what is no plugin's folder in the user's cache", () => {
  process.env.PULUMI_HOME = home;
  writeFileSync(join(home, 'plugins', 'resource-x-v1.0.0.lock'), '');
  symlinkSync(join(folder, 'nowhere'), join(home, 'plugins', 'resource-x-v1.0.0'));
  environment(lab, undefined);
  expect(readFileSync(used(), 'utf8')).toBe('the official plugin');
  expect(readdirSync(join(lab.dir, 'pulumi-home/plugins')).join()).not.toContain('resource-x');
});

it("uses a plugin in the user's cache, and never writes through to it, whatever home is asked for later", () => {
  const before = content();
  process.env.PULUMI_HOME = home;
  environment(lab, undefined);
  expect(readFileSync(used(), 'utf8')).toBe('the official plugin');
  process.env.PULUMI_HOME = join(folder, 'another');
  environment(lab, undefined);
  expect(readFileSync(used(), 'utf8')).toMatch(/^#!\/bin\/sh/);
  // From wherever it is written.
  process.env.PULUMI_HOME = relative(process.cwd(), home);
  environment(lab, undefined);
  expect(readFileSync(used(), 'utf8')).toBe('the official plugin');
  expect(content()).toEqual(before);
});

it('passes over the `bin` of labs, which a shell of `env` has first on PATH', () => {
  const before = process.env.PATH;
  try {
    process.env.PATH = `${stateRoot}/dev/bin:/opt/engine:${stateRoot}/other/bin:/usr/bin`;
    expect(environment(lab, undefined).PATH).toMatch(
      /\/node_modules\/\.bin:\/opt\/engine:\/usr\/bin$/,
    );
  } finally {
    process.env.PATH = before;
  }
});
