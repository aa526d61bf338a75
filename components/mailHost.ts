import * as cloudflare from '@pulumi/cloudflare';
import * as pulumi from '@pulumi/pulumi';
import { accountFiles, accountSecrets } from './accountFiles';
import { amavisFiles, amavisSecrets } from './amavisFiles';
import { Check } from './check';
import { Daemon, type HostAccess } from './daemon';
import { Dkim } from './dkim';
import { DomainDns, HostDns } from './domainDns';
import { dovecotFiles, dovecotSecrets } from './dovecotFiles';
import { Host } from './host';
import { Machine } from './machine';
import type { Credential, MailSettings } from './mailSettings';
import { openSmtpdFiles, openSmtpdSecrets } from './openSmtpdFiles';
import type { Settings } from './settings';
import { spamAssassinFiles } from './spamAssassinFiles';
import { Certificate } from './tls';

/** A complete mail host: machine, DNS, keys, and the four daemons with their files. */
export class MailHost extends pulumi.ComponentResource {
  readonly ipv4: pulumi.Output<string>;
  readonly ipv6: pulumi.Output<string>;
  /** PEM of the CA that mail clients have to trust. */
  readonly caCertPem: pulumi.Output<string>;
  /** OpenSSH private key of the stack, to get into the host as root; secret. */
  readonly sshPrivateKey: pulumi.Output<string>;

  constructor(name: string, args: Settings, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:MailHost', name, {}, opts);
    const own = { parent: this };

    const machine = new Machine('machine', args, own);
    const host: HostAccess = { connection: machine.connection, serverId: machine.serverId };

    const zoneId = zoneLookup(this);
    const hostZone = args.domains.find(({ name: domain }) => args.hostName.endsWith(`.${domain}`));
    new HostDns(
      args.hostName,
      {
        hostName: args.hostName,
        zoneId: zoneId(hostZone!.zone),
        ipv4: machine.ipv4,
        ipv6: machine.ipv6,
      },
      own,
    );
    const domains = args.domains.map(({ name: domain, zone }) => {
      const dkim = new Dkim(domain, { domain, generation: args.dkimGeneration }, own);
      const dns = new DomainDns(
        domain,
        {
          domain,
          zoneId: zoneId(zone),
          hostName: args.hostName,
          postmaster: args.postmaster,
          dkimRecords: dkim.records,
        },
        own,
      );
      return { name: domain, dkim, dns };
    });
    const certificate = new Certificate('certificate', { hostName: args.hostName }, own);

    const system = new Host(
      'host',
      {
        access: host,
        hostName: args.hostName,
        adminSshKeys: args.adminSshKeys,
        volumeDevice: machine.volumeDevice,
      },
      own,
    );
    const mail: MailSettings = {
      hostName: args.hostName,
      domains: domains.map(({ name: domain, dkim }) => ({ name: domain, selector: dkim.selector })),
      accounts: args.accounts.map(({ address, aliases }) => ({ address, aliases })),
      postmaster: args.postmaster,
      accountKind: args.accountKind,
      spamTagLevel: args.spamTagLevel,
    };
    // Each hash is a string by now, whatever it was in the stack's config.
    const credentials = pulumi.secret(args.accounts) as pulumi.Output<Credential[]>;

    const tls = new Daemon(
      'tls',
      {
        push: 'tls',
        host,
        files: {},
        secrets: pulumi
          .all([certificate.chainPem, certificate.privateKeyPem])
          .apply(([chain, key]) => ({
            '/etc/ssl/mailhost/fullchain.pem': { mode: '0644', owner: 'root:root', text: chain },
            '/etc/ssl/mailhost/privkey.pem': { mode: '0600', owner: 'root:root', text: key },
          })),
      },
      { ...own, dependsOn: [system] },
    );
    const spamAssassin = new Daemon(
      'spamassassin',
      { push: 'spamassassin', host, files: spamAssassinFiles(mail) },
      { ...own, dependsOn: [system] },
    );
    const accounts =
      args.accountKind === 'system'
        ? [
            new Daemon(
              'accounts',
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
      'dovecot',
      {
        push: 'dovecot',
        host,
        files: dovecotFiles(mail),
        secrets: credentials.apply((hashes) => dovecotSecrets(mail, hashes)),
      },
      { ...own, dependsOn: [tls, ...accounts] },
    );
    const amavis = new Daemon(
      'amavis',
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
      'opensmtpd',
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
      'check',
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

/** Each zone is looked up once, however many domains lie in it. */
function zoneLookup(parent: pulumi.Resource): (zone: string) => pulumi.Output<string> {
  const ids = new Map<string, pulumi.Output<string>>();
  return (zone) => {
    const id =
      ids.get(zone) ??
      cloudflare.getZoneOutput({ filter: { name: zone } }, { parent }).apply((z) => z.zoneId);
    ids.set(zone, id);
    return id;
  };
}
