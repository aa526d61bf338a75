import { knownValue } from '../settings/forms';
import type { Settings } from '../settings/settings';
import { blockers, type Blocker, type Findings } from './findings';
import type { LookUps } from './lookUps';
import { lostParts, machineKinds, ownParts } from './machineParts';
import { serverOffer } from './offers';
import { newestSlot, oneServer, type ServerPlan } from './serverPlan';
import { judgeServers, serversBefore } from './servers';
import { types, type OwnState } from './state';

/** What the plan does with the machine. */
export interface MachineFindings extends Findings {
  /** Parts that the state has, as Machine names them. */
  present: string[];
  /** Ids of parts that exist and the state does not have, by type and name of the resource. */
  adopted: Map<string, string>;
  /** Whether the server was adopted; the state then does not tell which addresses it was made with. */
  serverAdopted: boolean;
  /** Whether the plan makes the server, or replaces it. */
  serverMade: boolean;
  servers: ServerPlan;
}

/** Of a machine that is given, of which Hetzner is not asked. */
const notMade: MachineFindings = {
  blockers: [],
  warnings: [],
  present: [],
  adopted: new Map(),
  serverAdopted: false,
  serverMade: false,
  servers: oneServer(1),
};

/** The parts of the machine that cannot be made again as they are, by type and name. */
const lasting = [
  [types.privateKey, 'ssh-key'],
  [types.privateKey, 'host-key'],
  [types.primaryIp, 'ipv4'],
  [types.primaryIp, 'ipv6'],
  [types.volume, 'volume'],
  [types.server, 'server'],
  [types.server, 'second-server'],
] as const;

/** Looks at the machine: what exists of it, what would be lost of it, and whether its server can be made. */
export async function judgeMachine(
  settings: Settings,
  state: OwnState,
  lookUps: LookUps,
  plannedAt: Date,
): Promise<MachineFindings> {
  const { location, standbyServer } = settings;
  if (settings.machine) return notMade;
  // A preview that knows them only later leaves them to the checks of the `up`, which come before its changes, too.
  const [serverType, volumeSize] = await Promise.all([
    knownValue(settings.serverType),
    knownValue(settings.volumeSize),
  ]);
  const before = serversBefore(state);
  const slot = before?.serving ?? 'server';
  const servers = await judgeServers(settings, state, lookUps);
  const { plan } = servers;
  // The volume comes to the one that is to serve.
  const kinds = machineKinds(settings, lookUps, plan.serving, plan.handover !== undefined);
  const parts = await ownParts(kinds, state);
  const serverId = `${types.server} ${state.mailHost}-machine-${slot}`;
  const server = state.outputs(types.server, `machine-${slot}`);
  const volume: MachineState = state.outputs(types.volume, 'machine-volume') ?? {};
  const replaced =
    before !== undefined && before.generations[slot] !== (plan.generations[slot] ?? NaN);
  const isNew = server === undefined && !parts.ids.has(serverId);
  // The newest of two has the type of the settings, and the other keeps its own.
  const newest = newestSlot(plan);
  const present = state.outputs(types.server, `machine-${newest}`);
  const offer =
    serverType !== undefined && (isNew || server)
      ? await serverOffer({ serverType, location, present, replaced }, lookUps, plannedAt)
      : { mistakes: [], warnings: [] };
  const lost = replaced && server ? await lostParts(kinds, state) : [];
  const serverAdopted =
    parts.ids.has(serverId) ||
    (server !== undefined && ((server.publicNets ?? []) as unknown[]).length === 0);
  return {
    blockers: [
      ...machineLosses(volume, { location, volumeSize }),
      ...blockers(offer.mistakes),
      ...parts.blockers,
      ...servers.blockers,
      ...(standbyServer && serverAdopted && plan.step === 'prepare' ? blockers([noAddresses]) : []),
      ...lost,
    ],
    warnings: [...offer.warnings, ...servers.warnings],
    present: lasting.flatMap(([type, part]) => (state.has(type, `machine-${part}`) ? [part] : [])),
    adopted: parts.ids,
    serverAdopted,
    serverMade: isNew || replaced || (server !== undefined && server.location !== location),
    servers: plan,
  };
}

const noAddresses =
  'the state does not have the addresses of the server, because an interrupted `pulumi up` had made it: they could not move to another. Increment serverGeneration without a standby server once';

/** The volume as the state has it. */
interface MachineState {
  location?: string;
  /** GB. */
  size?: number;
}

/** @returns what would be lost of the machine's own */
export function machineLosses(
  before: MachineState,
  after: { location: string; volumeSize: number | undefined },
): Blocker[] {
  if (before.location !== undefined && before.location !== after.location) {
    return [
      {
        confirmation: `move to ${after.location} without the mail`,
        message: `a volume cannot move from ${before.location} to ${after.location}: an empty one and new addresses would take its place. Set protect to false and \`pulumi up\` first`,
      },
    ];
  }
  return before.size !== undefined &&
    after.volumeSize !== undefined &&
    after.volumeSize < before.size
    ? [
        {
          message: `a volume cannot shrink from ${before.size} to ${after.volumeSize} GB: set volumeSize back to ${before.size}`,
        },
      ]
    : [];
}
