import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { proofs } from '../../lab/proof';
import { waitFor } from '../../lab/state';
import { Host, hostTest, type BareLab } from './hosts';
import { SecretSearch } from './secretSearch';
import { step } from './testLab';

const it = hostTest();

/** A server, as somebody makes it in the console: root by an SSH key, no volume, no firewall. */
async function machineByHand(bare: BareLab) {
  const folder = join(bare.lab.dir, 'by-hand');
  mkdirSync(folder);
  const file = join(folder, 'id_ed25519');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
  const make = async <T>(kind: string, body: object) => {
    const answer = await bare.hetzner<Record<string, T & { id: number }>>(kind, 'POST', {
      name: 'by-hand',
      ...body,
    });
    return answer[kind.replace(/e?s$/, '')]!;
  };
  const key = await make('ssh_keys', { public_key: readFileSync(`${file}.pub`, 'utf8').trim() });
  const address = (type: string) =>
    make<{ ip: string }>('primary_ips', { name: `by-hand-${type}`, type, assignee_type: 'server' });
  const [ipv4, ipv6] = [await address('ipv4'), await address('ipv6')];
  await make('servers', {
    server_type: 'cx23',
    image: 'debian-13',
    location: 'fsn1',
    ssh_keys: [key.id],
    public_net: { ipv4: ipv4.id, ipv6: ipv6.id },
  });
  // It fails until the machine listens.
  const scan = () =>
    spawnSync('ssh-keyscan', ['-t', 'ed25519', ipv4.ip], { encoding: 'utf8' }).stdout;
  const line = await waitFor('the machine opens SSH', () =>
    scan()
      .split('\n')
      .find((text) => text.includes(' ssh-ed25519 ')),
  );
  return {
    settings: {
      'machine.ipv4': ipv4.ip,
      'machine.ipv6': ipv6.ip.replace('/64', '1'),
      'machine.sshHostKey': line.split(' ').slice(1).join(' '),
      'machine.sshPrivateKey': { secret: readFileSync(file, 'utf8') },
    },
    setPointers: async () => {
      for (const { id, ip } of [ipv4, ipv6])
        await bare.hetzner(`primary_ips/${id}/actions/change_dns_ptr`, 'POST', {
          ip: ip.replace('/64', '1'),
          dns_ptr: 'mail.example.org',
        });
    },
  };
}

describe('a machine made by hand', () => {
  it('becomes a mail host, and Hetzner is not asked', async ({ freshLab: bare }) => {
    const { settings, setPointers } = await step('it is made', () => machineByHand(bare));
    const host = new Host(bare.lab);
    host.stack.env.HCLOUD_TOKEN = 'x'.repeat(64);
    await step('the host is deployed on it, and its key stays secret', async () => {
      const output = await host.up(settings);
      const { secret } = settings['machine.sshPrivateKey'];
      const search = new SecretSearch({ key: secret, 'line of the key': secret.split('\n')[2]! });
      expect(search.in(output)).toEqual([]);
      expect(search.in(host.stack.state())).toEqual([]);
    });
    expect(host.outputs).toMatchObject({
      ipv4: settings['machine.ipv4'],
      ipv6: settings['machine.ipv6'],
    });
    expect(host.stack.resources().filter(({ type }) => type.startsWith('hcloud:'))).toEqual([]);

    await step('mail and queue are where it has the folder', () => {
      const mounts = host.shell('findmnt --noheadings --output TARGET,FSROOT --raw');
      expect(mounts).toMatch(/^\/var\/spool\/smtpd .*\/srv\/mailhost\/queue$/m);
      expect(mounts).not.toMatch(/^\/srv\/mailhost /m);
      expect(host.shell('mailhost drift')).toContain('as the plan has it');
    });
    for (const { title, run } of proofs(bare.lab, host.outputs)) await step(title, run);
    await step('nothing is to change', async () => {
      const { status, output } = await host.preview({}, '--expect-no-changes');
      expect(status, output).toBe(0);
    });
    await step('its PTR records are open tasks until they are right', async () => {
      const pointers = () => host.outputs.openTasks.filter((task) => task.includes(' PTR '));
      expect(pointers()).toHaveLength(2);
      await setPointers();
      const { urn } = host.stack
        .resources()
        .find((resource) => resource.urn.endsWith('::mail-check-records'))!;
      await host.up({}, '--replace', urn);
      expect(pointers()).toEqual([]);
    });
  });
});
