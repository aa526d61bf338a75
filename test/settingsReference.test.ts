import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { keysOf, type Key } from '../docs/settingsKeys';
import { settingsReference } from '../docs/settingsReference';

it('has the arguments, Pulumi.yaml and the reference of settings as `make docs` makes them', async () => {
  const files = await settingsReference();
  expect(Object.keys(files)).toEqual([
    'components/mailHostArgs.ts',
    'docs/settings.md',
    'Pulumi.yaml',
  ]);
  for (const [path, text] of Object.entries(files)) {
    expect(readFileSync(join(__dirname, '..', path), 'utf8'), path).toBe(text);
  }
});

const everyKey = (keys: Key[], path = ''): [string, Key][] =>
  keys.flatMap((key) => [
    [`${path}${key.name}`, key],
    ...everyKey(key.inner, `${path}${key.name}.`),
  ]);

it.each(everyKey(keysOf()))(
  'describes %s, with an example that it takes',
  (_, { field, about }) => {
    expect(about.description).toMatch(/^[A-Z].*\.$/);
    const hasValues = about.type === 'boolean' || about.title !== undefined;
    if (!hasValues) expect(about).toHaveProperty('example');
    const isCut = JSON.stringify(about.example ?? '').includes('…');
    if (about.example !== undefined && !isCut)
      expect(field.safeParse(about.example).error).toBeUndefined();
  },
);
