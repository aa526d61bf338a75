import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { sameSet } from '../difference';
import type { Properties } from '../values';
import { act, api, list } from './api';
import { collection, locationOf } from './collection';
import { serverTypes } from './serverType';

export interface PublicNet {
  ipv4?: { id: number; ip: string } | null;
  ipv6?: { id: number; ip: string } | null;
  firewalls: { id: number }[];
}

const hashOf = (text: string) => createHash('sha1').update(text).digest('base64');

export const server = collection({
  path: 'servers',
  inputs: [
    'serverType',
    'image',
    'location',
    'sshKeys',
    'publicNets',
    'firewallIds',
    'userData',
    'shutdownBeforeDeletion',
  ],
  required: ['serverType', 'image'],
  defaults: { shutdownBeforeDeletion: false },
  optionalComputed: ['location', 'firewallIds'],
  sets: ['publicNets', 'firewallIds'],
  replaces: ['image', 'location', 'sshKeys', 'userData'],
  deleteBeforeReplace: true,
  computed: ['ipv4Address', 'ipv6Address', 'ipv6Network', 'status', 'primaryDiskSize'],
  protections: ['delete', 'rebuild'],
  judge,
  body: (inputs) => {
    const [net] = (inputs.publicNets ?? []) as Properties[];
    return {
      server_type: inputs.serverType,
      image: inputs.image,
      location: inputs.location,
      // By id or by name.
      ssh_keys: ((inputs.sshKeys ?? []) as string[]).map((k) => (/^\d+$/.test(k) ? Number(k) : k)),
      user_data: inputs.userData,
      firewalls: ((inputs.firewallIds ?? []) as number[]).map((id) => ({ firewall: id })),
      public_net: net && {
        enable_ipv4: net.ipv4Enabled,
        enable_ipv6: net.ipv6Enabled,
        ipv4: net.ipv4,
        ipv6: net.ipv6,
      },
    };
  },
  // The API does not report keys and user data; the official plugin does not read back which addresses were asked for.
  outputs: (item) => {
    const net = item.public_net as PublicNet;
    return {
      serverType: (item.server_type as { name: string }).name,
      image: (item.image as { name: string }).name,
      location: locationOf(item),
      firewallIds: net.firewalls.map(({ id }) => id),
      ipv4Address: net.ipv4?.ip,
      // The network's first address.
      ipv6Address: net.ipv6?.ip.replace(/::\/\d+$/, '::1'),
      ipv6Network: net.ipv6?.ip,
      status: item.status,
      primaryDiskSize: item.primary_disk_size,
    };
  },
  stored: ({ userData, shutdownBeforeDeletion }) => ({
    shutdownBeforeDeletion,
    ...(typeof userData === 'string' && { userData: hashOf(userData) }),
  }),
  // The official plugin waits for 31 s, and deletes a server that has not ended by then as it is.
  release: async (path, item, { shutdownBeforeDeletion }) => {
    if (shutdownBeforeDeletion !== true || item.status !== 'running') return;
    await act(`${path}/actions/shutdown`);
    for (let waited = 0; waited < 31; waited++) {
      const { server: now } = await api.call<{ server: { status: string } }>('GET', path);
      if (now.status === 'off') return;
      await sleep(1000);
    }
  },
  change: async (path, inputs, state) => {
    if (inputs.serverType !== state.serverType) {
      if (state.status === 'running') await act(`${path}/actions/poweroff`);
      // The API starts the server again.
      await act(`${path}/actions/change_type`, {
        server_type: inputs.serverType,
        upgrade_disk: true,
      });
    }
    const self = [{ type: 'server', server: { id: Number(path.split('/').at(-1)) } }];
    const present = (state.firewallIds ?? []) as number[];
    const wanted = (inputs.firewallIds ?? present) as number[];
    for (const id of present.filter((f) => !wanted.includes(f))) {
      await act(`/firewalls/${id}/actions/remove_from_resources`, { remove_from: self });
    }
    for (const id of wanted.filter((f) => !present.includes(f))) {
      await act(`/firewalls/${id}/actions/apply_to_resources`, { apply_to: self });
    }
    if (!sameSet(inputs.publicNets, state.publicNets)) await readdress(path, inputs.publicNets);
  },
});

/**
 * As the official plugin does it: the server is turned off, gives up the addresses that it has, gets the others, and is
 * started, also after a failure to give it one.
 */
async function readdress(path: string, wanted: unknown): Promise<void> {
  const [net] = (wanted ?? []) as { [key in 'ipv4' | 'ipv6']?: number }[];
  if (net?.ipv4 === undefined)
    throw new Error('the stand-in plugin gives a server no address that is not named');
  const { server: before } = await api.call<{ server: { id: number; public_net: PublicNet } }>(
    'GET',
    path,
  );
  await act(`${path}/actions/poweroff`);
  const turnOn = () => act(`${path}/actions/poweron`);
  for (const family of ['ipv4', 'ipv6'] as const) {
    const [present, next] = [before.public_net[family]?.id, net[family]];
    if (present !== undefined) await act(`/primary_ips/${present}/actions/unassign`);
    if (next === undefined) continue;
    const assignee = { assignee_id: before.id, assignee_type: 'server' };
    await act(`/primary_ips/${next}/actions/assign`, assignee).catch(async (error: unknown) => {
      await turnOn();
      throw error;
    });
  }
  await turnOn();
}

/** Refuses and warns as the official plugin does before it asks the API. */
async function judge(inputs: Properties, warn: (text: string) => void): Promise<void> {
  const { serverType, image, location } = inputs as { [name: string]: string };
  const [type] = await serverTypes(serverType);
  if (type === undefined) throw new Error(`server type ${serverType} not found`);
  const { architecture } = type;
  const images = await list('images', { name: image!, architecture });
  if (images.length === 0 && !/^\d+$/.test(image!))
    throw new Error(`image ${image} for architecture ${architecture} not found`);
  const { deprecation } = type.locations.find(({ name }) => name === location) ?? {};
  if (!deprecation) return;
  if (new Date(deprecation.unavailable_after) < new Date()) {
    throw new Error(
      `Server Type "${serverType}" is unavailable in "${location}" and can no longer be ordered`,
    );
  }
  const lastDay = deprecation.unavailable_after.slice(0, 10);
  warn(
    `Server Type "${serverType}" is deprecated in "${location}" and will no longer be available for order as of ${lastDay}`,
  );
}
