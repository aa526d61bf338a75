import { execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  openSync,
  closeSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { project } from './sources';

/** All that labs keep while they are up lies here, and nowhere else but in the cache. */
export const stateRoot = '/var/lib/mailhost-lab';

/** Downloads and builds, kept from one lab to the next. */
export const cacheRoot = join(
  process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'),
  'mailhost-lab',
);

/** Every process of a lab carries this variable, by which `down` finds it, also after a crash. */
const marker = 'MAILHOST_LAB_NAME';

/** One lab. Nothing inside it depends on its name. */
export interface Lab {
  name: string;
  dir: string;
}

const labOf = (name: string): Lab => ({ name, dir: join(stateRoot, name) });
/** Names the checkout that a lab is of. */
export const ownerFile = (lab: Lab) => join(lab.dir, 'checkout');

/** The lab of that name, or undefined while it is not up. */
export function findLab(name: string): Lab | undefined {
  const lab = labOf(name);
  return existsSync(ownerFile(lab)) ? lab : undefined;
}

/** The lab that this process belongs to, by its environment. */
export function currentLab(): Lab {
  const name = process.env.MAILHOST_LAB ?? '';
  const lab = findLab(name);
  if (lab === undefined) throw new Error(`no lab "${name}" is up`);
  return lab;
}

/** Where the lab's Pulumi keeps its plugins and the like. */
export const pulumiHome = (lab: Lab) => join(lab.dir, 'pulumi-home');

/**
 * Claims a name for a lab of this checkout; a folder is made by one process only.
 *
 * @throws Error where the name is invalid, or in use by another checkout: its lab has that checkout's stack
 */
export function claimLab(name: string): Lab {
  mustBeName(name, 15);
  const lab = labOf(name);
  mkdirSync(lab.dir, { recursive: true, mode: 0o711 });
  try {
    writeFileSync(ownerFile(lab), project, { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    mustBeOurs(lab);
  }
  return lab;
}

/** @throws Error where a lab cannot have that name, or be kept under it */
export function mustBeName(name: string, longest: number): void {
  if (!new RegExp(`^[a-z][a-z0-9-]{0,${longest - 1}}$`).test(name)) {
    throw new Error(
      `"${name}" is not a valid lab name: use at most ${longest} lower-case letters, digits and hyphens`,
    );
  }
}

/** @throws Error where the lab belongs to another checkout that is still there */
export function mustBeOurs(lab: Lab): void {
  const owner = readFileSync(ownerFile(lab), 'utf8');
  if (owner !== project && existsSync(owner)) {
    throw new Error(
      `the lab "${lab.name}" belongs to ${owner}: give this checkout another one, as in \`MAILHOST_LAB=${lab.name}2 make up\`, or end that one there with \`make down\``,
    );
  }
}

/** Deletes the lab's files; the last step of `down`. Where this is killed, the lab can be found and ended again. */
export function releaseLab(lab: Lab): void {
  const entries = existsSync(lab.dir) ? readdirSync(lab.dir) : [];
  for (const path of entries.map((entry) => join(lab.dir, entry)))
    // Two runs may end the same left lab.
    if (path !== ownerFile(lab)) rmSync(path, { recursive: true, force: true });
  rmSync(lab.dir, { recursive: true, force: true });
}

export function labNames(): string[] {
  if (!existsSync(stateRoot)) return [];
  return readdirSync(stateRoot)
    .filter((name) => findLab(name) !== undefined)
    .sort();
}

/** Runs a command to its end and gives what it printed; its words are the error's where it fails. */
export function run(command: string, args: string[], input?: string): string {
  return execFileSync(command, args, {
    encoding: 'utf8',
    input: input ?? '',
    stdio: ['pipe', 'pipe', 'pipe'],
    maxBuffer: 64 << 20,
  });
}

export interface LabProcess {
  pid: number;
  role: string;
}

/**
 * Starts a process of the lab that goes on by itself, with its output in `log/<role>.log`.
 *
 * @param role unique among the lab's processes, e.g. `knot`, `machine-3`
 */
export function start(lab: Lab, role: string, command: string, args: string[], cwd = '/'): number {
  mkdirSync(join(lab.dir, 'log'), { recursive: true });
  const log = openSync(join(lab.dir, 'log', `${role}.log`), 'a');
  const child = spawn(command, args, {
    cwd,
    detached: true,
    stdio: ['ignore', log, log],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1',
      MAILHOST_LAB: lab.name,
      MAILHOST_LAB_ROLE: role,
      [marker]: lab.name,
    },
  });
  child.unref();
  closeSync(log);
  if (child.pid === undefined) throw new Error(`${command} cannot be started`);
  return child.pid;
}

/**
 * Asks for the process id: the environment of a process is empty for a moment while it becomes another program.
 *
 * @param pid from `start`
 * @throws Error with what it said last, where it has ended
 */
export function mustRun(lab: Lab, role: string, pid: number): void {
  if (existsSync(`/proc/${pid}`)) return;
  const log = readFileSync(join(lab.dir, 'log', `${role}.log`), 'utf8');
  throw new Error(`the lab's ${role} ended:\n${log.slice(-2000)}`);
}

/**
 * Starts a process of the lab, and waits until it does its work.
 *
 * @param works whether it does
 * @returns its process id
 * @throws Error with what the process printed last, if it ends
 */
export async function startUntil(
  lab: Lab,
  role: string,
  command: string,
  args: string[],
  works: () => boolean | Promise<boolean>,
): Promise<number> {
  const pid = start(lab, role, command, args);
  await waitFor(`the lab's ${role} works (log/${role}.log)`, () => {
    mustRun(lab, role, pid);
    return works();
  });
  return pid;
}

/** The living processes that `start` made for this lab, and what they started with their environment. */
export function processes(lab: Lab, role?: string): LabProcess[] {
  const found: LabProcess[] = [];
  for (const entry of pids()) {
    const environment = readEnvironment(entry);
    if (environment?.includes(`${marker}=${lab.name}`)) {
      const own = environment.find((v) => v.startsWith('MAILHOST_LAB_ROLE='))?.slice(18) ?? '';
      if (role === undefined || own === role) found.push({ pid: Number(entry), role: own });
    }
  }
  return found;
}

/** What an engine that was killed left running: its children, now nobody's, which have the lab's home of Pulumi. */
function orphans(lab: Lab): LabProcess[] {
  return pulumiProcesses(pulumiHome(lab))
    .filter(({ pid, command }) => parentOf(pid) === 1 && command.includes('pulumi'))
    .map(({ pid }) => ({ pid: Number(pid), role: 'orphan' }));
}

/** What runs with a home of Pulumi: engines, language hosts, programs and plugins, and what has it from its shell. */
export const pulumiProcesses = (home: string): { pid: string; command: string }[] =>
  pids()
    .filter((pid) => readEnvironment(pid)?.includes(`PULUMI_HOME=${home}`))
    .map((pid) => ({ pid, command: commandLine(pid) }));

const pids = (): string[] => readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));

function parentOf(pid: string): number {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    return 0;
  }
}

/** Empty where it has ended meanwhile. */
function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}

function readEnvironment(pid: string): string[] | undefined {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
  } catch {
    return undefined;
  }
}

/** Ends processes of the lab at once and waits until they are gone. */
export async function kill(lab: Lab, role?: string): Promise<void> {
  for (;;) {
    const living = [...processes(lab, role), ...(role === undefined ? orphans(lab) : [])].filter(
      ({ pid }) => pid !== process.pid,
    );
    if (living.length === 0) return;
    for (const { pid } of living) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended by itself in between.
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The end of a wait, in seconds. It is for what hangs: a machine under load takes ten times as long as an idle one. */
export const longestWait = 900;

/**
 * Polls until `condition` gives a value.
 *
 * @param what is awaited, for the error
 * @throws Error after 15 minutes, and what `condition` throws
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const end = Date.now() + longestWait * 1000;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > end) throw new Error(`gave up after ${longestWait} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** One line of progress on standard error, so that standard output stays data. */
export function say(text: string): void {
  process.stderr.write(`lab: ${text}\n`);
}
