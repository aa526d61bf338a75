import { describe, expect, it } from 'vitest';
import * as hcloud from '@pulumi/hcloud';
import * as pulumi from '@pulumi/pulumi';
import { parse } from 'yaml';
import { openPorts } from '../components/daemons/catalogue';
import { Machine } from '../components/machine';
import { firewallRules, userData, type Slot } from '../components/machineFiles';
import type { Handover } from '../components/preflight/serverPlan';
import { exampleMail } from './example';
import { record, type Recorded } from './mocks';

const args = {
  hostName: 'mail.example.org',
  serverType: 'cx23',
  location: 'fsn1',
  volumeSize: 20,
  ipv6: true,
  adminNetworks: ['192.0.2.0/24'],
  ports: [{ number: 25, purpose: 'mail', from: 'everyone' as const }],
  protect: true,
};

const promised = (output: pulumi.Output<string>) =>
  new Promise<string>((resolve) => output.apply(resolve));

const build = (protect = true, preview = false) =>
  record((opts) => void new Machine('machine', { ...args, protect }, opts), preview);

describe('Machine', () => {
  it('plans every part in a preview in which nothing is known yet', async () => {
    const planned = (await build(true, true)).map(({ type, name }) => `${type} ${name}`).sort();
    expect(planned).toEqual([
      'hcloud:index/firewall:Firewall machine-firewall',
      'hcloud:index/primaryIp:PrimaryIp machine-ipv4',
      'hcloud:index/primaryIp:PrimaryIp machine-ipv6',
      'hcloud:index/rdns:Rdns machine-ipv4-ptr',
      'hcloud:index/rdns:Rdns machine-ipv6-ptr',
      'hcloud:index/server:Server machine-server',
      'hcloud:index/sshKey:SshKey machine-ssh-key',
      'hcloud:index/volume:Volume machine-volume',
      'hcloud:index/volumeAttachment:VolumeAttachment machine-volume',
      'mailhost:index:Machine machine',
      'tls:index/privateKey:PrivateKey machine-host-key',
      'tls:index/privateKey:PrivateKey machine-ssh-key',
    ]);
  });

  it.each([true, false])('protects what cannot be made again: %s', async (protect) => {
    const resources = await build(protect);
    for (const type of ['primaryIp:PrimaryIp', 'volume:Volume']) {
      for (const resource of resources.filter((r) => r.type === `hcloud:index/${type}`)) {
        expect(resource.options.protect, resource.name).toBe(protect);
        expect(resource.inputs.deleteProtection, resource.name).toBe(protect);
      }
    }
    for (const { name, options } of resources.filter((r) => r.type.endsWith(':PrivateKey'))) {
      expect(options.protect, name).toBe(protect);
    }
  });

  it('puts another server in the place of one that is protected from nothing, and is off before its volume goes', async () => {
    const resources = await build();
    const server = resources.find((r) => r.name === 'machine-server')!;
    expect(server.options).toMatchObject({
      deleteBeforeReplace: true,
      replacementTrigger: 1,
      ignoreChanges: ['sshKeys', 'userData'],
    });
    expect(server.options.protect).not.toBe(true);
    expect(server.inputs).toMatchObject({ shutdownBeforeDeletion: true });
    expect(server.inputs).not.toHaveProperty('deleteProtection');
    expect(server.inputs).not.toHaveProperty('rebuildProtection');
    const attachment = resources.find((r) => r.type.endsWith(':VolumeAttachment'))!;
    expect(attachment.options.deletedWith).toBeInstanceOf(hcloud.Server);
  });

  describe('with a standby server', () => {
    const both = { server: 1, 'second-server': 2 };
    const withStandby = (serving: Slot, number: number, steps: Handover['steps'] = {}) =>
      record((opts) => {
        const handover = { serving, number, steps };
        const servers = { serving, generations: both, handovers: number, step: 'none' as const };
        new Machine('machine', { ...args, servers: { ...servers, handover }, check: '{}' }, opts);
      });
    const named = (resources: Recorded[], name: string, type = ':Server') =>
      resources.find((r) => r.name === name && r.type.endsWith(type))!;
    const namesOf = async (options: Recorded['options']) =>
      Promise.all(
        [options.dependsOn]
          .flat(2)
          .filter((one) => pulumi.Resource.isInstance(one))
          .map(async ({ urn }) => (await promised(urn)).split('::').at(-1)),
      );

    it('gives that addresses of its own, and lets others reach SSH alone there', async () => {
      const resources = await withStandby('server', 0);
      const [first, second] = ['machine-server', 'machine-second-server'].map((name) =>
        named(resources, name),
      );
      expect(first!.options.replacementTrigger).toBe(1);
      expect(second!.options.replacementTrigger).toBe(2);
      // What the new one is made with does not touch the old one.
      expect(first!.options.ignoreChanges).toEqual(['sshKeys', 'userData', 'serverType', 'image']);
      expect(second!.options.ignoreChanges).toEqual(['sshKeys', 'userData']);
      expect(second!.inputs.name).toBe('second-mail.example.org');
      expect(second!.inputs.firewallIds).not.toEqual(first!.inputs.firewallIds);
      expect(await namesOf(first!.options)).toEqual([]);
      const closed = named(resources, 'machine-standby-firewall', ':Firewall');
      const rules = closed.inputs.rules as { port?: string }[];
      expect(rules.map(({ port }) => port)).toEqual([undefined, '22']);
      expect(resources.filter(({ type }) => type === 'command:remote:Command')).toEqual([]);
    });

    it('moves the addresses after both servers are ready for it', async () => {
      const resources = await withStandby('second-server', 1, {
        ready: '192.0.2.7',
        giveUp: '192.0.2.1',
      });
      const ready = named(resources, 'machine-ready-1', ':Command');
      const giveUp = named(resources, 'machine-yield-1', ':Command');
      expect(ready.inputs).toMatchObject({ create: 'mailhost ready', stdin: '{}' });
      expect(ready.inputs.connection).toMatchObject({ value: { host: '192.0.2.7' } });
      expect(giveUp.inputs).toMatchObject({ create: 'mailhost yield' });
      expect(giveUp.inputs.connection).toMatchObject({ value: { host: '192.0.2.1' } });
      // Nothing but its addresses changes of the one that no longer serves.
      expect(named(resources, 'machine-server').inputs.firewallIds).toEqual(
        named(resources, 'machine-second-server').inputs.firewallIds,
      );
      expect(await namesOf(giveUp.options)).toEqual(['machine-ready-1']);
      expect(await namesOf(named(resources, 'machine-server').options)).toEqual([
        'machine-ready-1',
        'machine-yield-1',
      ]);
      expect(await namesOf(named(resources, 'machine-second-server').options)).toEqual([
        'machine-server',
      ]);
    });
  });

  it('sets the PTR of its own IPv6 address, which does not hang on the server', async () => {
    const pointer = (await build()).find((r) => r.name === 'machine-ipv6-ptr')!;
    expect(pointer.inputs).toMatchObject({ ipAddress: '2001:db8::1', dnsPtr: 'mail.example.org' });
  });

  it('keeps addresses when the server goes and names the image, never a number', async () => {
    const resources = await build();
    for (const { inputs } of resources.filter(
      (r) => r.type === 'hcloud:index/primaryIp:PrimaryIp',
    )) {
      expect(inputs.autoDelete).toBe(false);
    }
    const server = resources.find((r) => r.name === 'machine-server')!;
    expect(server.inputs).toMatchObject({ image: 'debian-13', location: 'fsn1' });
    expect(server.inputs).not.toHaveProperty('datacenter');
  });
});

