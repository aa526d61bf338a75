import type * as pulumi from '@pulumi/pulumi';
import type {
  AccountKind,
  CertificateIssuer,
  DmarcPolicy,
  Dns,
  DriftAction,
  MtaSts,
  SpamAction,
  VirusAction,
} from './settings/enums';

/** A hosted domain. */
export interface DomainArgs {
  /** E.g. `example.org`; an international name may be written as such. */
  name: string;
  /** The DNS zone that it lies in, by name or by its id at Cloudflare. Default: the registrable domain. */
  zone?: string;
  /** It has no mail, and says so in DNS. Default: false. */
  parked?: boolean;
  /** The account or alias that gets mail for every address that nobody has. Default: it is refused. */
  catchAll?: string;
  /** SPF mechanisms of other systems that send for it, e.g. `include:_spf.example.com`. */
  spf?: string[];
  /** What receivers are to do with mail in its name that fails DMARC. Default: reject. */
  dmarcPolicy?: DmarcPolicy;
  /** Generation of its DKIM keys that signs. Default: that of the mail host. */
  dkimGeneration?: number;
}

/** An account: a mailbox with a login. */
export interface AccountArgs {
  /** E.g. `anna@example.org`: its address, and the user name to log in with. */
  address: string;
  /** crypt(5) form, from `openssl passwd -6`; a secret. */
  passwordHash: pulumi.Input<string>;
  /** Further addresses whose mail goes to the account, and that it may send as. */
  aliases?: string[];
  /** Further addresses that it may send as, such as those of an alias. */
  sendAs?: string[];
  /** MB that its mailbox may hold, 0 for no limit. Default: `quota` of the mail host. */
  quota?: number;
}

/** An address whose mail goes to several recipients, or to others elsewhere. */
export interface AliasArgs {
  /** E.g. `team@example.org`. */
  address: string;
  /** Accounts, aliases, or addresses elsewhere. */
  recipients: string[];
}

/** A mail server that takes all mail to others. */
export interface SmarthostArgs {
  /** Its name, as in its certificate. */
  host: string;
  /** 465 speaks TLS from the start; on any other STARTTLS is demanded. Default: 587. */
  port?: number;
  username: string;
  /** A secret. */
  password: pulumi.Input<string>;
}

/** Where the mail is backed up to, with restic. */
export interface BackupSettingsArgs {
  /** As restic takes it: a path, `sftp:user@host:/path`, `s3:https://host/bucket`, `rest:https://host/`, `b2:bucket`, … */
  repository: string;
  /** Encrypts the backups: without it nobody can read them. A secret. */
  password: pulumi.Input<string>;
  /** What the repository's server asks for, e.g. `AWS_ACCESS_KEY_ID`; each a secret. */
  environment?: { [name: string]: pulumi.Input<string> };
  /** Host key of an `sftp:` server, e.g. `ssh-ed25519 AAAA…`. */
  hostKey?: string;
  /** Days of which the last snapshot is kept. Default: 7. */
  keepDaily?: number;
  /** Weeks of which the last snapshot is kept. Default: 5. */
  keepWeekly?: number;
  /** Months of which the last snapshot is kept. Default: 12. */
  keepMonthly?: number;
}

/** The certificates, and who issues them. */
export interface TlsArgs {
  /** Default: acme. */
  issuer?: CertificateIssuer;
  /** The directory of the ACME CA. Default: that of Let's Encrypt. */
  directory?: string;
  /** Whom the CA may write to. Default: the postmaster. */
  contact?: string;
  /** Agrees to the terms of the ACME CA; without it there is no certificate of it. Default: false. */
  acceptTerms?: boolean;
  /** With `provided`: PEM of the certificate followed by those of its issuers. */
  chain?: pulumi.Input<string>;
  /** With `provided`: PEM of the private key; a secret. */
  privateKey?: pulumi.Input<string>;
}

