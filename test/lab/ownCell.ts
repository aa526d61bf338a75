import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { inCell } from '../../lab/cells';
import { holdPackageProxy, releasePackageProxy } from '../../lab/packages';

/** Runs a program's work in a cell of its own: labs that it starts are within its reach there. */
export async function inOwnCell(work: () => Promise<void>): Promise<void> {
  if (inCell) return work();
  await holdPackageProxy();
  const again = [...process.execArgv, ...process.argv.slice(1)];
  const node = join(__dirname, '../../lab/cell-node');
  process.exitCode = spawnSync(node, again, { stdio: 'inherit' }).status ?? 1;
  await releasePackageProxy();
}
