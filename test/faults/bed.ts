import { strict as assert } from 'node:assert';
import { longestWait, type Lab } from '../../lab/state';
import type { TestStack } from '../lab/testLab';
import { onHostAsync } from './host';

/** What is ill-treated. */
export interface Bed {
  lab: Lab;
  stack: TestStack;
}

/** One fault, or many of a kind, with what it must not come to. */
export interface Row {
  /** What the command line calls it by. */
  name: string;
  what: string;
  /** How often it is done. Default: once. */
  runs?: number;
  /** In the place of `what` and `runs`, where each is told by itself. */
  parts?: { what: string; runs: number }[];
  expected: string;
  /** What there is before: a host that stands, by default. */
  from?: 'nothing';
  /** Gives what was seen, and fails where that is not what was expected. */
  run: (bed: Bed) => Promise<string>;
}

export async function succeeds({ stack }: Bed, ...options: string[]): Promise<string> {
  const { status, output } = await stack.run(['up', '--yes', '--skip-preview', ...options]);
  assert.equal(status, 0, output);
  return output;
}

/** @returns the words that were looked for */
export async function fails({ stack }: Bed, words: RegExp): Promise<string> {
  const { status, output } = await stack.up();
  assert.notEqual(status, 0, 'the up succeeded');
  assert.match(output, words);
  return words.exec(output)![0];
}

/** Where an `up` is killed. */
export interface Point {
  /** Part of a line that it prints. */
  line: RegExp;
  /** ms after it. */
  wait: number;
}

/** In the middle of making something, or of taking over what was on its way at an earlier kill. */
export const begun = (what: string, wait = 300): Point => ({
  line: new RegExp(`${what} (creating|importing)`),
  wait,
});
/** Between two things, for the one that was made. */
export const done = (what: string): Point => ({
  line: new RegExp(`${what} (created|imported)`),
  wait: 0,
});

/**
 * Kills an `up` at the first of these points that it comes to.
 *
 * @returns which one; none where the `up` came to its end
 */
export async function killAt(stack: TestStack, points: Point[]): Promise<Point | undefined> {
  let printed = '';
  let at: Point | undefined;
  const { status, output } = await stack.up((text, kill) => {
    printed += text;
    if (at !== undefined) return;
    at = points.find(({ line }) => line.test(printed));
    if (at !== undefined) setTimeout(kill, at.wait);
  });
  if (at === undefined) {
    assert.equal(status, 0, output);
    return undefined;
  }
  assert.equal(status, -1, `it ended before it was killed at "${at.line.source}":\n${output}`);
  await stack.run(['cancel', '--yes']);
  console.log(`  killed at "${at.line.source}"`);
  return at;
}

/**
 * Waits until something is under way on the host, and does something to it there.
 *
 * @param underWay command that succeeds while it is
 */
export async function whileUnderWay({ lab }: Bed, underWay: string, command: string) {
  await onHostAsync(
    lab,
    `end=$(($(date +%s) + ${longestWait})); until ${underWay}; do [ $(date +%s) -lt $end ] || exit 1; sleep 0.01; done; ${command}`,
  );
}
