import { stripVTControlCharacters } from 'node:util';
import type { Reporter, TestModule } from 'vitest/node';

type Failed = Pick<Error, 'message'>;

/** Ends a run with the tests that took longest, and then with all that failed: of a long log people see the end. */
export default class Slowest implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly Failed[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const slowest = tests
      .map((test) => ({ test, seconds: (test.diagnostic()?.duration ?? 0) / 1000 }))
      .filter(({ seconds }) => seconds > 0)
      .sort((a, b) => b.seconds - a.seconds)
      .slice(0, 10);
    console.log('\nThe slowest tests, in seconds:');
    for (const { test, seconds } of slowest)
      console.log(
        `${seconds.toFixed(1).padStart(7)}  ${test.module.relativeModuleId}: ${test.fullName}`,
      );
    const failures = [...modules.flatMap(failuresOf), ...unhandled.map(unhandledLines)];
    if (failures.length > 0) console.log(['\nFailed:', ...failures].join('\n'));
  }
}

/** A test, or what is around tests: a file that does not load, a hook. */
function failuresOf(module: TestModule): string[] {
  const file = module.relativeModuleId;
  return [
    ...module.errors().map((error) => lines(file, error)),
    ...[...module.children.allSuites()].flatMap((suite) =>
      suite.errors().map((error) => lines(`${file}: ${suite.fullName}`, error)),
    ),
    ...[...module.children.allTests('failed')].map((test) =>
      lines(`${file}: ${test.fullName}`, test.result().errors?.[0], test.meta().evidence),
    ),
  ];
}

const unhandledLines = (error: Failed): string => lines('outside of any test', error);

/** What failed, the first line of why, and where there is more. */
function lines(what: string, error?: Failed, evidence?: string): string {
  const [why = ''] = stripVTControlCharacters(error?.message ?? 'no error')
    .trim()
    .split('\n');
  return [what, why, evidence]
    .filter((line) => line !== undefined)
    .map((line, depth) => `  ${depth > 0 ? '  ' : ''}${line.slice(0, 200)}`)
    .join('\n');
}
