import type { KeyHistory } from '../dns/dkimKeys';
import type { Move } from '../dns/moves';
import { announcedMtaSts } from '../dns/mtaSts';
import { seconds } from '../settings/duration';
import { withMail } from '../settings/derived';
import type { CertificateIssuer, Dns, MtaSts } from '../settings/enums';
import type { Settings } from '../settings/settings';
import type { Servers } from './serverPlan';

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
  /** Of the server that serves. */
  serverGeneration: number;
  /** Where there is a server beside it, or has been one. */
  servers?: Servers;
  /** Whether the stack makes the machine, or is given one. */
  machine: 'made' | 'given';
  /** The name of the zone that each domain lies in. */
  zones: Record<string, string>;
  /** Domains with mail. */
  domains: string[];
  parked: string[];
  accounts: string[];
  /** Of each domain that another host has, or had before. */
  moves?: Record<string, Move>;
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
    machine: settings.machine ? 'given' : 'made',
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
