import type { User } from './spec';

const name = 'mailhost-probe';

/** The check of the host sends messages to a mailbox of its own, at a domain that can exist nowhere else (RFC 6761, section 6.4). */
export const probeDomain = `${name}.invalid`;
export const probeAddress = `${name}@${probeDomain}`;
/** The system user that the mailbox belongs to where accounts are such. */
export const probeUser: User = { name, id: 907, home: `/srv/mailhost/home/${name}` };
