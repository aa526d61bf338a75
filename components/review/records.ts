import { textOf } from './values';

/** A DNS record as a review shows it. */
export interface DnsRecord {
  /** Without final dot. */
  name: string;
  type: string;
  /** Seconds. */
  ttl?: number;
  /** In presentation format. */
  data: string;
  /** `NAME TYPE`. */
  title: string;
  /** As in a zone file. */
  line: string;
}

/** A record before and after a change: one of them at least. */
export interface RecordChange {
  before?: DnsRecord;
  after?: DnsRecord;
}

const types = ['cloudflare:index/dnsRecord:DnsRecord', 'cloudflare:index/record:Record'];

export const isRecord = (type: string): boolean => types.includes(type);

/** @returns undefined if there are no inputs of a record */
export function recordIn(inputs: Record<string, unknown> | undefined): DnsRecord | undefined {
  if (typeof inputs?.name !== 'string' || typeof inputs.type !== 'string') return undefined;
  const [name, type] = [inputs.name, inputs.type].map((text) => textOf(text)!) as [string, string];
  const ttl = typeof inputs.ttl === 'number' ? inputs.ttl : undefined;
  const data = dataOf(inputs);
  return {
    name,
    type,
    ttl,
    data,
    title: `${name} ${type}`,
    line: [`${name}.`, ttl, type, data].filter((part) => part !== undefined).join(' '),
  };
}

/**
 * What happens to records. A record that one resource gives up and another one makes is the same to the rest of the world,
 * so it is not among them.
 */
export function recordsIn<Change extends { action: string; record?: RecordChange }>(
  changes: Change[],
): (Change & { record: RecordChange })[] {
  const ofRecords = changes.filter(
    (change): change is Change & { record: RecordChange } =>
      change.record !== undefined && change.action !== 'import',
  );
  const lines = (which: (record: RecordChange) => DnsRecord | undefined) =>
    new Set(ofRecords.map(({ record }) => which(record)?.line));
  const removed = lines(({ before, after }) => (after ? undefined : before));
  const added = lines(({ before, after }) => (before ? undefined : after));
  const isMoved = ({ before, after }: RecordChange) =>
    removed.has((before ?? after)!.line) && added.has((after ?? before)!.line);
  return ofRecords.filter(({ record }) => !isMoved(record));
}

/** Fields of `data` in the order of the presentation format. */
const fields: Record<string, string[]> = {
  SRV: ['priority', 'weight', 'port', 'target'],
  CAA: ['flags', 'tag', 'value'],
  TLSA: ['usage', 'selector', 'matchingType', 'certificate'],
};

function dataOf({ type, content, value, priority, data }: Record<string, unknown>): string {
  const text = textOf(content ?? value);
  if (text !== undefined) return type === 'MX' ? `${textOf(priority)} ${text}` : text;
  const of = (data ?? {}) as Record<string, unknown>;
  return (fields[String(type)] ?? Object.keys(of).sort())
    .map((field) => textOf(of[field]))
    .filter((part) => part !== undefined)
    .join(' ');
}
