import { z } from 'zod';
import { isLater, type About } from './forms';
import type { Path } from './mistakes';
import { settingsShape } from './settings';

/** A setting of the schema, or one inside another. */
export type Field = z.ZodType;

/** A field without its default, and whether it may be left out. */
export const bare = (field: Field): Field =>
  field instanceof z.ZodOptional || field instanceof z.ZodDefault || field instanceof z.ZodPrefault
    ? bare(field.unwrap() as Field)
    : field;

/** What a field tells of itself, with what the form below its default tells. */
export const aboutOf = (field: Field): About => ({
  ...bare(field).meta(),
  ...field.meta(),
});

/** The fields of an object, by name; none where a field is something else. */
export const fieldsOf = (field: Field): Record<string, Field> => {
  const form = bare(field);
  return form instanceof z.ZodObject ? form.shape : {};
};

/** The form of each item of a list, or of each value of a record. */
export const itemOf = (field: Field): Field | undefined => {
  const form = bare(field);
  if (form instanceof z.ZodArray) return form.element as Field;
  return form instanceof z.ZodRecord ? (form.valueType as Field) : undefined;
};

/** The field at a path; undefined where there is none. */
export const fieldAt = (path: Path): Field | undefined =>
  path.reduce<Field | undefined>((field, part) => field && fieldIn(field, part), settingsShape);

const fieldIn = (field: Field, part: PropertyKey): Field | undefined =>
  fieldsOf(field)[String(part)] ?? itemOf(field);

/** Whether a field is a secret, or one is inside it. */
export const hasSecret = (field: Field): boolean =>
  aboutOf(field).secret === true ||
  [...Object.values(fieldsOf(field)), ...[itemOf(field) ?? []].flat()].some(hasSecret);

/** The settings that are secrets, without the places in lists, e.g. `accounts.passwordHash`. */
export const secretSettings: string[] = secretsOf(settingsShape);

function secretsOf(field: Field, path = ''): string[] {
  if (aboutOf(field).secret) return [path];
  const item = itemOf(field);
  return [
    ...(item ? secretsOf(item, path) : []),
    ...Object.entries(fieldsOf(field)).flatMap(([name, inner]) =>
      secretsOf(inner, path ? `${path}.${name}` : name),
    ),
  ];
}

/**
 * A copy of settings in which each value is what `change` makes of it, whatever their form.
 *
 * @param change of a value that is neither a list nor an object, by its field and path; so is an output
 */
export function mapValues(
  input: unknown,
  change: (value: unknown, field: Field, path: Path) => unknown,
  field: Field = settingsShape,
  path: Path = [],
): unknown {
  const inner = (value: unknown, part: PropertyKey) => {
    const place = fieldIn(field, part);
    return place ? mapValues(value, change, place, [...path, part]) : value;
  };
  if (Array.isArray(input)) return input.map(inner);
  if (typeof input !== 'object' || input === null || isLater(input))
    return change(input, field, path);
  return Object.fromEntries(Object.entries(input).map(([key, value]) => [key, inner(value, key)]));
}
