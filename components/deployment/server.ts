import type { HostAccess } from '../daemon';
import { openPorts } from '../daemons/catalogue';
import { Host } from '../host';
import { Machine } from '../machine';
import type { Deployment } from './deployment';

/** The machine, with the ports of the daemons open. */
export const makeMachine = ({ name, settings, mail, found, own }: Deployment): Machine =>
  new Machine(
    `${name}-machine`,
    {
      ...settings,
      ports: openPorts(mail),
      ...found.machine,
    },
    own,
  );

/** How to reach the host on it. To repair drift, everything is pushed again. */
export const hostAccess = (
  { settings, found, time }: Deployment,
  { connection, serverId }: Machine,
): HostAccess => ({
  connection,
  triggers: [serverId, ...(settings.drift === 'mend' ? [time] : [])],
  changeBefore: found.before.changeOf,
});

/** The host made ready for the daemons, after a look for drift where that stops the deployment. */
export const prepareHost = (
  { name, settings, mail, time, own }: Deployment,
  access: HostAccess,
  { volumeDevice }: Machine,
): Host =>
  new Host(
    `${name}-host`,
    {
      access,
      mail,
      adminSshKeys: settings.adminSshKeys,
      driftAccepted: settings.driftAccepted,
      volumeDevice,
      volumeSize: settings.volumeSize,
      ...(settings.drift === 'stop' ? { lookedAt: time } : {}),
    },
    own,
  );
