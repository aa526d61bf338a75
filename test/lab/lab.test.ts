import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { apiAccess } from '../../lab/apis';
import { entry } from '../../lab/lifecycle';
import { kill, findLab, processes, waitFor, type Lab } from '../../lab/state';

const names = ['test-left', 'test-right'];
const [left, right] = names as [string, string];
const lab = (...args: string[]): string =>
  execFileSync(entry, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
const down = (name: string) => lab('down', '--lab', name);
afterEach(() => names.forEach(down));

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

/** Whatever a lab has outside its own namespaces. */
function traces(name: string): string[] {
  const found = [
    ...output('losetup', '--list', '--noheadings').split('\n'),
    ...output('find', '/sys/fs/cgroup', '-name', `mhlab-${name}-*`).split('\n'),
  ];
  return [
    ...found.filter((line) => line.includes(`/${name}/`) || line.includes(`mhlab-${name}-`)),
    ...processes({ name } as Lab).map(({ pid, role }) => `process ${pid} ${role}`),
    ...(existsSync(`/var/lib/mailhost-lab/${name}`) ? ['its folder'] : []),
  ];
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
    down(left);
    expect(traces(left)).toEqual([]);
  });

  it('leaves nothing behind, not even after its start was killed', async () => {
    const start = spawn(entry, ['up', '--lab', left], { stdio: 'ignore' });
    const ended = new Promise((resolve) => start.on('close', resolve));
    const of = await waitFor('it has begun', () => findLab(left));
    await waitFor('it has processes', () => processes(of).length > 0);
    start.kill('SIGKILL');
    await ended;
    down(left);
    expect(traces(left)).toEqual([]);
  });

  it('is the same inside as another that starts at the same moment, and reaches only itself', async () => {
    await Promise.all(names.map((name) => promisify(execFile)(entry, ['up', '--lab', name])));
    const routes = names.map((name) => lab('enter', '--lab', name, 'ip', 'route'));
    expect(routes[0]).toBe(routes[1]);
    const tokens = names.map((name) => apiAccess(findLab(name)!).HCLOUD_TOKEN);
    expect(tokens[0]).not.toBe(tokens[1]);
    down(left);
    expect(hetzner(right, 'GET', 'servers')).toMatchObject({ servers: [] });
  });

  it('belongs to the checkout that started it', () => {
    lab('up', '--lab', left);
    const owner = `${findLab(left)!.dir}/checkout`;
    const ours = readFileSync(owner, 'utf8');
    writeFileSync(owner, '/');
    const up = () => execFileSync(entry, ['up', '--lab', left], { stdio: 'pipe' });
    expect(up).toThrow(`the lab "${left}" belongs to /: give this checkout another one`);
    writeFileSync(owner, ours);
    expect(up).not.toThrow();
  });
});
