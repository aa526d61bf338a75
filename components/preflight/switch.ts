import * as hcloud from '@pulumi/hcloud';
import { hetzner, type LookUps } from './lookUps';
import { otherSlot, type Handover, type ServerPlan } from './serverPlan';
import { types, type OwnState } from './state';
import type { Slot } from '../machineFiles';

/** What Hetzner has of the servers, their addresses and the volume. */
interface Live {
  servers: {
    id: number;
    name: string;
    status: string;
    /** Empty without one. */
    ipv4Address?: string;
    firewallIds: number[];
  }[];
  addresses: { id: number; name: string; assigneeId?: number }[];
  volumes: { name: string; serverId?: number }[];
}

async function askHetzner(lookUps: LookUps): Promise<Live | undefined> {
  const ask = <T extends object>(call: string, query: (o: object) => Promise<T>) =>
    lookUps.ask({ api: hetzner, call }, query);
  const [servers, addresses, volumes] = await Promise.all([
    ask('getServers', (o) => hcloud.getServers({}, o)),
    ask('getPrimaryIps', (o) => hcloud.getPrimaryIps({}, o)),
    ask('getVolumes', (o) => hcloud.getVolumes({}, o)),
  ]);
  return servers && addresses && volumes
    ? { servers: servers.servers, addresses: addresses.primaryIps, volumes: volumes.volumes }
    : undefined;
}

const sameIds = (a: unknown[], b: unknown[]) =>
  a.length === b.length && a.every((id) => b.includes(id));

/** One server of two, as the state and Hetzner have it. */
class Server {
  readonly name: string;
  readonly live?: Live['servers'][number];
  /** The addresses that it has in the state. */
  readonly planned: Live['addresses'];
  /** Whether the plan gives it other addresses than it has in the state. Otherwise the provider leaves it as it is. */
  readonly moves: boolean;
  private readonly assigned: Live['addresses'];
  private readonly firewalls?: unknown[];

  constructor(
    readonly slot: Slot,
    isServing: boolean,
    state: OwnState,
    { servers, addresses }: Live,
  ) {
    const { name, publicNets, firewallIds } = state.outputs(types.server, `machine-${slot}`) ?? {};
    this.name = String(name);
    this.live = servers.find((one) => one.name === name);
    const [net] = (publicNets ?? []) as { ipv4?: number; ipv6?: number }[];
    const main = state.outputs(types.rdns, 'machine-ipv4-ptr')?.primaryIpId;
    this.planned = addresses.filter(({ id }) => id === net?.ipv4 || id === net?.ipv6);
    this.moves = (net?.ipv4 === main) !== isServing;
    this.assigned = addresses.filter(
      ({ assigneeId }) => this.live !== undefined && assigneeId === this.live.id,
    );
    this.firewalls = firewallIds as unknown[] | undefined;
  }

  get isRunning(): boolean {
    return this.live?.status === 'running' && Boolean(this.live.ipv4Address);
  }

  /** What has to be done about its addresses, where the provider leaves it and Hetzner has others than the state. */
  get remedy(): string | undefined {
    if (this.moves) return undefined;
    const ids = (list: Live['addresses']) => list.map(({ id }) => id);
    return sameIds(ids(this.planned), ids(this.assigned))
      ? undefined
      : `turn the server ${this.name} off in the Hetzner console, assign it the primary addresses ${this.planned.map(({ name }) => name).join(' and ')} in the place of others, and start it`;
  }

  /** Whether the provider leaves it, and Hetzner has another firewall for it than the state. */
  get hasOtherFirewall(): boolean {
    const { moves, firewalls, live } = this;
    return (
      !moves &&
      firewalls !== undefined &&
      live !== undefined &&
      !sameIds(firewalls, live.firewallIds)
    );
  }
}

/**
 * Finds out what a switch begins with, and whether Hetzner has the servers, their addresses and the volume so that it comes to its
 * end: one that failed half-way leaves what the state does not know.
 *
 * @param last the switch that was begun last
 */
