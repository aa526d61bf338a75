/** Where other mail systems look which TLS keys the host may have (RFC 7672, section 3). */
export const tlsaName = (hostName: string): string => `_25._tcp.${hostName}`;

/** Names below a domain under which the host's web server is looked for. */
export const clientNames = (domain: string): string[] =>
  ['autoconfig', 'autodiscover', 'mta-sts'].map((label) => `${label}.${domain}`);
