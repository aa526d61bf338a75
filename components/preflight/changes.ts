import { dkimSelector, type KeyHistory } from '../dns/dkimKeys';
import { announcedMtaSts, maxAge } from '../dns/mtaSts';
import { seconds } from '../settings/duration';
import { withMail, type CertificateIssuer, type Dns, type MtaSts } from '../settings/mailSettings';
import { domainOf, localPartOf } from '../settings/names';
import type { Settings } from '../settings/settings';

/** What a later change is judged against: kept in the state once the host has it. */
export interface Summary {
  hostName: string;
  accountKind: string;
  ipv6: boolean;
  /** Of each domain that has mail, or had. */
  dkim: Record<string, KeyHistory>;
  dkimCompromised: number[];
  /** Seconds. */
  dkimRetention: number;
  tlsGeneration: number;
  issuer: CertificateIssuer;
  dnssec: boolean;
  dns: Dns;
  /** The mode of the policy that domains announce; `absent` where they announce none. */
  mtaSts: MtaSts | 'absent';
  /** Since when that ends what others were promised before, in ISO form. */
  mtaStsNoneSince?: string;
  serverGeneration: number;
  /** The name of the zone that each domain lies in. */
  zones: Record<string, string>;
  /** Domains with mail. */
  domains: string[];
  parked: string[];
  accounts: string[];
  /** Every address that mail is taken in for, role addresses aside; `@example.org` for a catch-all. */
  addresses: string[];
}

/**
 * @param zoneName of a zone, which a domain may name by its id
 * @returns what of the settings later changes are judged against
 */
export function summaryOf(
  settings: Settings,
  dkim: Record<string, KeyHistory>,
  zoneName = (zone: string): string => zone,
): Summary {
  const { hostName, accountKind, ipv6, dkimCompromised, serverGeneration } = settings;
  const { tls, tlsGeneration, dnssec, dns, domains, accounts, aliases } = settings;
  return {
    hostName,
    accountKind,
    ipv6,
    dkim,
    dkimCompromised,
    dkimRetention: seconds(settings.dkimRetention),
    tlsGeneration,
    issuer: tls.issuer,
    dnssec,
    dns,
    mtaSts: announcedMtaSts(settings) ?? 'absent',
    serverGeneration,
    zones: Object.fromEntries(domains.map(({ name, zone }) => [name, zoneName(zone)])),
    domains: withMail(domains).map(({ name }) => name),
    parked: domains.filter(({ parked }) => parked).map(({ name }) => name),
    accounts: accounts.map(({ address }) => address),
    addresses: [
      ...accounts.flatMap(({ address, aliases: own }) => [address, ...own]),
      ...aliases.map(({ address }) => address),
      ...domains.filter(({ catchAll }) => catchAll !== undefined).map(({ name }) => `@${name}`),
    ].sort(),
  };
}

/** A change that is stopped. */
export interface Danger {
  /** What the setting `confirm` has to hold for the change to go on; none where it cannot. */
  words?: string;
  message: string;
}

/** Where the mail of an account lies on the host. */
const mailFolder = (address: string, accountKind: string): string =>
  accountKind === 'system'
    ? `/srv/mailhost/home/${localPartOf(address)}`
    : `/srv/mailhost/mail/${domainOf(address)}/${localPartOf(address)}`;

/** The modes that others keep to for as long as they remember them. */
const promises = (mode: Summary['mtaSts']): boolean => mode === 'testing' || mode === 'enforce';

/** Since when the policy ends what others were promised; undefined where there is nothing to end. */
export function mtaStsNoneSince(before: Summary, after: Summary, now: Date): string | undefined {
  if (after.mtaSts !== 'none') return undefined;
  return promises(before.mtaSts) ? now.toISOString() : before.mtaStsNoneSince;
}

/** Until when others may keep a policy that promised something. */
const promisedUntil = ({ mtaStsNoneSince: since }: Summary): Date | undefined =>
  since === undefined ? undefined : new Date(Date.parse(since) + maxAge('enforce') * 1000);

