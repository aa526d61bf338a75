import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { apiAccess } from '../../lab/apis';
import { entry } from '../../lab/lifecycle';
import { addresses } from '../../lab/network';
import { holdPackageProxy, releasePackageProxy, startPackageProxy } from '../../lab/packages';
import { cacheRoot, kill, findLab, labNames, processes, waitFor, type Lab } from '../../lab/state';
import { endLeftLabs, testLabName } from './leftLabs';
import { step } from './testLab';

const names = ['test-left', 'test-right'];
const [left, right] = names as [string, string];
const lab = (...args: string[]): string =>
  execFileSync(entry, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
const down = (name: string) => lab('down', '--lab', name);
// The run of tests holds it for the labs of its cells, which have ended.
beforeAll(() => releasePackageProxy(inject('run')));
afterEach(() => names.forEach(down));

const packageProxy = { name: '.packages' } as Lab;
const keptRoot = join(cacheRoot, 'kept');
const keptLabs = (name: string) =>
  existsSync(keptRoot) ? readdirSync(keptRoot).filter((entry) => entry.split('@')[0] === name) : [];

const output = (command: string, ...args: string[]) =>
  execFileSync(command, args, { encoding: 'utf8' });

/** The machine's own network and mounts, which no lab changes. */
const ownState = () =>
  [
    output('ip', '-brief', 'address'),
    output('ip', 'route'),
    output('ip', '-6', 'route'),
    readFileSync('/proc/mounts', 'utf8'),
  ].join('');

/** Whatever a lab has outside its own namespaces, and what commands have left of it. */
function traces(name: string): string[] {
  const found = [
    ...output('losetup', '--list', '--noheadings').split('\n'),
    ...output('find', '/sys/fs/cgroup', '-name', `mhlab-${name}-*`).split('\n'),
  ];
  return [
    ...found.filter((line) => line.includes(`/${name}/`) || line.includes(`mhlab-${name}-`)),
    ...processes({ name } as Lab).map(({ pid, role }) => `process ${pid} ${role}`),
    ...commands(name),
    ...(existsSync(`/var/lib/mailhost-lab/${name}`) ? ['its folder'] : []),
    // A copy to another file system that has not come to its end.
    ...keptLabs(`.${name}`),
    ...(labNames().length === 0
      ? processes(packageProxy).map(({ role }) => `process ${role}`)
      : []),
  ];
}

/** Ends a lab: nothing of it is left then. */
function end(name: string, before: string): void {
  down(name);
  expect(traces(name)).toEqual([]);
  expect(ownState()).toBe(before);
}

/** Commands of the lab that run. */
const commands = (name: string) =>
  spawnSync('pgrep', ['--full', '--list-full', `lab ${name}`], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter(Boolean);

/** Kills a command at a moment of its work. */
async function killOnce(moment: () => boolean, command: string, ...args: string[]): Promise<void> {
  const running = spawn(command, args, { stdio: 'ignore' });
  const ended = once(running, 'close');
  await waitFor('the moment to kill it', moment);
  running.kill('SIGKILL');
  await ended;
}

/** Asks the lab's Hetzner API, from within. */
function hetzner(name: string, method: string, path: string, body?: object) {
  const { HCLOUD_ENDPOINT, HCLOUD_TOKEN } = apiAccess(findLab(name)!);
  const script = `fetch(process.argv[1], ${JSON.stringify({
    method,
    headers: { authorization: `Bearer ${HCLOUD_TOKEN}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  })}).then((answer) => answer.text()).then(console.log)`;
  const node = [process.execPath, '-e', script, `${HCLOUD_ENDPOINT}/${path}`];
  return JSON.parse(lab('enter', '--lab', name, '--', ...node)) as Record<string, { id: number }>;
}

/** Asks the lab's DNS for an address, from within. */
function lookUp(name: string, host: string): string {
  const script = `const dns = new (require('node:dns').Resolver)();
