/** The spread of a few measurements of the same. */
export interface Spread {
  min: number;
  median: number;
  max: number;
  runs: number;
}

/** One result of a measurement. */
export interface Figure {
  /** What was measured, and of what, e.g. `first up: ours`. */
  name: string;
  /** The median of the runs. */
  value: number;
  /** `s`, `MB`, `connections`, …; `ratio` where it is divided by another. */
  unit: string;
  spread: Spread;
  /** Of each run, in order. */
  values: number[];
  /** Name of the figure that it is divided by. */
  dividedBy?: string;
  /** What it should be: at most, or at least. */
  goal?: Goal;
}

export type Goal = { most: number } | { least: number };

export interface Options {
  /** Fewer runs of less: a look, and no result. */
  quick: boolean;
}

/** What one file of this folder measures. */
export interface Part {
  title: string;
  /** What a reader has to know to judge the figures, as Markdown. */
  method: string;
  /** Takes long, and mostly waits: only where it is named. */
  onlyByName?: true;
  run: (options: Options) => Promise<Figure[]>;
}

export function spread(values: number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return {
    min: sorted[0]!,
    median: (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2,
    max: sorted.at(-1)!,
    runs: sorted.length,
  };
}

/** @param values one for each run */
export function figure(name: string, unit: string, values: number[], goal?: Goal): Figure {
  const all = spread(values);
  return { name, value: all.median, unit, spread: all, values, ...(goal ? { goal } : {}) };
}

/**
 * Run by run: where both were measured in turns, what slows one run down slows down both. Where one was run more often in each
 * turn, these runs share the other's.
 */
export function ratio(of: Figure, by: Figure, goal?: Goal): Figure {
  const name = `${of.name} / ${by.name.replace(/^.*: /, '')}`;
  const share = by.values.length / of.values.length;
  const values = of.values.map((value, i) => value / by.values[Math.floor(i * share)]!);
  return { ...figure(name, 'ratio', values, goal), dividedBy: by.name };
}

/** Runs `work` and gives the seconds that it took. */
export async function timed(work: () => unknown): Promise<number> {
  const start = process.hrtime.bigint();
  await work();
  return Number(process.hrtime.bigint() - start) / 1e9;
}

let heartbeat: NodeJS.Timeout | undefined;

/** One line of progress on standard error; the last one is repeated each half minute while nothing else is said. */
export function say(text: string): void {
  const time = new Date().toISOString().slice(11, 19);
  process.stderr.write(`bench ${time}: ${text}\n`);
  clearTimeout(heartbeat);
  heartbeat = setTimeout(() => say(`still: ${text.replace(/^still: /, '')}`), 30_000).unref();
}
