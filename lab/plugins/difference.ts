import { isDeepStrictEqual } from 'node:util';
import { isObject, type Properties } from './values';

type Change = 'ADD' | 'DELETE' | 'UPDATE';

/** What differs, by property path in the engine's notation. */
export function differences(
  before: unknown,
  after: unknown,
  path = '',
): { path: string; change: Change }[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (before === undefined || before === null) return [{ path, change: 'ADD' }];
  if (after === undefined || after === null) return [{ path, change: 'DELETE' }];
  const lists = Array.isArray(before) && Array.isArray(after);
  if (!lists && !(isObject(before) && isObject(after))) return [{ path, change: 'UPDATE' }];
  const keys = new Set([...Object.keys(before as object), ...Object.keys(after as object)]);
  return [...keys].flatMap((key) => {
    const plain = /^[A-Za-z_]\w*$/.test(key);
    const step = lists ? `[${key}]` : plain ? `${path && '.'}${key}` : `["${key}"]`;
    return differences((before as Properties)[key], (after as Properties)[key], `${path}${step}`);
  });
}

/** Whether both hold the same, where the order of lists means nothing. */
export const sameSet = (a: unknown, b: unknown) => isDeepStrictEqual(sorted(a), sorted(b));

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) {
    const text = (item: unknown) => JSON.stringify(item);
    return value.map(sorted).sort((a, b) => text(a).localeCompare(text(b)));
  }
  return isObject(value)
    ? Object.fromEntries(
        Object.keys(value)
          .sort()
          .map((key) => [key, sorted(value[key])]),
      )
    : value;
}
