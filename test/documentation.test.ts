import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { changes } from './lab/planTable';

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

it('has the length of the review of each change, at most 12 lines beside twice the lines that change', () => {
  const [, table = ''] = /<!-- lengths: .*? -->\n(.*?)<!-- lengths end -->/s.exec(
    read('docs/review.md'),
  )!;
  const rows = table
    .trim()
    .split('\n')
    .slice(2)
    .map((row) => row.split('|').map((cell) => cell.trim()));
  const titles = changes.map(([title]) => title).filter((title) => title !== 'nothing');
  expect(rows.map(([, title]) => title).slice(0, -1)).toEqual(titles);
  for (const [, title, changed, review] of rows)
    expect(Number(review), title).toBeLessThanOrEqual(2 * Number(changed) + 12);
});
