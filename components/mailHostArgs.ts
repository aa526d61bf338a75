// Made from the schema in ./settings/settings.ts by `make docs`.

import type * as pulumi from '@pulumi/pulumi';
import type {
  AccountKind,
  CertificateIssuer,
  Delivery,
  DmarcPolicy,
  Dns,
  DriftAction,
  MtaSts,
  ReviewDetail,
  SpamAction,
  VirusAction,
} from './settings/enums';

/** A hosted domain. */
export interface DomainArgs {
  /** Its name. An international name may be in Unicode; its A-label form is used. E.g. `example.org`. */
  name: string;
  /** DNS zone of the domain: its name, or its id at Cloudflare. E.g. `example.org`. Default: the registrable domain. */
  zone?: string;
  /**
   * Publish that the domain has no mail: null MX, SPF that allows no sender, DMARC reject. Default: `false`.
   *
   * @default false
   */
  parked?: boolean;
  /**
   * Where its mail is delivered: `here`; `elsewhere`, before a move, while another host has it: everything is
   * prepared, and the MX and all other records in use stay; or `forward`, after a move to another host: what still
   * arrives here is sent on to its MX. See moving.md. Default: `here`.
   *
   * @default "here"
   */
  delivery?: Delivery;
  /**
   * Catch-all: account or alias that receives mail for unknown recipients. E.g. `anna@example.org`. Default: such
   * mail is refused.
   */
  catchAll?: string;
  /**
   * SPF mechanisms of other systems that send for the domain, published in its one SPF record after this host. E.g.
   * `["include:_spf.example.com"]`. Default: none.
   *
   * @default []
   */
  spf?: string[];
  /**
   * Policy for mail in its name that fails DMARC. One of `none`, `quarantine`, `reject`. Default: `reject`.
   *
   * @default "reject"
   */
  dmarcPolicy?: DmarcPolicy;
  /** Generation of its DKIM keys that signs. From 1 to 1000. E.g. `2`. Default: the dkimGeneration of the mail host. */
  dkimGeneration?: number;
}

/** An account: a mailbox with a login. */
export interface AccountArgs {
  /** Address of the account, and the user name of its login. E.g. `anna@example.org`. */
  address: string;
  /**
   * Hash of its password, as `openssl passwd -6` prints it; yescrypt, sha512-crypt, sha256-crypt or bcrypt. A
   * secret. E.g. `$6$…`.
   */
  passwordHash: pulumi.Input<string>;
  /**
   * Further addresses whose mail the account receives, and that it may send as. E.g. `["info@example.org"]`.
   * Default: none.
   *
   * @default []
   */
  aliases?: string[];
  /**
   * Further addresses that the account may send as, such as those of an alias. E.g. `["team@example.org"]`. Default:
   * none.
   *
   * @default []
   */
  sendAs?: string[];
  /**
   * Size limit of its mailbox in MB, 0 for none. From 0 to 1000000. E.g. `5000`. Default: the quota of the mail
   * host.
   */
  quota?: number;
}

/** An address whose mail is forwarded to recipients. */
export interface AliasArgs {
  /** Address in a hosted domain. E.g. `team@example.org`. */
  address: string;
  /** Accounts, aliases or addresses elsewhere that receive its mail. E.g. `["anna@example.org"]`. */
  recipients: string[];
}

/** A mail server that relays all outgoing mail. */
export interface SmarthostArgs {
  /** Its name, as in its certificate. E.g. `smtp.example.com`. */
  host: pulumi.Input<string>;
  /**
   * TCP port: 465 with TLS from the start, any other with mandatory STARTTLS. From 1 to 65535. E.g. `465`. Default:
   * `587`.
   *
   * @default 587
   */
  port?: pulumi.Input<number>;
  /** User name that this host logs in with. E.g. `user@example.com`. */
  username: pulumi.Input<string>;
  /** Password of that user. A secret. E.g. `correct-horse-battery`. */
  password: pulumi.Input<string>;
}

