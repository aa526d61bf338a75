import { some } from '../review/terminal';

/** What a difference between two texts of a file means to people, said by the spec whose file it is. */
export interface Meaning {
  /** Path of the file on the host. */
  path: string;
  /** Sentences without a subject, which is the change; a file that is not there is empty. */
  says: (before: string, after: string) => string[];
}

/** One value in a file; nothing is said where it is missing on one side. */
export const valueMeaning = (
  path: string,
  value: RegExp,
  says: (before: string, after: string) => string,
): Meaning => ({
  path,
  says: (...texts) => {
    const [before, after] = texts.map((text) => value.exec(text)?.[1]);
    return before !== undefined && after !== undefined && before !== after
      ? [says(before, after)]
      : [];
  },
});

/** Lines of a file that are keys with values. */
export interface Entries {
  added: [key: string, value: string][];
  removed: [key: string, value: string][];
  changed: [key: string, before: string, after: string][];
}

/** @param entry matches one line, with its key and, if it has one, its value as groups */
export function entriesOf(entry: RegExp, before: string, after: string): Entries {
  const [old, next] = [before, after].map(
    (text) =>
      new Map([...text.matchAll(entry)].map(([, key, value = '']) => [key!, value] as const)),
  );
  return {
    added: [...next!].filter(([key]) => !old!.has(key)),
    removed: [...old!].filter(([key]) => !next!.has(key)),
    changed: [...old!].flatMap(([key, value]): Entries['changed'] =>
      next!.has(key) && next!.get(key) !== value ? [[key, value, next!.get(key)!]] : [],
    ),
  };
}

/** Keys of one kind; nothing is said of none. */
export const listMeaning = (
  path: string,
  entry: RegExp,
  says: { added: (keys: string) => string; removed: (keys: string) => string },
): Meaning => ({
  path,
  says: (before, after) => {
    const { added, removed } = entriesOf(entry, before, after);
    const sentence = (keys: [string, string][], say: (keys: string) => string) =>
      keys.length > 0 ? [say(some(keys.map(([key]) => key)))] : [];
    return [...sentence(added, says.added), ...sentence(removed, says.removed)];
  },
});

/** @param seconds of a time that is whole in one of the units */
export function timeInWords(seconds: number): string {
  const [unit, length] = (
    [
      ['day', 86_400],
      ['hour', 3600],
      ['minute', 60],
    ] as const
  ).find(([, size]) => seconds % size === 0) ?? ['second', 1];
  const count = seconds / length;
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}
