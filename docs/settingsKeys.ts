import { z } from 'zod';
import { aboutOf, bare, fieldsOf, itemOf, type Field } from '../components/settings/fields';
import type { About } from '../components/settings/forms';
import { settingsShape } from '../components/settings/settings';

/** A setting, as the schema tells of it. */
export interface Key {
  name: string;
  field: Field;
  about: About;
  required: boolean;
  /** Its default; undefined where it has none of its own. */
  standard?: unknown;
  /** Keys inside it, or inside each of its items. */
  inner: Key[];
}

/** The keys of an object, or of the items of a list. */
export const keysOf = (field: Field = settingsShape): Key[] =>
  Object.entries(fieldsOf(itemOf(field) ?? field)).map(([name, inner]) => {
    const absent = inner.safeParse(undefined);
    return {
      name,
      field: inner,
      about: aboutOf(inner),
      required: !absent.success,
      standard: absent.data,
      inner: keysOf(inner),
    };
  });

/** A value as it is written, e.g. `["192.0.2.0/24"]`. */
export const asCode = (value: unknown): string =>
  `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;

/** The default of a key in words. */
export function standardText({ required, standard, about }: Key): string {
  if (required) return 'must be set';
  if (about.fallback !== undefined) return about.fallback;
  const values = Array.isArray(standard) ? standard : standard instanceof Object ? [] : [standard];
  return (
    values.flatMap((value) => (value === undefined ? [] : [asCode(value)])).join(', ') || 'none'
  );
}

/** What a key sets, which values it takes, and an example. */
export function whatText({ field, about }: Key): string {
  const { description = '', minimum, maximum, secret, example } = about;
  const form = bare(itemOf(field) ?? field);
  const values = form instanceof z.ZodEnum ? form.options.map(asCode) : [];
  return [
    description,
    // A description may tell of each value what it does.
    ...(values.every((value) => description.includes(value))
      ? []
      : [`One of ${values.join(', ')}.`]),
    ...(maximum === undefined ? [] : [`From ${minimum} to ${maximum}.`]),
    ...(secret ? ['A secret.'] : []),
    ...(example === undefined ? [] : [`E.g. ${asCode(example)}.`]),
  ].join(' ');
}
