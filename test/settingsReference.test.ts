import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { settingsReference } from '../docs/settingsReference';

it('has Pulumi.yaml and the reference of settings as `make docs` makes them', async () => {
  const files = await settingsReference();
  expect(Object.keys(files)).toHaveLength(2);
  for (const [path, text] of Object.entries(files)) {
    expect(readFileSync(join(__dirname, '..', path), 'utf8'), path).toBe(text);
  }
});
