import { dkimSelector } from '../dns/dkimKeys';
import { announcedMtaSts } from '../dns/mtaSts';
import { hasTlsa, signingGenerations, withMail } from './derived';
import type { AccountKind, CertificateIssuer, MtaSts, SpamAction, VirusAction } from './enums';
import type { Settings } from './settings';

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
