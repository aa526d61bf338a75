import { dkimSelector, type KeyHistory } from '../dns/dkimKeys';
import type { DnsRecord, RecordSource } from '../dns/dnsRecords';
import type { Move, MoveReport } from '../dns/moves';
import { announcedMtaSts } from '../dns/mtaSts';
import { tlsaName } from '../dns/names';
import type { DnsProvider, ExistingRecord, Zone } from '../dns/provider';
import { isKnown, recordContent, resourceName, withValue } from '../dns/recordForms';
import type { Settings } from '../settings/settings';
import { findRecords, isReplaced, signerMistakes, type FoundRecords } from './existingRecords';
import { blockers, type Blocker, type Findings } from './findings';
import type { LookUps } from './lookUps';
import { judgeMoves } from './moves';
import { tasksByHand } from './spfTasks';
import type { OwnState } from './state';

/** What the plan does with DNS records. */
export interface RecordFindings extends Findings {
  /** All that the plan has: its own, and those of other hosts that it keeps or puts back. */
  records: DnsRecord[];
  /** What is known of other hosts, by domain, to be kept in the state. */
  moves: Record<string, Move>;
  /** Domains whose mail is delivered here from now on. */
  switched: Set<string>;
  moveReports: Record<string, MoveReport>;
  /** What a person has to do about domains that change hosts. */
  tasks: string[];
  /** Names of the resources of those records that the plan makes, or makes anew. */
  made: Set<string>;
  /** Ids of records that exist already and the state does not have, by type and name of the resource. */
  adopted: Map<string, string>;
  /** Whether the stack publishes already which TLS keys the host may have. */
  hasTlsa: boolean;
}

/** What the records of a plan are judged by. */
export interface RecordContext {
  settings: Settings;
  state: OwnState;
  /** Undefined if a person publishes the records. */
  provider?: DnsProvider;
  zones: Map<string, Zone>;
  /** Of the plan. */
  records: DnsRecord[];
  /** Of the DKIM keys, by domain. */
  historiesBefore: Record<string, KeyHistory>;
  histories: Record<string, KeyHistory>;
  lookUps: LookUps;
  plannedAt: Date;
}

/** Looks at the zones: which records the plan makes there, what they collide with, and whether the next keys are published. */
export async function judgeRecords(context: RecordContext): Promise<RecordFindings> {
  const { settings, state, provider, records } = context;
  const hasTlsa = state.records.some(
    ({ type, name }) => type === 'TLSA' && name === tlsaName(settings.hostName),
  );
  if (provider === undefined)
    return {
      ...{ records, made: new Set(), adopted: new Map(), hasTlsa, moves: {}, switched: new Set() },
      ...{ moveReports: {}, tasks: await tasksByHand(settings), blockers: [], warnings: [] },
    };
  const stated = (record: DnsRecord) => withValue(record, (source) => valueOf(source, context));
  const listings = new Map<string, Promise<ExistingRecord[] | undefined>>();
  const list = (zone: Zone) => {
    const listing = listings.get(zone.id) ?? provider.listRecords(zone, context.lookUps);
    listings.set(zone.id, listing);
    return listing;
  };
  const moving = await judgeMoves({ ...context, provider, list, now: context.plannedAt });
  const made = madeRecords(records.map(stated), provider, moving.switched, context);
  const signers = records.filter((record) => isNextSigner(record, context)).map(stated);
  const [existing, unpublished] = await Promise.all([
    existingRecords(made, provider, { list, replaced: moving.replaced }, context),
    unpublishedKeys(signers, provider, context),
  ]);
  const adopted = [
    ...[...moving.adopted].map(([resource, ids]) => ({ resource, ...ids })),
    ...existing.same.map(({ zoneId, wanted, existing: { id } }) => ({
      resource: resourceName(state.mailHost, wanted),
      zoneId,
      id,
    })),
  ];
  return {
    records: [...records, ...moving.records],
    moves: moving.moves,
    switched: moving.switched,
    moveReports: moving.reports,
    tasks: moving.tasks,
    made: new Set(made.map((record) => resourceName(state.mailHost, record))),
    adopted: new Map(
      adopted.map(({ resource, zoneId, id }) => [
        `${provider.recordType} ${resource}`,
        provider.importId(zoneId, id),
      ]),
    ),
    hasTlsa,
    blockers: [...moving.blockers, ...existing.conflicts, ...unpublished],
    warnings: moving.warnings,
  };
}

