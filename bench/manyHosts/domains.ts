/** The domains of one host, each a zone of its own. */
export const domainsOf = (host: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `host${host}-domain${i}.example`);
