import type { DnsRecord } from '../dns/dnsRecords';
import type { DnsProvider, ExistingRecord, Zone } from '../dns/provider';
import { isKnown, recordContent, unquoted } from '../dns/recordForms';
import type { MtaSts } from '../settings/enums';
import type { Blocker } from './findings';

/** What a zone has already of what the plan creates in it. */
export interface FoundRecords {
  /** The very records that are wanted, which the stack takes over as they are: an `up` that was cut off may have made them. */
  same: { wanted: DnsRecord; existing: ExistingRecord }[];
  conflicts: Blocker[];
}

/** Texts of which a name may have one only, however they are cut and spaced; of other texts it may have many. */
function singleText(content = ''): string | undefined {
  const text = unquoted(content);
  const [, version] = /^\s*v\s*=\s*(spf1|DMARC1|DKIM1|TLSRPTv1|STSv1)\b/i.exec(text) ?? [];
  return version && `v=${version.toLowerCase()}`;
}

/** What of the issuing of certificates a CAA record is about, such as `issue`: others say nothing of it. */
const caaTag = (content = ''): string | undefined => content.split(/\s+/)[1]?.toLowerCase();

/** As an ExistingRecord has it; undefined while only the plan's own resources can say. */
const contentOf = (record: DnsRecord): string | undefined =>
  isKnown(record) ? recordContent(record) : undefined;

const isDkimName = (name: string): boolean => name.includes('._domainkey.');

/** Whether a record that is wanted and one that exists cannot both stand. */
export function clashes(
  wanted: DnsRecord,
  existing: ExistingRecord,
  zone: Zone,
  { flattensCname }: DnsProvider,
): boolean {
  if (existing.type === 'NS') return `.${wanted.name}`.endsWith(`.${existing.name.toLowerCase()}`);
  if (existing.name.toLowerCase() !== wanted.name) return false;
  if ([wanted.type, existing.type].includes('CNAME')) {
    const isFlattened =
      flattensCname && existing.type === 'CNAME' && existing.name.toLowerCase() === zone.name;
    return !isFlattened || ['A', 'AAAA', 'CNAME'].includes(wanted.type);
  }
  if (existing.type !== wanted.type) return false;
  if (wanted.type === 'CAA') return caaTag(existing.content) === wanted.tag;
  return (
    wanted.type !== 'TXT' ||
    isDkimName(wanted.name) ||
    singleText(existing.content) === singleText(contentOf(wanted))
  );
}

/** What to do about it where it is not the same record. */
function remedy(wanted: DnsRecord, existing: ExistingRecord, { api }: DnsProvider): string {
  const remove = `delete it at ${api.title}`;
  if (existing.type === 'NS')
    return `what lies below is looked up elsewhere: set the zone of the domain to one that answers for it`;
  if (existing.type !== wanted.type || existing.type === 'CNAME')
    return `a CNAME allows nothing beside it: ${remove}`;
  if (existing.proxied) return `a proxied name leads to ${api.title}, not to this host: ${remove}`;
  if (wanted.type === 'MX') return `with both, mail would go to either host: ${remove}`;
  if (wanted.type === 'SRV') return `with both, mail clients would go to either host: ${remove}`;
  switch (singleText(contentOf(wanted))) {
    case 'v=spf1':
      return `receivers reject a name with two (RFC 7208, section 4.5): put what it allows into spf of the domain, and ${remove}`;
    case 'v=dmarc1':
      return `receivers ignore a name with two (RFC 7489, section 6.6.3): ${remove}`;
    case 'v=tlsrptv1':
    case 'v=stsv1':
      return `others ignore a name with two (RFC 8460, section 3, and RFC 8461, section 3.1): ${remove}`;
    default:
      return remove;
  }
}

/**
 * Records in a zone that collide with those that the plan creates in it; all others are left alone.
 *
 * @param wanted records that the stack does not have yet, or not as they are to be
 * @param zone that all of them are in
 * @param mtaSts what the domains announce: under `enforce` no other MX gets any mail (RFC 8461, section 4.1)
 */
export function findRecords(
  wanted: DnsRecord[],
  existing: ExistingRecord[],
  zone: Zone,
  provider: DnsProvider,
  mtaSts?: MtaSts,
): FoundRecords {
  const same: FoundRecords['same'] = [];
  const delegations = new Set<string>();
  // Of a name that has several, some may be there and others not yet.
  const own = (other: ExistingRecord) => wanted.some((record) => isSame(record, other));
  const conflicts = wanted.flatMap((record) => {
    const clashing = existing.filter((other) => clashes(record, other, zone, provider));
    const found = clashing.find((other) => isSame(record, other));
    if (found) same.push({ wanted: record, existing: found });
    return clashing.flatMap((other): Blocker[] => {
      // A delegation is in the way of all that lies below it.
      if (own(other) || delegations.has(other.id)) return [];
      if (other.type === 'NS') delegations.add(other.id);
      // Nothing can stand beside a null MX (RFC 7505, section 3).
      const canStay =
        record.type === 'MX' &&
        other.type === 'MX' &&
        mtaSts !== 'enforce' &&
        ![record.target, other.content].includes('.');
      return [
        {
          ...(canStay ? { confirmation: `keep MX ${other.content} of ${other.name}` } : {}),
          message: `${other.name} already has ${other.type} ${other.content}: ${remedy(record, other, provider)}`,
        },
      ];
    });
  });
  return { same, conflicts };
}

/** Only a text has to be the same to the letter, and the priority of a lone MX says nothing. */
const isSame = (record: DnsRecord, other: ExistingRecord): boolean => {
  const content = contentOf(record);
  if (other.name.toLowerCase() !== record.name) return false;
  if (other.type !== record.type || other.proxied === true) return false;
  if (record.type === 'TXT') return other.content === content;
  return other.content.toLowerCase().split(/\s+/).join(' ') === content?.toLowerCase();
};

/**
 * Whether the plan makes another record in the place of the one that the state has. That may have begun in an `up` that was
 * cut off, and the state still tells of the old one.
 */
export const isReplaced = (
  record: DnsRecord,
  inState: ExistingRecord,
  { replacedTypes }: DnsProvider,
): boolean =>
  isKnown(record) &&
  replacedTypes.includes(record.type) &&
  inState.content !== '' &&
  !isSame(record, inState);

/**
 * What keeps a key from signing in the place of another: no record of it, or not it alone.
 *
 * @param content of its record
 * @param there what texts stand at its name
 */
export function signerMistakes(
  name: string,
  content: string,
  there: string[],
  { api }: DnsProvider,
): string[] {
  if (there.length === 1 && there[0] === content) return [];
  const mending =
    'set dkimGeneration back, `pulumi up --refresh` puts it right, and rotate once others can no longer remember that, after half an hour';
  const what = there.includes(content)
    ? `another text stands there, too, and what verifies may take either (RFC 6376, section 3.6.2.2): delete that at ${api.title}, and rotate half an hour later`
    : `its record was ${there.length > 0 ? 'changed' : 'removed'} by hand: ${mending}`;
  return [`${name} is to sign from now on, but ${what}`];
}
