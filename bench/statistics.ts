/** The spread of a few measurements of the same. */
export interface Spread {
  min: number;
  median: number;
  max: number;
}

export function spread(values: number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { min: sorted[0]!, median: sorted[Math.floor(sorted.length / 2)]!, max: sorted.at(-1)! };
}

/** E.g. `2.61 s (2.53 to 2.71)`. */
export const secondsText = ({ min, median, max }: Spread): string =>
  `${median.toFixed(2)} s (${min.toFixed(2)} to ${max.toFixed(2)})`;

/** Runs `work` and gives the seconds that it took. */
export async function timed(work: () => unknown): Promise<number> {
  const start = process.hrtime.bigint();
  await work();
  return Number(process.hrtime.bigint() - start) / 1e9;
}
