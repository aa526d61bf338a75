import type { KeyHistory } from '../dns/dkimKeys';
import type { HostFiles } from '../hostFiles/files';
import type { Credential, MailSettings } from '../settings/mailSettings';
import type { Meaning } from './meaning';

/** A TCP port that a daemon listens on. */
export interface Port {
  number: number;
  /** What is spoken on it; the host program knows the greeting of each. */
  protocol: 'SMTP' | 'IMAP' | 'ManageSieve' | 'HTTP' | 'SSH' | 'DNS';
  /** TLS from the first byte, or after STARTTLS. The host's certificate is served there. Default: no TLS. */
  security?: 'TLS' | 'STARTTLS';
  /** What it is for, as the cloud firewall and docs/hardening.md have it. */
  purpose: string;
  /** Who can connect: everyone, the administrators' networks, or this host alone. */
  from: 'everyone' | 'admins' | 'host';
  /** Mail clients use it: each domain has an SRV record for it, named by its service. */
  isForClients?: true;
  /** Settings with which it is open although nothing listens most of the time. Default: it is listened on as long as the daemon runs. */
  isOpenFor?: (mail: MailSettings) => boolean;
}

/** A system user with a fixed number: its files on the volume outlive the server. */
export interface User {
  name: string;
  /** Number of the user, and of its group. */
  id: number;
  home: string;
}

/** What the files of daemons are rendered from: plain values, no secrets. */
export interface Plan {
  mail: MailSettings;
  /** Keys of each domain with mail. */
  dkim: Record<string, KeyHistory>;
  /** Snapshot that an empty volume is filled from. */
  restore?: string;
  /** Numbers of all ports, by service. */
  ports: Record<string, number>;
  /** Numbers of the ports that others can reach, in order. */
  openPorts: number[];
}

/** What other resources may give, so that a preview may not know it. */
export interface Given {
  /** Networks in CIDR form that may use SSH. */
  adminNetworks: string[];
  /** Where all mail leaves to; undefined where it goes to its recipients. */
  smarthost: { host: string; port: number } | undefined;
  /** Where backups go to; undefined without any. */
  repository: { url: string; hostKey?: string } | undefined;
}

/** A private key with the certificate for it, in PEM. */
export interface Pair {
  chainPem: string;
  privateKeyPem: string;
}

/** What the files with secrets are rendered from. */
export interface Secrets {
  credentials: Credential[];
  /** User name and password, with a colon between them; undefined without a smarthost. */
  smarthostLogin: string | undefined;
  certificate: {
    pair: Pair;
    /** What an ACME CA is asked with: the key of the domains' names, and a request for each certificate, in PEM. */
    acme?: { webKeyPem: string; requests: Record<string, string> };
  };
  /** SHA-256 of the TLS keys that the plan publishes. */
  tlsKeyHashes: string[];
  /** The key that signs for each domain, and the public part of each that is published, in base64 by selector. */
  dkimKeys: {
    name: string;
    selector: string;
    privateKeyPem: string;
    publicKeys: Record<string, string>;
  }[];
  backup: {
    password: string;
    environment: Record<string, string>;
    /** For a server that is reached by SSH. */
    sshKey: string | undefined;
  };
}

/** Files, and the values of `V` that they are rendered from beside the plan: the push waits for no other. */
export interface FilesFrom<V> {
  from: readonly (keyof V)[];
  files: (plan: Plan, values: V) => HostFiles;
}

export interface SecretFiles extends FilesFrom<Secrets> {
  /** What the secrets are, as a review names them that knows no more; of several kinds, by the readable files. */
  what: string | ((files: HostFiles) => string);
  /** Path of the file among them whose lines begin with an account each, so that a review can name it. Default: none. */
  accounts?: string;
  /** What another text of a file among them means to people, by its path. */
  meanings?: Record<string, string>;
}

const filesFrom =
  <V>() =>
  <K extends keyof V>(
    from: readonly K[],
    files: (plan: Plan, values: Pick<V, K>) => HostFiles,
  ): FilesFrom<V> => ({ from, files });

/** Readable files with values that other resources may give; @param from their names */
export const givenFiles = filesFrom<Given>();

/** Files with secrets; @param from names of the secrets that `files` takes */
export const secretFiles = <K extends keyof Secrets>(
  what: SecretFiles['what'],
  from: readonly K[],
  files: (plan: Plan, secrets: Pick<Secrets, K>) => HostFiles,
  more: Pick<SecretFiles, 'accounts' | 'meanings'> = {},
): SecretFiles => ({ what, from, files, ...more });

/** Whatever is pushed to the host by itself: a daemon, or files that several daemons share. */
export interface DaemonSpec {
  /** Name of the push, which is also that of the class on the host and of the resource: `mail-dovecot` of the mail host `mail`. */
  name: string;
  /** Its name in documentation and in reviews of a change. */
  title: string;
  /** What a push of it does on the host and to mail, as its class there does it: "restarts Dovecot: mail clients connect again". */
  effect: string;
  /** Neither mail nor clients notice a push. Default: `effect` says what they notice. */
  isQuiet?: true;
  /** If another daemon of the same plan restarts it as well: what both do, in place of both their effects. */
  together?: { with: string; effect: string };
  /** What appears if it is wanted, and what ends if it is not any more; of what is optional. */
  comes?: string;
  goes?: string;
  /** What a difference in its readable files means to people. Default: nothing but `effect`. */
  meanings?: Meaning[];
  /** What keeps a mistake in its files from doing harm. Default: the daemon checks them, and they are rolled back. */
  safeguard?: string;
  /**
   * Paths of files that it takes over while it runs, and what a push that changes only such files does. Its class on the host
   * has a method `reread` for them. Default: none.
   *
   * `ifHidden` is the effect where secrets change and a plan hides which. Default: the same, since all of them are such files.
   */
  rereads?: { files: string[]; effect: string; ifHidden?: string };
  /** systemd unit that is restarted with new files. Default: the class on the host restarts something itself. */
  unit?: string;
  /** Further units that have to run and to start at boot. */
  timers?: string[];
  /** Whether the settings ask for it. Default: always. */
  isWanted?: (mail: MailSettings) => boolean;
  /** Debian packages. Default: none. */
  packages?: (mail: MailSettings) => string[];
  /** Default: none. */
  users?: User[];
  /** Names of the users that its packages make besides. Default: none. */
  packageUsers?: string[];
  /** By service, a name that no other daemon has; for what mail clients use, that of its SRV record. Default: none. */
  ports?: Record<string, Port>;
  /**
   * What has to be in force before its files are: other daemons by name, `volume` (filled from a backup, if one is
   * restored) or `records` (published). The packages are always there. Daemons that are not wanted are left out.
   */
  waitsFor: string[];
  /** Readable files: a preview shows a diff of each. Holds no secret. */
  files: ((plan: Plan) => HostFiles) | FilesFrom<Given>;
  /** Default: none. */
  secrets?: SecretFiles;
}
