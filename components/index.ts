export { MailHost } from './mailHost';
export type * from './mailHostArgs';

// Parts that make sense alone.
export { Dkim, type DkimArgs } from './dkim';
export { cloudflareDns } from './dns/cloudflare';
export { DomainDns, type DnsArgs } from './domainDns';
export { Machine } from './machine';
export type { MachineArgs } from './machineArgs';
export type { OpenPort } from './machineFiles';
