import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { mustRun, processes, start, waitFor, type Lab } from '../lab/state';

const lab: Lab = { name: 'none', dir: mkdtempSync(join(tmpdir(), 'lab-')) };
afterAll(() => rmSync(lab.dir, { recursive: true }));

it('takes a process for running that has no environment, as one has while it becomes another program', async () => {
  const pid = start(lab, 'bare', 'env', ['-i', 'sleep', '600']);
  await waitFor('its environment is empty', () => processes(lab, 'bare').length === 0);
  expect(() => mustRun(lab, 'bare', pid)).not.toThrow();
  process.kill(pid, 'SIGKILL');
});

it('tells what a process said before it ended', async () => {
  const pid = start(lab, 'short', 'sh', ['-c', 'echo no port is free; exit 1']);
  const ends = waitFor('it has ended', () => mustRun(lab, 'short', pid));
  await expect(ends).rejects.toThrow("the lab's short ended:\nno port is free");
});
