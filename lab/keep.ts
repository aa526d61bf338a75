import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { layersFile, machineImage, serviceImage } from './images';
import { filesBelow, hashOf, project } from './sources';
import { cacheRoot, findLab, labNames, ownerFile, releaseLab, run, type Lab } from './state';

/**
 * Kept labs: all that a lab is, at rest, in a folder NAME@SOURCES@TIME. A copy shares the disks with what is kept and writes
 * beside them, so that it costs no more than what changes in it.
 */
const keptRoot = join(cacheRoot, 'kept');

/** Certificates in a lab are valid for 90 days, and hosts renew them from the 60th on. */
const maxDays = 28;

const folders = ['components', 'files', 'lab'];
const singleFiles = [
  'index.ts',
  'settings.ts',
  'accountsFile.ts',
  'endWithEngine.ts',
  'stackTraces.ts',
  'tsconfig.json',
  'tsconfig.run.json',
  'package-lock.json',
  'Pulumi.yaml',
  'Pulumi.dev.yaml',
];

/** Of all that a lab is made from: it is made anew where one of them changes, or an image is built again. */
function sourcesKey(): string {
  const files = [...folders.flatMap((folder) => filesBelow(project, folder)), ...singleFiles];
  const images = [machineImage(), serviceImage()].map(
    (path) => `${path.slice(-12)}-${Math.floor(statSync(path).mtimeMs)}`,
  );
  return [hashOf(project, files).slice(0, 12), ...images].join('-');
}

/** Root file systems of a lab, as folders below its own: of the machines, and of its own daemons. */
const rootsIn = (dir: string): string[] => {
  const machines = join(dir, 'machines');
  const ids = existsSync(machines) ? readdirSync(machines) : [];
  return ['services', ...ids.map((id) => join('machines', id))];
};

/** What a copy does not get as it is: its disks lie on those that are kept, and it has a file of its own with its checkout. */
const notCopied = ['machines', 'volumes', 'services', 'checkout'];

interface Kept extends Lab {
  sources: string;
  /** When it was kept, in milliseconds since 1970. */
  time: number;
}

/** All that the folder has, the newest first; what is unfinished, or of an earlier form, has no time. */
const keptLabs = (): Kept[] =>
  (existsSync(keptRoot) ? readdirSync(keptRoot) : [])
    .map((entry) => {
      const [name = '', sources = '', time = 0] = entry.split('@');
      return { name, dir: join(keptRoot, entry), sources, time: Number(time) };
    })
    .sort((a, b) => b.time - a.time);

/** Why no copy of a kept lab can be started; undefined where one can. */
function fault(kept: Kept, now: string): string | undefined {
  const { dir, sources, time } = kept;
  if (sources !== now) return 'was kept of other sources than this checkout has';
  if (Date.now() - time > maxDays * 24 * 3600_000) return `was kept more than ${maxDays} days ago`;
  if (![ownerFile(kept), ...layersOf(dir)].every((part) => existsSync(part)))
    return 'is not whole: a part of it, or of the lab whose disks it shares, was deleted';
  return undefined;
}

const newestUsable = (name: string): Kept | undefined => {
  const now = sourcesKey();
  return keptLabs().find((kept) => kept.name === name && fault(kept, now) === undefined);
};

/** Whether a copy can be started of a lab that is kept under that name. */
export const isKept = (name: string): boolean => newestUsable(name) !== undefined;

/** @throws Error where no copy can be started of a lab that is kept under that name, with the reason */
export function mustBeKept(name: string): Kept {
  const usable = newestUsable(name);
  if (usable) return usable;
  const again = `\`./lab/lab save ${name}\``;
  const newest = keptLabs().find((kept) => kept.name === name);
  throw new Error(
    newest
      ? `"${name}" ${fault(newest, sourcesKey())}: start a lab, and keep it again with ${again}`
      : `no lab is kept as "${name}": ${again} keeps one`,
  );
}

