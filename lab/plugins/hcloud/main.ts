import { setTimeout as sleep } from 'node:timers/promises';
import { HttpApi } from '../httpApi';
import { serve, type Properties, type ResourceKind } from '../resourceProvider';

const api = new HttpApi('https://api.hetzner.cloud/v1');

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
type Item = Record<string, unknown> & { id: number };

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

interface Described {
  /** Path of the collection and key of one item. */
  path: string;
  key: string;
  inputs: string[];
  replaces?: string[];
  computed?: string[];
  /** What the API is asked to create. */
  body: (inputs: Properties) => object;
  /** Resource properties of an item. */
  properties: (item: Item) => Properties;
  /** Changes beyond the name, each by an action of its own. */
  change?: (path: string, inputs: Properties, state: Properties) => Promise<void>;
  protections?: string[];
  defaults?: Properties;
}

/** A kind whose items live in a collection of their own, which is most of them. */
function collection(kind: Described): ResourceKind {
  const at = (id: string) => `${kind.path}/${id}`;
  const read = async (id: string) => {
    const found = await api.call<Record<string, Item> | undefined>(
      'GET',
      at(id),
      undefined,
      'maybe gone',
    );
    return found && kind.properties(found[kind.key]!);
  };
  const protect = async (id: string, on: boolean) => {
    const flags = Object.fromEntries((kind.protections ?? []).map((flag) => [flag, on]));
    await act(`${at(id)}/actions/change_protection`, flags);
  };
  return {
    inputs: ['name', ...kind.inputs, ...(kind.protections ?? []).map((p) => `${p}Protection`)],
    replaces: kind.replaces,
    computed: kind.computed ?? [],
    defaults: kind.defaults,
    create: async (inputs) => {
      const answer = await api.call<WithActions & Record<string, Item>>('POST', kind.path, {
        name: inputs.name,
        ...kind.body(inputs),
      });
      const id = String((answer[kind.key] as Item).id);
      await settle(answer);
      if (inputs.deleteProtection === true) await protect(id, true);
      return { id, outputs: (await read(id))! };
    },
    update: async (id, inputs, state) => {
      if (inputs.name !== state.name) await api.call('PUT', at(id), { name: inputs.name });
      if (kind.protections && inputs.deleteProtection !== state.deleteProtection) {
        await protect(id, inputs.deleteProtection === true);
      }
      await kind.change?.(at(id), inputs, state);
      return (await read(id))!;
    },
    delete: async (id, state) => {
      // As the official plugin does: the engine's own protection is what stops a delete.
      if (state.deleteProtection === true) await protect(id, false);
      const gone = await api.call<WithActions | undefined>(
        'DELETE',
        at(id),
        undefined,
        'maybe gone',
      );
      if (gone) await settle(gone);
    },
    read,
  };
}

const protection = (item: Item) => (item.protection as { delete: boolean }).delete;
const locationName = (item: Item) => (item.location as { name: string }).name;
/** `fd88::/64` is the network, its first address the server's own. */
const first = (network: string) => network.replace(/\/\d+$/, '').replace(/::$/, '::1');

interface Rule {
  direction: string;
  protocol: string;
  port?: string | null;
  sourceIps?: string[];
  destinationIps?: string[];
  description?: string | null;
}
const rulesBody = (inputs: Properties) =>
  ((inputs.rules ?? []) as Rule[]).map(({ sourceIps, destinationIps, ...rule }) => ({
    ...rule,
    source_ips: sourceIps,
    destination_ips: destinationIps,
  }));

