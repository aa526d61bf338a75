import type { ZoneRecord } from '../../backend';
import type { DnsRecord } from './record';

/** One character-string in presentation format (RFC 1035, section 5.1). */
export function quote(octets: Buffer): string {
  const escaped = octets
    .toString('latin1')
    .replace(/["\\]/g, '\\$&')
    .replace(/[^ -~]/g, (c) => `\\${c.charCodeAt(0).toString().padStart(3, '0')}`);
  return `"${escaped}"`;
}

/** TXT content as character-strings in presentation format; undefined where a quoted one is malformed or too long. */
export function txtStrings(content: string): string[] | undefined {
  if (!content.startsWith('"')) {
    const octets = Buffer.from(content);
    return Array.from({ length: Math.ceil(octets.length / 255) }, (_, i) =>
      quote(octets.subarray(i * 255, (i + 1) * 255)),
    );
  }
  if (!/^"(?:[^"\\]|\\.)*"(?:\s+"(?:[^"\\]|\\.)*")*$/.test(content)) {
    return undefined;
  }
  const strings = content.match(/"(?:[^"\\]|\\.)*"/g) ?? [];
  const octets = (text: string) =>
    Buffer.byteLength(text.slice(1, -1).replace(/\\(\d{3}|.)/g, '.'));
  return strings.every((text) => octets(text) <= 255) ? strings : undefined;
}

/** RDATA in presentation format, every name in full. */
export function recordData(record: DnsRecord): string {
  const absolute = (name: string) => (name.endsWith('.') ? name : `${name}.`).toLowerCase();
  switch (record.type) {
    case 'CNAME':
      return absolute(record.content);
    case 'MX':
    case 'SRV':
      return `${record.priority} ${absolute(record.content)}`;
    case 'TXT':
      return (txtStrings(record.content) ?? []).join(' ');
    default:
      return record.content;
  }
}

/** Seconds that a TTL of 1, automatic, stands for. */
const automaticTtl = 300;

/** What is published. Nobody asks here for the addresses that a CNAME of the zone's own name leads to. */
export const zoneRecords = (zone: string, records: DnsRecord[]): ZoneRecord[] =>
  records.filter(({ type, name }) => type !== 'CNAME' || name !== zone).map(zoneRecord);

function zoneRecord(record: DnsRecord): ZoneRecord {
  return {
    name: record.name,
    type: record.type,
    ttl: record.ttl === 1 ? automaticTtl : record.ttl,
    rdata: recordData(record),
  };
}
