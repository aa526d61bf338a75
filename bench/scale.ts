import { findLab } from '../lab/state';
import { manyDomains } from './manyDomains/preview';
import { secondsText, spread } from './statistics';

/**
 * How long the first preview of a stack takes with 1 to 200 domains of ten accounts each, and what a domain more costs.
 * Needs `make up`.
 */
const sizes = [1, 10, 50, 200];
const rounds = 3;

async function main(): Promise<void> {
  const lab = findLab('dev');
  if (lab === undefined) throw new Error('no lab is up: make up');
  let before: { size: number; seconds: number } | undefined;
  for (const size of sizes) {
    const runs = [];
    for (let round = 0; round < rounds; round++) runs.push(await manyDomains(lab, size));
    const seconds = spread(runs.map((run) => run.seconds));
    const more = before && (seconds.median - before.seconds) / (size - before.size);
    console.log(
      `first preview of ${size} domains, ${runs[0]!.resources} resources: ${secondsText(seconds)}` +
        (more === undefined ? '' : `; ${(more * 1000).toFixed(0)} ms for each domain more`),
    );
    before = { size, seconds: seconds.median };
  }
}

void main();