const server: Described = {
  path: '/servers',
  key: 'server',
  inputs: ['serverType', 'image', 'location', 'sshKeys', 'publicNets', 'firewallIds', 'userData'],
  replaces: ['image', 'location', 'sshKeys', 'userData'],
  computed: ['ipv4Address', 'ipv6Address', 'ipv6Network', 'status', 'primaryDiskSize'],
  protections: ['delete', 'rebuild'],
  body: (inputs) => {
    const [net = {}] = (inputs.publicNets ?? []) as Properties[];
    return {
      server_type: inputs.serverType,
      image: inputs.image,
      location: inputs.location,
      ssh_keys: ((inputs.sshKeys ?? []) as string[]).map(Number),
      user_data: inputs.userData,
      firewalls: ((inputs.firewallIds ?? []) as number[]).map((firewall) => ({ firewall })),
      public_net: {
        enable_ipv4: net.ipv4Enabled,
        enable_ipv6: net.ipv6Enabled,
        ipv4: net.ipv4,
        ipv6: net.ipv6,
      },
    };
  },
  properties: (item) => {
    const net = item.public_net as Record<
      'ipv4' | 'ipv6',
      { id: number; ip: string } | undefined
    > & {
      firewalls: { id: number }[];
    };
    return {
      name: item.name,
      serverType: (item.server_type as { name: string }).name,
      image: (item.image as { name: string }).name,
      location: locationName(item),
      firewallIds: net.firewalls.map(({ id }) => id),
      deleteProtection: protection(item),
      rebuildProtection: (item.protection as { rebuild: boolean }).rebuild,
      publicNets: [
        {
          ipv4Enabled: net.ipv4 !== undefined,
          ipv4: net.ipv4?.id,
          ipv6Enabled: net.ipv6 !== undefined,
          ipv6: net.ipv6?.id,
        },
      ],
      ipv4Address: net.ipv4?.ip,
      ipv6Address: net.ipv6 && first(net.ipv6.ip),
      ipv6Network: net.ipv6?.ip,
      status: item.status,
      primaryDiskSize: item.primary_disk_size,
    };
  },
  change: async (path, inputs, state) => {
    if (inputs.serverType !== state.serverType) {
      await act(`${path}/actions/poweroff`);
      await act(`${path}/actions/change_type`, {
        server_type: inputs.serverType,
        upgrade_disk: true,
      });
      await act(`${path}/actions/poweron`);
    }
    const member = (id: number) => ({
      type: 'server',
      server: { id: Number(path.split('/').at(-1)) },
      id,
    });
    const [wanted, present] = [inputs.firewallIds ?? [], state.firewallIds ?? []] as [
      number[],
      number[],
    ];
    for (const id of wanted.filter((f) => !present.includes(f))) {
      await act(`/firewalls/${id}/actions/apply_to_resources`, { apply_to: [member(id)] });
    }
    for (const id of present.filter((f) => !wanted.includes(f))) {
      await act(`/firewalls/${id}/actions/remove_from_resources`, { remove_from: [member(id)] });
    }
    const nets = [inputs.publicNets, state.publicNets].map((value) => JSON.stringify(value));
    if (nets[0] !== nets[1]) {
      throw new Error('the stand-in plugin cannot change the addresses of a server that exists');
    }
  },
};

interface Pointer {
  ip: string;
  dns_ptr: string;
}

/** An address's PTR has no item of its own: its id is `p-<primary IP>-<address>`. */
const rdns: ResourceKind = {
  inputs: ['primaryIpId', 'ipAddress', 'dnsPtr'],
  replaces: ['primaryIpId', 'ipAddress'],
  computed: [],
  create: async (inputs) => {
    await setPointer(inputs, inputs.dnsPtr);
    return { id: `p-${String(inputs.primaryIpId)}-${String(inputs.ipAddress)}`, outputs: inputs };
  },
  update: async (_id, inputs) => {
    await setPointer(inputs, inputs.dnsPtr);
    return inputs;
  },
  delete: (_id, state) => setPointer(state, null),
  read: async (id) => {
    const [, primaryIpId, ipAddress] = /^p-(\d+)-(.+)$/.exec(id) ?? [];
    const found = await api.call<{ primary_ip: { dns_ptr: Pointer[] } } | undefined>(
      'GET',
      `/primary_ips/${primaryIpId}`,
      undefined,
      'maybe gone',
    );
    const pointer = found?.primary_ip.dns_ptr.find(({ ip }) => ip === ipAddress);
    return pointer && { primaryIpId: Number(primaryIpId), ipAddress, dnsPtr: pointer.dns_ptr };
  },
};

async function setPointer(where: Properties, name: unknown): Promise<void> {
  await act(`/primary_ips/${String(where.primaryIpId)}/actions/change_dns_ptr`, {
    ip: where.ipAddress,
    dns_ptr: name,
  });
}

