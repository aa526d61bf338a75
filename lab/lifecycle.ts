import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { serverCa } from './acme';
import { apiTokens } from './apis';
import { programCommand } from './bundle';
import { enterCell, inCell, startCell } from './cells';
import { machineImage, serviceImage } from './images';
import { copyKept, forgetUnfinished, keep, mustBeKept } from './keep';
import { withLock } from './lock';
import { loopsBelow, Machines, removeAllCgroups, unmountBelow } from './machines';
import { addresses, createLink, createNetwork, deleteNetwork, inNamespace } from './network';
import { startPackageProxy, stopPackageProxy } from './packages';
import { remoteDkimKey } from './remote/zone';
import { project } from './sources';
import {
  claimLab,
  findLab,
  kill,
  mustBeName,
  mustBeOurs,
  mustRun,
  processes,
  releaseLab,
  run,
  say,
  start,
  waitFor,
  type Lab,
} from './state';

export const entry = join(project, 'lab/lab');

/** How commands name the lab. */
export const optionFor = (name: string) => (name === 'dev' ? '' : ` --lab ${name}`);

export const isReady = (lab: Lab) =>
  existsSync(join(lab.dir, 'ready')) && processes(lab, 'cloud').length > 0;

/**
 * Starts a lab: in a cell of its own, or in the one that this process is in.
 *
 * @param from name of the kept lab to start a copy of; absent: a new lab
 * @throws Error where a lab of that name belongs to another checkout, or no copy can be started of what is kept under `from`
 */
export async function startLab(name: string, from?: string): Promise<Lab> {
  if (from !== undefined) mustBeKept(from);
  const found = findLab(name);
  if (found !== undefined) {
    mustBeOurs(found);
    if (isReady(found)) {
      if (from === undefined) return found;
      throw new Error(`${name} is up: \`./lab/lab down${optionFor(name)}\` ends it`);
    }
    say(`${name} is half there: removing it first`);
    await endLab(found);
  }
  machineImage();
  serviceImage();
  if (!inCell) await startPackageProxy();
  const lab = claimLab(name);
  if (from !== undefined) await whileNothingIsKept(() => copyKept(from, lab));
  if (inCell) await fill(lab);
  else {
    await startCell(lab);
    if (enterCell(lab, [entry, 'fill', '--lab', name]) !== 0)
      throw new Error(`${name} did not start: its logs are in ${join(lab.dir, 'log')}`);
  }
  return lab;
}

/** Starts a new lab in the place of the one of that name. */
export async function startFreshLab(name: string): Promise<Lab> {
  const found = findLab(name);
  if (found) await endLab(found);
  return startLab(name);
}

/** Starts all that a lab has, in the cell that this runs in. */
export async function fill(lab: Lab): Promise<void> {
  const { remote, acme } = addresses;
  createNetwork();
  createLink('remote', remote.v4, `${remote.v6}/128`);
  createLink('acme', acme.v4, `${acme.v6}/128`);
  // Made before the programs that share them start side by side.
  remoteDkimKey(lab.dir);
  apiTokens(lab.dir);
  serverCa(lab);
  const cloud = start(lab, 'cloud', programCommand('lab/cloud/main'), []);
  inNetwork(lab, 'metadata', 'router', 'lab/metadata');
  const remoteSystem = inNetwork(lab, 'remote', 'remote', 'lab/remote/main');
  await waitFor('the DNS servers and the cloud APIs are ready (log/cloud.log)', () => {
    mustRun(lab, 'cloud', cloud);
    return isReady(lab);
  });
  await waitFor('the remote mail system listens', () => {
    mustRun(lab, 'remote', remoteSystem);
    const listeners = inNamespace('remote', 'ss', '-ltnH');
    return [25, 587].every((port) => listeners.includes(`:${port} `));
  });
}

const inNetwork = (lab: Lab, role: string, ns: string, program: string) =>
  start(lab, role, 'ip', ['netns', 'exec', ns, programCommand(program)]);

/** Ends all that runs of a lab, and takes back what it has of the kernel. Its files stay. */
async function stop(lab: Lab): Promise<void> {
  await kill(lab);
  await removeAllCgroups(lab);
  unmountBelow(lab.dir);
  if (inCell) deleteNetwork();
  await waitFor('the loop devices are free', () => {
    const loops = loopsBelow(lab.dir);
    for (const loop of loops) run('losetup', ['--detach', loop]);
    return loops.length === 0;
  });
}

/** Ends a lab and all that is in it. */
export async function endLab(lab: Lab): Promise<void> {
  await stop(lab);
  forgetUnfinished(lab);
  releaseLab(lab);
  if (!inCell) await stopPackageProxy();
}

/** Keeping a lab deletes older ones. */
const whileNothingIsKept = (work: () => void) => withLock('keep', () => Promise.resolve(work()));

/** Shuts the machines down as their operator would, and keeps the lab, which ends with it. */
export async function saveLab(lab: Lab, name: string): Promise<void> {
  mustBeName(name, 40);
  if (!isReady(lab))
    throw new Error(
      `${lab.name} is half there: \`./lab/lab up${optionFor(lab.name)}\` starts a new one`,
    );
  if (inCell) await shutDown(lab);
  else if (enterCell(lab, [entry, 'shut-down', '--lab', lab.name]) !== 0)
    throw new Error(`the machines of ${lab.name} do not shut down: nothing was kept`);
  await stop(lab);
  await whileNothingIsKept(() => keep(lab, name));
  if (!inCell) await stopPackageProxy();
}

/** Shuts all machines of a lab down, in the cell that this runs in. */
export async function shutDown(lab: Lab): Promise<void> {
  const machines = new Machines(lab);
  const running = machines.ids().filter((id) => machines.running(id));
  await Promise.all(running.map((id) => machines.shutdown(id)));
}
