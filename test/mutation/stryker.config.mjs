import { homedir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';

const cache = join(homedir(), '.cache/mailhost-mutation');
const area = env.MUTATION_AREA;
const beside = (file) => join(import.meta.dirname, file);

export default {
  mutate: [`components/${area}/**/*.ts`],
  testRunner: 'vitest',
  vitest: { configFile: beside('vitest.config.mts') },
  plugins: ['@stryker-mutator/vitest-runner', beside('prose.mjs')],
  ignorers: ['prose'],
  // It would write a comment into each file, and a test compares generated ones.
  disableTypeChecks: false,
  coverageAnalysis: 'perTest',
  concurrency: 1,
  // Loops without an end are found by how often they go round; the clock is for a machine with much else to do.
  timeoutMS: 60_000,
  tempDirName: join(cache, area),
  incremental: true,
  incrementalFile: join(cache, `${area}.json`),
  reporters: ['progress-append-only'],
};
