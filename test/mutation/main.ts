import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { cpus, homedir } from 'node:os';
import { join, relative } from 'node:path';
import type { schema } from '@stryker-mutator/api/core';
import { format } from 'prettier';
import { areas } from './areas.mjs';
import { harmless } from './harmless';

/**
 * Mutation testing of what decides about mail, keys and files: of all areas, or of those that the command line names.
 * Results are kept in a cache, and docs/mutation.md tells them. What has not changed since is not tested again.
 */
const root = join(__dirname, '../..');
const cache = join(homedir(), '.cache/mailhost-mutation');

/** A change to the code that some test notices, or none does. */
interface Mutant {
  module: string;
  status: 'killed' | 'timeout' | 'survived' | 'noCoverage';
  /** Where it is: a line of TypeScript, a function of Python. */
  place: string;
  /** What stands in the place of what, in a line. */
  change: string;
}

function run(command: string, args: string[], cwd = root, env: NodeJS.ProcessEnv = {}): void {
  execFileSync(command, args, { cwd, env: { ...process.env, ...env }, stdio: 'inherit' });
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();

// ---- TypeScript ----

/** File by file, so that one that is cut off loses little. */
function mutateComponents(area: string): void {
  for (const file of globSync(`components/${area}/**/*.ts`, { cwd: root }).sort())
    run('stryker', ['run', join(__dirname, 'stryker.config.mjs'), '--mutate', file], root, {
      MUTATION_AREA: area,
    });
}

const statuses: Partial<Record<schema.MutantStatus, Mutant['status']>> = {
  Killed: 'killed',
  Timeout: 'timeout',
  Survived: 'survived',
  NoCoverage: 'noCoverage',
};

function mutantsOfComponents(area: string): Mutant[] {
  const report = JSON.parse(
    readFileSync(join(cache, `${area}.json`), 'utf8'),
  ) as schema.MutationTestResult;
  return Object.entries(report.files)
    .filter(([module]) => existsSync(join(root, module)))
    .flatMap(([module, { source, mutants }]) =>
      mutants.flatMap(({ status, location: { start, end }, replacement = '' }) => {
        const known = statuses[status];
        if (known === undefined) return [];
        const lines = source.split('\n').slice(start.line - 1, end.line);
        lines.push(lines.pop()!.slice(0, end.column - 1));
        lines.unshift(lines.shift()!.slice(start.column - 1));
        return [
          {
            module,
            status: known,
            place: `line ${start.line}`,
            change: `${oneLine(lines.join(' '))} → ${oneLine(replacement)}`,
          },
        ];
      }),
    );
}

// ---- Python ----

const program = 'files/usr/local/lib/mailhost';
const hostModules = ['transaction', 'dkim', 'tlsa', 'accounts'];
const hostTests = ['transaction', 'signing', 'tlsa', 'accounts'];
/** With pytest, by which it runs the tests. */
const packages = ['mutmut==3.8.1', 'pytest==9.2.0'];

const venv = join(cache, packages.join('-').replaceAll('==', '-'));
const bed = join(cache, 'host');
const mutmut = join(venv, 'bin/mutmut');

/** In a copy, in which the program lies where mutmut takes it for top-level modules. */
function mutateHost(): void {
  if (!existsSync(mutmut)) {
    run('python3', ['-m', 'venv', venv]);
    run(join(venv, 'bin/pip'), ['install', '--quiet', ...packages]);
  }
  rmSync(bed, { recursive: true, force: true });
  mkdirSync(join(bed, 'test'), { recursive: true });
  cpSync(join(root, program), join(bed, 'src'), { recursive: true });
  cpSync(join(root, 'test/host'), join(bed, 'test/host'), { recursive: true });
  const list = (names: string[]) => names.map((name) => `\n  ${name}`).join('');
  writeFileSync(
    join(bed, 'setup.cfg'),
    `[mutmut]
source_paths=src
only_mutate=${list(hostModules.map((name) => `src/${name}.py`))}
pytest_add_cli_args_test_selection=${list(hostTests.map((name) => `test/host/${name}_test.py`))}
use_git_change_detection=false
`,
  );
  run(mutmut, ['run', '--max-children', '1'], bed);
}

const hostStatuses: Record<string, Mutant['status']> = {
  killed: 'killed',
  timeout: 'timeout',
  survived: 'survived',
  'no tests': 'noCoverage',
};

function mutantsOfHost(module: string): Mutant[] {
  const told = (...args: string[]) => execFileSync(mutmut, args, { cwd: bed, encoding: 'utf8' });
  const results = told('results', '--all', 'true').matchAll(/^ +(\w+)\.(\S+): (.+)$/gm);
  return [...results].flatMap(([, of, name, result]) => {
    const status = hostStatuses[result!];
    assert(status !== undefined, `${name} is ${result}`);
    if (of !== module) return [];
    const lines = status === 'survived' ? told('show', `${of}.${name}`).split('\n') : [];
    const [old, replacement] = ['-', '+'].map((sign) =>
      oneLine(
        lines
          .filter((line) => line.startsWith(sign) && !/^(?:---|\+\+\+)/.test(line))
          .map((line) => line.slice(1))
          .join(' '),
      ),
    );
    return [
      {
        module: `${program}/${module}.py`,
        status,
        place: name!.replace(/^x_(.*)__mutmut_\d+$/, '$1()'),
        change: `${old} → ${replacement}`,
      },
    ];
  });
}

// ---- the report ----

/** Percent of each area's mutants that have to be killed. */
const floor = 85;

const shards = [
  ...Object.keys(areas).map((area) => ({
    name: area,
    mutate: () => mutateComponents(area),
    mutants: () => mutantsOfComponents(area),
  })),
  { name: 'host', mutate: mutateHost, mutants: () => hostModules.flatMap(mutantsOfHost) },
];

const share = (mutants: Mutant[]): string => {
  const found = mutants.filter(({ status }) => ['killed', 'timeout'].includes(status)).length;
  return ((found / mutants.length) * 100).toFixed(1);
};

function row(name: string, mutants: Mutant[]): string {
  const count = (wanted: Mutant['status']) =>
    mutants.filter(({ status }) => status === wanted).length;
  const numbers = (['killed', 'timeout', 'survived', 'noCoverage'] as const).map(count);
  return `| ${[name, ...numbers, share(mutants)].join(' | ')} |`;
}

const code = (text: string): string => {
  const short = text.length > 160 ? `${text.slice(0, 160)}…` : text;
  return short.includes('`') ? `\`\` ${short} \`\`` : `\`${short}\``;
};

function section(title: string, mutants: Mutant[]): string {
  const lines = mutants.map(
    ({ module, place, change }) =>
      `- ${relative(program, module).startsWith('..') ? module : relative(program, module)}, ${place}: ${code(change)}`,
  );
  return `### ${title}\n\n${lines.join('\n')}\n`;
}

async function write(): Promise<void> {
  const mutants = shards.flatMap((shard) => shard.mutants());
  const modules = [...new Set(mutants.map(({ module }) => module))];
  const areaOf = (module: string) =>
    module.startsWith(program) ? module : module.split('/').slice(0, 2).join('/');
  const names = [...new Set(modules.map(areaOf))];
  const rows = names.flatMap((area) => {
    const own = modules.filter((module) => areaOf(module) === area);
    const of = (name: string) => mutants.filter(({ module }) => areaOf(module) === name);
    return [
      row(`**${area}**`, of(area)),
      ...(own.length > 1 ? own : []).map((module) =>
        row(
          relative(area, module),
          mutants.filter((one) => one.module === module),
        ),
      ),
    ];
  });
  const left = mutants.filter(({ status }) => ['survived', 'noCoverage'].includes(status));
  const reasonOf = ({ module, change }: Mutant) =>
    harmless.find((one) => one.module.test(module) && one.change.test(change))?.why;
  const reasons = [...new Set(harmless.map(({ why }) => why))];
  const judged = reasons
    .map((why) => [why, left.filter((one) => reasonOf(one) === why)] as const)
    .filter(([, those]) => those.length > 0);
  const unjudged = left.filter((one) => reasonOf(one) === undefined);
  const [cpu] = cpus();
  const text = `# Do the tests bite?

What mutation testing (\`make mutate\`) found in what decides about mail, keys and files. It is made by that command:
code is changed in one place at a time, each such _mutant_ is run against the tests, and one that no test fails for has
survived.

Measured on ${new Date().toISOString().slice(0, 10)} on ${cpus().length} cores (${cpu!.model.trim()}), one mutant at a time.

| Module | Killed | Timed out | Survived | No test | Killed, % |
| --- | --: | --: | --: | --: | --: |
${rows.join('\n')}

"Killed, %" is the share of all mutants that were killed or timed out. At least ${floor} % of each area in bold have to be, or
the command fails.

## How it is measured

- The package: [Stryker](https://stryker-mutator.io/) with its runner for Vitest. Each mutant meets the tests of its area that
  reach its code (\`test/mutation/areas.mts\`). Not mutated are texts for a person, that is literals with two words beside
  each other: they can be worded in many ways, and the tests look for the names and values in them.
- The host program: [mutmut](https://mutmut.readthedocs.io/), which mutates functions, against the unit tests of the four
  modules in \`test/host\`. It mutates plain strings of any kind.
- The tests that need a lab, a plugin or a process of its own are left out: they would kill more.
- Results are kept in \`~/.cache/mailhost-mutation\`. What has changed neither in code nor in tests is not tested again.
  \`make mutate AREA=dns\` is one area, the others \`settings\`, \`preflight\` and \`host\`.

## What survived

Each with the reason why no test has to notice it (\`test/mutation/harmless.ts\`).

${[
  ...judged.map(([why, those]) => section(why, those)),
  ...(unjudged.length > 0 ? [section('Not judged yet', unjudged)] : []),
].join('\n')}`;
  const file = join(root, 'docs/mutation.md');
  writeFileSync(file, await format(text, { parser: 'markdown', printWidth: 120 }));
  for (const area of names) {
    const of = mutants.filter(({ module }) => areaOf(module) === area);
    console.log(`${area}: ${share(of)} % of ${of.length} mutants were killed`);
    if (Number(share(of)) < floor) process.exitCode = 1;
  }
}

async function main(): Promise<void> {
  const given = process.argv.slice(2);
  const known = shards.map(({ name }) => name);
  assert.deepEqual(
    given.filter((name) => !known.includes(name)),
    [],
    `areas are: ${known.join(' ')}`,
  );
  for (const { name, mutate } of shards) if (given.length === 0 || given.includes(name)) mutate();
  await write();
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
