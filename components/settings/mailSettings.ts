import { dkimSelector } from '../dns/dkimKeys';
import { announcedMtaSts } from '../dns/mtaSts';
import type { Settings } from './settings';

/** How accounts exist on the host: in tables of the mail daemons, or as system users with PAM and /etc/passwd. */
export const AccountKind = { Virtual: 'virtual', System: 'system' } as const;
export type AccountKind = (typeof AccountKind)[keyof typeof AccountKind];

/** What happens to spam from outside: filed into Junk, held on the host, or dropped; never bounced to a forged sender. */
export const SpamAction = { File: 'file', Hold: 'hold', Drop: 'drop' } as const;
export type SpamAction = (typeof SpamAction)[keyof typeof SpamAction];

/** What an `up` does about a host that is not as the plan has it. */
export const DriftAction = { Ignore: 'ignore', Stop: 'stop', Mend: 'mend' } as const;
export type DriftAction = (typeof DriftAction)[keyof typeof DriftAction];

/** What happens to a virus from outside. */
export const VirusAction = { Hold: 'hold', Drop: 'drop' } as const;
export type VirusAction = (typeof VirusAction)[keyof typeof VirusAction];

/** What receivers are to do with mail that fails DMARC of a domain (RFC 7489, section 6.3). */
export const DmarcPolicy = { None: 'none', Quarantine: 'quarantine', Reject: 'reject' } as const;
export type DmarcPolicy = (typeof DmarcPolicy)[keyof typeof DmarcPolicy];

/** What others are to do where TLS to this host fails: deliver, deliver and report, or hold back (RFC 8461, section 5). */
export const MtaSts = { None: 'none', Testing: 'testing', Enforce: 'enforce' } as const;
export type MtaSts = (typeof MtaSts)[keyof typeof MtaSts];

/** Who publishes the records: this stack at Cloudflare, or a person. */
export const Dns = { Cloudflare: 'cloudflare', Manual: 'manual' } as const;
export type Dns = (typeof Dns)[keyof typeof Dns];

/** Who issues the certificates: a public CA by ACME (RFC 8555), a CA of the stack, or somebody else. */
export const CertificateIssuer = {
  Acme: 'acme',
  SelfSigned: 'selfSigned',
  Provided: 'provided',
} as const;
export type CertificateIssuer = (typeof CertificateIssuer)[keyof typeof CertificateIssuer];

/** What the daemons' configuration is rendered from: plain values, no secrets, addresses and names in normal form. */
export interface MailSettings {
  /** Fully qualified name of the host, as in HELO, reverse DNS and the certificate. */
  hostName: string;
  /** Domains that have mail, each with the DKIM selector that signs now. */
  domains: { name: string; selector: string; catchAll?: string }[];
  /** A time, such as `4d`; so is the next. */
  queueLifetime: string;
  /** How long a signature is valid, and its key published after it signed last. */
  dkimRetention: string;
  accounts: {
    address: string;
    aliases: string[];
    /** Further addresses that it may send as. */
    sendAs: string[];
    /** MB, 0 for no limit. */
    quota: number;
  }[];
  aliases: { address: string; recipients: string[] }[];
  /** Recipient of mail for root and the role addresses. */
  postmaster: string;
  accountKind: AccountKind;
  /** MB of one message. */
  messageSize: number;
  /** SpamAssassin score from which a message is tagged as spam. */
  spamTagLevel: number;
  /** SpamAssassin score from which `spamAction` happens to a message from outside. */
  spamJunkLevel: number;
  spamAction: SpamAction;
  antivirus: boolean;
  virusAction: VirusAction;
  enforceDmarc: boolean;
  /** Limits of one login. */
  messagesPerHour: number;
  recipientsPerDay: number;
  newRecipientsPerDay: number;
  smarthost?: { host: string; port: number; username: string };
  /** The certificates' issuer, and what an ACME CA has to know. */
  tls: { issuer: CertificateIssuer; directory: string; contact: string };
  /** Whether other mail systems can know the host's TLS key by its TLSA records. */
  tlsa: boolean;
  web: boolean;
  mtaSts: MtaSts;
  ipv6: boolean;
  backup?: {
    /** Where to, as restic takes it. */
    repository: string;
    /** Of a server that is reached by SSH. */
    hostKey?: string;
    /** So many snapshots of each kind are kept. */
    keepDaily: number;
    keepWeekly: number;
    keepMonthly: number;
  };
}

/** Whether backups go to a server by SSH. */
export const isOverSsh = (repository: string): boolean => repository.startsWith('sftp:');

/** The domains that are not parked. */
export const withMail = (domains: Settings['domains']): Settings['domains'] =>
  domains.filter(({ parked }) => !parked);

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

export function mailSettings(settings: Settings): MailSettings {
  const { accounts, smarthost, backup, tls, ...rest } = settings;
  const generations = signingGenerations(settings);
  return {
    ...rest,
    // A policy that no domain announces promises nothing.
    mtaSts: announcedMtaSts(settings) ?? 'none',
    domains: withMail(settings.domains).map(({ name, catchAll }) => ({
      name,
      selector: dkimSelector(generations[name]!),
      ...(catchAll === undefined ? {} : { catchAll }),
    })),
    // Without what is secret.
    accounts: accounts.map(({ address, aliases, sendAs, quota }) => ({
      address,
      aliases,
      sendAs,
      quota,
    })),
    tls: {
      issuer: tls.issuer,
      directory: tls.directory,
      contact: tls.contact ?? settings.postmaster,
    },
    tlsa: hasTlsa(settings),
    ...(smarthost
      ? { smarthost: { host: smarthost.host, port: smarthost.port, username: smarthost.username } }
      : {}),
    ...(backup ? { backup: withoutSecrets(backup) } : {}),
  };
}

function withoutSecrets({
  repository,
  hostKey,
  keepDaily,
  keepWeekly,
  keepMonthly,
}: NonNullable<Settings['backup']>): NonNullable<MailSettings['backup']> {
  return {
    repository,
    ...(hostKey === undefined ? {} : { hostKey }),
    keepDaily,
    keepWeekly,
    keepMonthly,
  };
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

/** What every domain has to answer (RFC 2142, RFC 7489, RFC 8460); `root` is for the host's own messages. */
export const roles = ['abuse', 'dmarc-reports', 'hostmaster', 'postmaster', 'tls-reports'];

/** The domains that mail is taken in for: the hosted ones, and the host's own name. */
export function mailDomains(mail: MailSettings): string[] {
  return [...new Set([...mail.domains.map(({ name }) => name), mail.hostName])];
}
