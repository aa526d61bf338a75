import { ESLint } from 'eslint';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(__dirname, '..');

/** What `make check` finds in a text, as if it were this file. */
async function found(file: string, text: string, rules = {}): Promise<string[]> {
  const eslint = new ESLint({ cwd: root, overrideConfig: [{ rules }] });
  const [result] = await eslint.lintText(text, { filePath: join(root, file) });
  return result!.messages.map(
    ({ ruleId, line, column, message }) => `${line}:${column} ${ruleId} ${message}`,
  );
}

it.each([
  ['a paragraph', '# A\n\nThe host looks\nfor it.\n', '3:10'],
  ['a heading', '# It is put in force\n', '1:9'],
  ['a list', '# A\n\n- x\n- **Nobody** can.\n', '4:5'],
  [
    'a table',
    '# A\n\n| x           | y   |\n| ----------- | --- |\n| is no value | z   |\n',
    '5:3',
  ],
  ['a link', '# A\n\n[mended](limits.md)\n', '3:2'],
])('finds a term of the glossary in %s', async (_where, text, place) => {
  expect(await found('docs/x.md', text)).toEqual([
    expect.stringMatching(new RegExp(`^${place} prose/glossary ".*": write `)),
  ]);
});

it('leaves code, names in code and texts that a program writes alone', async () => {
  const text = '# A\n\n`is no value`: there is no value.\n\n```text\nis no value\n```\n';
  expect(await found('docs/x.md', text)).toEqual([]);
  expect(await found('docs/settings.md', '# A\n\nIt is no value.\n')).toEqual([]);
});

it('finds terms in comments and strings of programs, where it is switched on', async () => {
  const text =
    'export const a = "is no value"; // mends\n/** nobody */\nexport const b = `told ${a}`;\n';
  const rules = { 'prose/glossary': 'error' };
  expect((await found('docs/prose/x.mjs', text, rules)).map((line) => line.split(' ')[0])).toEqual([
    '1:19',
    '1:36',
    '2:5',
    '3:19',
  ]);
});

it.each([
  ['a file', '[x](missing.md)', 'no such file'],
  ['a heading of another document', '[x](hardening.md#missing)', 'no such heading'],
  ['a heading of the same document', '[x](#missing)', 'no such heading'],
  ['an image', '![x](missing.svg)', 'no such file'],
])('finds a link to %s that does not exist', async (_what, link, fault) => {
  expect(await found('docs/README.md', `# A\n\n${link}\n`)).toEqual([
    expect.stringMatching(new RegExp(`^3:1 prose/links .*: ${fault}$`)),
  ]);
});

it('follows links to files, folders, headings and other sites', async () => {
  const text =
    '# A\n\n[a](hardening.md#ports) [b](decisions/) [c](../README.md) [d](https://example.org/#x)\n';
  expect(await found('docs/x.md', text)).toEqual([]);
});

it('finds lines that do not fit, once for each table, and not in one that a program writes', async () => {
  const row = `| ${'x'.repeat(100)} |\n`;
  const table = `| A |\n| - |\n${row}${row}`;
  expect(await found('docs/x.md', `# A\n\n${table}\n\ny\n\n${table}`)).toHaveLength(2);
  expect(
    await found('docs/x.md', `# A\n\n<!-- a: made by make docs -->\n\n${table}\n<!-- a end -->\n`),
  ).toEqual([]);
});
