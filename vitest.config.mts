import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // One line a test as it ends, and one each half minute, so that a long run can be watched.
    reporters: ['verbose'],
    globalSetup: ['test/progress.ts'],
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: ['test/lab/**'],
          // Plugins are started as processes of their own.
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'lab',
          include: ['test/lab/**/*.test.ts'],
          // The limit is for what hangs: slow machines take as long as they take.
          testTimeout: 900_000,
          hookTimeout: 900_000,
          globalSetup: ['test/lab/images.ts'],
          // Each file tells one story, in a lab of its own; two at a time, as they wait more than they work.
          maxWorkers: 2,
          bail: 1,
        },
      },
    ],
  },
});
