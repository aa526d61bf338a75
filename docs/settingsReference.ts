import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { bare, itemOf } from '../components/settings/fields';
import { argumentsModule } from './settingsArguments';
import { keysOf, standardText, whatText, type Key } from './settingsKeys';

const table = (keys: Key[]): string =>
  [
    '| Key | Default | What |',
    '| --- | --- | --- |',
    ...keys.map((key) => `| \`${key.name}\` | ${standardText(key)} | ${whatText(key)} |`),
  ].join('\n');

/** The page docs/settings.md. */
function page(): string {
  const keys = keysOf();
  const sections = keys
    .filter(({ inner }) => inner.length > 0)
    .map(({ name, field, inner }) => {
      const path = itemOf(field) ? `${name}[0]` : name;
      return `## \`${path}\`\n\n${table(inner)}\n`;
    });
  return `# Settings

This page is made from the schema in \`components/settings/settings.ts\` by \`make docs\`.

In stack config each key begins with \`mailhost:\`, as in \`pulumi config set mailhost:quota 5000\`. What is inside a list or object is set with
\`--path\`, a secret with \`--secret\`. The arguments of \`MailHost\` have the same names and form. All mistakes are reported at once, in the preview,
before anything is changed. The order of a list never matters.

${table(keys)}

${sections.join('\n')}`;
}

/**
 * Pulumi.yaml with every key. The engine stops at the first key that is missing or not of its type, before the program
 * could report all mistakes at once: so each has a default, empty where the schema has none, and no type.
 */
function project(): string {
  const path = join(__dirname, '..', 'Pulumi.yaml');
  const config = Object.fromEntries(
    keysOf().map((key) => [key.name, { description: whatText(key), default: emptyOr(key) }]),
  );
  return stringify({ ...(parse(readFileSync(path, 'utf8')) as object), config });
}

const emptyOr = ({ field, standard }: Key): unknown =>
  bare(field) instanceof z.ZodObject ? {} : (standard ?? '');

/** The files that follow from the schema, as they have to be, by path. */
export async function settingsReference(): Promise<Record<string, string>> {
  const options = await resolveConfig(__filename);
  return {
    'components/mailHostArgs.ts': await format(argumentsModule(), {
      ...options,
      parser: 'typescript',
    }),
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
