import * as pulumi from '@pulumi/pulumi';
import { accountFiles, accountSecrets } from './accountFiles';
import { amavisFiles, amavisSecrets } from './amavisFiles';
import { antivirusFiles } from './antivirusFiles';
import { Check } from './check';
import { Daemon, type HostAccess } from './daemon';
import { Dkim } from './dkim';
import { hostFile } from './files';
import { dkimSelector, dnsRecords, publishedGenerations, type RecordSource } from './dnsRecords';
import { DomainDns, HostDns, type DnsArgs } from './domainDns';
import { dovecotFiles, dovecotSecrets } from './dovecotFiles';
import { Host } from './host';
import { Machine } from './machine';
import type { MailHostArgs } from './mailHostArgs';
import { mailSettings, withMail, type Credential } from './mailSettings';
import { openTasks } from './nextSteps';
import { preflight } from './preflight';
import { openSmtpdFiles, openSmtpdSecrets } from './openSmtpdFiles';
import {
  isPasswordHash,
  isSmarthostPassword,
  parseSettings,
  passwordHashForm,
  SettingsError,
  smarthostPasswordForm,
  type Settings,
} from './settings';
import { withValue } from './recordForms';
import { resolverFiles } from './resolverFiles';
import { spamAssassinFiles } from './spamAssassinFiles';
import { Summary } from './summary';
import { Certificate } from './tls';
import { webFiles } from './webFiles';

/**
 * A complete mail host: machine, DNS, keys, and the daemons with their files.
 *
 * @example
 * new MailHost('mail', {
 *   hostName: 'mail.example.org',
 *   domains: [{ name: 'example.org' }],
 *   accounts: [{ address: 'anna@example.org', passwordHash: config.requireSecret('annaHash') }],
 *   postmaster: 'anna@example.org',
 * });
 *
 * @throws pulumi.RunError with every mistake in the arguments
 */
export class MailHost extends pulumi.ComponentResource {
  readonly ipv4: pulumi.Output<string>;
  /** None where `ipv6` is false. */
  readonly ipv6?: pulumi.Output<string>;
  /** PEM of the CA that mail clients have to trust. */
  readonly caCertPem: pulumi.Output<string>;
  /** OpenSSH private key of the stack, to get into the host as root; secret. */
  readonly sshPrivateKey: pulumi.Output<string>;
  /** What only a person can do, at a registrar or provider, as of the last check of the host. */
  readonly openTasks: pulumi.Output<string[]>;

