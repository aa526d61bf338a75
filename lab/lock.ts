import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { cacheRoot } from './state';

/** Does work that one process of this machine may do at a time; the others wait. */
export async function withLock<T>(name: string, work: () => Promise<T>): Promise<T> {
  const locks = join(cacheRoot, 'locks');
  mkdirSync(locks, { recursive: true });
  // The kernel frees the lock of a process that is killed.
  const holder = spawn('flock', [join(locks, name), 'sh', '-c', 'echo mine; cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    await once(holder.stdout, 'data');
    return await work();
  } finally {
    holder.stdin.end();
    await once(holder, 'close');
  }
}