describe('firewallRules', () => {
  it.each([
    [true, 'acme', ['80', '443']],
    [true, 'selfSigned', ['80', '443']],
    [false, 'acme', ['80']],
    [false, 'provided', []],
  ] as const)(
    'opens mail to all, SSH to the named networks only, and the web: %s, %s',
    (web, issuer, ports) => {
      const mail = exampleMail({ web });
      const open = firewallRules(
        ['198.51.100.0/24', '192.0.2.0/24'],
        openPorts({ ...mail, tls: { ...mail.tls, issuer } }),
      ).map((r) => [r.port, r.sourceIps]);
      const everywhere = ['0.0.0.0/0', '::/0'];
      expect(open).toEqual([
        [undefined, everywhere],
        ['22', ['192.0.2.0/24', '198.51.100.0/24']],
        ...['25', '465', '587', '993', '4190', ...ports].map((port) => [port, everywhere]),
      ]);
    },
  );
});

it('cloud-init gets the host key whole and makes none of its own', () => {
  const key =
    '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\nBBBB\n-----END OPENSSH PRIVATE KEY-----\n';
  const text = userData(key, 'ssh-ed25519 AAAA\n');
  expect(text.startsWith('#cloud-config\n')).toBe(true);
  expect(parse(text)).toMatchObject({
    ssh_deletekeys: true,
    ssh_keys: { ed25519_private: key, ed25519_public: 'ssh-ed25519 AAAA' },
    ssh_pwauth: false,
  });
});
