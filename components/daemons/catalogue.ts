import type { MailSettings } from '../settings/mailSettings';
import { daemons } from '.';
import type { DaemonSpec, Plan, Port } from './spec';

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
