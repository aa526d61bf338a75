import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { settingsSchema, settingsShape } from '../components/settings/settings';

type Scalar = string | number | boolean;

/** What is told of one key, read from the schema. */
export interface Key {
  name: string;
  description: string;
  required: boolean;
  /** As a value; undefined where there is none. */
  standard?: Scalar | Scalar[];
  /** `string`, `boolean`, `number`, `list` or `structure`. */
  kind: string;
  /** E.g. `1 to 150`, where it is a number. */
  range?: string;
  /** Kind of what is in it, where it is a list. */
  items?: string;
  /** Keys inside it. */
  inner: Key[];
}

interface Schema {
  type?: string | string[];
  description?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  minimum?: number;
  maximum?: number;
}

function keysOf(shape: z.ZodObject, schema: Schema): Key[] {
  return Object.entries(schema.properties ?? {}).map(([name, about]) => {
    const field = shape.shape[name] as z.ZodType;
    const absent = field.safeParse(undefined);
    const inside = innerShape(field);
    return {
      name,
      description: about.description ?? '',
      required: !absent.success,
      standard: absent.data as Scalar | Scalar[] | undefined,
      kind: kindOf(about),
      ...(about.items ? { items: kindOf(about.items) } : {}),
      ...(about.maximum === undefined ? {} : { range: `${about.minimum} to ${about.maximum}` }),
      inner: inside ? keysOf(inside, about.items ?? about) : [],
    };
  });
}

/** The structure that a field is, or that is in its list. */
function innerShape(field: z.ZodType): z.ZodObject | undefined {
  if (field instanceof z.ZodObject) return field;
  if (field instanceof z.ZodArray) return innerShape(field.element as z.ZodType);
  if (
    field instanceof z.ZodDefault ||
    field instanceof z.ZodPrefault ||
    field instanceof z.ZodOptional
  )
    return innerShape(field.unwrap() as z.ZodType);
  return undefined;
}

function kindOf({ type }: Schema): string {
  if (type === undefined) return 'string';
  if (Array.isArray(type)) return 'boolean';
  return { array: 'list', object: 'structure', integer: 'number' }[type] ?? type;
}

export const allKeys = (): Key[] => keysOf(settingsShape, settingsSchema as Schema);

function standardText({ required, standard }: Key): string {
  if (required) return 'must be set';
  if (standard === undefined) return 'none';
  if (typeof standard === 'object' && !Array.isArray(standard)) return 'see below';
  if (Array.isArray(standard)) return standard.map((value) => `\`${value}\``).join(', ') || 'none';
  return `\`${JSON.stringify(standard).replaceAll('"', '')}\``;
}

const table = (keys: Key[]): string =>
  [
    '| Key | Default | What |',
    '| --- | --- | --- |',
    ...keys.map((key) => {
      const range = key.range ? ` From ${key.range}.` : '';
      return `| \`${key.name}\` | ${standardText(key)} | ${key.description}${range} |`;
    }),
  ].join('\n');

/** The page docs/settings.md. */
function page(): string {
  const keys = allKeys();
  const sections = keys
    .filter(({ inner }) => inner.length > 0)
    .map(({ name, kind, inner }) => {
      const path = kind === 'list' ? `${name}[0]` : name;
      return `## \`${path}\`\n\n${table(inner)}\n`;
    });
  return `# Settings

This page is made from the schema in \`components/settings/settings.ts\` by \`make docs\`.

In stack config each key begins with \`mailhost:\`, as in \`pulumi config set mailhost:quota 5000\`. What is inside a list or structure is set with
\`--path\`, a secret with \`--secret\`. The arguments of \`MailHost\` have the same names and form. All mistakes are told at once, in the preview, before
anything is touched. The order of a list never matters.

${table(keys)}

${sections.join('\n')}`;
}

const itemTypes: Record<string, string> = { structure: 'object', number: 'integer' };

/**
 * Pulumi.yaml with every key. The engine stops at the first missing or mistyped key, before the program could tell all
 * mistakes at once: so each has a default, empty where there is none, and numbers and truth values are text. Not so in a list:
 * `pulumi config set --path` makes a number of what looks like one.
 */
function project(): string {
  const path = join(__dirname, '..', 'Pulumi.yaml');
  const config = Object.fromEntries(
    allKeys().map(({ name, kind, items = '', standard, description }) => {
      const type = { list: 'array', structure: 'object' }[kind] ?? 'string';
      return [
        name,
        {
          type,
          ...(kind === 'list' ? { items: { type: itemTypes[items] ?? 'string' } } : {}),
          description,
          default:
            type === 'string'
              ? `${(standard as Scalar | undefined) ?? ''}`
              : type === 'array'
                ? (standard ?? [])
                : {},
        },
      ];
    }),
  );
  return stringify({ ...(parse(readFileSync(path, 'utf8')) as object), config });
}

/** Both files as they have to be, by path. */
export async function settingsReference(): Promise<Record<string, string>> {
  const options = await resolveConfig(__filename);
  return {
    'docs/settings.md': await format(page(), { ...options, parser: 'markdown' }),
    'Pulumi.yaml': await format(project(), { ...options, parser: 'yaml' }),
  };
}

async function main(): Promise<void> {
  for (const [path, text] of Object.entries(await settingsReference())) {
    writeFileSync(join(__dirname, '..', path), text);
  }
}

if (require.main === module) void main();
