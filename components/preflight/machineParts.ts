import * as hcloud from '@pulumi/hcloud';
import type * as pulumi from '@pulumi/pulumi';
import { ownerLabel, serverName, standbyNames, type Slot } from '../machineFiles';
import type { Settings } from '../settings/settings';
import { blockers, type Blocker } from './findings';
import { hetzner, type LookUps } from './lookUps';
import { types, type OwnState } from './state';

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
  /** Undefined if they cannot be listed. */
  list: () => Promise<Part[] | undefined>;
  /** Whether nothing takes its place, so that one in the state is the one at Hetzner. */
  isKept?: boolean;
}

/**
 * The kinds of parts that a machine has. Each is listed at Hetzner at most once.
 *
 * @param lookUps gets what cannot be listed
 * @param serving the server's place
 * @param hasStandby whether another server is beside it, or comes there
 */
export function machineKinds(
  { hostName, ipv6 }: Settings,
  lookUps: LookUps,
  serving: Slot,
  hasStandby = false,
): Kind[] {
  const list = <T extends object>(
    call: string,
    query: (options: pulumi.InvokeOptions) => Promise<T>,
    partsOf: (answer: T) => Part[],
  ): (() => Promise<Part[] | undefined>) => {
    let asked: Promise<Part[] | undefined> | undefined;
    return () =>
      (asked ??= lookUps
        .ask({ api: hetzner, call }, query)
        .then((answer) => answer && partsOf(answer)));
  };
  const addresses = list(
    'getPrimaryIps',
    (o) => hcloud.getPrimaryIps({}, o),
    ({ primaryIps }) => primaryIps,
  );
  const firewalls = list(
    'getFirewalls',
    (o) => hcloud.getFirewalls({}, o),
    ({ firewalls: all }) => all,
  );
  const families = ['ipv4', ...(ipv6 ? ['ipv6'] : [])];
  const besides = (['server', 'second-server'] as const).flatMap((slot) =>
    families.map((family) => ({
      type: types.primaryIp,
      resource: `machine-${slot}-${family}`,
      title: 'an address',
      called: standbyNames.address(hostName, slot, family),
      list: addresses,
      isKept: true,
    })),
  );
  return [
    {
      type: types.sshKey,
      resource: 'machine-ssh-key',
      title: 'an SSH key',
      called: hostName,
      list: list(
        'getSshKeys',
        (o) => hcloud.getSshKeys({}, o),
        ({ sshKeys }) => sshKeys,
      ),
    },
    ...families.map((family) => ({
      type: types.primaryIp,
      resource: `machine-${family}`,
      title: 'an address',
      called: `${hostName}-${family}`,
      list: addresses,
    })),
    {
      type: types.firewall,
      resource: 'machine-firewall',
      title: 'a firewall',
      called: hostName,
      list: firewalls,
    },
    ...(hasStandby
      ? [
          ...besides,
          {
            type: types.firewall,
            resource: 'machine-standby-firewall',
            title: 'a firewall',
            called: standbyNames.firewall(hostName),
            list: firewalls,
            isKept: true,
          },
        ]
      : []),
    {
      type: types.volume,
      resource: 'machine-volume',
      title: 'a volume',
      called: hostName,
      list: list(
        'getVolumes',
        (o) => hcloud.getVolumes({}, o),
        ({ volumes }) => volumes,
      ),
    },
    {
      type: types.server,
      resource: `machine-${serving}`,
      title: 'a server',
      called: serverName(hostName, serving),
      list: list(
        'getServers',
        (o) => hcloud.getServers({}, o),
        ({ servers }) => servers,
      ),
    },
  ];
}

/** The label of what this stack makes at Hetzner, by its own SSH key; undefined before there is one. */
function ownLabel(state: OwnState): string | undefined {
  const publicKey = state.text(types.privateKey, 'machine-ssh-key', 'publicKeyOpenssh');
  return publicKey && ownerLabel(publicKey).mailhost;
}

