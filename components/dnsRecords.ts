import { createPublicKey } from 'node:crypto';
import type { Settings } from './settings';
import { spfRecord } from './spf';

/** What is known only once something is made, by what makes it. */
export type RecordSource =
  /** An address of the host. */
  | { from: 'ipv4' | 'ipv6' }
  /** The key record of a DKIM selector, as text. */
  | { from: 'dkim'; domain: string; selector: string };

/** What a record says, by type. */
export type RecordData<V> =
  | { type: 'A' | 'AAAA' | 'TXT'; value: V }
  | { type: 'CNAME'; target: string }
  /** The target `.` is no host at all. */
  | { type: 'MX'; priority: number; target: string }
  | { type: 'SRV'; priority: number; weight: number; port: number; target: string }
  | { type: 'CAA'; flags: number; tag: string; value: V }
  /** The value is in lower-case hexadecimal. */
  | { type: 'TLSA'; usage: number; selector: number; matchingType: number; value: V };

/** A record that the plan publishes. All names are full, without final dot, and in A-label form. */
export type DnsRecord<V = string | RecordSource> = RecordData<V> & {
  name: string;
  zone: string;
  /** The component that it belongs to: the host's name or a domain's. */
  owner: { type: 'HostDns' | 'DomainDns'; name: string };
  /** What stands behind the owner's name in that of the resource. */
  key: string;
};

/** A record as its owner has it. */
type OwnRecord = RecordData<string | RecordSource> & { key: string; name: string };

/**
 * Every record that the plan publishes, owner by owner.
 *
 * @param selectors of the DKIM keys that a domain publishes
 */
export function dnsRecords(
  settings: Settings,
  selectors: (domain: string) => string[],
): DnsRecord[] {
  const owned = (owner: DnsRecord['owner'], zone: string, records: OwnRecord[]): DnsRecord[] =>
    records.map((record) => ({ ...record, owner, zone }));
  const { hostName, domains } = settings;
  return [
    ...owned({ type: 'HostDns', name: hostName }, hostDomain(settings).zone, hostRecords(settings)),
    ...domains.flatMap((domain) =>
      owned(
        { type: 'DomainDns', name: domain.name },
        domain.zone,
        domain.parked
          ? parkedRecords(domain.name)
          : [
              ...domainRecords(domain, hostName),
              ...selectors(domain.name).map((selector) => dkimRecord(selector, domain.name)),
            ],
      ),
    ),
  ];
}

/** The nearest domain above the host's name: one below another may have a zone of its own. */
const hostDomain = ({ domains, hostName }: Settings): Settings['domains'][number] =>
  domains
    .filter(({ name }) => hostName.endsWith(`.${name}`))
    .sort((a, b) => b.name.length - a.name.length)[0]!;

/** The host's own names: its addresses, and SPF for the name in HELO (RFC 7208, section 2.3). */
const hostRecords = ({ hostName: name, ipv6 }: Settings): OwnRecord[] => [
  { key: 'a', name, type: 'A', value: { from: 'ipv4' } },
  ...(ipv6 ? [{ key: 'aaaa', name, type: 'AAAA', value: { from: 'ipv6' } } as const] : []),
  { key: 'spf', name, type: 'TXT', value: 'v=spf1 a -all' },
];

/** Both identifiers have to lie in the domain itself, not merely in the same organisation (RFC 7489, section 3.1). */
const rejectAll = 'v=DMARC1; p=reject; adkim=s; aspf=s';

/**
 * What a domain with mail publishes besides DKIM keys: MX (RFC 5321, section 5.1), SPF (RFC 7208) and DMARC (RFC 7489),
 * whose reports go to an address in the domain: one elsewhere would have to consent in DNS.
 */
const domainRecords = (
  { name: domain, spf }: Settings['domains'][number],
  hostName: string,
): OwnRecord[] => [
  { key: 'mx', name: domain, type: 'MX', priority: 10, target: hostName },
  { key: 'spf', name: domain, type: 'TXT', value: spfRecord(spf) },
  {
    key: 'dmarc',
    name: `_dmarc.${domain}`,
    type: 'TXT',
    value: `${rejectAll}; rua=mailto:dmarc-reports@${domain}`,
  },
];

/** What a domain without mail publishes, so that nobody can send in its name: a null MX (RFC 7505) and no sender at all. */
const parkedRecords = (domain: string): OwnRecord[] => [
  { key: 'mx', name: domain, type: 'MX', priority: 0, target: '.' },
  { key: 'spf', name: domain, type: 'TXT', value: 'v=spf1 -all' },
  { key: 'dmarc', name: `_dmarc.${domain}`, type: 'TXT', value: rejectAll },
  { key: 'dkim', name: `*._domainkey.${domain}`, type: 'TXT', value: 'v=DKIM1; p=' },
];

/** The record of a selector, at the name where its key is looked for (RFC 6376, section 3.6.2.1). */
const dkimRecord = (selector: string, domain: string): OwnRecord => ({
  key: `dkim-${selector}`,
  name: `${selector}._domainkey.${domain}`,
  type: 'TXT',
  value: { from: 'dkim', domain, selector },
});

/**
 * The DKIM key record's text for an RSA public key (RFC 6376, section 3.6.1): `p=` is the base64 of its SubjectPublicKeyInfo.
 *
 * @param publicKeyPem PEM of any line width, with or without a final newline
 * @throws Error where the PEM is no RSA public key
 */
export function dkimKeyRecord(publicKeyPem: string): string {
  const key = createPublicKey(publicKeyPem);
  if (key.asymmetricKeyType !== 'rsa') {
    throw new Error(`DKIM signs with RSA here, but the key is ${key.asymmetricKeyType}`);
  }
  return `v=DKIM1; k=rsa; p=${key.export({ type: 'spki', format: 'der' }).toString('base64')}`;
}

/** The name of generation `generation` of a domain's DKIM key. A selector's key never changes. */
export function dkimSelector(generation: number): string {
  return `s${generation}`;
}

/**
 * The generations that are published while `generation` signs: the retired one (none at 1), the signing one, and the
 * next, so that a key is always in DNS one whole rotation before it signs.
 */
export function publishedGenerations(generation: number): number[] {
  return [generation - 1, generation, generation + 1].filter((n) => n >= 1);
}
