import * as pulumi from '@pulumi/pulumi';
import { AcmeAccount } from './acmeAccount';
import { Backup } from './backup';
import { Check } from './check';
import { Daemon, type HostAccess } from './daemon';
import { Dkim } from './dkim';
import { keyCalendar, withChangeAt, type KeyCalendar } from './dns/dkimKeys';
import { foreignRecords, tlsKeyName, type RecordSource } from './dns/dnsRecords';
import { publicRecord, withValue, zoneFile } from './dns/recordForms';
import { known, publish, type PublishedDns } from './domainDns';
import { Host } from './host';
import { accountFiles, accountSecrets } from './hostFiles/accountFiles';
import { amavisFiles, amavisSecrets } from './hostFiles/amavisFiles';
import { antivirusFiles } from './hostFiles/antivirusFiles';
import { dovecotFiles, dovecotSecrets } from './hostFiles/dovecotFiles';
import { fail2banFiles } from './hostFiles/fail2banFiles';
import type { HostFiles } from './hostFiles/files';
import { firewallFiles } from './hostFiles/firewallFiles';
import { openSmtpdFiles, openSmtpdSecrets } from './hostFiles/openSmtpdFiles';
import { resolverFiles } from './hostFiles/resolverFiles';
import { spamAssassinFiles } from './hostFiles/spamAssassinFiles';
import { sshFiles } from './hostFiles/sshFiles';
import {
  acmeSecrets,
  certificateNames,
  pairSecrets,
  tlsaFile,
  tlsFiles,
  type Pair,
} from './hostFiles/tlsFiles';
import { webFiles } from './hostFiles/webFiles';
import { Machine } from './machine';
import type { MailHostArgs } from './mailHostArgs';
import { openTasks } from './nextSteps';
import { preflight, type Preflight } from './preflight/preflight';
import { Renewal } from './renewal';
import { isCertificateChain, isPrivateKey, pairMistake } from './settings/certificates';
import { seconds } from './settings/duration';
import { mailSettings, type Credential } from './settings/mailSettings';
import { asciiName } from './settings/names';
import {
  backupSecretForm,
  chainForm,
  isBackupSecret,
  isPasswordHash,
  isSmarthostPassword,
  parseSettings,
  passwordHashForm,
  privateKeyForm,
  SettingsError,
  smarthostPasswordForm,
  type Settings,
} from './settings/settings';
import { Summary } from './summary';
import { Certificate, WebRequests } from './tls';

/**
 * A complete mail host: machine, DNS, keys, and the daemons with their files.
 *
 * @example
 * new MailHost('mail', {
 *   hostName: 'mail.example.org',
 *   domains: [{ name: 'example.org' }],
 *   accounts: [{ address: 'anna@example.org', passwordHash: config.requireSecret('annaHash') }],
 *   postmaster: 'anna@example.org',
 *   tls: { acceptTerms: true },
 * });
 *
 * @throws pulumi.RunError with every mistake in the arguments
 */
export class MailHost extends pulumi.ComponentResource<Made> {
  readonly ipv4: pulumi.Output<string>;
  /** None where `ipv6` is false. */
  readonly ipv6?: pulumi.Output<string>;
  /** PEM of the CA that mail clients have to trust, where it is one of the stack. */
  readonly caCertPem?: pulumi.Output<string>;
  /** OpenSSH private key of the stack, to get into the host as root; secret. */
  readonly sshPrivateKey: pulumi.Output<string>;
  /** What an SFTP server for the backups has to let in; none where they go elsewhere. */
  readonly backupPublicKey?: pulumi.Output<string>;
  /** The DS record of each zone that is signed, by the zone's name: for its registrar. */
  readonly dsRecords: pulumi.Output<Record<string, string>>;
  /** All records, as a zone file. */
  readonly zoneFile: pulumi.Output<string>;
  /** What only a person can do, at a registrar or provider, as of the last check of the host. */
  readonly openTasks: pulumi.Output<string[]>;
  /** Of each domain: the DKIM selector that signs, the next, and from when on a rotation removes the others. */
  readonly dkimCalendar: pulumi.Output<Record<string, KeyCalendar>>;