/** What a mail host is made from. Every mistake in it is told at once, before anything is touched. */
export interface MailHostArgs {
  /** Fully qualified, below one of the domains, e.g. `mail.example.org`. */
  hostName: string;
  domains: DomainArgs[];
  accounts?: AccountArgs[];
  aliases?: AliasArgs[];
  /** Who reads mail for root, postmaster, abuse and the other role addresses. */
  postmaster: string;
  /** Default: virtual. */
  accountKind?: AccountKind;
  /** MB that a mailbox may hold, 0 for no limit. Default: 2000. */
  quota?: number;
  /** MB that one message may have. Default: 35. */
  messageSize?: number;
  /** SpamAssassin score from which a message is marked as spam. Default: 2.0. */
  spamTagLevel?: number;
  /** SpamAssassin score from which `spamAction` happens to a message from outside. Default: 5.0. */
  spamJunkLevel?: number;
  /** Default: file. */
  spamAction?: SpamAction;
  /** Scan for viruses with ClamAV. Default: false. */
  antivirus?: boolean;
  /** Default: hold. */
  virusAction?: VirusAction;
  /** Treat as spam what fails DMARC of a domain that asks for it to be rejected. Default: true. */
  enforceDmarc?: boolean;
  /** Messages that one login may send in an hour. Default: 200. */
  messagesPerHour?: number;
  /** Recipients that one login may send to in a day. Default: 1000. */
  recipientsPerDay?: number;
  /** Recipients of these that the login may never have written to before. Default: 200. */
  newRecipientsPerDay?: number;
  /** Where the provider closes port 25. Default: mail goes straight to its recipients. */
  smarthost?: SmarthostArgs;
  /** Default: certificates of Let's Encrypt, which need its terms to be accepted. */
  tls?: TlsArgs;
  /** A small web server, from which mail clients learn their settings. Default: true. */
  web?: boolean;
  /** Who publishes the records: this stack at Cloudflare, or a person. Default: cloudflare. */
  dns?: Dns;
  /** Sign the zones at Cloudflare. What was signed once stays so. Default: true. */
  dnssec?: boolean;
  /** Who gets reports on DMARC. Default: in each domain its own dmarc-reports, which is the postmaster. */
  dmarcReports?: string;
  /** Whether others hold mail back where TLS to this host fails. Needs a public certificate and `web`. Default: testing. */
  mtaSts?: MtaSts;
  /** Generation of DKIM keys that signs, from 1. One more rotates, one less rolls back. Default: 1. */
  dkimGeneration?: number;
  /** Default: mail is not backed up. */
  backup?: BackupSettingsArgs;
  /** Snapshot that an empty volume is filled from, `latest` or its id. Default: none. */
  restore?: string;
  /** Another number puts another server in the place of this one. Default: 1. */
  serverGeneration?: number;
  /** Generations of DKIM keys that nobody may trust any more. */
  dkimCompromised?: number[];
  /** How long a DKIM key stays in DNS after it signed last, and how long a signature is valid. Default: 21d. */
  dkimRetention?: string;
  /** How long a message is tried before it goes back to its sender. Default: 4d. */
  queueLifetime?: string;
  /** Generation of the TLS key that is served, from 1. TLSA records go ahead of it. Default: 1. */
  tlsGeneration?: number;
  /** Hetzner server type. Default: cx23. */
  serverType?: string;
  /** Hetzner location by name. Default: fsn1. */
  location?: string;
  /** GB of the volume for mail and queue, at least 10. Default: 20. */
  volumeSize?: number;
  /** Whether the host has an IPv6 address, too. Default: true. */
  ipv6?: boolean;
  /** OpenSSH public keys that may log in as root besides the key of the stack. */
  adminSshKeys?: string[];
  /** Networks in CIDR form that may use SSH. Default: all. */
  adminNetworks?: string[];
  /** What each `up` does about a host that is not as the plan has it. Default: ignore. */
  drift?: DriftAction;
  /** What may differ on the host and is no drift, each in the words of `mailhost drift`. */
  driftAccepted?: string[];
  /** Keeps volume, addresses and keys from being deleted. Default: true. */
  protect?: boolean;
  /** Dangerous changes that may go on, each in the words with which it was refused, e.g. `remove anna@example.org`. */
  confirm?: string[];
}
