/** An account as another host has it, before anything of it is judged. */
export interface Entry {
  name: string;
  /** With the scheme that the host writes before it. */
  password: string;
  /** With a unit of Dovecot, or in octets. */
  quota?: string;
  sendAs?: string[];
}

export interface NamedAlias {
  /** An address, or `@example.org` for the rest of a domain. */
  name: string;
  recipients: string[];
}

/** What the file of another host has. */
export interface Found {
  entries: Entry[];
  aliases: NamedAlias[];
  /** What is not taken, each with what to do. */
  problems: string[];
}

/** Addresses with commas, spaces or line ends between them. */
export const listed = (text: string): string[] => text.split(/[\s,]+/).filter(Boolean);