/** The TLS certificates of the host. */
export interface TlsArgs {
  /**
   * Issuer of the certificates: `acme`, a public CA; `selfSigned`, a CA of the stack; `provided`, `chain` and
   * `privateKey` are given. Default: `acme`.
   *
   * @default "acme"
   */
  issuer?: CertificateIssuer;
  /**
   * Directory of the ACME CA. The default is Let's Encrypt's. E.g.
   * `https://acme-staging-v02.api.letsencrypt.org/directory`. Default:
   * `https://acme-v02.api.letsencrypt.org/directory`.
   *
   * @default "https://acme-v02.api.letsencrypt.org/directory"
   */
  directory?: string;
  /** Address that the ACME CA may write to. E.g. `anna@example.org`. Default: the postmaster. */
  contact?: string;
  /**
   * Accept the terms of the ACME CA. Required for `acme`. Default: `false`.
   *
   * @default false
   */
  acceptTerms?: boolean;
  /**
   * With `provided`: PEM of the certificate followed by those of its issuers. E.g. `-----BEGIN CERTIFICATE-----…`.
   * Default: none.
   */
  chain?: pulumi.Input<string>;
  /**
   * With `provided`: PEM of the private key, not encrypted. A secret. E.g. `-----BEGIN PRIVATE KEY-----…`. Default:
   * none.
   */
  privateKey?: pulumi.Input<string>;
}

/** Where the mail is backed up to, with restic. */
export interface BackupSettingsArgs {
  /**
   * Repository in the form of restic: `sftp:user@host:/path`, `s3:https://host/bucket`, `rest:https://host/`,
   * `b2:bucket:path`, `azure:container:/path`, `swift:container:/path`, or a path on the host outside its disk and
   * volume. E.g. `sftp:backup@backup.example:/mail`.
   */
  repository: pulumi.Input<string>;
  /** Password that encrypts the backups: they cannot be read without it. A secret. E.g. `correct-horse-battery`. */
  password: pulumi.Input<string>;
  /**
   * Credentials for the server of the repository, by the names of restic's variables. A secret. E.g.
   * `{"AWS_ACCESS_KEY_ID":"AKIA…"}`. Default: none.
   *
   * @default {}
   */
  environment?: { [name: string]: pulumi.Input<string> };
  /** SSH host key of the server of an `sftp:` repository, which needs it. E.g. `ssh-ed25519 AAAA…`. Default: none. */
  hostKey?: pulumi.Input<string>;
  /**
   * Number of days whose last snapshot is kept. From 1 to 1000. E.g. `14`. Default: `7`.
   *
   * @default 7
   */
  keepDaily?: number;
  /**
   * Number of weeks whose last snapshot is kept. From 0 to 1000. E.g. `8`. Default: `5`.
   *
   * @default 5
   */
  keepWeekly?: number;
  /**
   * Number of months whose last snapshot is kept. From 0 to 1000. E.g. `24`. Default: `12`.
   *
   * @default 12
   */
  keepMonthly?: number;
}

/** A machine that exists, with Debian 13. The outputs of a `Machine` fit. */
export interface ExistingMachineArgs {
  /** Public IPv4 address, which Pulumi connects to. E.g. `192.0.2.1`. */
  ipv4: pulumi.Input<string>;
  /** Public IPv6 address. E.g. `2001:db8::1`. Default: the host has none. */
  ipv6?: pulumi.Input<string>;
  /** SSH host key, of the type ed25519. Every connection pins it. E.g. `ssh-ed25519 AAAA…`. */
  sshHostKey: pulumi.Input<string>;
  /**
   * SSH private key without a passphrase, by which root can log in. A secret. E.g. `-----BEGIN OPENSSH PRIVATE
   * KEY-----…`.
   */
  sshPrivateKey: pulumi.Input<string>;
  /**
   * Block device with an ext4 file system, which is mounted for mail and queue. E.g. `/dev/disk/by-label/mail`.
   * Default: what the machine has at `/srv/mailhost`: a mount of its own, or its disk.
   */
  volumeDevice?: pulumi.Input<string>;
  /** Id of the machine. Everything is deployed again if it changes. E.g. `42`. Default: its `sshHostKey`. */
  serverId?: pulumi.Input<string>;
}

/**
 * Settings of a mail host. Every mistake in them is reported at once, before anything is changed. The order of a
 * list never matters. A value that is not an `Input` decides which resources there are, or is judged with others
 * before the plan, so it cannot be an output of another resource.
 */
