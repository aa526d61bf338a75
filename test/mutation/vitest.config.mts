import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { areas } from './areas.mjs';

const tests = areas[process.env.MUTATION_AREA as keyof typeof areas];
const place = ({ moduleId }: TestSpecification) =>
  tests.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));

class AsListed extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return Promise.resolve([...files].sort((a, b) => place(a) - place(b)));
  }
}

/** The tests of one area alone: a mutant costs as much as they do. */
export default defineConfig({
  test: {
    include: tests.map((name) => `test/${name}.test.ts`),
    sequence: { sequencer: AsListed },
    setupFiles: ['test/mutation/fewerRuns.ts'],
    testTimeout: 60_000,
  },
});