/** Its id is the volume's. */
const volumeAttachment: ResourceKind = {
  inputs: ['volumeId', 'serverId', 'automount'],
  replaces: ['volumeId', 'serverId', 'automount'],
  computed: [],
  create: async (inputs) => {
    await act(`/volumes/${String(inputs.volumeId)}/actions/attach`, {
      server: inputs.serverId,
      automount: inputs.automount,
    });
    return { id: String(inputs.volumeId), outputs: inputs };
  },
  delete: async (id) => {
    if ((await attachedTo(id)) !== undefined) await act(`/volumes/${id}/actions/detach`);
  },
  read: async (id, state) => {
    const serverId = await attachedTo(id);
    return serverId === undefined
      ? undefined
      : { volumeId: Number(id), serverId, automount: state.automount };
  },
};

async function attachedTo(volume: string): Promise<number | undefined> {
  const found = await api.call<{ volume: { server: number | null } } | undefined>(
    'GET',
    `/volumes/${volume}`,
    undefined,
    'maybe gone',
  );
  return found?.volume.server ?? undefined;
}

serve({
  name: 'hcloud',
  version: '1.41.0',
  configure: (configuration) =>
    api.configure(
      configuration.endpoint ?? process.env.HCLOUD_ENDPOINT,
      configuration.token ?? process.env.HCLOUD_TOKEN,
    ),
  resources: {
    'hcloud:index/server:Server': collection(server),
    'hcloud:index/rdns:Rdns': rdns,
    'hcloud:index/volumeAttachment:VolumeAttachment': volumeAttachment,
    'hcloud:index/sshKey:SshKey': collection({
      path: '/ssh_keys',
      key: 'ssh_key',
      inputs: ['publicKey'],
      replaces: ['publicKey'],
      computed: ['fingerprint'],
      body: ({ publicKey }) => ({ public_key: publicKey }),
      properties: (item) => ({
        name: item.name,
        publicKey: item.public_key,
        fingerprint: item.fingerprint,
      }),
    }),
    'hcloud:index/primaryIp:PrimaryIp': collection({
      path: '/primary_ips',
      key: 'primary_ip',
      inputs: ['type', 'assigneeType', 'location', 'autoDelete'],
      replaces: ['type', 'assigneeType', 'location'],
      computed: ['ipAddress', 'ipNetwork'],
      protections: ['delete'],
      body: (inputs) => ({
        type: inputs.type,
        assignee_type: inputs.assigneeType,
        location: inputs.location,
        auto_delete: inputs.autoDelete,
      }),
      properties: (item) => ({
        name: item.name,
        type: item.type,
        assigneeType: item.assignee_type,
        location: locationName(item),
        autoDelete: item.auto_delete,
        deleteProtection: protection(item),
        ipAddress: String(item.ip).replace(/\/\d+$/, ''),
        ipNetwork: item.type === 'ipv6' ? item.ip : '',
      }),
      change: async (path, inputs, state) => {
        if (inputs.autoDelete !== state.autoDelete) {
          await api.call('PUT', path, { auto_delete: inputs.autoDelete });
        }
      },
    }),
    'hcloud:index/volume:Volume': collection({
      path: '/volumes',
      key: 'volume',
      inputs: ['size', 'location', 'format'],
      replaces: ['location', 'format'],
      computed: ['linuxDevice'],
      protections: ['delete'],
      body: ({ size, location, format }) => ({ size, location, format }),
      properties: (item) => ({
        name: item.name,
        size: item.size,
        location: locationName(item),
        format: item.format,
        deleteProtection: protection(item),
        linuxDevice: item.linux_device,
      }),
      change: async (path, inputs, state) => {
        if (inputs.size !== state.size) await act(`${path}/actions/resize`, { size: inputs.size });
      },
    }),
    'hcloud:index/firewall:Firewall': collection({
      path: '/firewalls',
      key: 'firewall',
      inputs: ['rules'],
      body: (inputs) => ({ rules: rulesBody(inputs) }),
      properties: (item) => ({
        name: item.name,
        rules: (item.rules as Record<string, unknown>[]).map((rule) => ({
          direction: rule.direction,
          protocol: rule.protocol,
          port: rule.port ?? undefined,
          sourceIps: (rule.source_ips as string[]).length > 0 ? rule.source_ips : undefined,
          destinationIps:
            (rule.destination_ips as string[]).length > 0 ? rule.destination_ips : undefined,
          description: rule.description ?? undefined,
        })),
      }),
      change: (path, inputs) => act(`${path}/actions/set_rules`, { rules: rulesBody(inputs) }),
    }),
  },
});
