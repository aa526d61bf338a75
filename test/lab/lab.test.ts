import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { apiAccess } from '../../lab/env';
import { addresses } from '../../lab/network';
import { labResolver } from '../../lab/remote/resolver';
import { findLab, kill, processes, waitFor, type Lab } from '../../lab/state';
import { endLab, entry, startLab } from './testLab';

const names = ['left', 'right'];
afterEach(() => names.forEach(endLab));

/** Whatever a lab has outside its own folder and processes. */
function traces(name: string, index: number): string[] {
  const output = (command: string, ...args: string[]) =>
    execFileSync(command, args, { encoding: 'utf8' });
  const found = [
    ...output('ip', 'netns', 'list').split('\n'),
    ...output('ip', '-oneline', 'link').split('\n'),
    ...output('ip', 'route').split('\n'),
    ...output('cat', '/proc/mounts').split('\n'),
    ...output('losetup', '--list', '--noheadings').split('\n'),
    ...output('find', '/sys/fs/cgroup', '-name', 'mhlab-*').split('\n'),
    ...output('ls', '-A', '/run/systemd/nspawn/propagate').split('\n'),
  ];
  const marks = [`mhlab-${name}-`, `mh${index}-`, `10.88.${index}.`, `/mailhost-lab/${name}/`];
  return [
    ...found.filter((line) => marks.some((mark) => line.includes(mark))),
    ...processes({ name } as Lab).map(({ pid, role }) => `process ${pid} ${role}`),
    ...(existsSync(`/var/lib/mailhost-lab/${name}`) ? ['its folder'] : []),
  ];
}

/** Asks for a machine as the hcloud plugin does. */
async function createMachine(of: Lab): Promise<void> {
  const { HCLOUD_ENDPOINT, HCLOUD_TOKEN } = apiAccess(of);
  const post = async (path: string, body: object) => {
    const response = await fetch(`${HCLOUD_ENDPOINT}/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${HCLOUD_TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(201);
    return response.json() as Promise<Record<string, { id: number }>>;
  };
  const ip = await post('primary_ips', {
    name: 'ip',
    type: 'ipv4',
    assignee_type: 'server',
    location: 'fsn1',
  });
  const server = await post('servers', {
    name: 'machine',
    server_type: 'cx23',
    image: 'debian-13',
    location: 'fsn1',
    public_net: { enable_ipv4: true, enable_ipv6: false, ipv4: ip.primary_ip!.id },
  });
  await post('volumes', { name: 'volume', size: 10, format: 'ext4', server: server.server!.id });
  await waitFor('the machine runs', () => processes(of, `machine-${server.server!.id}`).length > 0);
}

describe('a lab', () => {
  it('leaves nothing behind, not even after its processes were killed', async () => {
    const lab = startLab('left');
    await createMachine(lab);
    expect(traces('left', lab.index).length).toBeGreaterThan(10);
    await Promise.all([kill(lab, 'cloud'), kill(lab, 'unbound')]);
    endLab('left');
    expect(traces('left', lab.index)).toEqual([]);
  });

  it('leaves nothing behind, not even after its start was killed', async () => {
    const start = spawn(entry, ['up', '--lab', 'left'], { stdio: 'ignore' });
    const ended = new Promise((resolve) => start.on('close', resolve));
    const lab = await waitFor('it has begun', () => findLab('left'));
    await waitFor('it has processes', () => processes(lab).length > 0);
    start.kill('SIGKILL');
    await ended;
    endLab('left');
    expect(traces('left', lab.index)).toEqual([]);
  });

  it('runs beside another that starts at the same moment, each with its own network and DNS', async () => {
    names.forEach(endLab);
    await Promise.all(names.map((name) => promisify(execFile)(entry, ['up', '--lab', name])));
    const [left, right] = names.map(findLab) as [Lab, Lab];
    expect(addresses(left).v4Network).not.toBe(addresses(right).v4Network);
    const remoteOf = async (lab: Lab) =>
      labResolver(addresses(lab).resolver.v4)('mx.remote.example', 'A') as Promise<unknown>;
    expect(await remoteOf(left)).toEqual([addresses(left).remote.v4]);
    expect(await remoteOf(right)).toEqual([addresses(right).remote.v4]);
    endLab('left');
    expect(await remoteOf(right)).toEqual([addresses(right).remote.v4]);
    expect(readdirSync('/var/lib/mailhost-lab')).toContain('right');
  });
});
