import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { buildSync } from 'esbuild';
import { filesBelow, hashOf, project } from './sources';
import { cacheRoot } from './state';

let sources: string | undefined;

/**
 * A program of the lab as one file, built once for each state of the sources: loading these one by one would take most of the
 * time of programs that are started as often as the engine starts its plugins.
 *
 * @param program path of its main file below the project's folder, without `.ts`
 * @param executable name of the file that runs it
 * @param modulesFolder value of `__dirname`; default: the folder of the bundle
 * @returns the folder of that file
 */
export function bundle(program: string, executable: string, modulesFolder?: string): string {
  sources ??= hashOf(project, [
    ...filesBelow(project, 'lab'),
    ...filesBelow(project, 'components').filter((path) => path.endsWith('.ts')),
    ...['index.ts', 'settings.ts', 'endWithEngine.ts', 'stackTraces.ts'],
    'package-lock.json',
  ]);
  const version = createHash('sha256')
    .update(JSON.stringify([sources, process.execPath, executable]))
    .digest('hex')
    .slice(0, 16);
  const name = `${program.replaceAll('/', '-')}-${version}`;
  const folder = join(cacheRoot, 'programs', name);
  if (existsSync(folder)) return folder;
  mkdirSync(dirname(folder), { recursive: true });
  const unfinished = mkdtempSync(`${folder}.`);
  removeOld(dirname(folder), statSync(unfinished).mtimeMs);
  buildSync({
    entryPoints: [join(project, `${program}.ts`)],
    outfile: join(unfinished, 'main.js'),
    bundle: true,
    minifySyntax: true,
    minifyWhitespace: true,
    platform: 'node',
    target: 'node22',
    define: {
      'process.env.MAILHOST_PROJECT': JSON.stringify(project),
      ...(modulesFolder !== undefined && { __dirname: JSON.stringify(modulesFolder) }),
    },
    // Optional parts of ssh2 in machine code, which it does without.
    external: ['cpu-features'],
    loader: { '.node': 'empty' },
    logLevel: 'error',
  });
  writeFileSync(
    join(unfinished, executable),
    `#!/bin/sh\nexec '${process.execPath}' '${join(folder, 'main.js')}' "$@"\n`,
    { mode: 0o755 },
  );
  try {
    renameSync(unfinished, folder);
  } catch (error) {
    // Another process has built it meanwhile.
    rmSync(unfinished, { recursive: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

const week = 7 * 24 * 3600 * 1000;

/**
 * Deletes what was built a week ago: a lab that is up has its programs in memory, and links new ones.
 *
 * @param now by the clock of the file system: tests run by other ones
 */
function removeOld(folder: string, now: number): void {
  for (const entry of readdirSync(folder)) {
    const path = join(folder, entry);
    if (now - statSync(path).mtimeMs > week) rmSync(path, { recursive: true, force: true });
  }
}

/** The command that runs a program of the lab. */
export const programCommand = (program: string): string => join(bundle(program, 'start'), 'start');

/** The project's Pulumi program and the SDK that runs it as one file, for `MAILHOST_LAB_PROGRAM`. */
export const bundledProgram = (): string =>
  join(bundle('lab/engine/program', 'start', join(project, 'components')), 'main.js');
