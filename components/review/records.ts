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

const types = ['cloudflare:index/dnsRecord:DnsRecord', 'cloudflare:index/record:Record'];

export const isRecord = (type: string): boolean => types.includes(type);

/** @returns undefined if there are no inputs of a record */
export function recordIn(inputs: Record<string, unknown> | undefined): DnsRecord | undefined {
  if (typeof inputs?.name !== 'string' || typeof inputs.type !== 'string') return undefined;
  const { name, type } = inputs;
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
