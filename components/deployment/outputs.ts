import * as pulumi from '@pulumi/pulumi';
import type { Backup } from '../backup';
import type { Check } from '../check';
import type { KeyHistory } from '../dns/dkimKeys';
import type { MadeRecord } from '../dns/provider';
import type { PublishedDns } from '../domainDns';
import { openTasks } from '../nextSteps';
import type { Certificate } from '../tls';
import type { Deployment } from './deployment';
import { dkimCalendar } from './keys';
import { dsRecordsByName, makeZoneFile } from './records';
import type { HostMachine } from './server';
import type { Standby } from './standby';

/** The parts of a mail host that its outputs are taken from. */
export interface OutputsFrom {
  machine: HostMachine;
  standby: Standby[];
  certificate?: Certificate;
  backup?: Backup;
  records: MadeRecord[];
  dns: PublishedDns;
  dkim: pulumi.Output<Record<string, KeyHistory>>;
  check: Check;
}

/** The outputs of a mail host, as MailHost describes them. */
export function outputsOf(
  deployment: Deployment,
  { machine, standby, certificate, backup, records, dns, dkim, check }: OutputsFrom,
) {
  const { settings, found } = deployment;
  const dsRecords = dsRecordsByName(deployment, dns);
  return {
    ipv4: machine.ipv4,
    ipv6: machine.ipv6,
    caCertPem: settings.tls.issuer === 'selfSigned' ? certificate?.caCertPem : undefined,
    sshPrivateKey: machine.sshPrivateKey,
    dsRecords,
    zoneFile: makeZoneFile(deployment, records),
    backupPublicKey: backup?.publicKey,
    openTasks: pulumi
      .all([dsRecords, check.output])
      .apply(([ds, output]) =>
        openTasks([...found.dns.zones.values()], ds, output, found.dns.tasks),
      ),
    dkimCalendar: dkimCalendar(deployment, dkim),
    moves: pulumi.output(found.dns.moveReports),
    standby: standby[0]?.report,
  };
}
