import {
  dkimRecord,
  dkimSelector,
  domainRecords,
  parkedRecords,
  publishedGenerations,
  quoteTxt,
} from './dnsRecords';
import type { WantedRecord } from './existingRecords';
import type { Settings } from './settings';

/** The nearest domain above the host's name: one below another may have a zone of its own. */
export const hostDomain = ({ domains, hostName }: Settings): Settings['domains'][number] =>
  domains
    .filter(({ name }) => hostName.endsWith(`.${name}`))
    .sort((a, b) => b.name.length - a.name.length)[0]!;

/** SPF for the name in HELO (RFC 7208, section 2.3). */
export const hostSpf = quoteTxt('v=spf1 a -all');

/**
 * Every record that the plan holds, by its zone. What is known only once it is made, an address or a key, has no content.
 *
 * @param mailHost name of the MailHost
 */
export function plannedRecords(mailHost: string, settings: Settings): Map<string, WantedRecord[]> {
  const zones = new Map<string, WantedRecord[]>();
  const plan = (
    zone: string,
    type: string,
    name: string,
    records: Omit<WantedRecord, 'parent'>[],
  ) =>
    zones.set(zone, [
      ...(zones.get(zone) ?? []),
      ...records.map((record) => ({
        ...record,
        parent: { type: `mailhost:index:${type}`, name: `${mailHost}-${name}` },
      })),
    ]);

  const { hostName, dkimGeneration } = settings;
  plan(hostDomain(settings).zone, 'HostDns', hostName, [
    { key: 'a', type: 'A', name: hostName },
    ...(settings.ipv6 ? [{ key: 'aaaa', type: 'AAAA', name: hostName }] : []),
    { key: 'spf', type: 'TXT', name: hostName, content: hostSpf },
  ]);
  for (const { name: domain, zone, parked, spf } of settings.domains) {
    const keys = parked ? [] : publishedGenerations(dkimGeneration).map(dkimSelector);
    plan(zone, 'DomainDns', domain, [
      ...(parked ? parkedRecords(domain) : domainRecords({ domain, hostName, spf })),
      ...keys.map((selector) => dkimRecord(selector, domain)),
    ]);
  }
  return zones;
}
