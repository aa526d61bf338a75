import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const root = join(__dirname, '..');
let folder: string;
let clone: string;
const git = (...args: string[]) =>
  execFileSync('git', args, { cwd: clone, encoding: 'utf8' }).trim();
const text = (file: string) => readFileSync(join(clone, file), 'utf8');

/** Runs `./release` where `make` only says what it was asked for. */
function release(...args: string[]) {
  return spawnSync(join(clone, 'release'), args, {
    cwd: clone,
    encoding: 'utf8',
    env: { ...process.env, PATH: `${folder}:${process.env.PATH}` },
  });
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'release-'));
  writeFileSync(join(folder, 'make'), '#!/bin/sh\necho "make $*"\n');
  chmodSync(join(folder, 'make'), 0o755);
  clone = join(folder, 'clone');
  execFileSync('git', ['clone', '--quiet', '--shared', root, clone]);
  symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'));
  writeFileSync(join(clone, '.git/info/exclude'), 'node_modules\n');
  git('config', 'user.name', 'A maintainer');
  git('config', 'user.email', 'maintainer@example.org');
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('a release', () => {
  it('is one commit with its version everywhere, a tag, a tarball and an entry', () => {
    const { status, stdout, stderr } = release('97.1.0');
    expect(status, stderr).toBe(0);
    expect(stdout).toMatch(/^make check test-fast$/m);
    expect(stdout).toMatch(/^make docs$/m);
    const commit = git('rev-parse', 'v97.1.0^{commit}');
    expect(commit).toBe(git('rev-parse', 'HEAD~1'));
    expect(JSON.parse(text('releases.json'))).toContainEqual({ version: '97.1.0', commit });
    expect(JSON.parse(text('package.json'))).toMatchObject({ version: '97.1.0' });
    expect(text('CHANGELOG.md')).toMatch(/^## Unreleased\n\n## 97\.1\.0 - \d{4}-\d\d-\d\d\n\n/m);
    expect(text('README.md')).toContain('mailhost-97.1.0.tgz');
    for (const file of ['README.md', 'examples/yaml/Pulumi.yaml'])
      expect(text(file)).toContain('mailhost.git@97.1.0');
    expect(text('examples/typescript/package.json')).toContain('mailhost.git#v97.1.0');
    const packed = execFileSync('tar', ['-tzf', 'mailhost-97.1.0.tgz'], { cwd: clone });
    expect(packed.toString()).toContain('package/dist/components/plugin.js');
    expect(git('status', '--porcelain')).toBe('');
  }, 120_000);

  it.each([
    ['no version', () => undefined, [], 'name the version'],
    ['a version that is not one', () => undefined, ['v1'], 'name the version'],
    ['a tree with changes', () => writeFileSync(join(clone, 'x'), ''), ['97.1.0'], 'has changes'],
    ['a version that there is', () => git('tag', 'v97.1.0'), ['97.1.0'], 'already released'],
    [
      'nothing to release',
      () => {
        writeFileSync(join(clone, 'CHANGELOG.md'), '## Unreleased\n\n## 97.0.0\n\n- x\n');
        git('commit', '--quiet', '--all', '--message', 'x');
      },
      ['97.1.0'],
      'nothing under Unreleased',
    ],
  ])('is refused with %s, and changes nothing', (_title, prepare, args, message) => {
    prepare();
    const before = git('rev-parse', 'HEAD');
    const { status, stderr } = release(...args);
    expect(status).toBe(1);
    expect(stderr).toContain(message);
    expect(git('rev-parse', 'HEAD')).toBe(before);
    expect(git('status', '--porcelain')).toBe(_title === 'a tree with changes' ? '?? x' : '');
  });
});
