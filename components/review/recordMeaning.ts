import { revokedKeyRecord } from '../dns/dnsRecords';
import { unquoted } from '../dns/recordForms';
import { isSpf } from '../dns/spf';
import type { Change } from './changes';
import type { Effect } from './model';
import { recordsIn, type DnsRecord, type RecordChange } from './records';
import { some } from './terminal';

/** What one record means, with `%` in place of the domain, so that those of many domains are one sentence. */
type Said = [domain: string, sentence: string];

/** What records that are added, changed or removed mean to people, besides that resolvers remember those before. */
export function recordMeanings(changes: Change[]): Effect[] {
  const domains = new Map<string, string[]>();
  for (const [domain, sentence] of recordsIn(changes).flatMap(meaningsOf))
    domains.set(sentence, [...(domains.get(sentence) ?? []), domain]);
  return [...domains].map(([sentence, names]) => ({
    what: sentence.replace('%', () => some(names)),
    kind: 'means',
  }));
}

function meaningsOf({ record: { before, after } }: { record: RecordChange }): Said[] {
  return [
    ...mailExchanger(before, after),
    ...(before && after ? [...senders(before, after), ...policy(before, after)] : []),
    ...revocation(before, after),
  ];
}

/** A null MX (RFC 7505). */
const isNull = ({ data }: DnsRecord) => /^0 \.?$/.test(data);

function mailExchanger(before: DnsRecord | undefined, after: DnsRecord | undefined): Said[] {
  const { type, name } = (after ?? before)!;
  if (type !== 'MX' || before?.data === after?.data) return [];
  const to = (one: DnsRecord) => one.data.replace(/^\d+ /, '');
  if (!after)
    return isNull(before!)
      ? []
      : [[name, `other systems no longer send mail for % to ${to(before!)}`]];
  if (isNull(after)) return [[name, 'other systems send no mail to %, which has a null MX']];
  const old = before && !isNull(before) ? ` instead of ${to(before)}` : '';
  return [[name, `other systems send mail for % to ${to(after)}${old}`]];
}

/** Mechanisms of an SPF record (RFC 7208) that let a sender pass. */
function passing(data: string): string[] {
  const text = unquoted(data);
  if (!isSpf(text)) return [];
  const terms = text.split(' ').slice(1);
  return terms.filter((term) => !/^[-~?]|^(?:\+?all|redirect=.*|exp=.*)$/.test(term));
}

function senders(before: DnsRecord, after: DnsRecord): Said[] {
  const [old, next] = [passing(before.data), passing(after.data)];
  const added = next.filter((term) => !old.includes(term));
  const removed = old.filter((term) => !next.includes(term));
  return [
    ...(added.length > 0 ? [`senders at ${added.join(', ')} may send as % (SPF)`] : []),
    ...(removed.length > 0
      ? [`senders at ${removed.join(', ')} may no longer send as % (SPF)`]
      : []),
  ].map((sentence) => [after.name, sentence]);
}

/** DMARC (RFC 7489). */
function policy(before: DnsRecord, after: DnsRecord): Said[] {
  if (!after.name.startsWith('_dmarc.')) return [];
  const domain = after.name.slice('_dmarc.'.length);
  const tag = ({ data }: DnsRecord, name: string) =>
    new RegExp(`(?:^|;)\\s*${name}=([^;]*)`).exec(unquoted(data))?.[1]?.trim();
  const [[p, was], [rua, wasTo]] = [
    [tag(after, 'p'), tag(before, 'p')],
    [tag(after, 'rua'), tag(before, 'rua')],
  ];
  const request = (value = 'none') => (value === 'none' ? 'let pass' : value);
  const to = (value: string) => value.replaceAll('mailto:', '');
  return [
    ...(p === was
      ? []
      : [
          `receivers are asked to ${request(p)} mail in the name of % that fails DMARC, instead of to ${request(was)} it`,
        ]),
    ...(rua === wasTo || rua === undefined ? [] : [`DMARC reports on % go to ${to(rua)}`]),
  ].map((sentence) => [domain, sentence]);
}

/** A DKIM record without a key. */
function revocation(before: DnsRecord | undefined, after: DnsRecord | undefined): Said[] {
  const [, selector, domain] = /^(\w+)\._domainkey\.(.+)$/.exec(after?.name ?? '') ?? [];
  const [old, next] = [before, after].map((one) => one && unquoted(one.data));
  return domain && next === revokedKeyRecord && old !== next
    ? [[domain, `revokes the DKIM key ${selector} of %: its signatures are no longer valid`]]
    : [];
}