/** @returns what would be lost or broken between `before` and `after` */
export function dangers(before: Summary, after: Summary, now: Date): Danger[] {
  const promised = promisedUntil(before);
  const goneDomains = without(before.domains, after.domains);
  const goneAccounts = without(before.accounts, after.accounts);
  const ofGoneDomain = (domain: string) =>
    before.accounts.filter((address) => domainOf(address) === domain);
  return [
    ...goneDomains.map((domain) => ({
      words: `remove ${domain}`,
      message: `${domain} would no longer have mail${list(' with its accounts ', ofGoneDomain(domain))}: mail to it is refused from then on. Their mail stays on the host, in ${mailFolder(`@${domain}`, before.accountKind)}. What it has sent lately can no longer be verified. Its DKIM keys stay in the state: should it come again, it signs with them`,
    })),
    ...without(before.parked, [...after.parked, ...after.domains]).map((domain) => ({
      words: `remove ${domain}`,
      message: `${domain} would no longer say that it has no mail: anybody could send in its name`,
    })),
    ...goneAccounts
      .filter((address) => !goneDomains.includes(domainOf(address)))
      .filter((address) => heir(address, before, after) === undefined)
      .map((address) => ({
        words: `remove ${address}`,
        message: `${address} would no longer be an account: it cannot log in from then on. Its mail stays on the host, in ${mailFolder(address, before.accountKind)}, for whoever gets that address again`,
      })),
    ...goneAccounts.flatMap((address) => {
      const next = heir(address, before, after);
      return next === undefined
        ? []
        : [
            {
              words: `hand the mailbox of ${address} to ${next}`,
              message: `${next} would be the same system user as ${address}, and read all of its mail`,
            },
          ];
    }),
    ...(before.hostName === after.hostName
      ? []
      : [
          {
            words: `rename ${before.hostName} to ${after.hostName}`,
            message: `the host would be ${after.hostName} instead of ${before.hostName}: mail clients are set up with the old name, and its certificate and address records go`,
          },
        ]),
    ...(before.dns === 'cloudflare' && after.dns === 'cloudflare'
      ? Object.entries(after.zones)
          .filter(([domain, zone]) => (before.zones[domain] ?? zone) !== zone)
          .map(([domain, zone]) => ({
            words: `move ${domain} to zone ${zone}`,
            message: `the records of ${domain} would be deleted in the zone ${before.zones[domain]} and made in ${zone}: until others look there, mail to it is held back or lost, and its signatures do not hold. Let the new zone answer for it first`,
          }))
      : []),
    ...(before.accountKind === after.accountKind
      ? []
      : [
          {
            words: `make accounts ${after.accountKind}`,
            message: `accounts would be ${after.accountKind} instead of ${before.accountKind}, with mailboxes elsewhere on the host: each is empty at first, and the mail stays where it was`,
          },
        ]),
    ...(before.dns === 'cloudflare' && after.dns === 'manual'
      ? [
          {
            words: 'delete all records at Cloudflare',
            message:
              'the records would be deleted at Cloudflare: publish those of `pulumi stack output zoneFile` elsewhere first, and let the registrar delegate there',
          },
        ]
      : []),
    ...(promised && now < promised && after.mtaSts === 'absent'
      ? [
          {
            words: 'drop MTA-STS',
            message: `others may keep until ${promised.toISOString()} to the MTA-STS policy from before, and could no longer read that it has ended: leave mtaSts at none until then`,
          },
        ]
      : []),
    ...(promises(before.mtaSts) && after.mtaSts === 'absent'
      ? [
          {
            words: 'drop MTA-STS',
            message: `no domain would announce MTA-STS any more, but others keep to the policy that they have read, in mode ${before.mtaSts}, and cannot read that it has ended: set mtaSts to none first, and leave it so for 7 days`,
          },
        ]
      : []),
    ...(before.ipv6 && !after.ipv6
      ? [
          {
            words: 'give up the IPv6 address',
            message: 'the IPv6 address would go for good, and with it what others think of it',
          },
        ]
      : []),
    ...(Math.abs(after.tlsGeneration - before.tlsGeneration) > 1
      ? [
          {
            message: `the TLS key would jump from generation ${before.tlsGeneration} to ${after.tlsGeneration}, and others would know no TLSA record of it: go one step at a time`,
          },
        ]
      : []),
    ...(before.dnssec && before.issuer !== 'provided' && after.issuer === 'provided'
      ? [
          {
            words: 'serve a key that no TLSA record names',
            message:
              'others may remember the TLSA records for as long as their TTL, and hold mail back from a host that serves the provided key: they try again later',
          },
        ]
      : []),
    ...without(before.dkimCompromised, after.dkimCompromised)
      .filter((generation) => isPublished(after.dkim, generation))
      .map((generation) => ({
        words: `trust ${dkimSelector(generation)} again`,
        message: `DKIM keys of generation ${generation} would be valid again, though they were declared compromised: leave it in dkimCompromised until no domain publishes them any more`,
      })),
  ];
}

