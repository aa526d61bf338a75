import * as pulumi from '@pulumi/pulumi';
import { Check } from './check';
import { amavis } from './daemons/amavis';
import { adopting, afterChecks } from './deployment/adoption';
import { makeBackup } from './deployment/backup';
import { makeAccount, makeCertificate, makeRenewal } from './deployment/certificate';
import { hidden, type Checked } from './deployment/checked';
import { daemonPushes } from './deployment/daemons';
import { atUpdate } from './deployment/deployment';
import { makeDkimKeys, signedHistories } from './deployment/keys';
import { outputsOf } from './deployment/outputs';
import * as dnsRecords from './deployment/records';
import { previewReport } from './deployment/report';
import { hostAccess, hostMachine, prepareHost } from './deployment/server';
import { makeStandby, type StandbyReport } from './deployment/standby';
import type { KeyCalendar } from './dns/dkimKeys';
import type { MoveReport } from './dns/moves';
import type { MailHostArgs } from './mailHostArgs';
import { preflight, type Preflight } from './preflight/preflight';
import { checkedSettings } from './settings/checked';
import { mailSettings } from './settings/mailSettings';
import { argumentNames, type FrontEnd } from './settings/mistakes';
import { Summary } from './summary';

type Made = ReturnType<typeof outputsOf>;

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
  /** SSH private key to get into the host as root: of the stack, or of the machine that was given; secret. */
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
  /** Of each domain that changes hosts: what the switch changes, and until when others may remember the MX from before. */
  readonly moves: pulumi.Output<Record<string, MoveReport>>;
  /** The server beside the one that serves; none without one. */
  readonly standby?: pulumi.Output<StandbyReport>;

  /** @param frontEnd how its errors name and change settings: as arguments, if not told otherwise */
  constructor(
    name: string,
    args: MailHostArgs,
    opts?: pulumi.ComponentResourceOptions,
    frontEnd: FrontEnd = argumentNames,
  ) {
    const settings = checkedSettings(args, frontEnd);
    const report = previewReport(name, settings.review);
    let begin: (checks: Promise<Preflight>) => void;
    const checked = new Promise<Preflight>((resolve) => (begin = resolve));
    super('mailhost:index:MailHost', name, hidden({ settings, checked, report }), {
      ...opts,
      dependsOn: afterChecks(checked, opts?.dependsOn),
      transforms: [...(opts?.transforms ?? []), adopting(checked)],
      transformations: [...(opts?.transformations ?? []), ...(report?.transformations ?? [])],
    });
    // Only now does the SDK know which providers the host's resources have, given to it or inherited.
    begin!(preflight(name, settings, { parent: this }, frontEnd));
    // One at a time: together they would be secret and unknown as soon as one of them is.
    const made = <K extends keyof Made>(key: K) =>
      pulumi.output(this.getData().then((all) => all[key])) as NonNullable<Made[K]>;
    this.ipv4 = made('ipv4');
    this.ipv6 = settings.ipv6 ? made('ipv6') : undefined;
    this.caCertPem = settings.tls.issuer === 'selfSigned' ? made('caCertPem') : undefined;
    this.sshPrivateKey = made('sshPrivateKey');
    this.dsRecords = made('dsRecords');
    this.zoneFile = made('zoneFile');
    this.openTasks = made('openTasks');
    this.backupPublicKey = settings.backup ? made('backupPublicKey') : undefined;
    this.dkimCalendar = made('dkimCalendar');
    this.moves = made('moves');
    this.standby = settings.standbyServer ? made('standby') : undefined;
  }

  /** Makes everything, once the checks have told what the stack has already. */
  protected override async initialize(
    { settings, checked, report }: Checked,
    _opts: pulumi.ComponentResourceOptions,
    name: string,
  ): Promise<Made> {
    // The mail host itself tells a refusal.
    const found = await checked.catch(() => new Promise<never>(() => undefined));
    const own = { parent: this };
    const mail = mailSettings(settings);
    const now = new Date().toISOString();
    const deployment = { name, settings, mail, found, time: atUpdate(now, now), own };

    const machine = hostMachine(deployment);
    const host = hostAccess(deployment, machine);
    const system = prepareHost(deployment, host, machine);
    const keys = makeDkimKeys(deployment);
    const { certificate, secrets } = makeCertificate(deployment);

    const pushes = daemonPushes(
      deployment,
      { host, system, keys, secrets },
      { volume: () => volume, records: () => dns.owners },
    );
    const backup = makeBackup(deployment, host, system, pushes);
    // No daemon runs before what it works with is there.
    const volume = backup && settings.restore !== undefined ? [backup] : [];
    // A backup may hold the account that the host had.
    const account = makeAccount(deployment, host, [system, ...volume]);
    const records = dnsRecords.madeRecords(deployment, { machine, keys, certificate, account });
    const dns = dnsRecords.publishRecords(deployment, records, {
      policies: pushes.of('web'),
      keys: pushes.of('tls'),
    });
    const pushed = pushes.all();

    const standby = makeStandby(deployment, machine, pushes);

    const dkim = signedHistories(deployment, pushes.push(amavis).fingerprint);
    new Summary(
      `${name}-summary`,
      { summary: atUpdate(found.summary, found.plannedAt.toISOString()), dkim, keys, certificate },
      // An `up` that is interrupted knows what another host had until its records are there.
      {
        ...own,
        dependsOn: [...pushes.of('opensmtpd'), ...(found.summary.moves ? dns.owners : [])],
      },
    );
    const renewal = makeRenewal(deployment, host, pushes);
    const check = new Check(
      `${name}-check`,
      {
        host,
        mail,
        records: dnsRecords.recordsOfOthers(deployment, records, machine),
        pushes: pushed,
      },
      { ...own, dependsOn: [...pushed, ...renewal] },
    );

    const made = outputsOf(deployment, {
      machine,
      standby,
      certificate,
      backup,
      records,
      dns,
      dkim,
      check,
    });
    void report?.print(found, this);
    this.registerOutputs(made);
    return made;
  }
}