/** Ids that the state has, by type: those of the resources themselves are not told, but others refer to them. */
function knownIds(state: OwnState): Record<string, unknown[]> {
  const attached = state.outputs(types.attachment, 'machine-volume');
  const machine = state.outputs(types.machine, 'machine');
  const servers = (['server', 'second-server'] as const).map(
    (slot) =>
      (state.outputs(types.server, `machine-${slot}`) ?? {}) as {
        publicNets?: { ipv4?: number; ipv6?: number }[];
        firewallIds?: number[];
        sshKeys?: string[];
      },
  );
  return {
    [types.sshKey]: servers.flatMap(({ sshKeys = [] }) => sshKeys),
    [types.primaryIp]: servers.flatMap(({ publicNets = [] }) =>
      publicNets.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]),
    ),
    [types.firewall]: servers.flatMap(({ firewallIds = [] }) => firewallIds),
    [types.volume]: [
      attached?.volumeId,
      state.text(types.volume, 'machine-volume', 'linuxDevice')?.split('_').at(-1),
    ],
    [types.server]: [attached?.serverId, machine?.serverId, machine?.standbyServerId],
  };
}

/**
 * Finds the parts of the machine that Hetzner has and the state does not: an `up` that was interrupted may have made one and
 * never learned of it. Such a part carries the label of this stack's own SSH key, which nobody else has.
 *
 * @returns ids by type and name of the resource, and parts of the same name that are not the stack's
 */
export async function ownParts(
  wanted: Kind[],
  state: OwnState,
): Promise<{ ids: Map<string, string>; blockers: Blocker[] }> {
  const ids = new Map<string, string>();
  const foreign: string[] = [];
  const { mailHost } = state;
  const attached = state.outputs(types.attachment, 'machine-volume');
  const known = knownIds(state);
  const complete =
    attached !== undefined && wanted.every(({ type, resource }) => state.has(type, resource));
  // A replacement that was cut off leaves the old one in the state.
  const asked = complete ? wanted.slice(-2) : wanted;

  const label = ownLabel(state);
  const lists: (Part[] | undefined)[] = await Promise.all(asked.map(({ list }) => list()));
  const parts = asked.map(({ type, resource, title, called, isKept = false }, i) => {
    if (isKept && state.has(type, resource)) return undefined;
    const part = lists[i]?.find((item) => item.name === called);
    if (part?.id === undefined) return undefined;
    if (label !== undefined && part.labels?.mailhost === label) {
      // What the state has is not adopted: a resource that is to keep its id cannot be replaced.
      if (!known[type]?.some((id) => Number(id) === part.id))
        ids.set(`${type} ${mailHost}-${resource}`, String(part.id));
      return part;
    }
    if (!state.has(type, resource)) {
      foreign.push(
        `Hetzner has ${title} ${called} that this stack did not make: delete it, give it another name, or use a project of its own`,
      );
    }
    return undefined;
  });
  const [volume, server] = parts.slice(-2);
  const isGone = (items: Part[] | undefined, id: unknown) =>
    id !== undefined && items?.some((item) => item.id === id) === false;
  const [volumes, servers] = lists.slice(-2);
  if (isGone(volumes, attached?.volumeId) && isGone(servers, attached?.serverId))
    foreign.push(
      `Hetzner Cloud has neither the server nor the volume of this stack: if ${hetzner.token} is a token of another project, set that of this one; if both were deleted by hand, run \`pulumi refresh\` first`,
    );
  if (volume && server && volume.serverId === server.id && attached?.serverId !== server.id) {
    ids.set(`${types.attachment} ${mailHost}-machine-volume`, String(volume.id));
  }
  return { ids, blockers: blockers(foreign) };
}

/**
 * What a new server needs, the state has, and Hetzner does not: the server before it would be deleted first, and none could
 * be made.
 */
export async function lostParts(kinds: Kind[], state: OwnState): Promise<Blocker[]> {
  const label = ownLabel(state);
  const lost = await Promise.all(
    kinds
      .filter(({ type, resource }) => type !== types.server && state.has(type, resource))
      .map(async ({ type, resource, title, called, list }) => {
        const items = await list();
        const family = type === types.primaryIp ? resource.replace('machine', '') : '';
        const isOurs = ({ name = '', labels }: Part) =>
          name === called || (labels?.mailhost === label && name.endsWith(family));
        return items === undefined || items.some(isOurs)
          ? []
          : [
              `the server would be replaced, but ${title} ${called} that it needs was deleted at Hetzner Cloud: run \`pulumi refresh\`, which notices that, then \`pulumi up\` again`,
            ];
      }),
  );
  return blockers(lost.flat());
}
