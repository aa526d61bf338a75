import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { cells } from './test/lab/cellPool.mts';

/** Files of test/lab that take more than a minute, the longest first. */
const long = [
  'acme',
  'rotation',
  'serverReplacement',
  'backup',
  'harden',
  'disturbed',
  'health',
  'firstUp',
  'changes',
  'drift',
  'package',
  'folders',
  'plan',
  'dns',
  'givenMachine',
  'resilience',
  'scan',
  'web',
  'firstCertificate',
  'bounds',
  'smtp',
  'mailboxes',
  'brokenFiles',
  'review',
];

/** So that none of them runs by itself at the end, while a worker has nothing to do. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const place = long.findIndex((name) => moduleId.endsWith(`/lab/${name}.test.ts`));
      return place < 0 ? long.length : place;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

/** For what hangs: a machine under load takes ten times as long as an idle one. */
const limit = (minutes: number) => ({
  testTimeout: minutes * 60_000,
  hookTimeout: minutes * 60_000,
});

/**
 * Tests that are not run under a fake clock. The kernel stamps files with the real time, and the host program compares it with
 * its own. Packing and releasing are the work of npm, the compiler and git, and the scripts of examples that of bash. What a
 * setting means depends on no time.
 */
const withoutFakeClock = [
  'test/host.test.ts',
  'test/package.test.ts',
  'test/release.test.ts',
  'test/cli/workflowScripts.test.ts',
  'test/settingsEffects.test.ts',
];

/** Of labs as a person has them, each with a cell of its own. */
const labItself = 'test/lab/lab.test.ts';

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    // One line a test as it ends, and one each half minute, so that a long run can be watched; at the end the slowest.
    reporters: ['verbose', './test/slowest.ts'],
    globalSetup: ['test/progress.ts'],
    // Ending the last lab and the package proxy.
    teardownTimeout: limit(10).testTimeout,
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: ['test/lab/**', ...(process.env.FAKETIME ? withoutFakeClock : [])],
          sequence: { groupOrder: 1 },
          ...limit(10),
        },
      },
      {
        test: {
          name: 'lab',
          include: ['test/lab/**/*.test.ts'],
          exclude: [labItself],
          pool: cells,
          ...limit(60),
          globalSetup: ['test/lab/prepare.ts'],
          sequence: { groupOrder: 2 },
          // They wait more than they work: three leave two cores idle for two fifths of the time.
          maxWorkers: 4,
        },
      },
      {
        test: {
          name: 'labs',
          include: [labItself],
          ...limit(60),
          globalSetup: ['test/lab/prepare.ts'],
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
