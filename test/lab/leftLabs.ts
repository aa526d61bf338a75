import { endLab } from '../../lab/lifecycle';
import { findLab, labNames, processes } from '../../lab/state';

/** The names of labs that tests make begin with it. */
export const testLabPrefix = 'test-';

/** Removes what tests left whose processes were killed; those of a run that goes on have some. */
export async function endLeftLabs(): Promise<void> {
  for (const name of labNames().filter((each) => each.startsWith(testLabPrefix))) {
    const lab = findLab(name);
    if (lab && processes(lab).length === 0) await endLab(lab);
  }
}
