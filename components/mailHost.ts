import * as cloudflare from '@pulumi/cloudflare';
import * as pulumi from '@pulumi/pulumi';
import { accountFiles, accountSecrets } from './accountFiles';
import { amavisFiles, amavisSecrets } from './amavisFiles';
import { Check } from './check';
import { Daemon, type HostAccess } from './daemon';
import { Dkim } from './dkim';
import { hostFile } from './files';
import { DomainDns, HostDns } from './domainDns';
import { dovecotFiles, dovecotSecrets } from './dovecotFiles';
import { Host } from './host';
import { Machine } from './machine';
import type { AccountKind, Credential, MailSettings } from './mailSettings';
import { openSmtpdFiles, openSmtpdSecrets } from './openSmtpdFiles';
import {
  isPasswordHash,
  parseSettings,
  passwordHashForm,
  SettingsError,
  type Settings,
} from './settings';
import { spamAssassinFiles } from './spamAssassinFiles';
import { Certificate } from './tls';

/** A hosted domain. */
export interface DomainArgs {
  /** E.g. `example.org`. */
  name: string;
  /** The DNS zone at Cloudflare that it lies in. Default: the registrable domain. */
  zone?: string;
}

/** An account: a mailbox with a login. */
export interface AccountArgs {
  /** E.g. `anna@example.org`, in lower case. */
  address: string;
  /** crypt(5) form, from `openssl passwd -6`; a secret. */
  passwordHash: pulumi.Input<string>;
  /** Further addresses whose mail goes to the account, and that it may send as. */
  aliases?: string[];
}

/** What a mail host is made from. Every mistake in it is told at once, before anything is touched. */
export interface MailHostArgs {
  domains: DomainArgs[];
  accounts: AccountArgs[];
  /** Who reads mail for root, postmaster, abuse and the other role addresses. */
  postmaster: string;
  /** Fully qualified, below one of the domains. Default: `mail.` in the first domain. */
  hostName?: string;
  /** Default: virtual. */
  accountKind?: AccountKind;
  /** Generation of DKIM keys that signs, from 1. One more rotates, one less rolls back. Default: 1. */
  dkimGeneration?: number;
  /** SpamAssassin score from which a message is tagged as spam. Default: 2.0. */
  spamTagLevel?: number;
  /** Hetzner server type. Default: cx23. */
  serverType?: string;
  /** Hetzner location by name. Default: fsn1. */
  location?: string;
  /** GB of the volume for mail and queue, at least 10. Default: 20. */
  volumeSize?: number;
  /** OpenSSH public keys that may log in as root besides the key of the stack. */
  adminSshKeys?: string[];
  /** Networks in CIDR form that may use SSH. Default: all. */
  adminNetworks?: string[];
  /** Keeps server, volume and addresses from being deleted. Default: true. */
  protect?: boolean;
}

/**
 * A complete mail host: machine, DNS, keys, and the four daemons with their files.
 *
 * @example
 * new MailHost('mail', {
 *   domains: [{ name: 'example.org' }],
 *   accounts: [{ address: 'anna@example.org', passwordHash: config.requireSecret('annaHash') }],
 *   postmaster: 'anna@example.org',
 * });
 *
 * @throws pulumi.RunError with every mistake in the arguments
 */
export class MailHost extends pulumi.ComponentResource {
  readonly ipv4: pulumi.Output<string>;
  readonly ipv6: pulumi.Output<string>;
  /** PEM of the CA that mail clients have to trust. */
  readonly caCertPem: pulumi.Output<string>;
  /** OpenSSH private key of the stack, to get into the host as root; secret. */
  readonly sshPrivateKey: pulumi.Output<string>;

