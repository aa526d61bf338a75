const counts = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** @example amount(12345) // '12.3K' */
export const amount = (count: number): string => counts.format(count);

/** @example octets(2.5e9) // '2.5 GB' */
export function octets(size: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(Math.max(Math.floor(Math.log10(Math.max(size, 1)) / 3), 0), 4);
  return `${counts.format(size / 1000 ** power)} ${units[power]}`;
}

/** @example duration(90_000) // '1.5 min' */
export function duration(milliseconds: number): string {
  const units: [string, number][] = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1000],
  ];
  const [unit, size] = units.find(([, one]) => milliseconds >= one) ?? ['ms', 1];
  return `${counts.format(milliseconds / size)} ${unit}`;
}

/** Of seconds since 1970. */
export const minute = (time: number): string =>
  `${new Date(time * 1000).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
