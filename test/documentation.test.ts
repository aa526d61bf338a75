import type { Command } from 'commander';
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { doctorCommand } from '../cli/doctor/command';
import { exportCommand } from '../cli/export/command';
import { importAccountsCommand } from '../cli/import/command';
import { encryptCommand } from '../cli/import/encrypt';
import { importCommand } from '../cli/import/mail/command';
import { reportCommand } from '../cli/report/command';
import { reviewCommand } from '../cli/review/command';
import { keysOf, type Key } from '../docs/settingsKeys';
import { changes } from './lab/planTable';

const root = join(__dirname, '..');
const read = (...path: string[]) => readFileSync(join(root, ...path), 'utf8');

/** Documents by path, and the blocks of code in them. */
const documents = new Map(
  execFileSync('git', ['ls-files', '*.md'], { cwd: root, encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((path) => [path, read(path)] as const),
);
const blocks = [...documents].flatMap(([path, text]) =>
  [...text.matchAll(/^( *)```(\w*)\n(.*?)^\1```$/gms)].map(([, indent, language, code]) => ({
    path,
    language: language!,
    code: code!.replace(new RegExp(`^${indent}`, 'gm'), ''),
  })),
);
const blocksIn = (...languages: string[]) =>
  blocks.filter(({ language }) => languages.includes(language));

/** What documents run: lines of their shell blocks, and code in their text. */
const commands = [...documents].flatMap(([path, text]) => [
  ...blocksIn('sh', 'text')
    .filter((block) => block.path === path)
    .flatMap(({ code }) => code.replace(/\\\n\s*/g, '').split('\n')),
  ...[...text.replace(/^ *```.*?^ *```$/gms, '').matchAll(/`([^`]+)`/g)].map(([, code]) =>
    code!.replace(/\s+/g, ' ').replaceAll('\\|', '|'),
  ),
]);
/** The words of each command that begins so, without what follows it in a pipe or a list. */
const wordsAfter = (start: RegExp) =>
  commands.flatMap((line) =>
    [...line.matchAll(new RegExp(`(?:^|[|&;(] ?|\\$ )${start.source} ([^|&;>#]*)`, 'g'))].map(
      ([, words]) => words!.trim().split(/\s+/),
    ),
  );

describe('code in documents', () => {
  it('has programs that the compiler judges with the rest of the repository', () => {
    const programs = readdirSync(join(root, 'docs/programs')).map((file) =>
      read('docs/programs', file),
    );
    const shown = blocksIn('ts', 'typescript');
    expect(shown.length).toBeGreaterThan(2);
    for (const { code, path } of shown)
      expect(
        programs.some((program) => program.includes(code)),
        `${path}: ${code}`,
      ).toBe(true);
  });

  it('has shell commands, YAML and JSON that can be parsed', () => {
    expect(blocksIn('sh').length).toBeGreaterThan(30);
    for (const { code, path } of blocksIn('sh')) {
      const { stderr } = spawnSync('bash', ['-n'], { input: code, encoding: 'utf8' });
      expect(stderr, `${path}: ${code}`).toBe('');
    }
    for (const { code } of blocksIn('yaml', 'json')) expect(parse(code)).toBeInstanceOf(Object);
  });

  it('names the language of each block', () => {
    expect(blocks.filter(({ language }) => language === '')).toEqual([]);
  });
});

const ofOperator = new Map<string, Command>(
  [
    doctorCommand(),
    encryptCommand(),
    exportCommand(),
    importAccountsCommand(),
    importCommand(),
    reportCommand(),
    reviewCommand(),
  ].map((command) => [command.name(), command]),
);
/** Names in a file that declares commands. */
const declared = (path: string, pattern: RegExp) =>
  [...read(path).matchAll(pattern)].map(([, name]) => name!);

describe('commands in documents', () => {
  it('are those of the operator, with options that they have', () => {
    const runs = wordsAfter(/npx mailhost/);
    expect(runs.length).toBeGreaterThan(20);
    for (const [name, ...words] of runs) {
      expect([...ofOperator.keys()]).toContain(name);
      const end = words.indexOf('--');
      const options = words
        .slice(0, end < 0 ? undefined : end)
        .filter((word) => word.startsWith('--'));
      const known = ofOperator.get(name!)!.options.map(({ long }) => long);
      for (const option of options) expect(known, name).toContain(option);
    }
  });

  it.each([
    [
      'of the host',
      /mailhost/,
      [
        ...declared('files/usr/local/lib/mailhost/command_line.py', /\bcommand\(\s*"([a-z-]+)"/g),
        ...ofOperator.keys(),
        '--version',
      ],
      20,
    ],
    ['of the lab', /\.\/lab\/lab/, declared('lab/cli.ts', /\bcommand\(\s*'([a-z-]+)/g), 10],
    ['of make', /make/, declared('Makefile', /^([a-z-]+):/gm), 10],
  ])('are commands %s', (_whose, start, known, least) => {
    const names = wordsAfter(start)
      .map(([name]) => name!)
      // As in "mailhost … NAME", where any may stand.
      .filter((name) => /^-?-?[a-z-]+$/.test(name));
    expect(names.length).toBeGreaterThan(least);
    for (const name of names) expect(known).toContain(name);
  });

  it('set settings that there are', () => {
    const paths = commands.flatMap((line) =>
      [...line.matchAll(/mailhost:([a-z]\w*(?:\.\w+|\[\d+\])*)/gi)].map(([, path]) => path!),
    );
    expect(paths.length).toBeGreaterThan(40);
    const isKnown = (keys: Key[], [name, ...rest]: string[]): boolean => {
      const key = keys.find((one) => one.name === name);
      return key !== undefined && (key.inner.length === 0 || !rest[0] || isKnown(key.inner, rest));
    };
    const unknown = paths.filter(
      (path) =>
        !['accountsKey', 'index'].includes(path) &&
        !isKnown(keysOf(), path.replace(/\[\d+\]/g, '').split('.')),
    );
    expect(unknown).toEqual([]);
  });
});

it('has every page of docs/ on its map', () => {
  const map = read('docs/README.md');
  const pages = [...documents.keys()]
    .filter((path) => /^docs\/(?!README|decisions\/\d)/.test(path))
    .map((path) => path.slice('docs/'.length));
  expect(pages.length).toBeGreaterThan(20);
  for (const page of pages) expect(map).toContain(`](${page}`);
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
