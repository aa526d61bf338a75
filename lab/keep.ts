import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { layersFile, machineImage, serviceImage } from './images';
import { filesBelow, hashOf, project } from './sources';
import { cacheRoot, findLab, labNames, run, type Lab } from './state';

/**
 * Kept labs: all that a lab is, at rest. A copy shares the disks with what is kept and writes beside them, so that it costs
 * no more than what changes in it.
 */
const keptRoot = join(cacheRoot, 'kept');

const folders = ['components', 'files', 'lab'];
const singleFiles = [
  'index.ts',
  'settings.ts',
  'endWithEngine.ts',
  'stackTraces.ts',
  'tsconfig.json',
  'tsconfig.run.json',
  'package-lock.json',
  'Pulumi.yaml',
  'Pulumi.dev.yaml',
];

/** Of all that a lab is made from: another lab is made anew where one of them changes. */
export function sourcesKey(): string {
  const files = [...folders.flatMap((folder) => filesBelow(project, folder)), ...singleFiles];
  const images = [machineImage(), serviceImage()].map((path) => path.slice(-12)).join('-');
  return `${hashOf(project, files).slice(0, 12)}-${images}`;
}

const folderOf = (name: string) => join(keptRoot, `${name}@${sourcesKey()}`);

/** Root file systems of a lab, as folders below its own: of the machines, and of its own daemons. */
const rootsIn = (dir: string): string[] => {
  const machines = join(dir, 'machines');
  const ids = existsSync(machines) ? readdirSync(machines) : [];
  return ['services', ...ids.map((id) => join('machines', id))];
};

/** Names, in the folder of a kept lab, the checkout that it was made from. */
const makerFile = 'made-from';

/** What a copy gets of its own: all but the disks, which it shares, and what a running lab alone has. */
const notCopied = ['machines', 'volumes', 'services', makerFile];

/** Whether a lab of that name is kept that is made from what the checkout has now. */
export const isKept = (name: string): boolean => existsSync(folderOf(name));

/**
 * Moves a lab whose processes have ended, and whose mounts are gone, into the cache. Those that the checkout made from other
 * sources are deleted, unless a lab runs that shares their disks.
 *
 * @param name up to 15 lower-case letters, digits and hyphens
 */
export function keep(lab: Lab, name: string): void {
  const kept = folderOf(name);
  mkdirSync(keptRoot, { recursive: true, mode: 0o700 });
  const unfinished = `${kept}.${process.pid}`;
  for (const root of rootsIn(lab.dir)) {
    for (const part of ['work', 'root'])
      rmSync(join(lab.dir, root, part), { recursive: true, force: true });
  }
  try {
    renameSync(lab.dir, unfinished);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    run('cp', ['--archive', '--sparse=always', lab.dir, unfinished]);
  }
  for (const entry of ['log', 'ready', 'checkout', 'bin', 'cell'])
    rmSync(join(unfinished, entry), { recursive: true, force: true });
  rmSync(kept, { recursive: true, force: true });
  writeFileSync(join(unfinished, makerFile), project);
  renameSync(unfinished, kept);
  removeOld();
}

/** Deletes what this checkout, or one that is gone, has kept of other sources than now. */
function removeOld(): void {
  const key = sourcesKey();
  const used = labNames().flatMap((other) => layersOf(findLab(other)?.dir ?? ''));
  for (const entry of readdirSync(keptRoot)) {
    const path = join(keptRoot, entry);
    if (entry.endsWith(`@${key}`)) continue;
    const maker = join(path, makerFile);
    const from = existsSync(maker) ? readFileSync(maker, 'utf8') : '';
    const ours = from === project || !existsSync(from);
    if (ours && !used.some((layer) => layer.startsWith(`${path}/`)))
      rmSync(path, { recursive: true, force: true });
  }
}

const layersOf = (dir: string): string[] =>
  rootsIn(dir)
    .map((root) => join(dir, root, layersFile))
    .filter((file) => existsSync(file))
    .flatMap((file) => readFileSync(file, 'utf8').split('\n'));

/**
 * Fills the folder of a new lab with a copy of a kept one.
 *
 * @throws Error where none of that name is kept that is made from what the checkout has now
 */
export function copyKept(name: string, lab: Lab): void {
  const kept = folderOf(name);
  if (!existsSync(kept)) {
    const others = existsSync(keptRoot)
      ? readdirSync(keptRoot).filter((entry) => entry.startsWith(`${name}@`))
      : [];
    throw new Error(
      others.length > 0
        ? `"${name}" was kept of other sources than this checkout has: start a lab, and keep it again with \`./lab/lab save ${name}\``
        : `no lab is kept as "${name}": \`./lab/lab save ${name}\` keeps one`,
    );
  }
  for (const entry of readdirSync(kept).filter((path) => !notCopied.includes(path)))
    run('cp', ['--archive', join(kept, entry), lab.dir]);
  for (const root of rootsIn(kept)) {
    mkdirSync(join(lab.dir, root), { recursive: true });
    const older = join(kept, root, layersFile);
    const layers = [
      join(kept, root, 'upper'),
      ...(existsSync(older) ? [readFileSync(older, 'utf8')] : []),
    ];
    writeFileSync(join(lab.dir, root, layersFile), layers.join('\n'));
    const spec = join(kept, root, 'spec.json');
    if (existsSync(spec)) run('cp', ['--archive', spec, join(lab.dir, root)]);
  }
  const volumes = join(kept, 'volumes');
  if (existsSync(volumes))
    run('cp', ['--archive', '--sparse=always', '--reflink=auto', volumes, lab.dir]);
}
