import { createHash, createPublicKey } from 'node:crypto';
import { clientPorts } from '../daemons/catalogue';
import { deliveredHere, hasTlsa } from '../settings/derived';
import type { DmarcPolicy } from '../settings/enums';
import { mailSettings } from '../settings/mailSettings';
import { domainOf, liesIn } from '../settings/names';
import type { Settings } from '../settings/settings';
import { announcedMtaSts, mtaStsId, mtaStsPolicy } from './mtaSts';
import { clientNames, reportConsentName, tlsaName } from './names';
import { spfRecord } from './spf';

/** What is known only once something is made, by what makes it. */
export type RecordSource =
  /** An address of the host. */
  | { from: 'ipv4' | 'ipv6' }
  /** The key record of a DKIM selector, as text. */
  | { from: 'dkim'; domain: string; selector: string }
  /** The SHA-256 of the public part of the host's TLS key, of that generation. */
  | { from: 'tls'; generation: number }
  /** Who may issue certificates, by the account at the CA. */
  | { from: 'acme' };

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
  /** Set on a record of the host that has the domain's mail. */
  old?: {
    /** Seconds. */
    ttl: number;
    proxied: boolean;
    /** The record that the stack has put in its place is to give way to it again; else it stays as it is. */
    restored: boolean;
  };
};

/** A record as its owner has it. */
type OwnRecord = RecordData<string | RecordSource> & { key: string; name: string };

type Domain = Settings['domains'][number];

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
  const consents = reportConsents(settings);
  return [
    ...owned(
      { type: 'HostDns', name: hostName },
      nearestDomain(domains, hostName)!.zone,
      hostRecords(settings),
    ),
    ...domains.flatMap((domain) =>
      owned({ type: 'DomainDns', name: domain.name }, domain.zone, [
        ...(domain.parked
          ? parkedRecords(domain.name)
          : [
              ...(domain.delivery === 'here' ? recordsInUse(settings, domain) : []),
              ...selectors(domain.name).map((selector) => dkimRecord(selector, domain.name)),
            ]),
        ...consents.filter(({ owner }) => owner === domain.name).map(({ record }) => record),
      ]),
    ),
  ];
}

/** What a domain publishes once its mail is delivered here, and another host has until then. */
export const recordsOfSwitch = (settings: Settings, domain: Domain): DnsRecord<string>[] =>
  recordsInUse(settings, domain).map((record) => ({
    ...record,
    owner: { type: 'DomainDns', name: domain.name },
    zone: domain.zone,
  }));

/** Records that mail of these domains needs in zones of others. */
export const foreignRecords = (settings: Settings): (OwnRecord & RecordData<string>)[] =>
  reportConsents(settings)
    .filter(({ owner }) => owner === undefined)
    .map(({ record }) => record);

/** The nearest domain above a name: one below another may have a zone of its own. */
const nearestDomain = (domains: Domain[], name: string): Domain | undefined =>
  domains
    .filter((domain) => liesIn(name, domain.name))
    .sort((a, b) => b.name.length - a.name.length)[0];

/** The host's own names: its addresses, and SPF for the name in HELO (RFC 7208, section 2.3). */
const hostRecords = (settings: Settings): OwnRecord[] => {
  const { hostName: name, ipv6, tls, tlsGeneration } = settings;
  return [
    { key: 'a', name, type: 'A', value: { from: 'ipv4' } },
    ...(ipv6 ? [{ key: 'aaaa', name, type: 'AAAA', value: { from: 'ipv6' } } as const] : []),
    { key: 'spf', name, type: 'TXT', value: 'v=spf1 a -all' },
    // For the names of the domains too, which are aliases of this one (RFC 8659, section 3).
    ...(tls.issuer === 'acme'
      ? ([
          { key: 'caa', name, type: 'CAA', flags: 0, tag: 'issue', value: { from: 'acme' } },
          { key: 'caa-wildcard', name, type: 'CAA', flags: 0, tag: 'issuewild', value: ';' },
        ] as const)
      : []),
    ...(hasTlsa(settings) ? tlsGenerations(tlsGeneration) : []).map((generation): OwnRecord => ({
      key: `tlsa-${generation}`,
      name: tlsaName(name),
      type: 'TLSA',
      // The key itself, whoever has signed its certificate (RFC 7672, section 3.1).
      usage: 3,
      selector: 1,
      matchingType: 1,
      value: { from: 'tls', generation },
    })),
  ];
};

/** The name of a generation of the TLS key. The first has had its name since there were no others. */
export const tlsKeyName = (generation: number): string =>
  generation === 1 ? 'key' : `key-${generation}`;

/** As a TLSA record with selector 1 and matching type 1 has it (RFC 6698, section 2.1). */
export const publicKeyHash = (publicKeyPem: string): string =>
  createHash('sha256')
    .update(createPublicKey(publicKeyPem).export({ type: 'spki', format: 'der' }))
    .digest('hex');

/** The generations of the TLS key that are out while one is served: the next is there before it. */
export const tlsGenerations = (generation: number): number[] =>
  [generation - 1, generation, generation + 1].filter((n) => n >= 1);