  constructor(name: string, args: MailHostArgs, opts?: pulumi.ComponentResourceOptions) {
    const settings = checkedSettings(args);
    let begin: (checks: Promise<Preflight>) => void;
    const checked = new Promise<Preflight>((resolve) => (begin = resolve));
    // Children wait for their parent, so nothing is registered before the checks have passed.
    const dependsOn = pulumi.output(opts?.dependsOn ?? []).apply(async (given) => {
      await checked;
      return [given].flat();
    });
    const adopt: pulumi.ResourceTransform = async ({ type, name: child, props, opts: own }) => {
      const { adopted } = await checked;
      const id = adopted.ids.get(`${type} ${child}`);
      const server = adopted.server && type === 'hcloud:index/server:Server';
      if (id === undefined && !server) return undefined;
      const custom = own as pulumi.CustomResourceOptions;
      return {
        props,
        opts: {
          ...custom,
          import: id ?? custom.import,
          // The API does not tell which addresses it was asked for, and the plugin would give it them again.
          ...(server ? { ignoreChanges: [...(custom.ignoreChanges ?? []), 'publicNets'] } : {}),
        },
      };
    };
    const transforms = [...(opts?.transforms ?? []), adopt];
    super('mailhost:index:MailHost', name, hidden({ settings, checked }), {
      ...opts,
      dependsOn,
      transforms,
    });
    // Only now does the SDK know which providers the host's resources have, given to it or inherited.
    begin!(preflight(name, settings, { parent: this }));
    // One at a time: together they would be secret and unknown as soon as one of them is.
    const made = <T>(of: (all: Made) => pulumi.Input<T>) => pulumi.output(this.getData().then(of));
    this.ipv4 = made(({ ipv4 }) => ipv4);
    this.ipv6 = settings.ipv6 ? made(({ ipv6 }) => ipv6!) : undefined;
    this.caCertPem =
      settings.tls.issuer === 'selfSigned' ? made(({ caCertPem }) => caCertPem!) : undefined;
    this.sshPrivateKey = made(({ sshPrivateKey }) => sshPrivateKey);
    this.dsRecords = made(({ dsRecords }) => dsRecords);
    this.zoneFile = made(({ zoneFile: text }) => text);
    this.openTasks = made(({ openTasks: tasks }) => tasks);
    this.backupPublicKey = settings.backup
      ? made(({ backupPublicKey }) => backupPublicKey!)
      : undefined;
    this.dkimCalendar = made(({ dkimCalendar }) => dkimCalendar);
  }