dns.setServers(['${addresses.resolver.v4}']);
dns.resolve4(process.argv[1], (error, found) => console.log(String(error ?? found)));`;
  return lab('enter', '--lab', name, '--', process.execPath, '-e', script, host).trim();
}

/** Asks for a machine as the hcloud plugin does. */
async function createMachine(of: Lab): Promise<void> {
  const post = (path: string, body: object) => hetzner(of.name, 'POST', path, body);
  const ip = post('primary_ips', {
    name: 'ip',
    type: 'ipv4',
    assignee_type: 'server',
    location: 'fsn1',
  });
  const server = post('servers', {
    name: 'machine',
    server_type: 'cx23',
    image: 'debian-13',
    location: 'fsn1',
    public_net: { enable_ipv4: true, enable_ipv6: false, ipv4: ip.primary_ip!.id },
  });
  post('volumes', { name: 'volume', size: 10, format: 'ext4', server: server.server!.id });
  await waitFor('the machine runs', () => processes(of, `machine-${server.server!.id}`).length > 0);
  await waitFor('the volume is attached', () =>
    output('losetup', '--list', '--noheadings').includes(`/${of.name}/volumes/`),
  );
}

describe('a lab', () => {
  it('leaves nothing behind, not even after its processes were killed', async () => {
    const before = ownState();
    lab('up', '--lab', left);
    const of = findLab(left)!;
    await createMachine(of);
    expect(traces(left).length).toBeGreaterThan(10);
    expect(ownState()).toBe(before);
    await Promise.all([kill(of, 'cloud'), kill(of, 'unbound')]);
    await holdPackageProxy();
    down(left);
    expect(processes(packageProxy)).not.toEqual([]);
    await releasePackageProxy();
    end(left, before);
  });

  it('leaves nothing behind, not even after its start was killed', async () => {
    const before = ownState();
    await killOnce(() => processes({ name: left } as Lab).length > 0, entry, 'up', '--lab', left);
    end(left, before);
  });

  it('leaves nothing behind where a save or the start of a copy is killed, and the next one works', async ({
    onTestFinished,
  }) => {
    const name = 'test-killed';
    const before = ownState();
    const runs = (role: RegExp) =>
      processes({ name: left } as Lab).some((one) => role.test(one.role));
    onTestFinished(() => {
      for (const entry of keptLabs(name)) rmSync(join(keptRoot, entry), { recursive: true });
    });

    await step('a save that is killed once the lab is kept', async () => {
      lab('up', '--lab', left);
      await createMachine(findLab(left)!);
      const invalid = () => execFileSync(entry, ['save', '../x', '--lab', left], { stdio: 'pipe' });
      expect(invalid).toThrow('"../x" is not a valid lab name');
      await killOnce(() => keptLabs(name).length > 0, entry, 'save', name, '--lab', left);
      end(left, before);
    });
    const copyMoments = {
      'it has its namespaces': () => runs(/^cell$/),
      'its machine boots': () => runs(/^machine-/),
    };
    for (const [when, moment] of Object.entries(copyMoments)) {
      await step(`a start that is killed when ${when}`, async () => {
        await killOnce(moment, entry, 'up', '--from', name, '--lab', left);
        end(left, before);
      });
    }
    await step('a save that is killed while the machine shuts down', async () => {
      lab('up', '--from', name, '--lab', left);
      expect(hetzner(left, 'GET', 'servers')).toMatchObject({ servers: [{ status: 'running' }] });
      const shutsDown = () => commands(left).some((words) => words.includes('shut-down'));
      await killOnce(shutsDown, entry, 'save', name, '--lab', left);
      end(left, before);
    });
    expect(keptLabs(name)).toHaveLength(1);
  });

  it('of a run of tests that was killed is ended by the next run', async () => {
    const before = ownState();
    const name = testLabName(spawnSync('true').pid);
    await startPackageProxy();
    // A worker of a run has its lab in a cell of its own; it hears nothing of the end of the run while it works.
    const program = `require('node:child_process').spawnSync(process.argv[1], process.argv.slice(2))`;
    const worker = [join(entry, '../cell-node'), '-e', program, entry, 'up', '--lab', name];
    const hasBegun = () => processes({ name } as Lab, 'cloud').length > 0;
    await killOnce(hasBegun, process.execPath, '-e', program, ...worker);
    expect(findLab(name)).toBeDefined();
    await waitFor(
      'all that it had started has ended',
      () => processes({ name } as Lab).length === 0,
    );
    await endLeftLabs();
    expect(traces(name)).toEqual([]);
    expect(ownState()).toBe(before);
  });

  it('is the same inside as another that starts at the same moment, and reaches only itself', async () => {
    await Promise.all(names.map((name) => promisify(execFile)(entry, ['up', '--lab', name])));
    const routes = names.map((name) => lab('enter', '--lab', name, 'ip', 'route'));
    expect(routes[0]).toBe(routes[1]);
    const tokens = names.map((name) => apiAccess(findLab(name)!).HCLOUD_TOKEN);
    expect(tokens[0]).not.toBe(tokens[1]);
    down(left);
    expect(hetzner(right, 'GET', 'servers')).toMatchObject({ servers: [] });
    expect(lookUp(right, 'mx.remote.example')).toBe(addresses.remote.v4);
  });

  it('lets plain pulumi work in a shell, however often that asks for its environment', () => {
    lab('up', '--lab', left);
    const env = `eval "$(${entry} env --lab ${left})"`;
    const words = `${env} && ${env} && pulumi stack ls --json && ${entry} env --lab ${left}`;
    expect(output('bash', '-euc', words)).toMatch(/^\[\]/);
  });

  it('belongs to the checkout that started it', () => {
    lab('up', '--lab', left);
    const owner = `${findLab(left)!.dir}/checkout`;
    const ours = readFileSync(owner, 'utf8');
    writeFileSync(owner, '/');
    const command = (word: string) => () =>
      execFileSync(entry, [word, '--lab', left], { stdio: 'pipe' });
    for (const word of ['up', 'down', 'env', 'deploy'])
      expect(command(word), word).toThrow(`the lab "${left}" belongs to /: give this checkout`);
    writeFileSync(owner, ours);
    expect(command('up')).not.toThrow();
  });
});