/** What a domain publishes whose mail is delivered here, besides its DKIM keys. */
function recordsInUse(settings: Settings, domain: Domain): (OwnRecord & RecordData<string>)[] {
  const { hostName, web } = settings;
  const { name, spf } = domain;
  const mtaSts = announcedMtaSts(settings);
  const srvRecord = (key: string, port: number) => ({
    key,
    name: `_${key}._tcp.${name}`,
    type: 'SRV' as const,
    priority: 0,
    weight: 1,
    port,
    target: hostName,
  });
  const [autoconfig, autodiscover, policyHost] = clientNames(name);
  const alias = (key: string, of: string) => ({
    key,
    name: of,
    type: 'CNAME' as const,
    target: hostName,
  });
  return [
    { key: 'mx', name, type: 'MX', priority: 10, target: hostName },
    { key: 'spf', name, type: 'TXT', value: spfRecord(spf) },
    { key: 'dmarc', name: `_dmarc.${name}`, type: 'TXT', value: dmarcRecord(settings, domain) },
    // Reports on TLS to this host (RFC 8460, section 3).
    {
      key: 'tls-reports',
      name: `_smtp._tls.${name}`,
      type: 'TXT',
      value: `v=TLSRPTv1; rua=mailto:tls-reports@${name}`,
    },
    // RFC 6186, RFC 8314 (section 5.1) and RFC 5804 (section 1.8).
    ...clientPorts(mailSettings(settings)).map(({ service, number }) => srvRecord(service, number)),
    ...(web ? [alias('autoconfig', autoconfig!), alias('autodiscover', autodiscover!)] : []),
    ...(mtaSts === undefined
      ? []
      : [
          alias('mta-sts-host', policyHost!),
          {
            key: mtaStsKey,
            name: `_mta-sts.${name}`,
            type: 'TXT',
            value: `v=STSv1; id=${mtaStsId(mtaStsPolicy(mtaSts, [hostName]))}`,
          } as const,
        ]),
  ];
}

/** The record that announces a policy, which is to be served by then. */
export const mtaStsKey = 'mta-sts';

/** Both identifiers have to lie in the domain itself, not merely in the same organisation (RFC 7489, section 3.1). */
const dmarcPolicy = (policy: DmarcPolicy): string => `v=DMARC1; p=${policy}; adkim=s; aspf=s`;

const dmarcRecord = ({ dmarcReports }: Settings, { name, dmarcPolicy: policy }: Domain): string =>
  // In a URI an ampersand is a sign of its own (RFC 6068, section 2).
  `${dmarcPolicy(policy)}; rua=mailto:${(dmarcReports ?? `dmarc-reports@${name}`).replaceAll('&', '%26')}`;

/** What a domain without mail publishes, so that nobody can send in its name: a null MX (RFC 7505) and no sender at all. */
const parkedRecords = (domain: string): OwnRecord[] => [
  { key: 'mx', name: domain, type: 'MX', priority: 0, target: '.' },
  { key: 'spf', name: domain, type: 'TXT', value: 'v=spf1 -all' },
  { key: 'dmarc', name: `_dmarc.${domain}`, type: 'TXT', value: dmarcPolicy('reject') },
  { key: 'dkim', name: `*._domainkey.${domain}`, type: 'TXT', value: 'v=DKIM1; p=' },
];

/** What consents to DMARC reports, each with the domain whose zone it lies in; none where that is no domain of these. */
function reportConsents({ domains, dmarcReports }: Settings) {
  if (dmarcReports === undefined) return [];
  const to = domainOf(dmarcReports);
  const owner = nearestDomain(domains, to)?.name;
  return deliveredHere(domains).flatMap((domain) => {
    const name = reportConsentName(domain.name, to);
    const key = `dmarc-reports-${domain.name}`;
    return name === undefined
      ? []
      : [{ owner, record: { key, name, type: 'TXT', value: 'v=DMARC1' } as const }];
  });
}

/** The record of a selector, at the name where its key is looked for (RFC 6376, section 3.6.2.1). */
const dkimRecord = (selector: string, domain: string): OwnRecord => ({
  key: `dkim-${selector}`,
  name: `${selector}._domainkey.${domain}`,
  type: 'TXT',
  value: { from: 'dkim', domain, selector },
});

/**
 * What stands behind `p=` for an RSA public key (RFC 6376, section 3.6.1): the base64 of its SubjectPublicKeyInfo.
 *
 * @param publicKeyPem PEM of any line width, with or without a final newline
 * @throws Error where the PEM is no RSA public key
 */
export function dkimPublicKey(publicKeyPem: string): string {
  const key = createPublicKey(publicKeyPem);
  if (key.asymmetricKeyType !== 'rsa') {
    throw new Error(`DKIM signs with RSA here, but the key is ${key.asymmetricKeyType}`);
  }
  return key.export({ type: 'spki', format: 'der' }).toString('base64');
}

/** The text of a DKIM key record. */
export const dkimKeyRecord = (publicKeyPem: string): string =>
  `v=DKIM1; k=rsa; p=${dkimPublicKey(publicKeyPem)}`;

/** The text of the record of a key that nobody may trust any more. */
export const revokedKeyRecord = 'v=DKIM1; p=';
