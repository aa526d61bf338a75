import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { sameSet } from '../difference';
import { HttpApi } from '../httpApi';
import { serve, type ResourceKind } from '../resourceProvider';
import type { Properties } from '../values';

const api = new HttpApi('https://api.hetzner.cloud/v1', {
  retries: 5,
  firstWait: 1000,
  longestWait: 60_000,
  passes: ({ path, status = 0, code = '' }) =>
    [502, 504].includes(status) ||
    ['conflict', 'rate_limit_exceeded', 'bad_gateway', 'timeout'].includes(code) ||
    (code === 'locked' && /^\/volumes(\/\d+\/actions\/(attach|detach))?$/.test(path)),
});

interface Action {
  id: number;
  status: 'running' | 'success' | 'error';
  error: { message: string } | null;
}
interface WithActions {
  action?: Action | null;
  actions?: Action[];
  next_actions?: Action[];
}
type Item = Record<string, unknown> & { id: number; protection?: Record<string, boolean> };

/** Hetzner answers before the work is done: waits until it is. */
async function settle(answer: WithActions): Promise<void> {
  const actions = [answer.action, ...(answer.actions ?? []), ...(answer.next_actions ?? [])];
  for (let action of actions) {
    while (action?.status === 'running') {
      await sleep(100);
      action = (await api.call<{ action: Action }>('GET', `/actions/${action.id}`)).action;
    }
    if (action?.status === 'error') throw new Error(action.error?.message ?? 'the action failed');
  }
}

async function act(path: string, body: object = {}): Promise<void> {
  await settle(await api.call<WithActions>('POST', path, body));
}

interface Collection extends Pick<
  ResourceKind,
  'optionalComputed' | 'sets' | 'replaces' | 'deleteBeforeReplace'
> {
  path: string;
  /** Name of one item in the API's answers. */
  key: string;
  /** Inputs besides the name, the labels and the protections. */
  inputs: string[];
  required?: string[];
  defaults?: Properties;
  computed?: string[];
  protections?: ('delete' | 'rebuild')[];
  /** What the API is asked to create, besides the name and the labels. */
  body: (inputs: Properties) => object;
  /** What the API tells of an item, besides its name, labels and protections. */
  outputs: (item: Item) => Properties;
  /** What the state keeps in place of inputs. */
  stored?: (inputs: Properties) => Properties;
  /** Changes besides the name, the labels and the protections. */
  change?: (path: string, inputs: Properties, state: Properties) => Promise<void>;
  /** What the official plugin judges before it asks the API to create. */
  judge?: (inputs: Properties, warn: (text: string) => void) => Promise<void>;
  /** Frees the item of what would keep it from being deleted. */
  release?: (path: string, item: Item, state: Properties) => Promise<void>;
}

/** A kind whose items live in a collection of their own, which is most of them. */
function collection(kind: Collection): ResourceKind {
  const { protections = [] } = kind;
  const at = (id: string) => `${kind.path}/${id}`;
  const flag = (protection: string) => `${protection}Protection`;

  const item = async (id: string): Promise<Item | undefined> =>
    (await api.find<Record<string, Item>>(at(id)))?.[kind.key];
  const read = async (id: string) => {
    const found = await item(id);
    return (
      found && {
        id,
        outputs: {
          name: found.name,
          labels: found.labels,
          ...Object.fromEntries(protections.map((p) => [flag(p), found.protection![p]])),
          ...kind.outputs(found),
        },
      }
    );
  };
  const told = async (id: string, inputs: Properties) => ({
    ...(await read(id))?.outputs,
    ...kind.stored?.(inputs),
  });
  const protect = async (id: string, wanted: Properties, present: Properties) => {
    const flags = protections.map((p) => [p, wanted[flag(p)] === true] as const);
    if (flags.every(([p, on]) => on === (present[flag(p)] === true))) return;
    await act(`${at(id)}/actions/change_protection`, Object.fromEntries(flags));
  };

  return {
    inputs: ['name', 'labels', ...kind.inputs, ...protections.map(flag)],
    required: ['name', ...(kind.required ?? [])],
    defaults: { ...Object.fromEntries(protections.map((p) => [flag(p), false])), ...kind.defaults },
    optionalComputed: kind.optionalComputed,
    sets: kind.sets,
    replaces: kind.replaces,
    deleteBeforeReplace: kind.deleteBeforeReplace,
    computed: kind.computed ?? [],
    create: async (inputs, { warn }) => {
      const { name, labels } = inputs;
      await kind.judge?.(inputs, warn);
      const answer = await api.call<WithActions & Record<string, Item>>('POST', kind.path, {
        name,
        labels,
        ...kind.body(inputs),
      });
      const id = String((answer[kind.key] as Item).id);
      try {
        await settle(answer);
        await protect(id, inputs, {});
      } catch (error) {
        // As with the official plugin, the state then knows no more than what was asked for.
        return { id, outputs: { ...kind.stored?.(inputs) }, failure: error as Error };
      }
      return { id, outputs: await told(id, inputs) };
    },
    update: async (id, inputs, state) => {
      const { name, labels = {} } = inputs;
      // The state of an item that was not made ready is not what the API has.
      const present = { ...state, ...(await read(id))?.outputs };
      if (name !== present.name || !isDeepStrictEqual(labels, present.labels)) {
        await api.call('PUT', at(id), { name, labels });
      }
      await kind.change?.(at(id), inputs, present);
      await protect(id, inputs, present);
      return told(id, inputs);
    },
    // A protected item is refused by the API: its protection has to be taken away by an update before.
    delete: async (id, state) => {
      const found = await item(id);
      if (found === undefined) return;
      await kind.release?.(at(id), found, state);
      const gone = await api.call<WithActions | undefined>('DELETE', at(id));
      if (gone) await settle(gone);
    },
    read,
  };
}

