import * as hcloud from '@pulumi/hcloud';
import type * as pulumi from '@pulumi/pulumi';
import { ownerLabel } from '../machineFiles';
import type { Settings } from '../settings/settings';
import type { LookUps } from './lookUps';

/** A part of a machine as Hetzner lists it. */
interface Part {
  id?: number;
  name?: string;
  labels?: Record<string, string>;
  /** Of a volume: the server that it is attached to. */
  serverId?: number;
}

interface Kind {
  type: string;
  /** Name of the resource, behind that of the MailHost. */
  resource: string;
  title: string;
  /** Hetzner lets one of a kind have it. */
  called: string;
  /** The function of the provider that lists them. */
  call: string;
  list: (opts: pulumi.InvokeOptions) => Promise<Part[]>;
}

const kinds = ({ hostName, ipv6 }: Settings): Kind[] => [
  {
    type: 'hcloud:index/sshKey:SshKey',
    resource: 'machine-ssh-key',
    title: 'an SSH key',
    called: hostName,
    call: 'getSshKeys',
    list: async (opts) => (await hcloud.getSshKeys({}, opts)).sshKeys,
  },
  ...(['ipv4', ...(ipv6 ? ['ipv6'] : [])].map((family) => ({
    type: 'hcloud:index/primaryIp:PrimaryIp',
    resource: `machine-${family}`,
    title: 'an address',
    called: `${hostName}-${family}`,
    call: 'getPrimaryIps',
    list: async (opts) => (await hcloud.getPrimaryIps({}, opts)).primaryIps,
  })) satisfies Kind[]),
  {
    type: 'hcloud:index/firewall:Firewall',
    resource: 'machine-firewall',
    title: 'a firewall',
    called: hostName,
    call: 'getFirewalls',
    list: async (opts) => (await hcloud.getFirewalls({}, opts)).firewalls,
  },
  {
    type: 'hcloud:index/volume:Volume',
    resource: 'machine-volume',
    title: 'a volume',
    called: hostName,
    call: 'getVolumes',
    list: async (opts) => (await hcloud.getVolumes({}, opts)).volumes,
  },
  {
    type: 'hcloud:index/server:Server',
    resource: 'machine-server',
    title: 'a server',
    called: hostName,
    call: 'getServers',
    list: async (opts) => (await hcloud.getServers({}, opts)).servers,
  },
];

const attachmentType = 'hcloud:index/volumeAttachment:VolumeAttachment';

/**
 * What the machine's parts are at Hetzner: an `up` that was cut off may have made one and never learned of it. Such a part carries the label of this stack's own SSH key, which nobody else has.
 *
 * @param name of the MailHost
 * @param lookUps gets what cannot be listed
 * @param opts with the provider that makes the machine
 * @param isKnown whether the state has the resource of that type and name
 * @param publicKey the stack's own, from the state; undefined before there is one
 * @param attached what the state has of server and volume, whose attachment alone tells their ids
 * @returns ids by type and name of the resource, and what stands in the way
 */
export async function ownParts(
  name: string,
  settings: Settings,
  lookUps: LookUps,
  opts: pulumi.InvokeOptions,
  isKnown: (type: string, resource: string) => boolean,
  publicKey: string | undefined,
  attached: { serverId?: unknown; volumeId?: unknown } = {},
): Promise<{ ids: Map<string, string>; mistakes: string[] }> {
  const ids = new Map<string, string>();
  const mistakes: string[] = [];
  const wanted = kinds(settings);
  const complete =
    wanted.every(({ type, resource }) => isKnown(type, resource)) &&
    isKnown(attachmentType, 'machine-volume');
  // A replacement that was cut off leaves the old one in the state.
  const asked = complete ? wanted.slice(-2) : wanted;

  const label = publicKey && ownerLabel(publicKey).mailhost;
  const parts = await Promise.all(
    asked.map(async ({ type, resource, title, called, call, list }) => {
      const items = (await lookUps.ask({ api: 'hcloud', call }, list(opts))) ?? [];
      const part = items.find((item) => item.name === called);
      if (part?.id === undefined) return undefined;
      if (label !== undefined && part.labels?.mailhost === label) {
        // What the state has is not adopted: a resource that is to keep its id cannot be replaced.
        if (![attached.serverId, attached.volumeId].includes(part.id))
          ids.set(`${type} ${name}-${resource}`, String(part.id));
        return part;
      }
      if (!isKnown(type, resource)) {
        mistakes.push(
          `Hetzner has ${title} ${called} that this stack did not make: delete it, give it another name, or use a project of its own`,
        );
      }
      return undefined;
    }),
  );
  const [volume, server] = parts.slice(-2);
  if (volume && server && volume.serverId === server.id && attached.serverId !== server.id) {
    ids.set(`${attachmentType} ${name}-machine-volume`, String(volume.id));
  }
  return { ids, mistakes };
}
