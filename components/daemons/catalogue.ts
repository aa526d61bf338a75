import type { MailSettings } from '../settings/mailSettings';
import { daemons } from '.';
import { probeDomain, probeUser, reportsUser } from './probe';
import type { DaemonSpec, Plan, Port, User } from './spec';

/** What follows from the daemons' specs. */

/** The daemons that the settings ask for, in order. */
export const wantedDaemons = (mail: MailSettings): DaemonSpec[] =>
  daemons.filter(({ isWanted }) => isWanted?.(mail) ?? true);

/** A port with the name of its service. */
export interface ServicePort extends Port {
  service: string;
}

export const portsOf = ({ ports = {} }: DaemonSpec): ServicePort[] =>
  Object.entries(ports).map(([service, port]) => ({ service, ...port }));

/** The ports that others can reach, each once. */
export function openPorts(mail: MailSettings): ServicePort[] {
  const ports = wantedDaemons(mail)
    .flatMap(portsOf)
    .filter(({ from, isOpenFor }) => from !== 'host' && (isOpenFor?.(mail) ?? true));
  return [...new Map(ports.map((port) => [port.number, port])).values()];
}

/** The ports that mail clients use. */
export const clientPorts = (mail: MailSettings): ServicePort[] =>
  wantedDaemons(mail)
    .flatMap(portsOf)
    .filter(({ isForClients }) => isForClients);

/** Debian packages of the daemons. */
export const daemonPackages = (mail: MailSettings): string[] =>
  wantedDaemons(mail).flatMap(({ packages }) => packages?.(mail) ?? []);

/** Completes the plan with what follows from the specs. */
export const daemonPlan = (given: Omit<Plan, 'ports' | 'openPorts'>): Plan => ({
  ...given,
  ports: Object.fromEntries(
    daemons.flatMap(portsOf).map(({ service, number }) => [service, number]),
  ),
  openPorts: openPorts(given.mail)
    .map(({ number }) => number)
    .sort((a, b) => a - b),
});

/** The system users of all daemons, wanted or not: their files may be on the volume. */
export const systemUsers = (): User[] => [
  ...daemons.flatMap(({ users = [] }) => users),
  probeUser,
  reportsUser,
];

/** Users of Debian's base system. */
const debianUsers =
  'root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc gnats nobody _apt ' +
  'systemd-network systemd-resolve systemd-timesync messagebus sshd polkitd';

/** Every user of the host that no account can be, whatever the settings. */
export const takenUsers = (): Set<string> =>
  new Set([
    ...debianUsers.split(' '),
    ...systemUsers().map(({ name }) => name),
    ...daemons.flatMap(({ packageUsers = [] }) => packageUsers),
  ]);

/** What the host program knows of the daemons, as JSON: `specs.json` beside its modules. */
export const hostSpecs = () => ({
  daemons: Object.fromEntries(
    daemons.map((daemon) => [
      daemon.name,
      {
        ...(daemon.unit === undefined ? {} : { unit: daemon.unit }),
        timers: daemon.timers ?? [],
        rereads: daemon.rereads?.files ?? [],
        // The check expects that something listens on each.
        ports: portsOf(daemon)
          .filter(({ isOpenFor }) => isOpenFor === undefined)
          .map(({ number, protocol, security, from }) => ({
            number,
            protocol,
            public: from !== 'host',
            ...(security === undefined ? {} : { security }),
          })),
      },
    ]),
  ),
  probe: { user: probeUser.name, domain: probeDomain },
  reports: { user: reportsUser.name, domain: probeDomain },
});