const locationOf = (item: Item) => (item.location as { name: string }).name;

interface Rule {
  direction: string;
  protocol: string;
  port?: string | null;
  source_ips: string[];
  destination_ips: string[];
  description?: string | null;
}

const rulesBody = ({ rules }: Properties) => ({
  rules: ((rules ?? []) as Properties[]).map(({ sourceIps, destinationIps, ...rule }) => ({
    ...rule,
    source_ips: sourceIps,
    destination_ips: destinationIps,
  })),
});

const firewall = collection({
  path: '/firewalls',
  key: 'firewall',
  inputs: ['rules'],
  sets: ['rules'],
  deleteBeforeReplace: true,
  body: rulesBody,
  outputs: (item) => ({
    rules: (item.rules as Rule[]).map(({ source_ips, destination_ips, ...rule }) => ({
      ...rule,
      port: rule.port ?? undefined,
      description: rule.description ?? undefined,
      sourceIps: source_ips.length > 0 ? source_ips : undefined,
      destinationIps: destination_ips.length > 0 ? destination_ips : undefined,
    })),
  }),
  change: async (path, inputs, state) => {
    if (sameSet(inputs.rules, state.rules)) return;
    await act(`${path}/actions/set_rules`, rulesBody(inputs));
  },
  release: async (path, { applied_to }) => {
    if ((applied_to as unknown[]).length === 0) return;
    await act(`${path}/actions/remove_from_resources`, { remove_from: applied_to });
  },
});

/** A server type as the API tells it. */
interface ServerType extends Item {
  name: string;
  locations: ({ id: number; name: string; available: boolean; recommended: boolean } & Ending)[];
  deprecation: Ending['deprecation'];
}

interface Ending {
  deprecation: { announced: string; unavailable_after: string } | null;
}

const serverTypesNamed = async (name?: string): Promise<ServerType[]> => {
  const query = name === undefined ? 'per_page=50' : `name=${encodeURIComponent(name)}`;
  return (await api.call<{ server_types: ServerType[] }>('GET', `/server_types?${query}`))
    .server_types;
};

const deprecationOf = ({ deprecation }: Ending) => ({
  isDeprecated: deprecation !== null,
  deprecationAnnounced: deprecation?.announced ?? '',
  unavailableAfter: deprecation?.unavailable_after ?? '',
});

/** As the functions of the official plugin give it. */
const serverTypeOutputs = (type: ServerType): Properties => ({
  id: type.id,
  name: type.name,
  description: type.description,
  category: type.category,
  cores: type.cores,
  memory: type.memory,
  disk: type.disk,
  storageType: type.storage_type,
  cpuType: type.cpu_type,
  architecture: type.architecture,
  includedTraffic: type.included_traffic,
  ...deprecationOf(type),
  locations: type.locations.map(({ id, name, available, recommended, ...ending }) => ({
    id,
    name,
    available,
    recommended,
    ...deprecationOf(ending),
  })),
});

async function judgeServer(inputs: Properties, warn: (text: string) => void): Promise<void> {
  const { serverType, image, location } = inputs as Record<string, string>;
  const [type] = await serverTypesNamed(serverType);
  if (type === undefined) throw new Error(`server type ${serverType} not found`);
  const query = `name=${encodeURIComponent(image!)}&architecture=${String(type.architecture)}`;
  const { images } = await api.call<{ images: Item[] }>('GET', `/images?${query}`);
  if (images.length === 0 && !/^\d+$/.test(image!)) {
    throw new Error(`image ${image} for architecture ${String(type.architecture)} not found`);
  }
  const { deprecation } = type.locations.find(({ name }) => name === location) ?? {};
  if (!deprecation) return;
  if (new Date(deprecation.unavailable_after) < new Date()) {
    throw new Error(
      `Server Type "${serverType}" is unavailable in "${location}" and can no longer be ordered`,
    );
  }
  warn(
    `Server Type "${serverType}" is deprecated in "${location}" and will no longer be available for order as of ${deprecation.unavailable_after.slice(0, 10)}`,
  );
}

