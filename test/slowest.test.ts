import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';

const project = join(__dirname, '..');

/** What a run of tests in these files prints. */
function runOf(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'slowest-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text);
  const reporters = ['--reporter=dot', `--reporter=${join(__dirname, 'slowest.ts')}`];
  const { stdout } = spawnSync(
    join(project, 'node_modules/.bin/vitest'),
    ['run', '--globals', '--config=none.ts', '--root', root, ...reporters],
    { encoding: 'utf8', env: { ...process.env, NO_COLOR: '1' } },
  );
  return stdout;
}

it('a run of tests ends with each failure, its reason and its evidence', () => {
  const printed = runOf({
    'none.ts': 'export default {};',
    'broken.test.ts': "throw new Error('does not load');",
    'hook.test.ts': `
      describe('with a hook', () => {
        beforeAll(() => { throw new Error('before all'); });
        it('is skipped', () => {});
      });`,
    'test.test.ts': `
      describe('a part', () => {
        it('fails', ({ task }) => {
          task.meta.evidence = '/evidence of it';
          throw new Error(\`first line \${'x'.repeat(1000)}\\nsecond line\`);
        });
        it('passes', () => {});
        it('leaves a promise', () => { Promise.reject(new Error('unhandled')); });
      });`,
  });
  const end = printed.slice(printed.indexOf('Failed:'));
  expect(printed.indexOf('Failed:')).toBeGreaterThan(printed.indexOf('The slowest tests'));
  expect(end.trimEnd().split('\n')).toEqual([
    'Failed:',
    '  broken.test.ts',
    '    does not load',
    '  hook.test.ts: with a hook',
    '    before all',
    '  test.test.ts: a part > fails',
    `    first line ${'x'.repeat(189)}`,
    '    /evidence of it',
    '  outside of any test',
    '    unhandled',
  ]);
});