export async function judgeSwitch(
  plan: ServerPlan,
  last: Pick<Handover, 'serving'>,
  state: OwnState,
  lookUps: LookUps,
): Promise<{ steps: Handover['steps']; blockers: string[]; warnings: string[] }> {
  const steps: Handover['steps'] = {};
  const warnings: string[] = [];
  const blocked = (message: string) => ({ steps, blockers: [message], warnings });
  const live = await askHetzner(lookUps);
  if (live === undefined) return { steps, blockers: [], warnings };
  const number = plan.handover!.number;
  const isDone = (step: string) => state.has(types.command, `machine-${step}-${number}`);
  const [serving, other] = [plan.serving, otherSlot(plan.serving)].map(
    (slot) => new Server(slot, slot === plan.serving, state, live),
  ) as [Server, Server];
  const generation = (slot: Slot) => plan.generations[slot]!;

  const gone = [serving, other].filter(
    (one) => one.live === undefined && state.has(types.server, `machine-${one.slot}`),
  );
  if (gone.length > 0)
    return blocked(
      `Hetzner has no server ${gone.map(({ name }) => name).join(' and ')}, which the state has: if it was deleted by hand, run \`pulumi refresh\``,
    );

  const volume = live.volumes.find(
    ({ name }) => name === state.text(types.volume, 'machine-volume', 'name'),
  );
  const isAt = (one: Server) => one.live !== undefined && volume?.serverId === one.live.id;
  const ofFirewall = serving.hasOtherFirewall ? 'run `pulumi refresh`' : undefined;
  const remedies = [serving.remedy, other.remedy, ofFirewall, volumeRemedy()].filter(
    (one): one is string => typeof one === 'string',
  );
  if (remedies.length > 0) {
    const byHand = [...new Set(remedies)].join('; ');
    return blocked(
      last.serving === plan.serving
        ? `the last switch stopped half-way, and cannot end as Hetzner has the servers now: ${byHand}. Then run \`pulumi up\` again (docs/new-server.md)`
        : `the last switch stopped half-way, and cannot be taken back from there: set serverGeneration to ${generation(last.serving)} and run \`pulumi up\`, which goes on; then it can be set back. If that fails again: ${byHand}, then set serverGeneration back and run \`pulumi up\` (docs/new-server.md)`,
    );
  }

  // Only a change of its addresses would start it.
  if (!serving.isRunning && !(serving.moves && isDone('ready')))
    return blocked(
      `the server ${serving.name}, which is to serve, does not run: start it in the Hetzner console, or set serverGeneration to ${generation(other.slot)}`,
    );
  if (serving.moves && !isDone('ready')) steps.ready = serving.live!.ipv4Address;
  if (isAt(other) && !isDone('yield')) {
    // It would start again with its other addresses, and serve with the volume.
    if (!other.isRunning)
      return blocked(
        `the server ${other.name}, which has to give up the volume, does not run: start it in the Hetzner console. If it cannot be started, detach the volume from it there`,
      );
    steps.giveUp = other.live!.ipv4Address;
  }
  const isPrepared = generation(other.slot) > generation(serving.slot);
  if (isPrepared && !other.moves && !other.isRunning)
    warnings.push(
      `the server ${other.name} does not run, so its preparation fails at the end of this, once ${serving.name} serves: start it in the Hetzner console`,
    );
  if (other.hasOtherFirewall)
    warnings.push(
      `Hetzner has another firewall for the server ${other.name} than the state: run \`pulumi refresh\` and \`pulumi up\` once it no longer serves`,
    );
  // The engine attaches it, if it has noted that it is detached.
  if (volume?.serverId === undefined || volume.serverId === 0)
    warnings.push(
      `Hetzner has the volume at no server. If ${serving.name} does not get it either, run \`pulumi refresh\`, which notes that, and \`pulumi up\` again`,
    );
  return { steps, blockers: [], warnings };

  /**
   * An attachment that the engine has deleted for another one stays in the state until there is that, so the state says where the
   * volume was, and not whether it still is there.
   */
  function volumeRemedy(): string | undefined {
    const attached = state.outputs(types.attachment, 'machine-volume')?.serverId;
    const detach = (from: Server) =>
      `detach the volume ${volume!.name} from the server ${from.name} in the Hetzner console`;
    // It has come there by a call whose answer was lost, and cannot come there again.
    if (attached !== undefined && attached !== serving.live?.id)
      return isAt(serving) ? detach(serving) : undefined;
    return isAt(other) ? detach(other) : undefined;
  }
}