interface PublicNet {
  ipv4?: { id: number; ip: string } | null;
  ipv6?: { id: number; ip: string } | null;
  firewalls: { id: number }[];
}

const server = collection({
  path: '/servers',
  key: 'server',
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
  judge: judgeServer,
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
  // The API does not tell keys and user data; the official plugin does not read back which addresses were asked for.
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
    ...(userData === undefined
      ? {}
      : {
          userData: createHash('sha1')
            .update(userData as string)
            .digest('base64'),
        }),
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
    if (!sameSet(inputs.publicNets, state.publicNets)) {
      throw new Error('the stand-in plugin cannot change the addresses of a server that exists');
    }
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
  },
});

const primaryIp = collection({
  path: '/primary_ips',
  key: 'primary_ip',
  // Without `assigneeId`, which the stand-in does not know, the assignee's type has no effect.
  inputs: ['type', 'location', 'assigneeType', 'autoDelete'],
  required: ['type', 'location'],
  defaults: { autoDelete: false },
  optionalComputed: ['assigneeType'],
  replaces: ['type', 'location'],
  computed: ['ipAddress', 'ipNetwork', 'assigneeId'],
  protections: ['delete'],
  body: ({ type, location, autoDelete }) => ({ type, location, auto_delete: autoDelete }),
  outputs: (item) => ({
    type: item.type,
    location: locationOf(item),
    assigneeId: item.assignee_id ?? 0,
    assigneeType: item.assignee_type,
    autoDelete: item.auto_delete,
    ipAddress: (item.ip as string).replace(/\/\d+$/, ''),
    ipNetwork: item.type === 'ipv6' ? item.ip : undefined,
  }),
  change: async (path, { autoDelete }, state) => {
    if (autoDelete !== state.autoDelete) await api.call('PUT', path, { auto_delete: autoDelete });
  },
  // An address can only leave a server that is off.
  release: async (path, { assignee_id: server }) => {
    if (typeof server !== 'number') return;
    await act(`/servers/${server}/actions/poweroff`);
    await act(`${path}/actions/unassign`);
    await act(`/servers/${server}/actions/poweron`);
  },
});

const sshKey = collection({
  path: '/ssh_keys',
  key: 'ssh_key',
  inputs: ['publicKey'],
  required: ['publicKey'],
  replaces: ['publicKey'],
  computed: ['fingerprint'],
  body: ({ publicKey }) => ({ public_key: publicKey }),
  outputs: (item) => ({ publicKey: item.public_key, fingerprint: item.fingerprint }),
});

const volume = collection({
  path: '/volumes',
  key: 'volume',
  inputs: ['size', 'location', 'format'],
  required: ['size'],
  optionalComputed: ['location'],
  replaces: ['location'],
  deleteBeforeReplace: true,
  computed: ['linuxDevice', 'serverId'],
  protections: ['delete'],
  body: ({ size, location, format }) => ({ size, location, format }),
  outputs: (item) => ({
    size: item.size,
    location: locationOf(item),
    linuxDevice: item.linux_device,
    serverId: item.server ?? undefined,
  }),
  change: async (path, { size }, state) => {
    if (size !== state.size) await act(`${path}/actions/resize`, { size });
  },
  release: async (path, { server }) => {
    if (typeof server === 'number') await act(`${path}/actions/detach`);
  },
});

/** The server that a volume is attached to. */
async function attachedTo(volumeId: string): Promise<number | undefined> {
  const found = await api.find<{ volume: { server: number | null } }>(`/volumes/${volumeId}`);
  return found?.volume.server ?? undefined;
}

/** Its id is the volume's. */
const volumeAttachment: ResourceKind = {
  inputs: ['volumeId', 'serverId', 'automount'],
  required: ['volumeId', 'serverId'],
  optionalComputed: ['automount'],
  replaces: ['volumeId', 'serverId'],
  computed: [],
  create: async ({ volumeId, serverId: server, automount }) => {
    const id = String(volumeId);
    const answer = await api.call<WithActions>('POST', `/volumes/${id}/actions/attach`, {
      server,
      automount,
    });
    const failure = await settle(answer).then(
      () => undefined,
      (error: Error) => error,
    );
    return { id, outputs: {}, failure };
  },
  delete: async (id) => {
    if ((await attachedTo(id)) !== undefined) await act(`/volumes/${id}/actions/detach`);
  },
  read: async (id) => {
    const serverId = await attachedTo(id);
    return serverId === undefined ? undefined : { id, outputs: { volumeId: Number(id), serverId } };
  },
};

