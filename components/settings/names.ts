import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { getDomain } from 'tldts';
import ipaddr from 'ipaddr.js';

const label = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;
const localPart = /^(?!.*\.\.)[a-z0-9_](?:[a-z0-9._'&-]{0,62}[a-z0-9_-])?$/;

/** Octets that the longest name published below each domain adds to it. */
const room = '_submissions._tcp.'.length;

/**
 * A domain name in the form that DNS and the daemons compare: lower case, international labels as A-labels (RFC 5890,
 * section 2.3.2.1), without the final dot of a zone file.
 *
 * @returns undefined where `name` is no full domain name, or is so long that the names below it would pass the 253
 * octets of RFC 1035
 * @example normalDomain('Bücher.example') // 'xn--bcher-kva.example'
 */
export function normalDomain(name: string): string | undefined {
  // domainToASCII() reads its argument as part of a URL, with escapes and addresses.
  if (/[^A-Za-z0-9.\-\u{80}-\u{10ffff}]/u.test(name)) return undefined;
  const labels = withoutFinalDot(name.toLowerCase()).split('.');
  if (!/\D/.test(labels.at(-1)!)) return undefined;
  const ascii = domainToASCII(labels.join('.'));
  const fits = ascii.includes('.') && ascii.length + room <= 253;
  return fits && ascii.split('.').every((part) => label.test(part)) ? ascii : undefined;
}

/**
 * A name that DNS or an API tells, in the form of normalDomain() but of any length: lower case, A-labels, no final dot. The
 * root stays a dot.
 */
export const asciiName = (name: string): string => {
  if (name === '.') return name;
  // Underscores, `*` and `@` stand in names that are no host names.
  return withoutFinalDot(name.toLowerCase())
    .split('.')
    .map((part) => (/[^\0-\x7f]/.test(part) ? domainToASCII(part) || part : part))
    .join('.');
};

/** With the dots of other scripts as full stops (UTS #46, section 2.3). */
const withoutFinalDot = (name: string): string =>
  name.replace(/[\u3002\uff0e\uff61]/g, '.').replace(/\.$/, '');

/** A zone by its name, in the form of normalDomain(), or by its id at Cloudflare. */
export const normalZone = (zone: string): string | undefined =>
  isZoneId(zone.toLowerCase()) ? zone.toLowerCase() : normalDomain(zone);

export const isZoneId = (zone: string): boolean => /^[0-9a-f]{32}$/.test(zone);

/** What somebody registered: the organizational domain (RFC 7489, section 3.2). */
export const registrableDomain = (name: string): string =>
  getDomain(name, { allowPrivateDomains: true }) ?? name;

/** Whether a name is a domain or lies below it. */
export const liesIn = (name: string, domain: string): boolean => `.${name}`.endsWith(`.${domain}`);

/**
 * A mail address in lower case with its domain as normalDomain() gives it. Local parts are ASCII, because OpenSMTPD has
 * no SMTPUTF8 (RFC 6531); what follows a `+` is the sender's choice and no part of an account's address.
 *
 * @returns undefined where `address` is none
 */
export function normalAddress(address: string): string | undefined {
  const local = localPartOf(address).toLowerCase();
  const domain = normalDomain(domainOf(address));
  if (!address.includes('@') || !localPart.test(local) || domain === undefined) return undefined;
  return `${local}@${domain}`;
}

/**
 * As normalAddress(), for an address that may be another host's: it may have a tag, and what other hosts allow. Its local
 * part stays as it is, because only that host knows whether letter case makes a difference (RFC 5321, section 2.4).
 */
export function normalRecipient(address: string): string | undefined {
  const local = localPartOf(address);
  const domain = normalDomain(domainOf(address));
  // No form that aliases(5) takes for a file, a command or a list.
  const isLocal = /^(?!.*\.\.)[a-z0-9_](?:[a-z0-9._+'=&~-]{0,62}[a-z0-9_+=~-])?$/i.test(local);
  return address.includes('@') && isLocal && domain !== undefined
    ? `${local}@${domain}`
    : undefined;
}

/** A recipient in lower case where its domain is one of these. */
export const ownInLowerCase = (recipient: string, domains: (string | undefined)[]): string =>
  domains.includes(domainOf(recipient)) ? recipient.toLowerCase() : recipient;

/** An address without the `+tag` that its local part may have. */
export const withoutTag = (address: string): string =>
  `${localPartOf(address).replace(/\+.*/, '')}@${domainOf(address)}`;

/** A network in CIDR form (RFC 4632, RFC 4291), by its first address in the shortest form. */
export function normalNetwork(text: string): string | undefined {
  if (!ipaddr.isValidCIDR(text)) return undefined;
  const [address, bits] = ipaddr.parseCIDR(text);
  if (address.kind() === 'ipv4')
    return `${ipaddr.IPv4.networkAddressFromCIDR(text).toString()}/${bits}`;
  // An IPv4 network in disguise would open less than it seems to.
  if ((address as ipaddr.IPv6).isIPv4MappedAddress()) return undefined;
  return `${ipaddr.IPv6.networkAddressFromCIDR(text).toString()}/${bits}`;
}

/** An address in its shortest form, as DNS has it; undefined where `text` is none of that family. */
export function normalIpAddress(text: string, family: 'ipv4' | 'ipv6'): string | undefined {
  // ipaddr.js takes `127.1` for an address, too.
  if (isIP(text) !== Number(family.at(-1))) return undefined;
  const address = ipaddr.parse(text);
  const isMapped = address.kind() === 'ipv6' && (address as ipaddr.IPv6).isIPv4MappedAddress();
  return isMapped || text.includes('%') ? undefined : address.toString();
}

/** The name of the PTR record of an address (RFC 1035, section 3.5; RFC 3596, section 2.5). */
export function reverseName(address: string): string {
  const octets = ipaddr.parse(address).toByteArray();
  const labels =
    octets.length === 4 ? octets.map(String) : [...Buffer.from(octets).toString('hex')];
  return `${labels.reverse().join('.')}.${octets.length === 4 ? 'in-addr' : 'ip6'}.arpa`;
}

/** What stands before the last `@` of a mail address. */
export const localPartOf = (address: string): string =>
  address.slice(0, Math.max(address.lastIndexOf('@'), 0));

/** What stands behind the last `@` of a mail address. */
export const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1);
