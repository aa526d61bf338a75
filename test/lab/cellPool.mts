import { join } from 'node:path';
import { ForksPoolWorker, type PoolOptions, type PoolRunnerInitializer } from 'vitest/node';

/** Read once: workers start side by side, and each changes it for a moment. */
const node = process.execPath;

/** A worker whose processes, mounts and network are its own, as those of the lab that its tests have. */
class CellWorker extends ForksPoolWorker {
  override async start(): Promise<void> {
    // Vitest starts a worker by the path of Node.js, at once.
    process.execPath = join(import.meta.dirname, '../../lab/cell-node');
    try {
      await super.start();
    } finally {
      process.execPath = node;
    }
  }
}

/** Vitest's pool of processes, each in a cell of its own (`lab/cell`). */
export const cells: PoolRunnerInitializer = {
  name: 'cells',
  createPoolWorker: (options: PoolOptions) => new CellWorker(options),
};