/** Who is the same system user as an account that goes: their names are local parts. */
const heir = (address: string, before: Summary, after: Summary): string | undefined =>
  before.accountKind === 'system' && after.accountKind === 'system'
    ? after.accounts.find((other) => localPartOf(other) === localPartOf(address))
    : undefined;

/** The machine as the cloud has it. */
export interface MachineState {
  location?: string;
  /** GB. */
  volumeSize?: number;
}

/** @returns what would be lost of the machine's own */
export function machineDangers(before: MachineState, after: Required<MachineState>): Danger[] {
  if (before.location !== undefined && before.location !== after.location) {
    return [
      {
        words: `move to ${after.location} without the mail`,
        message: `a volume cannot move from ${before.location} to ${after.location}: an empty one and new addresses would take its place. Set protect to false and \`pulumi up\` first`,
      },
    ];
  }
  return before.volumeSize !== undefined && after.volumeSize < before.volumeSize
    ? [
        {
          message: `a volume cannot shrink from ${before.volumeSize} to ${after.volumeSize} GB: set volumeSize back to ${before.volumeSize}`,
        },
      ]
    : [];
}

/**
 * @param restore where the volume stays
 * @returns a warning for each thing that happens with the server
 */
export function serverWarnings(before: Summary, after: Summary, restore?: string): string[] {
  return [
    ...(before.serverGeneration === after.serverGeneration
      ? []
      : [
          'another server takes the place of this one: for some minutes no mail is taken in, and others try again later. Logs and what was done by hand are lost with it; mail, queue, addresses and keys stay',
        ]),
    ...(restore === undefined
      ? []
      : [
          `restore (${restore}) fills an empty volume only, and this host has had mail: take the setting out, or see docs/backups.md for how to bring single mailboxes back`,
        ]),
  ];
}

/**
 * Addresses that mail was taken in for and will be refused, though no account goes.
 *
 * @returns a warning for each
 */
export function droppedAddresses(before: Summary, after: Summary): string[] {
  const kept = new Set([...after.addresses, ...before.accounts]);
  return before.addresses
    .filter((address) => !kept.has(address) && !after.addresses.includes(`@${domainOf(address)}`))
    .filter((address) => after.domains.includes(domainOf(address)))
    .map((address) =>
      address.startsWith('@')
        ? `mail to addresses of ${domainOf(address)} that nobody has is refused from now on`
        : `mail to ${address} is refused from now on`,
    );
}

const isPublished = (dkim: Record<string, KeyHistory>, generation: number): boolean =>
  Object.values(dkim).some(
    ({ signs, keys }) => signs !== undefined && keys.some((key) => key.generation === generation),
  );

const without = <T>(items: T[], others: T[]): T[] => items.filter((item) => !others.includes(item));

const list = (prefix: string, items: string[]): string =>
  items.length === 0
    ? ''
    : `${prefix}${items.slice(0, 5).join(', ')}${items.length > 5 ? ` and ${items.length - 5} more` : ''}`;
