import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { environment, pathOutsideLabs } from './env';
import { project } from './sources';
import { engine } from './stack';
import { run, startUntil, type Lab } from './state';

/** Whether this process is in a cell: in namespaces that one lab has for itself (`lab/cell`). */
export const inCell = process.env.MAILHOST_LAB_CELL !== undefined;

/** Has the number of the cell's first process, as this machine sees it. */
const pidFile = (lab: Lab) => join(lab.dir, 'cell');

/** Makes the namespaces that a lab is to live in; they are there as long as their first process. */
export async function startCell(lab: Lab): Promise<void> {
  const log = join(lab.dir, 'log/cell.log');
  const words = ['sh', '-c', 'echo in; exec sleep infinity'];
  const holder = await startUntil(lab, 'cell', join(project, 'lab/cell'), words, () =>
    readFileSync(log, 'utf8').includes('in\n'),
  );
  const [first] = readFileSync(`/proc/${holder}/task/${holder}/children`, 'utf8').split(' ');
  writeFileSync(pidFile(lab), first!);
}

const entering = (lab: Lab) => [
  `--target=${readFileSync(pidFile(lab), 'utf8')}`,
  ...['--pid', '--mount', '--net', `--wdns=${process.cwd()}`],
  ...['env', 'MAILHOST_LAB_CELL=1'],
];

/**
 * Runs a command where the lab and its clients are, with the terminal of this process.
 *
 * @returns its exit status
 */
export function enterCell(lab: Lab, command: string[]): number {
  const [first, ...rest] = inCell ? command : ['nsenter', ...entering(lab), ...command];
  return spawnSync(first!, rest, { stdio: 'inherit' }).status ?? 1;
}

/** As `environment`, for a shell on this machine: its `pulumi` goes into the lab before it works. */
export function shellEnvironment(lab: Lab): Record<string, string> {
  const bin = join(lab.dir, 'bin');
  const built = engine();
  const pulumi = built
    ? join(built, 'pulumi')
    : run('env', [`PATH=${pathOutsideLabs()}`, 'sh', '-c', 'command -v pulumi']).trim();
  mkdirSync(bin, { recursive: true });
  const words = entering(lab).filter((word) => !word.startsWith('--wdns='));
  writeFileSync(
    join(bin, 'pulumi'),
    `#!/bin/sh\nexec nsenter --wdns="$PWD" ${words.join(' ')} '${pulumi}' "$@"\n`,
    { mode: 0o755 },
  );
  const { PATH, ...others } = environment(lab, built);
  return { ...others, PATH: `${bin}:${PATH}` };
}