  /** Makes everything, once the checks have told what the stack has already. */
  protected override async initialize(
    { settings, checked }: Checked,
    _opts: pulumi.ComponentResourceOptions,
    name: string,
  ): Promise<Made> {
    // The mail host itself tells a refusal.
    const {
      summary,
      plannedAt,
      machine: { present, serverMade, lost },
      dns: { provider, zones, records, made: madeRecords, hasTlsa },
      before: { zoneFile: zoneFileBefore = '', keyHashOf, changeOf },
    } = await checked.catch(() => new Promise<never>(() => undefined));
    const own = { parent: this };

    const machine = new Machine(`${name}-machine`, { ...settings, present, serverMade, lost }, own);
    const now = new Date().toISOString();
    const host: HostAccess = {
      connection: machine.connection,
      triggers: [machine.serverId, ...(settings.drift === 'mend' ? [now] : [])],
      changeBefore: changeOf,
    };

    const keys = new Map(
      Object.entries(summary.dkim).map(([domain, history]) => [
        domain,
        new Dkim(
          `${name}-${domain}`,
          {
            domain,
            history,
            before: (selector) => keyHashOf(`${domain}-${selector}`),
            compromised: settings.dkimCompromised,
            protect: settings.protect,
          },
          own,
        ),
      ]),
    );
    const valueOf = (source: RecordSource): pulumi.Output<string> => {
      switch (source.from) {
        case 'ipv4':
          return machine.ipv4;
        case 'ipv6':
          return machine.ipv6!;
        case 'dkim':
          return keys.get(source.domain)!.records[source.selector]!;
        case 'tls':
          return certificate!.fingerprints.get(source.generation)!;
        case 'acme':
          return account!.caa;
      }
    };
    const { issuer, chain, privateKey } = settings.tls;
    const certificate =
      issuer === 'provided'
        ? undefined
        : new Certificate(
            `${name}-certificate`,
            {
              hostName: settings.hostName,
              generation: settings.tlsGeneration,
              before: (key) => keyHashOf(`certificate-${key}`),
            },
            own,
          );

    const mail = mailSettings(settings);
    const system = new Host(
      `${name}-host`,
      {
        access: host,
        mail,
        adminSshKeys: settings.adminSshKeys,
        driftAccepted: settings.driftAccepted,
        volumeDevice: machine.volumeDevice,
        volumeSize: settings.volumeSize,
        ...(settings.drift === 'stop' ? { lookedAt: now } : {}),
      },
      own,
    );
    const backup =
      settings.backup && mail.backup
        ? new Backup(
            `${name}-backup`,
            {
              host,
              mail: { ...mail, backup: mail.backup },
              ...checkedBackupSecrets(settings.backup),
              restore: settings.restore,
              hasKey: keyHashOf('backup-ssh-key') !== undefined,
            },
            { ...own, dependsOn: [system] },
          )
        : undefined;
    // No daemon runs before what it works with is there.
    const ready = backup && settings.restore !== undefined ? backup : system;
    const pair: pulumi.Output<Pair> = certificate
      ? pulumi
          .all([certificate.chainPem, certificate.privateKeyPem])
          .apply(([chainPem, privateKeyPem]): Pair => ({ chainPem, privateKeyPem }))
      : pulumi
          .all([chain, pulumi.secret(privateKey)])
          .apply(([given, key]) => checkedPair(given, key, settings.hostName));
    // No secrets, but known only once the keys are.
    const tlsa = mail.tlsa
      ? pulumi
          .all([...certificate!.fingerprints.values()])
          .apply((hashes) => tlsaFile(mail.hostName, hashes))
      : {};
    const issuerSecrets = () => {
      if (issuer !== 'acme') return pair.apply(pairSecrets);
      const [, ...ofDomains] = certificateNames(mail);
      const web = new WebRequests(`${name}-web-certificates`, { certificates: ofDomains }, own);
      return pulumi
        .all([pair, web.privateKeyPem, certificate!.requestPem, web.requestPems])
        .apply(([ownPair, webKey, request, requests]) =>
          acmeSecrets(ownPair, webKey, { [mail.hostName]: request, ...requests }),
        );
    };
    const credentials = pulumi.secret(settings.accounts).apply(checkedHashes);

    const firewall = new Daemon(
      `${name}-firewall`,
      { push: 'firewall', host, files: firewallFiles(mail) },
      { ...own, dependsOn: [system] },
    );
    const ssh = new Daemon(
      `${name}-ssh`,
      { push: 'ssh', host, files: sshFiles(settings.adminNetworks) },
      { ...own, dependsOn: [system] },
    );
    const fail2ban = new Daemon(
      `${name}-fail2ban`,
      { push: 'fail2ban', host, files: fail2banFiles(settings.adminNetworks) },
      { ...own, dependsOn: [system] },
    );
    const resolver = new Daemon(
      `${name}-resolver`,
      { push: 'resolver', host, files: resolverFiles(mail) },
      { ...own, dependsOn: [ready] },
    );
    const tls = new Daemon(
      `${name}-tls`,
      {
        push: 'tls',
        host,
        files: tlsFiles(mail),
        secrets: pulumi
          .all([issuerSecrets(), tlsa])
          .apply(([secrets, announced]): HostFiles => ({ ...secrets, ...announced })),
      },
      { ...own, dependsOn: [ready] },
    );
    const web = mail.web
      ? [
          new Daemon(
            `${name}-web`,
            { push: 'web', host, files: webFiles(mail) },
            { ...own, dependsOn: [tls] },
          ),
        ]
      : [];
    const account =
      issuer === 'acme'
        ? new AcmeAccount(
            `${name}-account`,
            { host, directory: mail.tls.directory, contact: mail.tls.contact },
            // A backup may hold the account that the host had.
            { ...own, dependsOn: [ready] },
          )
        : undefined;
    const withValues = records.map((record) => withValue(record, valueOf));
    const dns: PublishedDns =
      provider === undefined
        ? { owners: [], dsRecords: {} }
        : publish(
            name,
            {
              provider,
              records: withValues,
              isMade: madeRecords,
              zoneId: (zone) => zones.get(zone)!.id,
              dnssec: settings.dnssec,
              policyHost: web,
              // The first ones, so that they name a key that is served; the host lets no other follow before its record.
              keyHost: hasTlsa ? undefined : [tls],
            },
            own,
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
              { ...own, dependsOn: [ready] },
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
        after: [tls, ...accounts],
      },
      { ...own, dependsOn: [ready] },
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
        files: amavisFiles(mail, summary.dkim),
        secrets: pulumi
          .all(
            mail.domains.map((domain) => {
              const { privateKeyPem, publicKeys } = keys.get(domain.name)!;
              return pulumi.output({ ...domain, privateKeyPem: privateKeyPem!, publicKeys });
            }),
          )
          .apply(amavisSecrets),
        // The host refuses to sign with a key that the domain's name servers do not answer.
        after: [spamAssassin, ...antivirus, ...dns.owners],
      },
      { ...own, dependsOn: [ready] },
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
        // While a route is down OpenSMTPD holds mail back, so its next hops come first.
        after: [tls, dovecot, amavis],
      },
      { ...own, dependsOn: [ready] },
    );
    // The plan was made before the host changed keys. A preview tells what it knows.
    const dkim = pulumi.runtime.isDryRun()
      ? pulumi.output(summary.dkim)
      : amavis.fingerprint.apply(() => withChangeAt(summary.dkim, plannedAt, new Date()));
    const publicKeys = pulumi.all(
      Object.fromEntries([
        ...[...keys].flatMap(([domain, { fingerprints }]) =>
          Object.entries(fingerprints).map(
            ([selector, hash]) => [`${domain}-${selector}`, hash] as const,
          ),
        ),
        ...[...(certificate?.fingerprints ?? [])].map(
          ([generation, hash]) => [`certificate-${tlsKeyName(generation)}`, hash] as const,
        ),
      ]),
    );
    const kept = pulumi
      .all([dkim, publicKeys])
      .apply(([histories, hashes]) => ({ ...summary, dkim: histories, publicKeys: hashes }));
    new Summary(`${name}-summary`, kept, { ...own, dependsOn: [openSmtpd] });
    const renewal =
      issuer === 'acme'
        ? [
            new Renewal(
              `${name}-renewal`,
              { host, tls },
              // The CA finds the host by its names, at its web server.
              { ...own, dependsOn: [...dns.owners, openSmtpd, ...web] },
            ),
          ]
        : [];
    const check = new Check(
      `${name}-check`,
      {
        host,
        mail,
        records: [
          ...(settings.dns === 'manual' ? withValues : []).map((record) =>
            known(record).apply(publicRecord),
          ),
          ...foreignRecords(settings).map((record) => ({
            ...publicRecord(record),
            others: true as const,
          })),
        ],
        pushes: [
          firewall,
          ssh,
          fail2ban,
          resolver,
          tls,
          ...accounts,
          spamAssassin,
          dovecot,
          ...antivirus,
          amavis,
          openSmtpd,
          ...web,
          ...(backup ? [backup.push] : []),
        ],
      },
      { ...own, dependsOn: [openSmtpd, ...web, ...renewal] },
    );

    const zoneNameOf = (zone: string) => zones.get(zone)?.name ?? zone;
    const fileOfZones = pulumi
      .all(withValues.map(known))
      .apply((all) =>
        zoneFile(all.map((record) => ({ ...record, zone: zoneNameOf(record.zone) }))),
      );
    if (settings.dns === 'manual')
      fileOfZones.apply(async (text) => {
        const shown = new Set(zoneFileBefore.split('\n'));
        const fresh = text.split('\n').filter((line) => line.includes(' IN ') && !shown.has(line));
        // The engine shows the first line of a message at once, and the rest at the end.
        for (const line of fresh) await pulumi.log.info(`publish ${line}`, this);
      });
    const dsRecords = pulumi.output(dns.dsRecords).apply((ds) =>
      Object.fromEntries(
        Object.entries(ds).map(([zone, text]) => [
          zoneNameOf(zone),
          // The zone's name stands first, which the API may tell in Unicode.
          text.replace(/^\S*[^\0-\x7f]\S*/, (name) => `${asciiName(name)}.`),
        ]),
      ),
    );
    const made = {
      ipv4: machine.ipv4,
      ipv6: machine.ipv6,
      caCertPem: issuer === 'selfSigned' ? certificate?.caCertPem : undefined,
      sshPrivateKey: machine.sshPrivateKey,
      dsRecords,
      zoneFile: fileOfZones,
      backupPublicKey: backup?.publicKey,
      openTasks: pulumi
        .all([dsRecords, check.output])
        .apply(([ds, output]) => openTasks([...zones.values()], ds, output)),
      dkimCalendar: dkim.apply((histories) =>
        keyCalendar(histories, {
          compromised: settings.dkimCompromised,
          retention: seconds(settings.dkimRetention),
        }),
      ),
    };
    this.registerOutputs(made);
    return made;
  }
}

