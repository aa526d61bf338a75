import * as pulumi from '@pulumi/pulumi';
import type { AcmeAccount } from '../acmeAccount';
import type { Dkim } from '../dkim';
import { foreignRecords, type RecordSource } from '../dns/dnsRecords';
import { publicRecord, withValue, zoneFile, type PublicRecord } from '../dns/recordForms';
import type { MadeRecord } from '../dns/provider';
import { known, publish, type PublishedDns } from '../domainDns';
import { asciiName, reverseName } from '../settings/names';
import type { Certificate } from '../tls';
import type { Deployment } from './deployment';
import type { HostMachine } from './server';

/** What makes the values of records that are known only later. */
interface Makers {
  machine: HostMachine;
  keys: Map<string, Dkim>;
  certificate?: Certificate;
  account?: AcmeAccount;
}

const valueOf =
  ({ machine, keys, certificate, account }: Makers) =>
  (source: RecordSource): pulumi.Output<string> => {
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

/** The records of the plan, with the values of what is made. */
export const madeRecords = ({ found }: Deployment, makers: Makers): MadeRecord[] =>
  found.dns.records.map((record) => withValue(record, valueOf(makers)));

/** Publishes the records at the DNS provider, or nothing where a person does it. */
export const publishRecords = (
  { name, settings, found: { dns }, own }: Deployment,
  records: MadeRecord[],
  /** What serves the policies of MTA-STS, and what serves the TLS keys. */
  hosts: { policies: pulumi.Resource[]; keys: pulumi.Resource[] },
): PublishedDns =>
  dns.provider === undefined
    ? { owners: [], dsRecords: {} }
    : publish(
        name,
        {
          provider: dns.provider,
          records,
          isMade: dns.made,
          zoneId: (zone) => dns.zones.get(zone)!.id,
          dnssec: settings.dnssec,
          policyHost: hosts.policies,
          // The first ones, so that they name a key that is served; the host lets no other follow before its record.
          keyHost: dns.hasTlsa ? undefined : hosts.keys,
        },
        own,
      );

const zoneName = ({ found }: Deployment, zone: string): string =>
  found.dns.zones.get(zone)?.name ?? zone;

/** All records as a zone file. Where a person publishes them, the lines that were not in it before are shown. */
export function makeZoneFile(deployment: Deployment, records: MadeRecord[]): pulumi.Output<string> {
  const text = pulumi
    .all(records.filter(({ old }) => old === undefined).map(known))
    .apply((all) =>
      zoneFile(all.map((record) => ({ ...record, zone: zoneName(deployment, record.zone) }))),
    );
  const { settings, found, own } = deployment;
  if (settings.dns === 'manual')
    text.apply(async (lines) => {
      const shown = new Set((found.before.zoneFile ?? '').split('\n'));
      const fresh = lines.split('\n').filter((line) => line.includes(' IN ') && !shown.has(line));
      // The engine shows the first line of a message at once, and the rest at the end.
      for (const line of fresh) await pulumi.log.info(`publish ${line}`, own.parent);
    });
  return text;
}

/** The DS record of each zone that is signed, by the zone's name. */
export const dsRecordsByName = (
  deployment: Deployment,
  { dsRecords }: PublishedDns,
): pulumi.Output<Record<string, string>> =>
  pulumi.output(dsRecords).apply((ds) =>
    Object.fromEntries(
      Object.entries(ds).map(([zone, text]) => [
        zoneName(deployment, zone),
        // The zone's name stands first, which the API may tell in Unicode.
        text.replace(/^\S*[^\0-\x7f]\S*/, (name) => `${asciiName(name)}.`),
      ]),
    ),
  );

/** Records that the host looks for in DNS, because a person publishes them. */
export const recordsOfOthers = (
  { settings }: Deployment,
  records: MadeRecord[],
  { ipv4, ipv6 }: HostMachine,
): pulumi.Input<PublicRecord>[] => [
  ...(settings.dns === 'manual' ? records : []).map((record) => known(record).apply(publicRecord)),
  ...foreignRecords(settings).map((record) => ({ ...publicRecord(record), others: true as const })),
  // Whoever has given the machine its addresses sets these.
  ...(settings.machine ? [ipv4, ipv6] : []).flatMap((address) =>
    address ? [address.apply((text) => pointer(text, settings.hostName))] : [],
  ),
];

const pointer = (address: string, hostName: string): PublicRecord => ({
  name: reverseName(address),
  type: 'PTR',
  data: `${hostName}.`,
  others: true,
});
