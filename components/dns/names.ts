import { registrableDomain } from '../settings/names';

/** Where other mail systems look which TLS keys the host may have (RFC 7672, section 3). */
export const tlsaName = (hostName: string): string => `_25._tcp.${hostName}`;

/** Names below a domain under which the host's web server is looked for. */
export const clientNames = (domain: string): string[] =>
  ['autoconfig', 'autodiscover', 'mta-sts'].map((label) => `${label}.${domain}`);

/** Where the domain of a report address consents to reports on another organisation's domain (RFC 7489, section 7.1). */
export const reportConsentName = (domain: string, to: string): string | undefined =>
  registrableDomain(domain) === registrableDomain(to)
    ? undefined
    : `${domain}._report._dmarc.${to}`;
