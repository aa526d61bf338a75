import { dovecot } from './daemons/dovecot';
import { openSmtpd } from './daemons/openSmtpd';
import type { Port } from './daemons/spec';
import type { Zone } from './dns/provider';
import type { AccountKind } from './settings/enums';

/** What to fill in at a mail client. */
export interface MailClient {
  incoming: Service;
  outgoing: Service;
  /** Where the network lets nothing out on the port of `outgoing`. */
  outgoingElse: Service;
  sieve: Service;
  /** What to log in with. */
  userName: string;
}

interface Service {
  protocol: string;
  host: string;
  port: number;
  security: string;
}

export function mailClient(host: string, accountKind: AccountKind): MailClient {
  const at = ({ protocol, number, security }: Port & { security: string }): Service => ({
    protocol,
    host,
    port: number,
    security,
  });
  return {
    incoming: at(dovecot.ports.imaps),
    outgoing: at(openSmtpd.ports.submissions),
    outgoingElse: at(openSmtpd.ports.submission),
    sieve: at(dovecot.ports.sieve),
    userName: accountKind === 'virtual' ? 'the whole mail address' : 'the part before the @',
  };
}

/**
 * What only a person can do, at a registrar or provider.
 *
 * @param dsRecords of zones that are signed, by name
 * @param checkOutput what the check of the host said last
 * @param ofMoves what is to do for domains that change hosts
 */
export function openTasks(
  zones: Zone[],
  dsRecords: Record<string, string>,
  checkOutput: string,
  ofMoves: string[] = [],
): string[] {
  return [
    ...zones
      .filter(({ status }) => status !== 'active')
      .map(
        ({ name, nameServers }) =>
          `At the registrar of ${name}, set the name servers to ${nameServers.join(' and ')}`,
      ),
    ...zones
      // Before, the name servers of the domain sign with no key, or with another.
      .filter(({ status, dnssec }) => status === 'active' && dnssec !== 'active')
      .filter(({ name }) => dsRecords[name])
      .map(({ name }) => `At the registrar of ${name}, set the DS record ${dsRecords[name]}`),
    ...ofMoves,
    ...[...checkOutput.matchAll(/^WARNING: (.+)$/gm)].map(([, warning]) => warning!),
  ];
}

/**
 * All of it as text for a person.
 *
 * @param ownCa whether clients have to trust a CA of the stack
 */
export function nextSteps(client: MailClient, tasks: string[], ownCa: boolean): string {
  const services = [client.incoming, client.outgoing, client.outgoingElse, client.sieve].map(
    ({ protocol, host, port, security }) => `  ${protocol}: ${host}, port ${port}, ${security}`,
  );
  return [
    'Mail clients:',
    ...services,
    `  user name: ${client.userName}`,
    ...(ownCa ? ['  to trust: the CA in `pulumi stack output caCertPem`'] : []),
    tasks.length === 0 ? 'Nothing is left to do.' : 'Left to do:',
    ...tasks.map((task) => `  - ${task}`),
  ].join('\n');
}
