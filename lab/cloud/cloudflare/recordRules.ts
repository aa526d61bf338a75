import { recordContent } from './content';
import { refuse } from './errors';
import { fullName } from './names';
import { recordData } from './rdata';
import { recordSchema, type DnsRecord } from './record';

const addressTypes = ['A', 'AAAA', 'CNAME'];

/**
 * The record that a request describes.
 *
 * @param zone name of its zone
 * @param others the other records of the zone
 * @param kept what the record keeps: all of one that is changed
 * @throws ApiError if the record is invalid, or cannot stand beside the others
 */
export function recordFrom(
  body: unknown,
  zone: string,
  others: DnsRecord[],
  kept: Pick<DnsRecord, 'id' | 'created_on'> & Partial<DnsRecord>,
): DnsRecord {
  const now = new Date().toISOString();
  const input = recordSchema.parse(body);
  const { type, ttl, comment } = input;
  const proxiable = addressTypes.includes(type);
  if (input.proxied) {
    const why = proxiable ? ': the lab has no HTTP proxy.' : '.';
    refuse(9041, `This DNS record cannot be proxied${why}`);
  }
  if (ttl !== 1 && (ttl < 60 || ttl > 86400))
    refuse(9021, 'Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.');
  const record: DnsRecord = {
    ...input,
    // The API reports that of SRV twice.
    ...(type === 'SRV' && { priority: input.data?.priority }),
    id: kept.id,
    name: fullName(input.name, zone),
    content: recordContent(input),
    proxiable,
    meta: {},
    created_on: kept.created_on,
    modified_on: now,
    ...(comment !== null && {
      comment_modified_on: comment === kept.comment ? kept.comment_modified_on : now,
    }),
  };
  mustFit(record, zone, others);
  return record;
}

/** @throws ApiError if the record cannot stand beside others of its name */
function mustFit(record: DnsRecord, zone: string, others: DnsRecord[]): void {
  const sameName = others.filter(({ name }) => name === record.name);
  const data = recordData(record);
  if (sameName.some((other) => other.type === record.type && recordData(other) === data))
    refuse(81058, 'An identical record already exists.');
  // The zone's own name would be answered with the addresses that a CNAME leads to.
  const isApex = record.name === zone;
  const clashing = isApex ? sameName.filter(({ type }) => addressTypes.includes(type)) : sameName;
  if (record.type === 'CNAME' && clashing.length > 0)
    refuse(81053, `An A, AAAA, or CNAME ${hostExists}`);
  const hasCname = sameName.some(({ type }) => type === 'CNAME');
  if (hasCname && (!isApex || record.proxiable)) refuse(81054, `A CNAME ${hostExists}`);
}

const hostExists =
  'record with that host already exists. For more details, refer to ' +
  '<https://developers.cloudflare.com/dns/manage-dns-records/troubleshooting/records-with-same-name/>.';