export interface MailHostArgs {
  /**
   * Fully qualified name of the host, below one of the domains: for MX, HELO, reverse DNS and the certificate. E.g.
   * `mail.example.org`.
   */
  hostName: string;
  /**
   * Hosted domains. A subdomain that sends or receives mail is a domain of its own; its zone is found automatically.
   * E.g. `[{"name":"example.org"}]`.
   */
  domains: DomainArgs[];
  /**
   * Accounts: mailboxes with a login. E.g. `[{"address":"anna@example.org","passwordHash":"$6$…"}]`. Default: none.
   *
   * @default []
   */
  accounts?: AccountArgs[];
  /**
   * Addresses whose mail goes to several recipients, or to addresses elsewhere. E.g.
   * `[{"address":"team@example.org","recipients":["anna@example.org"]}]`. Default: none.
   *
   * @default []
   */
  aliases?: AliasArgs[];
  /**
   * Address that receives mail for root and for the role addresses of every domain: abuse, hostmaster, postmaster.
   * E.g. `anna@example.org`.
   */
  postmaster: string;
  /**
   * Form of the accounts: `virtual`, in tables of the mail daemons; `system`, system users with PAM and /etc/passwd.
   * Default: `virtual`.
   *
   * @default "virtual"
   */
  accountKind?: AccountKind;
  /**
   * Size limit of a mailbox in MB, 0 for none. From 0 to 1000000. E.g. `5000`. Default: `2000`.
   *
   * @default 2000
   */
  quota?: number;
  /**
   * Size limit of a message in MB as transmitted: attachments grow by a third. From 1 to 150. E.g. `50`. Default:
   * `35`.
   *
   * @default 35
   */
  messageSize?: number;
  /**
   * SpamAssassin score from which the headers of a message mark it as spam. From 0 to 100. E.g. `3.5`. Default: `2`.
   *
   * @default 2
   */
  spamTagLevel?: number;
  /**
   * SpamAssassin score from which `spamAction` applies to incoming mail. From 1 to 100. E.g. `6.5`. Default: `5`.
   *
   * @default 5
   */
  spamJunkLevel?: number;
  /**
   * Action on incoming spam: `file` into Junk, `hold` on the host for 30 days, or `drop`. Default: `file`.
   *
   * @default "file"
   */
  spamAction?: SpamAction;
  /**
   * Scan mail for viruses with ClamAV. The server needs 4 GB of memory for it. Default: `false`.
   *
   * @default false
   */
  antivirus?: boolean;
  /**
   * Action on incoming viruses: `hold` on the host for 30 days, or `drop`. Default: `hold`.
   *
   * @default "hold"
   */
  virusAction?: VirusAction;
  /**
   * Treat incoming mail as spam if it fails DMARC and the policy of its domain is to reject it. Default: `true`.
   *
   * @default true
   */
  enforceDmarc?: boolean;
  /**
   * Limit of messages that a login sends in an hour. From 1 to 1000000. E.g. `500`. Default: `200`.
   *
   * @default 200
   */
  messagesPerHour?: number;
  /**
   * Limit of recipients that a login sends to in a day. From 1 to 1000000. E.g. `2000`. Default: `1000`.
   *
   * @default 1000
   */
  recipientsPerDay?: number;
  /**
   * Limit of recipients in a day that the login has never sent to before. From 1 to 1000000. E.g. `500`. Default:
   * `200`.
   *
   * @default 200
   */
  newRecipientsPerDay?: number;
  /**
   * Mail server that relays all outgoing mail, for a provider that blocks port 25. E.g.
   * `{"host":"smtp.example.com","username":"user@example.com","password":"…"}`. Default: mail goes directly to the
   * MX of its recipients.
   */
  smarthost?: SmarthostArgs;
  /**
   * TLS certificates of the host and their issuer. E.g. `{"acceptTerms":true}`. Default: certificates of Let's
   * Encrypt, which need `acceptTerms`.
   */
  tls?: TlsArgs;
  /**
   * Run a small web server that mail clients get their configuration from. Required for MTA-STS. Default: `true`.
   *
   * @default true
   */
  web?: boolean;
  /**
   * Serve figures about mail to Prometheus, at `https://HOSTNAME/metrics`, to `adminNetworks` alone. Needs `web`.
   * Default: `false`.
   *
   * @default false
   */
  metrics?: boolean;
  /**
   * Publisher of the DNS records: `cloudflare`, this stack; `manual`, the operator, from the output `zoneFile`. The
   * host checks that they are published. Default: `cloudflare`.
   *
   * @default "cloudflare"
   */
  dns?: Dns;
  /**
   * Sign the zones at Cloudflare. A zone that was signed once stays signed. Default: `true`.
   *
   * @default true
   */
  dnssec?: boolean;
  /**
   * Address that receives DMARC reports. E.g. `dmarc@example.org`. Default: dmarc-reports of each domain, which the
   * host reads itself.
   */
  dmarcReports?: string;
  /**
   * MTA-STS policy for senders if TLS to this host fails: `none`, `testing` (deliver and report) or `enforce` (do
   * not deliver). Needs a public certificate and `web`. Default: `testing`.
   *
   * @default "testing"
   */
  mtaSts?: MtaSts;
  /**
   * DKIM key generation that signs. Increment to rotate, decrement to roll back. From 1 to 1000. E.g. `2`. Default:
   * `1`.
   *
   * @default 1
   */
  dkimGeneration?: number;
  /**
   * DKIM key generations that are compromised: their records are published as revoked. Rotate first. E.g. `[1]`.
   * Default: none.
   *
   * @default []
   */
  dkimCompromised?: number[];
  /**
   * Time for which a DKIM key stays published after it signed last, and for which a signature is valid. At least
   * `queueLifetime`. E.g. `30d`. Default: `21d`.
   *
   * @default "21d"
   */
  dkimRetention?: string;
  /**
   * Time after which an undelivered message is returned to its sender. E.g. `2d`. Default: `4d`.
   *
   * @default "4d"
   */
  queueLifetime?: string;
  /**
   * TLS key generation that is served. Increment to rotate, decrement to roll back. The TLSA record of the next one
   * is published in advance. From 1 to 1000. E.g. `2`. Default: `1`.
   *
   * @default 1
   */
  tlsGeneration?: number;
  /**
   * Repository that mail is backed up to each night, with restic. See backups.md. E.g.
   * `{"repository":"sftp:backup@backup.example:/mail","password":"…"}`. Default: mail is not backed up.
   */
  backup?: BackupSettingsArgs;
  /**
   * Snapshot of the backup that an empty volume is restored from before any daemon runs: `latest`, or its id. E.g.
   * `4bba301e`. Default: nothing is restored.
   */
  restore?: string;
  /**
   * Server generation. Increment to replace the server, or to switch to the standby server; mail, queue, addresses
   * and keys are kept. From 1 to 1000000. E.g. `2`. Default: `1`.
   *
   * @default 1
   */
  serverGeneration?: number;
  /**
   * Prepare a second server beside the one that serves. Increment serverGeneration to switch to it, and set this
   * back to false to delete the one that does not serve. See new-server.md. E.g. `true`. Default: `false`.
   *
   * @default false
   */
  standbyServer?: boolean;
  /**
   * Hetzner server type. A change turns the server off for some minutes. E.g. `cx33`. Default: `cx23`.
   *
   * @default "cx23"
   */
  serverType?: pulumi.Input<string>;
  /**
   * Hetzner location. E.g. `nbg1`. Default: `fsn1`.
   *
   * @default "fsn1"
   */
  location?: string;
  /**
   * Size of the volume for mail and queue in GB. It can only grow. From 10 to 10240. E.g. `100`. Default: `20`.
   *
   * @default 20
   */
  volumeSize?: pulumi.Input<number>;
  /**
   * Give the host an IPv6 address, too. Default: `true`.
   *
   * @default true
   */
  ipv6?: boolean;
  /**
   * Machine that exists, for the mail host to be put on. Nothing is made or asked at Hetzner. See own-machine.md.
   * E.g. `{"ipv4":"192.0.2.1","sshHostKey":"ssh-ed25519 AAAA…","sshPrivateKey":"…"}`. Default: a server at Hetzner,
   * which the stack makes.
   */
  machine?: ExistingMachineArgs;
  /**
   * OpenSSH public keys that may log in as root, besides the key of the stack. E.g. `["ssh-ed25519 AAAA… anna"]`.
   * Default: none.
   *
   * @default []
   */
  adminSshKeys?: pulumi.Input<string>[];
  /**
   * Networks in CIDR form that may use SSH. They include that of the machine that runs Pulumi. E.g.
   * `["192.0.2.0/24"]`. Default: `0.0.0.0/0`, `::/0`.
   *
   * @default ["0.0.0.0/0","::/0"]
   */
  adminNetworks?: pulumi.Input<string>[];
  /**
   * Action of each `pulumi up` if the host differs from what was deployed: `ignore`, `stop` before anything is
   * deployed, or `mend` by deploying everything again. Default: `ignore`.
   *
   * @default "ignore"
   */
  drift?: DriftAction;
  /**
   * Differences on the host that are no drift, each as `mailhost drift` prints it. E.g. `["the user anna can log in,
   * and is not the plan's"]`. Default: none.
   *
   * @default []
   */
  driftAccepted?: string[];
  /**
   * Protect volume, addresses and SSH keys from deletion. Default: `true`.
   *
   * @default true
   */
  protect?: boolean;
  /**
   * Report of each preview on what it changes and what that does to mail: `full` with every line and the lines
   * around it, `summary`, or `off`. Default: `summary`.
   *
   * @default "summary"
   */
  review?: ReviewDetail;
  /**
   * Blocked changes to allow, each as the preview that blocked it prints it. E.g. `["remove anna@example.org"]`.
   * Default: none.
   *
   * @default []
   */
  confirm?: string[];
}
