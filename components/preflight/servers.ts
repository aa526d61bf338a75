import * as hcloud from '@pulumi/hcloud';
import { serverName } from '../machineFiles';
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
import { judgeSwitch } from './switch';

/** The switch that was begun last. */
const lastBegun = (state: OwnState) =>
  state.outputs(types.handover, 'machine-handover')?.handover as
    Omit<Handover, 'steps'> | undefined;

/** What the state has of the servers; undefined before there is a host. A server that is not prepared to its end is not among them. */
export function serversBefore(state: OwnState): Servers | undefined {
  const { summary } = state;
  if (summary?.serverGeneration === undefined) return undefined;
  const alone = (generation: number): Servers => ({
    serving: 'server',
    generations: { server: generation },
    handovers: 0,
  });
  const servers = summary.servers ?? alone(summary.serverGeneration);
  const { serving, generations, handovers } = servers;
  const [present, beside] = [generations[serving]!, generations[otherSlot(serving)]];
  const begun = lastBegun(state);
  if (beside === undefined || beside < present || (begun && begun.number !== handovers))
    return servers;
  return state.outputs(types.standby, 'standby')?.prepared === beside
    ? servers
    : { ...servers, generations: { [serving]: present } };
}

/** Judges the servers that a plan has, and finds out what a switch begins with. */
export async function judgeServers(
  settings: Settings,
  state: OwnState,
  lookUps: LookUps,
): Promise<{ plan: ServerPlan } & Findings> {
  const before = serversBefore(state);
  const begun = lastBegun(state);
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

  const last = begun ?? { serving: before.serving, number: before.handovers };
  const isNew = last.serving !== serving;
  const number = last.number + (isNew ? 1 : 0);
  const plan: ServerPlan = {
    ...planned,
    handovers: number,
    handover: { serving, number, steps: {} },
  };
  const steps = plan.handover!.steps;
  // What has been done stays, and is not done again.
  if (state.has(types.command, `machine-ready-${number}`)) steps.ready = '';
  if (state.has(types.command, `machine-yield-${number}`)) steps.giveUp = '';
  const findings = { plan, blockers: [], warnings: stepWarnings(planned) };
  switch (planned.step) {
    case 'prepare':
      return { ...findings, blockers: blockers(await unknownServer()) };
    case 'switch':
    case 'back': {
      const begins = await judgeSwitch(plan, last, state, lookUps);
      Object.assign(steps, begins.steps);
      return {
        ...findings,
        blockers: blockers(begins.blockers),
        warnings: [...findings.warnings, ...begins.warnings],
      };
    }
    default:
      return findings;
  }

  /** The state would have to know its addresses, to move them. */
  async function unknownServer(): Promise<string[]> {
    const slot = otherSlot(serving);
    const name = serverName(settings.hostName, slot);
    if (state.has(types.server, `machine-${slot}`)) return [];
    const answer = await lookUps.ask({ api: hetzner, call: 'getServers' }, (options) =>
      hcloud.getServers({}, options),
    );
    return answer?.servers.some((one) => one.name === name)
      ? [
          `Hetzner has a server ${name} that the state does not know: an interrupted \`pulumi up\` may have made it. Delete it in the Hetzner console`,
        ]
      : [];
  }
}
