import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
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
          // Each file tells one story, from its first test to its last.
          fileParallelism: false,
          bail: 1,
        },
      },
    ],
  },
});
