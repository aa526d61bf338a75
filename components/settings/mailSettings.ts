import { dkimSelector } from '../dns/dkimKeys';
import { announcedMtaSts } from '../dns/mtaSts';
import { hasTlsa, signingGenerations, withMail } from './derived';
import type { CertificateIssuer } from './enums';
import type { Settings } from './settings';

type Backup = NonNullable<Settings['backup']>;

/** What the daemons' configuration is rendered from: plain values, no secrets, addresses and names in normal form. */
export type MailSettings = Omit<
  Settings,
  | 'accounts'
  | 'adminNetworks'
  | 'adminSshKeys'
  | 'backup'
  | 'domains'
  | 'machine'
  | 'serverType'
  | 'smarthost'
  | 'tls'
  | 'volumeSize'
> & {
  /**
   * Domains that have mail, each with the DKIM selector that signs now; `elsewhere` while another host has it,
   * `forwarded` if what arrives here is sent on to that.
   */
  domains: {
    name: string;
    selector: string;
    catchAll?: string;
    elsewhere?: true;
    forwarded?: true;
  }[];
  accounts: Omit<Settings['accounts'][number], 'passwordHash'>[];
  /** How long backups are kept. */
  backup?: Pick<Backup, 'keepDaily' | 'keepWeekly' | 'keepMonthly'>;
  /** The certificates' issuer, and what an ACME CA has to know. */
  tls: { issuer: CertificateIssuer; directory: string; contact: string };
  /** Whether other mail systems can know the host's TLS key by its TLSA records. */
  tlsa: boolean;
  /** Whether mail and queue are on a volume that the host mounts, and not where the machine has them. */
  hasVolume: boolean;
};

export function mailSettings(settings: Settings): MailSettings {
  const { accounts, backup, machine, tls, ...others } = settings;
  const rest = without(
    others,
    'adminNetworks',
    'adminSshKeys',
    'serverType',
    'smarthost',
    'volumeSize',
  );
  const generations = signingGenerations(settings);
  return {
    ...rest,
    // A policy that no domain announces promises nothing.
    mtaSts: announcedMtaSts(settings) ?? 'none',
    domains: withMail(settings.domains).map(({ name, catchAll, delivery }) => ({
      name,
      selector: dkimSelector(generations[name]!),
      ...(catchAll === undefined ? {} : { catchAll }),
      ...(delivery === 'here' ? {} : { elsewhere: true as const }),
      ...(delivery === 'forward' ? { forwarded: true as const } : {}),
    })),
    accounts: accounts.map((account) => without(account, 'passwordHash')),
    tls: {
      issuer: tls.issuer,
      directory: tls.directory,
      contact: tls.contact ?? settings.postmaster,
    },
    tlsa: hasTlsa(settings),
    hasVolume: machine === undefined || machine.volumeDevice !== undefined,
    ...(backup
      ? { backup: without(backup, 'password', 'environment', 'repository', 'hostKey') }
      : {}),
  };
}

const without = <T extends object, K extends keyof T>(object: T, ...keys: K[]): Omit<T, K> =>
  Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key as K))) as Omit<
    T,
    K
  >;

/** An account with the hash that its password is checked against. */
export interface Credential {
  address: string;
  /** crypt(5) form. */
  passwordHash: string;
}

/** Where reports on mail in the name of a domain arrive (RFC 7489, RFC 8460): the host reads them itself. */
export const reportRoles = ['dmarc-reports', 'tls-reports'];

/** What every domain has to answer (RFC 2142), too; `root` is for the host's own messages. */
export const roles = ['abuse', 'hostmaster', 'postmaster', ...reportRoles].sort();

/** The domains that mail is taken in for: the hosted ones, and the host's own name. */
export function mailDomains(mail: MailSettings): string[] {
  return [...new Set([...mail.domains.map(({ name }) => name), mail.hostName])];
}
