import * as pulumi from '@pulumi/pulumi';
import { checkInput } from '../check';
import type { HostAccess } from '../daemon';
import { openPorts } from '../daemons/catalogue';
import { Host } from '../host';
import { rootConnection } from '../connection';
import { Machine } from '../machine';
import type { Settings } from '../settings/settings';
import type { Deployment } from './deployment';

/** What the mail host needs of a machine, whoever has made it. */
export type HostMachine = Pick<
  Machine,
  'ipv4' | 'ipv6' | 'serverId' | 'connection' | 'sshPrivateKey' | 'standby'
> & { volumeDevice?: pulumi.Output<string> };

/** The machine that is given, or else one with the ports of the daemons open. */
export const hostMachine = ({ name, settings, mail, found, own }: Deployment): HostMachine =>
  settings.machine
    ? givenMachine(settings.machine)
    : new Machine(
        `${name}-machine`,
        { ...settings, ports: openPorts(mail), check: checkInput(mail), ...found.machine },
        own,
      );

function givenMachine(given: NonNullable<Settings['machine']>): HostMachine {
  const { ipv4, ipv6, volumeDevice, sshHostKey, serverId } = given;
  // A text of a config command has no last newline, without which some read no key.
  const sshPrivateKey = pulumi.output(given.sshPrivateKey).apply((key) => `${key.trim()}\n`);
  return {
    ipv4: pulumi.output(ipv4),
    serverId: pulumi.output(serverId ?? sshHostKey),
    sshPrivateKey,
    connection: rootConnection({ ipv4, sshHostKey, sshPrivateKey }),
    ...(ipv6 === undefined ? {} : { ipv6: pulumi.output(ipv6) }),
    ...(volumeDevice === undefined ? {} : { volumeDevice: pulumi.output(volumeDevice) }),
  };
}

/** A server that serves again has given up what was pushed to it before. */
export const handoverTrigger = ({ found }: Deployment): string[] => {
  const { handovers } = found.machine.servers;
  return handovers > 0 ? [`handover ${handovers}`] : [];
};

/** How to reach the host on it. To repair drift, everything is pushed again. */
export const hostAccess = (
  deployment: Deployment,
  { connection, serverId }: HostMachine,
): HostAccess => ({
  connection,
  triggers: [
    serverId,
    ...handoverTrigger(deployment),
    ...(deployment.settings.drift === 'mend' ? [deployment.time] : []),
  ],
  changeBefore: deployment.found.before.changeOf,
});

/** The host made ready for the daemons, after a look for drift where that stops the deployment. */
export const prepareHost = (
  { name, settings, mail, time, own }: Deployment,
  access: HostAccess,
  { volumeDevice }: HostMachine,
): Host =>
  new Host(
    `${name}-host`,
    {
      access,
      mail,
      adminSshKeys: settings.adminSshKeys,
      driftAccepted: settings.driftAccepted,
      ...(volumeDevice && {
        volume: {
          device: volumeDevice,
          ...(settings.machine ? {} : { size: settings.volumeSize }),
        },
      }),
      ...(settings.drift === 'stop' ? { lookedAt: time } : {}),
    },
    own,
  );
