import type { Settings } from './settings';

/** Whether backups go to a server by SSH. */
export const isOverSsh = (repository: string): boolean => repository.startsWith('sftp:');

/** The domains that are not parked. */
export const withMail = (domains: Settings['domains']): Settings['domains'] =>
  domains.filter(({ parked }) => !parked);

/** The domains whose mail is delivered here. */
export const deliveredHere = (domains: Settings['domains']): Settings['domains'] =>
  withMail(domains).filter(({ delivery }) => delivery === 'here');

/** The domains that are prepared here while another host has their mail. */
export const deliveredElsewhere = (domains: Settings['domains']): Settings['domains'] =>
  withMail(domains).filter(({ delivery }) => delivery === 'elsewhere');

/** A key that somebody else gives is known to nobody before it is served. */
export const hasTlsa = ({ dnssec, tls }: Pick<Settings, 'dnssec' | 'tls'>): boolean =>
  dnssec && tls.issuer !== 'provided';

/** The generation of DKIM keys that signs for each domain with mail. */
export const signingGenerations = (settings: Settings): Record<string, number> =>
  Object.fromEntries(
    withMail(settings.domains).map(({ name, dkimGeneration }) => [
      name,
      dkimGeneration ?? settings.dkimGeneration,
    ]),
  );