/** Of a machine that is given the settings have the addresses, unless another resource says them. */
function valueOf(source: RecordSource, { settings, state }: RecordContext): string | RecordSource {
  if ((source.from === 'ipv4' || source.from === 'ipv6') && settings.machine) {
    const address = settings.machine[source.from];
    return typeof address === 'string' ? address : source;
  }
  return state.valueOf(source, settings.dkimCompromised);
}

/** The records that the state does not have, or has as one that the plan replaces. */
function madeRecords(
  records: DnsRecord[],
  provider: DnsProvider,
  switched: Set<string>,
  { state, zones }: RecordContext,
): DnsRecord[] {
  const present = new Map(
    state.records.map((record) => [`${record.resource} ${record.zoneId}`, record]),
  );
  return records.filter((record) => {
    const zoneId = zones.get(record.zone)?.id;
    if (zoneId === undefined) return false;
    const inState = present.get(`${resourceName(state.mailHost, record)} ${zoneId}`);
    return (
      inState === undefined ||
      isReplaced(record, inState, provider) ||
      switched.has(record.owner.name)
    );
  });
}

/** Compares what the plan makes with the records of the zones. These are listed only where the plan makes a record in them. */
async function existingRecords(
  made: DnsRecord[],
  provider: DnsProvider,
  {
    list,
    replaced,
  }: {
    list: (zone: Zone) => Promise<ExistingRecord[] | undefined>;
    /** Ids of records that the plan is known to replace. */
    replaced: Set<string>;
  },
  { settings, state, zones }: RecordContext,
): Promise<{
  same: ({ zoneId: string } & FoundRecords['same'][number])[];
  conflicts: Blocker[];
}> {
  const textOf = ({ type, name, content }: { type: string; name: string; content: string }) =>
    `${type} ${name} ${content}`;
  const own = new Set(state.records.map(textOf));
  const found = await Promise.all(
    [...zones].map(async ([domainZone, zone]) => {
      const wanted = made.filter((record) => record.zone === domainZone);
      if (wanted.length === 0) return { zoneId: zone.id, same: [], conflicts: [] };
      const records = (await list(zone)) ?? [];
      const others = records.filter(
        (record) => !own.has(textOf(record)) && !replaced.has(record.id),
      );
      const judged = findRecords(wanted, others, zone, provider, announcedMtaSts(settings));
      return { zoneId: zone.id, ...judged };
    }),
  );
  return {
    same: found.flatMap(({ zoneId, same }) => same.map((record) => ({ zoneId, ...record }))),
    conflicts: found.flatMap(({ conflicts }) => conflicts),
  };
}

/** Whether a record is that of a key that is to sign from now on in the place of another. */
function isNextSigner(record: DnsRecord, { historiesBefore, histories }: RecordContext): boolean {
  const source = 'value' in record && typeof record.value !== 'string' ? record.value : undefined;
  if (source?.from !== 'dkim') return false;
  const signed = historiesBefore[source.domain]?.signs;
  const { signs } = histories[source.domain]!;
  return (
    signed !== undefined &&
    signs !== undefined &&
    signs !== signed &&
    source.selector === dkimSelector(signs)
  );
}

/**
 * Keys that are to follow others, and whose records are not published as the state has the keys: whoever verifies would not
 * find them, or might remember that they were not there.
 *
 * @param signers their records
 */
async function unpublishedKeys(
  signers: DnsRecord[],
  provider: DnsProvider,
  { zones, lookUps }: RecordContext,
): Promise<Blocker[]> {
  const found = await Promise.all(
    signers.map(async (record) => {
      const zone = zones.get(record.zone);
      if (zone === undefined || !isKnown(record)) return [];
      const there = await provider.listRecords(zone, lookUps, record);
      if (there === undefined) return [];
      const contents = there.map(({ content }) => content);
      return signerMistakes(record.name, recordContent(record), contents, provider);
    }),
  );
  return blockers(found.flat());
}