  constructor(name: string, args: MailHostArgs, opts?: pulumi.ComponentResourceOptions) {
    const settings = checkedSettings(args);
    const selectors = publishedGenerations(settings.dkimGeneration).map(dkimSelector);
    const records = dnsRecords(settings, () => selectors);
    const checked = preflight(name, settings, records);
    // Children wait for their parent, so nothing is registered before the checks have passed.
    const dependsOn = pulumi.output(opts?.dependsOn ?? []).apply(async (given) => {
      await checked;
      return [given].flat();
    });
    super('mailhost:index:MailHost', name, {}, { ...opts, dependsOn });
    const own = { parent: this };

    const machine = new Machine(`${name}-machine`, settings, own);
    const host: HostAccess = { connection: machine.connection, serverId: machine.serverId };

    // The mail host itself tells a refusal; its children need not tell it again.
    const zones = checked.then(
      (found) => found.zones,
      () => new Promise<never>(() => undefined),
    );
    const zoneId = (zone: string) => pulumi.output(zones.then((found) => found.get(zone)!.id));
    const keys = new Map(
      withMail(settings.domains).map(({ name: domain }) => [
        domain,
        new Dkim(`${name}-${domain}`, { generation: settings.dkimGeneration }, own),
      ]),
    );
    const made = (source: RecordSource): pulumi.Output<string> => {
      switch (source.from) {
        case 'ipv4':
          return machine.ipv4;
        case 'ipv6':
          return machine.ipv6!;
        case 'dkim':
          return keys.get(source.domain)!.records[source.selector]!;
      }
    };
    const published = (owner: string): DnsArgs => {
      const own = records.filter((record) => record.owner.name === owner);
      return {
        zoneId: zoneId(own[0]!.zone),
        records: own.map((record) => withValue(record, made)),
      };
    };
    new HostDns(`${name}-${settings.hostName}`, published(settings.hostName), own);
    const domainDns = settings.domains.map(
      ({ name: domain }) => new DomainDns(`${name}-${domain}`, published(domain), own),
    );
    const certificate = new Certificate(
      `${name}-certificate`,
      { hostName: settings.hostName },
      own,
    );

    const mail = mailSettings(
      settings,
      [...keys.values()].map(({ selector }) => selector),
    );
    const system = new Host(
      `${name}-host`,
      {
        access: host,
        mail,
        adminSshKeys: settings.adminSshKeys,
        volumeDevice: machine.volumeDevice,
        volumeSize: settings.volumeSize,
      },
      own,
    );
    const credentials = pulumi.secret(settings.accounts).apply(checkedHashes);

    const resolver = new Daemon(
      `${name}-resolver`,
      { push: 'resolver', host, files: resolverFiles(mail) },
      { ...own, dependsOn: [system] },
    );
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
      { ...own, dependsOn: [resolver] },
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
    const antivirus = mail.antivirus
      ? [
          new Daemon(
            `${name}-antivirus`,
            { push: 'antivirus', host, files: antivirusFiles() },
            { ...own, dependsOn: [resolver] },
          ),
        ]
      : [];
    const amavis = new Daemon(
      `${name}-amavis`,
      {
        push: 'amavis',
        host,
        files: amavisFiles(mail),
        secrets: pulumi
          .all([...keys.values()].map(({ privateKeyPem }) => privateKeyPem))
          .apply((pems) =>
            amavisSecrets(
              mail.domains.map((domain, i) => ({ ...domain, privateKeyPem: pems[i]! })),
            ),
          ),
      },
      // The host refuses to sign with a key that the domain's name servers do not answer.
      { ...own, dependsOn: [spamAssassin, ...antivirus, ...domainDns] },
    );
    const openSmtpd = new Daemon(
      `${name}-opensmtpd`,
      {
        push: 'opensmtpd',
        host,
        files: openSmtpdFiles(mail),
        secrets: pulumi
          .all([credentials, pulumi.secret(settings.smarthost?.password).apply(checkedPassword)])
          .apply(([hashes, password]) => openSmtpdSecrets(mail, hashes, password)),
      },
      // While a route is down OpenSMTPD holds mail back, so its next hops come first.
      { ...own, dependsOn: [tls, dovecot, amavis] },
    );
    new Summary(`${name}-summary`, settings, { ...own, dependsOn: [openSmtpd] });
    const web = mail.web
      ? [
          new Daemon(
            `${name}-web`,
            { push: 'web', host, files: webFiles(mail) },
            { ...own, dependsOn: [tls] },
          ),
        ]
      : [];
    const check = new Check(
      `${name}-check`,
      {
        host,
        mail,
        pushes: [
          resolver,
          tls,
          ...accounts,
          spamAssassin,
          dovecot,
          ...antivirus,
          amavis,
          openSmtpd,
          ...web,
        ],
      },
      { ...own, dependsOn: [openSmtpd, ...web] },
    );

    this.ipv4 = machine.ipv4;
    this.ipv6 = machine.ipv6;
    this.caCertPem = certificate.caCertPem;
    this.sshPrivateKey = machine.sshPrivateKey;
    this.openTasks = check.output.apply(async (output) => {
      const found = await zones;
      return openTasks([...found.values()], output);
    });
    this.registerOutputs({
      ipv4: this.ipv4,
      ipv6: this.ipv6,
      caCertPem: this.caCertPem,
      sshPrivateKey: this.sshPrivateKey,
      openTasks: this.openTasks,
    });
  }
}

/**
 * As parseSettings(), of which it takes the arguments.
 *
 * @throws pulumi.RunError, shown without a stack trace, with every mistake
 */
export function checkedSettings(...args: Parameters<typeof parseSettings>): Settings {
  try {
    return parseSettings(...args);
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

/** As checkedHashes(), for the smarthost's password. */
function checkedPassword(password?: string | object): string | undefined {
  if (password === undefined) return undefined;
  if (typeof password !== 'string' || !isSmarthostPassword(password)) {
    throw new pulumi.RunError(`the password of the smarthost ${smarthostPasswordForm}`);
  }
  return password;
}
