import type { Reporter, TestModule } from 'vitest/node';

/** Ends a run with the tests that took longest. */
export default class Slowest implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const slowest = tests
      .map((test) => ({ test, seconds: (test.diagnostic()?.duration ?? 0) / 1000 }))
      .sort((a, b) => b.seconds - a.seconds)
      .slice(0, 10);
    console.log('\nThe slowest tests, in seconds:');
    for (const { test, seconds } of slowest)
      console.log(
        `${seconds.toFixed(1).padStart(7)}  ${test.module.relativeModuleId}: ${test.fullName}`,
      );
  }
}