/**
 * Moves a lab whose processes have ended, and whose mounts are gone, into the cache. What this checkout has kept and no copy
 * can be started of any more is deleted, unless a lab shares its disks.
 *
 * @param name letters and digits of ASCII, and hyphens: it becomes part of options of mount(8)
 */
export function keep(lab: Lab, name: string): void {
  mkdirSync(keptRoot, { recursive: true, mode: 0o700 });
  const ofRoots = rootsIn(lab.dir).flatMap((root) => [join(root, 'work'), join(root, 'root')]);
  for (const entry of ['ready', 'log', 'bin', 'cell', ...ofRoots]) remove(join(lab.dir, entry));
  move(lab, join(keptRoot, `${name}@${sourcesKey()}@${Date.now()}`));
  removeOld();
}

const remove = (path: string) => rmSync(path, { recursive: true, force: true });

/** Where a lab is kept on another file system: what was copied of it so far. */
const unfinished = (lab: Lab) => join(keptRoot, `.${lab.name}`);

/** All of it at once: what is killed before leaves a lab that can be ended, and after it one that is kept. */
function move(lab: Lab, kept: string): void {
  try {
    renameSync(lab.dir, kept);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    forgetUnfinished(lab);
    copy('--sparse=always', lab.dir, unfinished(lab));
    renameSync(unfinished(lab), kept);
    releaseLab(lab);
  }
}

/** Deletes what a `save` that was killed has left of a lab in the cache. */
export const forgetUnfinished = (lab: Lab): void => remove(unfinished(lab));

/** Ends with this process: it would go on to write where others delete. */
const copy = (...args: string[]) =>
  run('setpriv', ['--pdeathsig', 'KILL', 'cp', '--archive', ...args]);

function removeOld(): void {
  const now = sourcesKey();
  const all = keptLabs();
  const newest = new Set<string>();
  const stays = all.filter((kept) => {
    const owner = existsSync(ownerFile(kept)) ? readFileSync(ownerFile(kept), 'utf8') : '';
    if (owner !== project && existsSync(owner)) return true;
    if (fault(kept, now) !== undefined || newest.has(kept.name)) return false;
    newest.add(kept.name);
    return true;
  });
  const labs = labNames().flatMap((name) => findLab(name)?.dir ?? []);
  const used = [...labs, ...stays.map(({ dir }) => dir)].flatMap(layersOf);
  for (const kept of all.filter((old) => !stays.includes(old))) {
    if (used.some((layer) => layer.startsWith(`${kept.dir}/`))) continue;
    // What is left where this is killed is then no longer taken for whole.
    remove(ownerFile(kept));
    remove(kept.dir);
  }
}

/** What lies below the file systems of a lab, but for the images. */
const layersOf = (dir: string): string[] =>
  rootsIn(dir)
    .map((root) => join(dir, root, layersFile))
    .filter((file) => existsSync(file))
    .flatMap((file) => readFileSync(file, 'utf8').split('\n'));

/**
 * Fills the folder of a new lab with a copy of a kept one.
 *
 * @throws Error as `mustBeKept`
 */
export function copyKept(name: string, lab: Lab): void {
  const { dir: kept } = mustBeKept(name);
  for (const entry of readdirSync(kept).filter((path) => !notCopied.includes(path)))
    copy(join(kept, entry), lab.dir);
  for (const root of rootsIn(kept)) {
    mkdirSync(join(lab.dir, root), { recursive: true });
    const older = join(kept, root, layersFile);
    const layers = [
      join(kept, root, 'upper'),
      ...(existsSync(older) ? [readFileSync(older, 'utf8')] : []),
    ];
    writeFileSync(join(lab.dir, root, layersFile), layers.join('\n'));
    const spec = join(kept, root, 'spec.json');
    if (existsSync(spec)) copy(spec, join(lab.dir, root));
  }
  const volumes = join(kept, 'volumes');
  if (existsSync(volumes)) copy('--sparse=always', '--reflink=auto', volumes, lab.dir);
}
