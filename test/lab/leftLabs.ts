import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { endLab } from '../../lab/lifecycle';
import { findLab, labNames } from '../../lab/state';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Process id of the run of tests that a worker is part of, outside its cell. */
    run: number;
  }
}

/** The name of a lab that a run of tests makes: it tells which run, so that no other takes it for left. */
export const testLabName = (run: number): string =>
  `test-${run.toString(36)}-${randomBytes(2).toString('hex')}`;

/** Removes what tests left whose run has ended, or was killed. */
export async function endLeftLabs(): Promise<void> {
  for (const name of labNames()) {
    const run = /^test-([0-9a-z]+)-/.exec(name)?.[1];
    if (run === undefined || existsSync(`/proc/${parseInt(run, 36)}`)) continue;
    const lab = findLab(name);
    if (lab) await endLab(lab);
  }
}
