import * as hcloud from '@pulumi/hcloud';
import { serverName, type Slot } from '../machineFiles';
import type { Settings } from '../settings/settings';
import { blockers, type Findings } from './findings';
import { hetzner, type LookUps } from './lookUps';
import {
  otherSlot,
  planServers,
  stepWarnings,
  type Handover,
  type ServerPlan,
  type Servers,
} from './serverPlan';
import { types, type OwnState } from './state';

/** What the state has of the servers; undefined before there is a host. */
export function serversBefore({ summary }: OwnState): Servers | undefined {
  if (summary?.serverGeneration === undefined) return undefined;
  return (
    summary.servers ?? {
      serving: 'server',
      generations: { server: summary.serverGeneration },
      handovers: 0,
    }
  );
}

/** A server as Hetzner lists it. */
interface Live {
  name?: string;
  status?: string;
  /** Empty without one. */
  ipv4Address?: string;
}

/** Judges the servers that a plan has, and finds out what a switch begins with. */
export async function judgeServers(
  settings: Settings,
  state: OwnState,
  lookUps: LookUps,
): Promise<{ plan: ServerPlan } & Findings> {
  const before = serversBefore(state);
  const begun = state.outputs(types.handover, 'machine-handover')?.handover as
    Omit<Handover, 'steps'> | undefined;
  const { refused, ...planned } = planServers(settings, before, begun);
  if (refused !== undefined) return { plan: planned, blockers: blockers([refused]), warnings: [] };
  const { serving } = planned;
  const volume = state.text(types.volume, 'machine-volume', 'location');
  if (settings.standbyServer && volume !== undefined && volume !== settings.location)
    return {
      plan: planned,
      blockers: blockers([
        `a standby server in ${settings.location} cannot get the volume, which is in ${volume}: set location back, or standbyServer to false (docs/new-server.md)`,
      ]),
      warnings: [],
    };
  const alone = planned.generations[otherSlot(serving)] === undefined;
  if (alone || before === undefined)
    return { plan: planned, blockers: [], warnings: stepWarnings(planned) };

  const last = begun ?? {
    serving: before.serving,
    number: before.handovers,
    since: before.handovers,
  };
  const isNew = last.serving !== serving;
  const number = last.number + (isNew ? 1 : 0);
  const plan: ServerPlan = {
    ...planned,
    handovers: number,
    handover: { serving, number, since: last.since, steps: {} },
  };
  const findings = { plan, blockers: [], warnings: stepWarnings(planned) };
  const done = (step: string) => state.has(types.command, `machine-${step}-${number}`);
  const steps = plan.handover!.steps;
  // Kept as they are: what has been done is not done again.
  if (done('ready')) steps.ready = '';
  if (done('yield')) steps.giveUp = '';
  if (planned.step === 'none') return findings;

  const answer = await lookUps.ask({ api: hetzner, call: 'getServers' }, (options) =>
    hcloud.getServers({}, options),
  );
  const listed: Live[] = answer?.servers ?? [];
  const live = (slot: Slot) =>
    listed.find(({ name }) => name === serverName(settings.hostName, slot));
  const other = otherSlot(serving);
  if (planned.step === 'prepare') {
    return live(other) !== undefined && !state.has(types.server, `machine-${other}`)
      ? {
          ...findings,
          blockers: blockers([
            `Hetzner has a server ${serverName(settings.hostName, other)} that the state does not know: an interrupted \`pulumi up\` may have made it. Delete it in the Hetzner console`,
          ]),
        }
      : findings;
  }
  const main = state.text(types.primaryIp, 'machine-ipv4', 'ipAddress');
  const isAtMain = (slot: Slot) => live(slot)?.ipv4Address === main;
  const isRunning = (slot: Slot) => live(slot)?.status === 'running';
  const hasMain = (slot: Slot) => {
    const [net] = (state.outputs(types.server, `machine-${slot}`)?.publicNets ?? []) as {
      ipv4?: number;
    }[];
    return net?.ipv4 === state.outputs(types.rdns, 'machine-ipv4-ptr')?.primaryIpId;
  };
  // A change of addresses that failed half-way is not in the state, so that only the same change again mends it.
  const torn = [serving, other].filter((slot) => isNew && hasMain(slot) !== isAtMain(slot));
  if (begun && torn.length > 0 && last.serving !== before.serving) {
    const generation = plan.generations[last.serving]!;
    return {
      ...findings,
      blockers: blockers([
        `the last switch stopped while the addresses moved, so it can only go on: set serverGeneration to ${generation}, and run \`pulumi up\`; then it can be set back. Where that fails again, give the server ${torn.map((slot) => serverName(settings.hostName, slot)).join(' and ')} its addresses in the Hetzner console (docs/new-server.md)`,
      ]),
    };
  }
  if (steps.ready === undefined && !isAtMain(serving)) {
    const address = live(serving)?.ipv4Address;
    if (!isRunning(serving) || !address)
      return {
        ...findings,
        blockers: blockers([
          `the server ${serverName(settings.hostName, serving)}, which is to serve, does not run: start it in the Hetzner console, or set serverGeneration to ${plan.generations[other]}`,
        ]),
      };
    steps.ready = address;
  }
  if (steps.giveUp === undefined && isAtMain(other)) {
    // A change of its addresses ends with a start of it, and it would serve again with the volume.
    if (!isRunning(other))
      return {
        ...findings,
        blockers: blockers([
          `the server ${serverName(settings.hostName, other)}, which has to give up the volume, is off: start it in the Hetzner console first. For a server that is dead see docs/new-server.md`,
        ]),
      };
    steps.giveUp = main!;
  }
  return findings;
}
