import { z } from 'zod';
import { aboutOf, bare, fieldsOf, itemOf, type Field } from '../components/settings/fields';
import { settingsShape } from '../components/settings/settings';
import { keysOf, standardText, whatText, type Key } from './settingsKeys';

/**
 * The module components/mailHostArgs.ts: the arguments of MailHost as plain interfaces, which the analyzer of component
 * packages needs. It reads no tags of a comment, so the default stands in its text, too.
 */
export function argumentsModule(): string {
  const enums = new Set<string>();
  const interfaces = objectsIn(settingsShape).map((field) => interfaceText(field, enums));
  return [
    '// Made from the schema in ./settings/settings.ts by `make docs`.',
    `import type * as pulumi from '@pulumi/pulumi';\nimport type { ${[...enums].sort().join(', ')} } from './settings/enums';`,
    ...interfaces,
  ].join('\n\n');
}

/** The objects inside a field, innermost first, and itself. */
function objectsIn(field: Field): Field[] {
  const inner = itemOf(field);
  const isObject = bare(field) instanceof z.ZodObject;
  return [
    ...(inner ? objectsIn(inner) : []),
    ...Object.values(fieldsOf(field)).flatMap(objectsIn),
    ...(isObject ? [bare(field)] : []),
  ];
}

function interfaceText(field: Field, enums: Set<string>): string {
  const { title, description = '' } = aboutOf(field);
  const properties = keysOf(field).map((key) => propertyText(key, enums));
  return `${comment([description])}\nexport interface ${title} {\n${properties.join('\n')}\n}`;
}

function propertyText(key: Key, enums: Set<string>): string {
  const { name, field, required, standard } = key;
  const hasValue = standard !== undefined && key.about.fallback === undefined;
  const lines = [
    [whatText(key), ...(required ? [] : [`Default: ${standardText(key)}.`])].join(' '),
    ...(hasValue ? ['', `@default ${JSON.stringify(standard)}`] : []),
  ];
  return `${comment(lines)}\n${name}${required ? '' : '?'}: ${typeText(field, enums)};`;
}

function typeText(field: Field, enums: Set<string>): string {
  const { type, title, later } = aboutOf(field);
  const form = bare(field);
  const item = itemOf(field);
  if (form instanceof z.ZodEnum) enums.add(title!);
  const plain = item
    ? form instanceof z.ZodArray
      ? `${typeText(item, enums)}[]`
      : `{ [name: string]: ${typeText(item, enums)} }`
    : (title ?? (type === 'integer' ? 'number' : (type ?? 'string')));
  return later ? `pulumi.Input<${plain}>` : plain;
}

/** A doc comment whose lines are at most 118 characters long. */
function comment(paragraphs: string[]): string {
  const lines = paragraphs.flatMap((paragraph) => wrapped(paragraph, 112));
  return lines.length === 1
    ? `/** ${lines[0]} */`
    : ['/**', ...lines.map((line) => ` * ${line}`.trimEnd()), ' */'].join('\n');
}

function wrapped(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1)!;
    if (last !== '' && last.length + word.length >= width) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines;
}
