import type { User } from './spec';

const name = 'mailhost-probe';

/** The check of the host sends messages to a mailbox of its own, at a domain that can exist nowhere else (RFC 6761, section 6.4). */
export const probeDomain = `${name}.invalid`;
export const probeAddress = `${name}@${probeDomain}`;
/** The system user that the mailbox belongs to where accounts are such. */
export const probeUser: User = { name, id: 907, home: `/srv/mailhost/home/${name}` };

/**
 * Reports on DMARC and TLS arrive in a mailbox of their own, which belongs to the user that reads them: no other mail is his.
 * It lies in no domain that others can write to; the addresses of the records are aliases of it.
 */
export const reportsAddress = `mailhost-reports@${probeDomain}`;
export const reportsUser: User = {
  name: 'mailhost-reports',
  id: 908,
  home: '/srv/mailhost/home/mailhost-reports',
};
