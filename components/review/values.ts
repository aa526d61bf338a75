import { stringify } from 'yaml';
import { z } from 'zod';

/** What the engine writes in place of a secret. */
export const secret = '[secret]';

/** What the engine writes in place of a value that is known only after the change. */
export const unknown = '04da6b54-80e4-46f7-96ec-b56ff0331ba9';
const knownLater = '(known after the change)';

export const isUnknown = (value: unknown): boolean => value === unknown;

/** Key of an object that the engine marks as a secret, an asset or the like: in exported states, not in previews. */
const signature = '4dabf18193072939515e22adb298388d';

/** A file as a push carries it. */
export interface HostFile {
  mode: string;
  owner: string;
  text: string;
}

const hostFiles = z.record(
  z.string().startsWith('/'),
  z.object({ mode: z.string(), owner: z.string(), text: z.string() }),
);

/** The files by path if the value is the text of a push, else undefined. */
export function filesIn(value: unknown): Record<string, HostFile> | undefined {
  const { data } = hostFiles.safeParse(fromJson(value));
  return data && Object.keys(data).length > 0 ? data : undefined;
}

/** The value of a JSON object or array in a string, else undefined. */
export function fromJson(value: unknown): unknown {
  if (typeof value !== 'string' || !/^\s*[[{]/.test(value)) return undefined;
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}

/** A property as lines that can be compared: text as it is, everything else as YAML, JSON in a string too. */
export function textOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  const data = typeof value === 'string' ? (fromJson(value) ?? value) : value;
  if (typeof data === 'string') return data.replaceAll(unknown, knownLater).replace(/\n$/, '');
  return stringify(plain(data), { lineWidth: 0, sortMapEntries: true }).trimEnd();
}

/** Without marks of the engine, and without what it notes for itself. */
function plain(value: unknown): unknown {
  if (isUnknown(value)) return knownLater;
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  if (signature in value) return secret;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== '__defaults')
      .map(([key, inner]) => [key, plain(inner)]),
  );
}

/** The value at a property path of the engine, such as `rules[0].port` or `labels["a.b"]`. */
export function valueAt(value: unknown, path: string): unknown {
  const keys = [...path.matchAll(/"((?:\\.|[^"\\])*)"|[^.[\]"]+/g)].map(
    ([whole, quoted]) => quoted?.replaceAll(/\\(.)/g, '$1') ?? whole,
  );
  return keys.reduce<unknown>(
    (inner, key) =>
      inner !== null && typeof inner === 'object'
        ? (inner as Record<string, unknown>)[key]
        : undefined,
    value,
  );
}