  constructor(name: string, args: MailHostArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:MailHost', name, {}, opts);
    const settings = checkedSettings(args);
    const own = { parent: this };

    const machine = new Machine(`${name}-machine`, settings, own);
    const host: HostAccess = { connection: machine.connection, serverId: machine.serverId };

    const zoneId = zoneLookup(this);
    // The nearest: a domain below another may have a zone of its own.
    const [hostZone] = settings.domains
      .filter(({ name: domain }) => settings.hostName.endsWith(`.${domain}`))
      .sort((a, b) => b.name.length - a.name.length);
    new HostDns(
      `${name}-${settings.hostName}`,
      {
        hostName: settings.hostName,
        zoneId: zoneId(hostZone!.zone),
        ipv4: machine.ipv4,
        ipv6: machine.ipv6,
      },
      own,
    );
    const domains = settings.domains.map(({ name: domain, zone }) => {
      const dkim = new Dkim(
        `${name}-${domain}`,
        { domain, generation: settings.dkimGeneration },
        own,
      );
      const dns = new DomainDns(
        `${name}-${domain}`,
        {
          domain,
          zoneId: zoneId(zone),
          hostName: settings.hostName,
          postmaster: settings.postmaster,
          dkimRecords: dkim.records,
        },
        own,
      );
      return { name: domain, dkim, dns };
    });
    const certificate = new Certificate(
      `${name}-certificate`,
      { hostName: settings.hostName },
      own,
    );

    const system = new Host(
      `${name}-host`,
      {
        access: host,
        hostName: settings.hostName,
        adminSshKeys: settings.adminSshKeys,
        volumeDevice: machine.volumeDevice,
        volumeSize: settings.volumeSize,
      },
      own,
    );
    const mail: MailSettings = {
      hostName: settings.hostName,
      domains: domains.map(({ name: domain, dkim }) => ({ name: domain, selector: dkim.selector })),
      accounts: settings.accounts.map(({ address, aliases }) => ({ address, aliases })),
      postmaster: settings.postmaster,
      accountKind: settings.accountKind,
      spamTagLevel: settings.spamTagLevel,
    };
    const credentials = pulumi.secret(settings.accounts).apply(checkedHashes);

    const tls = new Daemon(
      `${name}-tls`,
      {
        push: 'tls',
        host,
        files: {},
        secrets: pulumi
          .all([certificate.chainPem, certificate.privateKeyPem])
          .apply(([chain, key]) => ({
            '/etc/ssl/mailhost/fullchain.pem': hostFile(chain),
            '/etc/ssl/mailhost/privkey.pem': hostFile(key, '0600'),
          })),
      },
      { ...own, dependsOn: [system] },
    );
    const spamAssassin = new Daemon(
      `${name}-spamassassin`,
      { push: 'spamassassin', host, files: spamAssassinFiles(mail) },
      { ...own, dependsOn: [system] },
    );
    const accounts =
      settings.accountKind === 'system'
        ? [
            new Daemon(
              `${name}-accounts`,
              {
                push: 'accounts',
                host,
                files: accountFiles(mail),
                secrets: credentials.apply(accountSecrets),
              },
              { ...own, dependsOn: [system] },
            ),
          ]
        : [];
    const dovecot = new Daemon(
      `${name}-dovecot`,
      {
        push: 'dovecot',
        host,
        files: dovecotFiles(mail),
        secrets: credentials.apply((hashes) => dovecotSecrets(mail, hashes)),
      },
      { ...own, dependsOn: [tls, ...accounts] },
    );
    const amavis = new Daemon(
      `${name}-amavis`,
      {
        push: 'amavis',
        host,
        files: amavisFiles(mail),
        secrets: pulumi
          .all(domains.map(({ dkim }) => dkim.privateKeyPem))
          .apply((keys) =>
            amavisSecrets(
              mail.domains.map((domain, i) => ({ ...domain, privateKeyPem: keys[i]! })),
            ),
          ),
      },
      // The host refuses to sign with a key that the domain's name servers do not answer.
      { ...own, dependsOn: [spamAssassin, ...domains.map(({ dns }) => dns)] },
    );
    const openSmtpd = new Daemon(
      `${name}-opensmtpd`,
      {
        push: 'opensmtpd',
        host,
        files: openSmtpdFiles(mail),
        secrets: credentials.apply((hashes) => openSmtpdSecrets(mail, hashes)),
      },
      // While a route is down OpenSMTPD holds mail back, so its next hops come first.
      { ...own, dependsOn: [tls, dovecot, amavis] },
    );
    new Check(
      `${name}-check`,
      { host, mail, pushes: [tls, ...accounts, spamAssassin, dovecot, amavis, openSmtpd] },
      { ...own, dependsOn: [openSmtpd] },
    );

    this.ipv4 = machine.ipv4;
    this.ipv6 = machine.ipv6;
    this.caCertPem = certificate.caCertPem;
    this.sshPrivateKey = machine.sshPrivateKey;
    this.registerOutputs({
      ipv4: this.ipv4,
      ipv6: this.ipv6,
      caCertPem: this.caCertPem,
      sshPrivateKey: this.sshPrivateKey,
    });
  }
}

/**
 * @param prefix put before each key in the message
 * @throws pulumi.RunError, shown without a stack trace, with every mistake
 */
export function checkedSettings(input: unknown, prefix?: string): Settings {
  try {
    return parseSettings(input, prefix);
  } catch (error) {
    throw error instanceof SettingsError ? new pulumi.RunError(error.message) : error;
  }
}

/** Hashes that the plan knows only now are judged now, and never shown. */
function checkedHashes(
  accounts: { address: string; passwordHash: string | object }[],
): Credential[] {
  return accounts.map(({ address, passwordHash }) => {
    if (typeof passwordHash !== 'string' || !isPasswordHash(passwordHash)) {
      throw new pulumi.RunError(`the passwordHash of ${address} ${passwordHashForm}`);
    }
    return { address, passwordHash };
  });
}

/** Each zone is looked up once, however many domains lie in it. */
function zoneLookup(parent: pulumi.Resource): (zone: string) => pulumi.Output<string> {
  const ids = new Map<string, pulumi.Output<string>>();
  return (zone) => {
    const id =
      ids.get(zone) ??
      pulumi.output(
        cloudflare.getZone({ filter: { name: zone } }, { parent }).then(
          ({ zoneId }) => zoneId,
          (error: Error) => {
            throw new pulumi.RunError(
              `the zone ${zone} cannot be read at Cloudflare: make it there, let the API token read it, or mend the ` +
                `name or zone of the domain (${error.message})`,
            );
          },
        ),
      );
    ids.set(zone, id);
    return id;
  };
}
