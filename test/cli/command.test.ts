import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { sampleFile, sampleText } from './samples';

const root = join(__dirname, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'review-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs `mailhost` as an operator does, with standard input and a folder of programs. */
function mailhost(words: string[], { input = '', path = process.env.PATH! } = {}) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', join(root, 'cli/main.ts'), ...words],
    { cwd: root, encoding: 'utf8', input, env: { ...process.env, PATH: path } },
  );
  return { status, stdout, stderr };
}

/** A `pulumi` that writes down what it is called with, and ends as the real one does. */
function pulumi(stdout: string, status: number): string {
  const bin = mkdtempSync(join(folder, 'bin-'));
  writeFileSync(join(bin, 'stdout'), stdout);
  writeFileSync(
    join(bin, 'pulumi'),
    `#!/bin/sh\nprintf '%s\\n' "$@" > ${bin}/arguments\necho progress >&2\ncat ${bin}/stdout\nexit ${status}\n`,
    { mode: 0o755 },
  );
  return bin;
}
const before = (bin: string) => `${bin}${delimiter}${process.env.PATH}`;

describe('mailhost review', () => {
  it.each([
    ['nothing', 0, 'Nothing changes'],
    ['spamTagLevel', 0, 'Harmless'],
    ['serverType', 2, 'Risky'],
    ['blocked', 3, 'Blocked'],
  ])('of %s exits with %i', (name, status, words) => {
    const { stdout, ...rest } = mailhost(['review', sampleFile(name)]);
    expect(stdout).toMatch(new RegExp(`^${words}`));
    expect(stdout).not.toContain('\u001b');
    expect(rest).toEqual({ status, stderr: '' });
  });

  it('reads standard input, and writes a file', () => {
    const output = join(folder, 'review.html');
    const words = ['review', '-', '--format', 'html', '--output', output];
    expect(mailhost(words, { input: sampleText('serverType') })).toEqual({
      status: 2,
      stdout: '',
      stderr: '',
    });
    expect(readFileSync(output, 'utf8')).toMatch(/^<!DOCTYPE html>/);
  });

  it.each([
    [[], []],
    [
      ['--', '--refresh', '--stack', 'prod'],
      ['--refresh', '--stack', 'prod'],
    ],
  ])(
    'with %j runs a preview, and passes on what that writes to standard error',
    (given, passed) => {
      const bin = pulumi(sampleText('serverType'), 0);
      const { status, stdout, stderr } = mailhost(['review', ...given], { path: before(bin) });
      expect(readFileSync(join(bin, 'arguments'), 'utf8').trim().split('\n')).toEqual([
        'preview',
        '--json',
        '--non-interactive',
        ...passed,
      ]);
      expect(stdout).toMatch(/^Risky/);
      expect({ status, stderr }).toEqual({ status: 2, stderr: 'progress\n' });
    },
  );

  it('reviews a preview that is blocked, though pulumi fails', () => {
    const bin = pulumi(sampleText('blocked'), 255);
    const { status, stdout } = mailhost(['review', '--format', 'markdown'], { path: before(bin) });
    expect(stdout).toContain("'remove bert@example.net'");
    expect(status).toBe(3);
  });

  it('is blocked by a preview that fails for a reason that is not in its JSON', () => {
    const bin = pulumi(sampleText('spamTagLevel'), 255);
    const { status, stdout } = mailhost(['review'], { path: before(bin) });
    expect(stdout).toMatch(
      /^Blocked: 3 changed; .*\nBlocked\n {2}- pulumi preview failed with exit status 255/,
    );
    expect(status).toBe(3);
  });

  it.each<[string, string[], object, RegExp]>([
    [
      'a file that does not exist',
      ['no-such.json'],
      {},
      /no-such\.json cannot be reviewed: it does not exist\. Name the output of/,
    ],
    ['what is not a preview', ['package.json'], {}, /this is not a preview/],
    ['two files', ['a.json', 'b.json'], {}, /one preview can be reviewed at a time, and 2 files/],
    ['a format that does not exist', ['-', '--format', 'pdf'], {}, /Allowed choices are text/],
    ['more context than is shown', ['-', '--context', '4'], {}, /Give a number from 0 to 3/],
    ['no pulumi', [], { path: folder }, /pulumi cannot be run: .*Install the Pulumi CLI/],
    [
      'a preview that writes nothing',
      [],
      { path: before(pulumi('', 255)) },
      /pulumi preview failed with exit status 255/,
    ],
  ])('of %s exits with 1, and says why in one line', (_, words, options, message) => {
    const { status, stdout, stderr } = mailhost(['review', ...words], options);
    expect(stderr.trim().split('\n').at(-1)).toMatch(message);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  });
});
