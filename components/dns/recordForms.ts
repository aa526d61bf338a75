import type { DnsRecord, RecordData, RecordSource } from './dnsRecords';

/** Seconds. Long enough to be cached, short enough to mend a mistake within minutes. */
export const ttl = 300;

/**
 * TXT content in the one form that Cloudflare, too, stores and returns unchanged: quoted character-strings of 255 octets
 * (the last one shorter), joined by one space, with `"` and `\` escaped (RFC 1035, sections 3.3.14 and 5.1).
 *
 * @param value printable ASCII
 * @throws RangeError where `value` has another character
 * @example quoteTxt('v=spf1 mx -all') // '"v=spf1 mx -all"'
 */
export function quoteTxt(value: string): string {
  if (!/^[\x20-\x7e]*$/.test(value)) {
    throw new RangeError('TXT content must be printable ASCII');
  }
  const strings = value.match(/.{1,255}/g) ?? [''];
  return strings.map((part) => `"${part.replace(/["\\]/g, '\\$&')}"`).join(' ');
}

/** The text of a TXT record, however it is cut and quoted. */
export function unquoted(content: string): string {
  const strings = content.match(/"(?:[^"\\]|\\.)*"/g);
  return strings?.map((quoted) => quoted.slice(1, -1).replace(/\\(.)/g, '$1')).join('') ?? content;
}

/** Whether the record's content is known before anything is made. */
export const isKnown = (record: DnsRecord): record is DnsRecord<string> =>
  !('value' in record) || typeof record.value === 'string';

/** What everybody sees of a record. */
type Published<V> = RecordData<V> & { name: string };

/** A record's data in presentation format (RFC 1035, section 5.1), with full names. */
export function rdata(record: RecordData<string>): string {
  const full = (name: string) => (name === '.' ? name : `${name}.`);
  switch (record.type) {
    case 'A':
    case 'AAAA':
      return record.value;
    case 'CNAME':
      return full(record.target);
    case 'MX':
      return `${record.priority} ${full(record.target)}`;
    case 'TXT':
      return quoteTxt(record.value);
    case 'SRV':
      return `${record.priority} ${record.weight} ${record.port} ${full(record.target)}`;
    case 'CAA':
      return `${record.flags} ${record.tag} ${quoteTxt(record.value)}`;
    case 'TLSA':
      return `${record.usage} ${record.selector} ${record.matchingType} ${record.value}`;
  }
}

/** The data of a record as APIs have it, for comparison: as rdata(), names without final dot, and the priority of an MX aside. */
export const recordContent = (record: DnsRecord<string>): string =>
  record.type === 'MX'
    ? record.target
    : record.type === 'CNAME' || record.type === 'SRV'
      ? rdata(record).replace(/\.$/, '')
      : rdata(record);

/** A record as the host program looks for it. */
export interface PublicRecord {
  name: string;
  type: string;
  /** In presentation format. */
  data: string;
  /** It lies in a zone of somebody else's, who may write the same in another form and say more. */
  others?: true;
}

export const publicRecord = (record: Published<string>): PublicRecord => ({
  name: record.name,
  type: record.type,
  data: rdata(record),
});

/** The records as a zone file (RFC 1035, section 5), zone by zone, without what a name server adds itself. */
export function zoneFile(records: DnsRecord<string>[]): string {
  const zones = [...new Set(records.map(({ zone }) => zone))].sort();
  const sections = zones.map((zone) => {
    const lines = records
      .filter((record) => record.zone === zone)
      .map((record) => `${record.name}. ${ttl} IN ${record.type} ${rdata(record)}\n`);
    return `; ${zone}\n${lines.join('')}`;
  });
  return sections.join('\n');
}

/** The record with what `valueOf` gives for a value that is known only later. */
export const withValue = <V>(
  record: DnsRecord,
  valueOf: (source: RecordSource) => V,
): DnsRecord<V | string> =>
  'value' in record && typeof record.value !== 'string'
    ? { ...record, value: valueOf(record.value) }
    : (record as DnsRecord<string>);

/**
 * Name of the resource that a record is.
 *
 * @param mailHost name of the MailHost
 */
export const resourceName = (
  mailHost: string,
  { owner, key }: Pick<DnsRecord, 'owner' | 'key'>,
): string => `${mailHost}-${owner.name}/${key}`;
