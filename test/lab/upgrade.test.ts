import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect } from 'vitest';
import { proofs } from '../../lab/proof';
import { Stack } from '../../lab/stack';
import releases from '../../releases.json';
import { hostTest } from './hosts';
import { registries } from './registries';
import { changes, step } from './testLab';

const root = join(__dirname, '..', '..');
const last = (releases as { version: string; commit: string }[]).at(-1);
const it = hostTest();
const folder = mkdtempSync(join(tmpdir(), 'release-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe.skipIf(last === undefined)('a host of the last release', () => {
  it('is changed in place: nothing is replaced or deleted, and mail flows', async ({
    freshLab: { lab, stack },
  }) => {
    await step(`${last!.version} makes the host`, async () => {
      const run = promisify(execFile);
      await run('sh', ['-c', `git archive ${last!.commit} | tar -x -C ${folder}`], { cwd: root });
      await run('npm', ['ci', '--no-audit', '--no-fund'], {
        cwd: folder,
        env: { ...process.env, ...registries },
      });
      const { status, output } = await new Stack(lab, stack.configFile, folder).up();
      expect(status, output).toBe(0);
    });
    await step('a preview of this code replaces and deletes nothing', async () => {
      const { status, output } = await stack.run(['preview']);
      expect(status, output).toBe(0);
      expect(output).not.toMatch(/to (replace|delete)/);
    });
    await step('so does an up', async () => {
      const { status, output } = await stack.up();
      expect(status, output).toBe(0);
      expect(changes(output)).not.toHaveProperty('replaced');
      expect(changes(output)).not.toHaveProperty('deleted');
    });
    for (const { title, run } of proofs(lab, stack.outputs())) await step(title, run);
  });
});
