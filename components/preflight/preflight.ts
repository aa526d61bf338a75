import type * as pulumi from '@pulumi/pulumi';
import type { Change } from '../daemon';
import { dkimSelector } from '../dns/dkimKeys';
import { dnsRecords, type DnsRecord } from '../dns/dnsRecords';
import type { DnsProvider, StateResource, Zone } from '../dns/provider';
import { dnsProvider } from '../dns/providers';
import { enableHooks } from '../hooks';
import { argumentNames, type FrontEnd } from '../settings/mistakes';
import type { Settings } from '../settings/settings';
import { judgeChanges } from './changes';
import { judgeCopies } from './copies';
import { blockers, report, type Blocker } from './findings';
import { LookUps } from './lookUps';
import { judgeMachine, type MachineFindings } from './machine';
import { lostParts, machineKinds } from './machineParts';
import { judgeRecords, type RecordFindings } from './records';
import { judgeSpf } from './spf';
import { keptServers } from './serverPlan';
import { OwnState } from './state';
import type { Summary } from './summary';
import { abandonedSignings, findZones } from './zones';

/** What the checks before a plan have found out. */
export interface Preflight {
  /** What later changes are judged against. */
  summary: Summary;
  /** The time that changes of keys have in it. */
  plannedAt: Date;
  /** What the preview warns of. */
  warnings: string[];
  /** Of what exists already and the state does not have: an `up` that was interrupted may have made it and never learned of it. */
  adopted: {
    /** Ids by type and name of the resource. */
    ids: Map<string, string>;
    /** Whether the server is among it. */
    server: boolean;
  };
  machine: Pick<MachineFindings, 'present' | 'serverMade' | 'servers'> & {
    /** What a new server would miss. */
    lost: (lookUps: LookUps) => Promise<Blocker[]>;
  };
  dns: Pick<RecordFindings, 'made' | 'hasTlsa' | 'switched' | 'moveReports' | 'tasks'> & {
    /** Undefined if a person publishes the records. */
    provider?: DnsProvider;
    /** As the domains name them; none if a person publishes the records. */
    zones: Map<string, Zone>;
    /** What the plan publishes, and what it keeps of other hosts. */
    records: DnsRecord[];
  };
  /** What the state has. */
  before: {
    /** Every resource of this mail host. */
    own: StateResource[];
    /** What a person had published when the host was made or changed last. */
    zoneFile?: string;
    /** The publicKeyHash() of a key, by the name of its resource below the MailHost. */
    keyHashOf: (key: string) => string | undefined;
    /** What a command brought to the host last, or was about to, by the name of its resource. */
    changeOf: (command: string) => Change | undefined;
  };
}

/**
 * Looks at what the plan would change before any of it is registered: at the stack's own state, the zones, and the
 * offers of the cloud.
 *
 * @param name of the MailHost
 * @param options its `parent` has the providers that answer
 * @param frontEnd how errors name what confirms a change
 * @throws PreflightError with everything that blocks the plan, each with the way to go on
 */
export async function preflight(
  name: string,
  settings: Settings,
  options: { parent?: pulumi.Resource },
  frontEnd: FrontEnd = argumentNames,
): Promise<Preflight> {
  const lookUps = new LookUps(options);
  const provider = dnsProvider(settings.dns);
  const plannedAt = new Date();
  const [state, found] = await Promise.all([
    OwnState.read(name),
    findZones(settings, provider, lookUps),
    enableHooks(name),
  ]);
  const { zones } = found;
  const changes = judgeChanges(settings, state, zones, plannedAt);
  const { summary, historiesBefore } = changes;
  const histories = summary.dkim;
  const records = dnsRecords(settings, (domain) =>
    histories[domain]!.keys.map(({ generation }) => dkimSelector(generation)),
  );
  const context = {
    settings,
    state,
    provider,
    zones,
    records,
    historiesBefore,
    histories,
    lookUps,
    plannedAt,
  };
  const [machine, inZones, spf] = await Promise.all([
    judgeMachine(settings, state, lookUps, plannedAt),
    judgeRecords(context),
    judgeSpf(settings, records, state),
  ]);
  const copies = await judgeCopies({ ...context, ...inZones });
  const failed = { blockers: blockers(lookUps.mistakes()), warnings: [] };
  const abandoned = { blockers: [], warnings: abandonedSignings(settings, provider, state) };
  const findings = [found, changes, machine, inZones, copies, failed, spf, abandoned];
  const isFirst = state.summary === undefined;
  const warnings = await report(findings, settings.confirm, isFirst, frontEnd);

  const { moves } = inZones;
  const commands = state.changes;
  return {
    summary: {
      ...summary,
      ...keptServers(machine.servers),
      ...(Object.keys(moves).length > 0 ? { moves } : {}),
    },
    plannedAt,
    warnings,
    adopted: {
      ids: new Map([...machine.adopted, ...inZones.adopted]),
      server: machine.serverAdopted,
    },
    machine: {
      present: machine.present,
      serverMade: machine.serverMade,
      servers: machine.servers,
      lost: (later) => lostParts(machineKinds(settings, later, machine.servers.serving), state),
    },
    dns: {
      provider,
      zones,
      records: inZones.records,
      made: inZones.made,
      hasTlsa: inZones.hasTlsa,
      switched: inZones.switched,
      moveReports: inZones.moveReports,
      tasks: inZones.tasks,
    },
    before: {
      own: state.own,
      zoneFile: state.zoneFile,
      keyHashOf: (key) => state.keyHashOf(key),
      changeOf: (command) => commands.get(command),
    },
  };
}