/** The PTR of an address has no item of its own: its id is `p-<primary IP>-<address>`. */
const rdns: ResourceKind = {
  inputs: ['primaryIpId', 'ipAddress', 'dnsPtr'],
  required: ['primaryIpId', 'ipAddress', 'dnsPtr'],
  replaces: ['primaryIpId', 'ipAddress'],
  computed: [],
  create: async (inputs) => {
    await setPointer(inputs);
    return { id: `p-${String(inputs.primaryIpId)}-${String(inputs.ipAddress)}`, outputs: {} };
  },
  update: async (_id, inputs) => {
    await setPointer(inputs);
    return {};
  },
  delete: async (id, state) => {
    if (await readPointer(id)) await setPointer({ ...state, dnsPtr: null });
  },
  read: readPointer,
};

async function setPointer({ primaryIpId, ipAddress: ip, dnsPtr: dns_ptr }: Properties) {
  await act(`/primary_ips/${String(primaryIpId)}/actions/change_dns_ptr`, { ip, dns_ptr });
}

async function readPointer(id: string) {
  const [, primaryIpId, ipAddress] = /^p-(\d+)-(.+)$/.exec(id) ?? [];
  const found = await api.find<{ primary_ip: { dns_ptr: { ip: string; dns_ptr: string }[] } }>(
    `/primary_ips/${primaryIpId}`,
  );
  const pointer = found?.primary_ip.dns_ptr.find(({ ip }) => ip === ipAddress);
  return (
    pointer && {
      id,
      outputs: { primaryIpId: Number(primaryIpId), ipAddress, dnsPtr: pointer.dns_ptr },
    }
  );
}

/** The official plugin's words for what does not exist. */
const notFound = (what: string, name: string) =>
  new Error(`Resource not found: Resource (${what}) was not found: name="${name}"`);

const getLocation = async (args: Properties) => {
  const name = String(args.name);
  const { locations } = await api.call<{ locations: Item[] }>(
    'GET',
    `/locations?name=${encodeURIComponent(name)}`,
  );
  const [found] = locations;
  if (found === undefined) throw notFound('location', name);
  const { network_zone: networkZone, ...location } = found;
  return { ...location, networkZone };
};

const getServerType = async ({ name }: Properties) => {
  const [found] = await serverTypesNamed(String(name));
  if (found === undefined) throw notFound('server type', String(name));
  return serverTypeOutputs(found);
};

const getServerTypes = async () => {
  const types = await serverTypesNamed();
  return {
    names: types.map(({ name }) => name),
    serverTypeIds: types.map(({ id }) => String(id)),
    descriptions: types.map(({ description }) => description),
    serverTypes: types.map(serverTypeOutputs),
  };
};

/** All items of one kind, as `outputs` tells each. */
const listing =
  (path: string, name: string, outputs: (item: Item) => Properties) => async (args: Properties) => {
    const answer = await api.call<Record<string, Item[]>>('GET', `/${path}?per_page=50`);
    const items = answer[path]!.map((item) => ({
      id: item.id,
      name: item.name,
      labels: item.labels,
      ...outputs(item),
    }));
    return { ...args, [name]: items };
  };

serve({
  name: 'hcloud',
  version: '1.41.0',
  configure: ({ endpoint, token }) =>
    api.configure(endpoint ?? process.env.HCLOUD_ENDPOINT, token ?? process.env.HCLOUD_TOKEN),
  resources: {
    'hcloud:index/firewall:Firewall': firewall,
    'hcloud:index/primaryIp:PrimaryIp': primaryIp,
    'hcloud:index/rdns:Rdns': rdns,
    'hcloud:index/server:Server': server,
    'hcloud:index/sshKey:SshKey': sshKey,
    'hcloud:index/volume:Volume': volume,
    'hcloud:index/volumeAttachment:VolumeAttachment': volumeAttachment,
  },
  functions: {
    'hcloud:index/getLocation:getLocation': getLocation,
    'hcloud:index/getServerType:getServerType': getServerType,
    'hcloud:index/getServerTypes:getServerTypes': getServerTypes,
    'hcloud:index/getFirewalls:getFirewalls': listing('firewalls', 'firewalls', () => ({})),
    'hcloud:index/getPrimaryIps:getPrimaryIps': listing('primary_ips', 'primaryIps', () => ({})),
    'hcloud:index/getServers:getServers': listing('servers', 'servers', () => ({})),
    'hcloud:index/getSshKeys:getSshKeys': listing('ssh_keys', 'sshKeys', () => ({})),
    'hcloud:index/getVolumes:getVolumes': listing('volumes', 'volumes', ({ server: serverId }) => ({
      serverId: serverId ?? undefined,
    })),
  },
});
