import type { Delivery } from '../settings/enums';
import type { DnsRecord, RecordData } from './dnsRecords';
import type { DnsProvider, ExistingRecord } from './provider';
import { rdata, unquoted } from './recordForms';

/** A record that the host has in use which delivers a domain's mail, as its zone has it. */
export interface OldRecord extends Omit<ExistingRecord, 'id'> {
  /** Seconds; 1 where the provider chooses. */
  ttl: number;
  /** What stands behind the domain's name in that of the resource. */
  key: string;
}

/** What is known of the other host of a domain: kept in the state, so that the way back leads to what was there. */
export interface Move {
  /** Where the mail was delivered when this was written down. */
  delivery: Delivery;
  records: OldRecord[];
  /** When the delivery changed to this host, or away from it, in ISO form. */
  switchedAt?: string;
}

/** An old record with its id at the provider. */
interface FoundRecord {
  id: string;
  record: OldRecord;
}

/** A record of a domain in the state of the stack. */
export interface StatedRecord {
  key: string;
  id: string;
}

export interface OldRecords {
  records: FoundRecord[];
  /** What would stand in the way of the switch and is not replaced by it. */
  inTheWay: ExistingRecord[];
}

/**
 * The records that a switch replaces. Each becomes the resource that is to take its place, or one of its own which the switch
 * deletes.
 *
 * @param wanted what the domain publishes once its mail is delivered here
 * @param existing records of the zone
 * @param clash whether a wanted record and an existing one cannot both stand
 * @param stated records of the domain in the state
 */
export function oldRecords(
  wanted: DnsRecord<string>[],
  existing: ExistingRecord[],
  clash: (wanted: DnsRecord<string>, existing: ExistingRecord) => boolean,
  stated: StatedRecord[],
): OldRecords {
  const ids = new Set(existing.map(({ id }) => id));
  const taken = new Set(stated.filter(({ id }) => ids.has(id)).map(({ key }) => key));
  const result: OldRecords = { records: [], inTheWay: [] };
  for (const record of [...existing].sort(byPriority)) {
    const place = wanted.find((one) => clash(one, record));
    if (place === undefined) continue;
    const known = stated.find(({ id }) => id === record.id)?.key;
    // An MX or SRV may stand beside its successor for a moment.
    const extra =
      ['MX', 'SRV'].includes(record.type) && record.type === place.type
        ? `${place.key}-old-${record.content.replaceAll(' ', '-')}`
        : undefined;
    const key = known ?? (taken.has(place.key) ? extra : place.key);
    if (key === undefined || dataOf(record) === undefined) {
      result.inTheWay.push(record);
      continue;
    }
    taken.add(key);
    const { id, name, type, content, priority, proxied, ttl = 1 } = record;
    const old: OldRecord = {
      ...{ key, name, type, content, ttl },
      ...(type === 'MX' ? { priority } : {}),
      ...(proxied ? { proxied } : {}),
    };
    result.records.push({ id, record: old });
  }
  return result;
}

const byPriority = (a: ExistingRecord, b: ExistingRecord): number =>
  (a.priority ?? 0) - (b.priority ?? 0) ||
  a.type.localeCompare(b.type) ||
  a.content.localeCompare(b.content);

/** @returns undefined for a record that no plan publishes */
function dataOf({ type, content, priority = 0 }: Omit<ExistingRecord, 'id'>) {
  switch (type) {
    case 'A':
    case 'AAAA':
      return { type, value: content } as const;
    case 'CNAME':
      return { type, target: content } as const;
    case 'MX':
      return { type, priority, target: content } as const;
    case 'TXT': {
      const value = unquoted(content);
      return /^[\x20-\x7e]*$/.test(value) ? ({ type, value } as const) : undefined;
    }
    case 'SRV': {
      const [own, weight, port, target] = content.split(/\s+/);
      if (target === undefined) return undefined;
      return { type, priority: +own!, weight: +weight!, port: +port!, target } as const;
    }
    default:
      return undefined;
  }
}

/**
 * An old record as a plan has it.
 *
 * @param restored whether what the stack has put in its place gives way to it
 */
export const plannedRecord = (
  { name, key, ttl, proxied = false, ...rest }: OldRecord,
  { domain, zone, restored }: { domain: string; zone: string; restored: boolean },
): DnsRecord<string> => ({
  ...(dataOf({ name, ...rest })! as RecordData<string>),
  name,
  key,
  zone,
  owner: { type: 'DomainDns', name: domain },
  old: { ttl, proxied, restored },
});

/** What changes for a domain, and by when. */
export interface MoveReport {
  /** Where its mail is delivered: here, elsewhere, or on by forward. */
  delivery: string;
  /** The records that the switch changes, one a line; what it adds, it deletes again on the way back. */
  changes: string[];
  /** Until when others may remember the MX from before the switch, in ISO form. Unset before it. */
  mxRememberedUntil?: string;
}

/** The records that a switch changes, one a line. */
export const changesOfSwitch = (wanted: DnsRecord<string>[], old: OldRecord[]): string[] =>
  wanted.map((record) => {
    const before = old
      .filter(({ key }) => key === record.key || key.startsWith(`${record.key}-old-`))
      .map((one) => `${one.type === record.type ? '' : `${one.type} `}${shown(one)}`);
    const from = before.length > 0 ? before.join(', ') : 'none';
    return `${record.name} ${record.type}: ${from} -> ${rdata(record)}`;
  });

const shown = (record: OldRecord): string => rdata(dataOf(record)!);

/** Seconds for which others may remember the MX of the other host. */
export function mxTtl(
  { records }: Move,
  { automaticTtl }: Pick<DnsProvider, 'automaticTtl'>,
): number {
  const ttls = records.filter(({ type }) => type === 'MX').map(({ ttl }) => ttl);
  return Math.max(0, ...ttls.map((ttl) => (ttl === 1 ? automaticTtl : ttl)));
}

/** Seconds that an `up` may take between its plan and the change of the MX. */
export const longestUp = 3600;

/** Until when others may remember the MX from before the switch; undefined before it. */
export function rememberedUntil(
  move: Move,
  provider: Pick<DnsProvider, 'automaticTtl'>,
): string | undefined {
  if (move.delivery !== 'here' || move.switchedAt === undefined) return undefined;
  const seconds = mxTtl(move, provider);
  const end = new Date(Date.parse(move.switchedAt) + (seconds + longestUp) * 1000);
  return seconds > 0 ? end.toISOString() : undefined;
}
