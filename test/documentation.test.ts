import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(__dirname, '..');
const read = (...path: string[]) => readFileSync(join(root, ...path), 'utf8');

/** What the compiler judges with the rest of the repository. */
const programs = readdirSync(join(root, 'docs/programs')).map((file) =>
  read('docs/programs', file),
);

it('has each program in a document compiled', () => {
  const documents = execFileSync('git', ['ls-files', '*.md'], { cwd: root, encoding: 'utf8' });
  const shown = documents
    .trim()
    .split('\n')
    .flatMap((document) => [...read(document).matchAll(/^```(?:ts|typescript)\n(.*?)^```$/gms)])
    .map(([, code]) => code!);
  expect(shown.length).toBeGreaterThan(1);
  for (const code of shown)
    expect(
      programs.some((program) => program.includes(code)),
      code,
    ).toBe(true);
});
