/** How accounts exist on the host: in tables of the mail daemons, or as system users with PAM and /etc/passwd. */
export const AccountKind = { Virtual: 'virtual', System: 'system' } as const;
export type AccountKind = (typeof AccountKind)[keyof typeof AccountKind];

/** What the four daemons' configuration is rendered from: plain values, no secrets. */
export interface MailSettings {
  /** Fully qualified name of the host, as in HELO, reverse DNS and the certificate. */
  hostName: string;
  /** Hosted domains, each with the DKIM selector that signs now. */
  domains: { name: string; selector: string }[];
  accounts: { address: string; aliases: string[] }[];
  /** Recipient of mail for root and the role addresses. */
  postmaster: string;
  accountKind: AccountKind;
  /** SpamAssassin score from which a message is tagged as spam. */
  spamTagLevel: number;
}

/** An account with the hash that its password is checked against. */
export interface Credential {
  address: string;
  /** crypt(5) form. */
  passwordHash: string;
}

/** The mailbox of the check at the end of an `up`, at a domain that can exist nowhere else (RFC 6761, section 6.4). */
export const probeDomain = 'mailhost-probe.invalid';
export const probeAddress = `mailhost-probe@${probeDomain}`;

/** What stands before the last `@` of a mail address. */
export const localPartOf = (address: string): string => address.slice(0, address.lastIndexOf('@'));

/** What stands behind the last `@` of a mail address. */
export const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1);