/** What the outputs of a mail host are taken from. */
interface Made {
  ipv4: pulumi.Output<string>;
  ipv6?: pulumi.Output<string>;
  caCertPem?: pulumi.Output<string>;
  sshPrivateKey: pulumi.Output<string>;
  dsRecords: pulumi.Output<Record<string, string>>;
  zoneFile: pulumi.Output<string>;
  backupPublicKey?: pulumi.Output<string>;
  openTasks: pulumi.Output<string[]>;
  dkimCalendar: pulumi.Output<Record<string, KeyCalendar>>;
}

/** What a mail host is made from, and what the checks have found out. */
interface Checked {
  settings: Settings;
  checked: Promise<Preflight>;
}

/** For initialize() alone: what can be enumerated would be kept in the state as the component's inputs. */
const hidden = (args: Checked): Checked =>
  Object.defineProperties({} as Checked, {
    settings: { value: args.settings },
    checked: { value: args.checked },
  });

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

/** As checkedHashes(), for what opens the backups. */
function checkedBackupSecrets({ password, environment }: NonNullable<Settings['backup']>) {
  const checked = (key: string, value: unknown): string => {
    if (typeof value !== 'string' || !isBackupSecret(value)) {
      throw new pulumi.RunError(`the ${key} of the backup ${backupSecretForm}`);
    }
    return value;
  };
  return {
    password: pulumi.secret(password).apply((value) => checked('password', value)),
    environment: pulumi
      .secret(environment)
      .apply((values) =>
        Object.fromEntries(
          Object.entries(values).map(([key, value]) => [key, checked(`variable ${key}`, value)]),
        ),
      ),
  };
}

/** As checkedHashes(), for a certificate that somebody else issued. */
function checkedPair(
  chain: string | object | undefined,
  privateKey: string | object | undefined,
  hostName: string,
): Pair {
  if (typeof chain !== 'string' || !isCertificateChain(chain)) {
    throw new pulumi.RunError(`the chain of tls ${chainForm}`);
  }
  if (typeof privateKey !== 'string' || !isPrivateKey(privateKey)) {
    throw new pulumi.RunError(`the privateKey of tls ${privateKeyForm}`);
  }
  const mistake = pairMistake(chain, privateKey, hostName);
  if (mistake !== undefined) throw new pulumi.RunError(`the chain of tls ${mistake}`);
  const line = (pem: string) => `${pem.trim()}\n`;
  return { chainPem: line(chain), privateKeyPem: line(privateKey) };
}
