import { setTimeout as sleep } from 'node:timers/promises';
import * as pulumi from '@pulumi/pulumi';
import { mtaStsKey, type DnsRecord } from './dns/dnsRecords';
import type { DnsProvider, MadeRecord } from './dns/provider';
import { resourceName } from './dns/recordForms';
import { explaining } from './hooks';
import { causeOf } from './preflight/lookUps';

export interface DnsArgs {
  provider: DnsProvider;
  /** Of one owner. */
  records: MadeRecord[];
  /** As soon as the record may be made. */
  zoneId: (record: MadeRecord) => pulumi.Input<string>;
  /** What the record that announces a policy waits for. */
  policyHost?: pulumi.Resource[];
  /** What the records that name TLS keys wait for. */
  keyHost?: pulumi.Resource[];
}

/** Records of one owner. */
class OwnerDns extends pulumi.ComponentResource {
  constructor(type: string, name: string, args: DnsArgs, opts?: pulumi.ComponentResourceOptions) {
    super(type, name, {}, opts);
    for (const record of args.records) {
      args.provider.publish(`${name}/${record.key}`, args.zoneId(record), record, {
        parent: this,
        dependsOn:
          record.key === mtaStsKey
            ? args.policyHost
            : record.type === 'TLSA'
              ? args.keyHost
              : undefined,
        // Two types cannot always stand at one name, and two texts of one kind never may.
        deleteBeforeReplace: true,
        // Neither `pulumi destroy` nor a domain that is removed deletes what another host needs.
        deletedWith: record.old ? this : undefined,
      });
    }
    this.registerOutputs({});
  }
}

/** What the host's own name publishes. */
export class HostDns extends OwnerDns {
  constructor(name: string, args: DnsArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:HostDns', name, args, opts);
  }
}

/** What one domain publishes. */
export class DomainDns extends OwnerDns {
  constructor(name: string, args: DnsArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:DomainDns', name, args, opts);
  }
}

export interface PublishArgs extends Pick<DnsArgs, 'provider' | 'policyHost' | 'keyHost'> {
  /** Of all owners. */
  records: MadeRecord[];
  /** Names of the resources of those that the plan makes. */
  isMade: Set<string>;
  zoneId: (zone: string) => string;
  /** Whether the zones are to be signed. */
  dnssec: boolean;
}

/** What is published, and the DS record of each zone that is signed. */
export interface PublishedDns {
  owners: pulumi.Resource[];
  dsRecords: Record<string, pulumi.Output<string>>;
}

/**
 * Publishes records at a DNS provider.
 *
 * @param name of the MailHost
 */
export function publish(
  name: string,
  { provider, records, isMade, zoneId, dnssec, policyHost, keyHost }: PublishArgs,
  opts: pulumi.CustomResourceOptions,
): PublishedDns {
  const allZones = [...new Set(records.map(({ zone }) => zone))];
  const turns = new Turns(provider, allZones.length);
  const names = [...new Set(records.map(({ owner }) => owner.name))];
  const owners = names.map((ownerName) => {
    const own = records.filter(({ owner }) => owner.name === ownerName);
    const { owner } = own[0]!;
    const Owner = owner.type === 'HostDns' ? HostDns : DomainDns;
    const zoneIdOf = (record: MadeRecord) => {
      const id = zoneId(record.zone);
      return isMade.has(resourceName(name, record)) ? turns.take(id) : id;
    };
    const args = { provider, zoneId: zoneIdOf, records: own, policyHost, keyHost };
    return new Owner(`${name}-${ownerName}`, args, opts);
  });
  turns.tell(opts.parent);
  const { title, token } = provider.api;
  const hooks = explaining(
    `${name}: signing at ${title}`,
    ({ name: signing, errors: [error = ''] }) =>
      Promise.resolve(
        `the zone ${signing.slice(name.length + 1)} cannot be signed at ${title}: ${causeOf(new Error(error))}. Give the API token, ${token}, DNS:Edit for it, or set dnssec to false`,
      ),
    opts.parent!,
  );
  const dsRecords = (dnssec ? allZones : []).map((zone) => {
    // As long as the parent has its DS record, nobody who validates would find an unsigned zone.
    const signing = { ...opts, hooks, retainOnDelete: true };
    return [zone, provider.sign(`${name}-${zone}`, zoneId(zone), signing)] as const;
  });
  return { owners, dsRecords: Object.fromEntries(dsRecords) };
}

/** When records may be made, in the order in which they ask. */
class Turns {
  private readonly start = Date.now();
  /** How long the last one waits, in ms. */
  private longest = 0;

  /** @param zones whose records are made */
  constructor(
    private readonly provider: DnsProvider,
    zones: number,
  ) {
    // What is read of a zone: itself, its signing, its records; the preview before this has read the same.
    for (let calls = 0; calls < 2 * 3 * zones; calls++) this.next();
  }

  /** @returns the value, as soon as the next record may be made */
  take(value: string): pulumi.Input<string> {
    const wait = this.next();
    this.longest = Math.max(this.longest, wait);
    return wait > 0 ? sleep(wait, value) : value;
  }

  /** Says that records wait, where some do. */
  tell(resource?: pulumi.Resource): void {
    if (this.longest === 0) return;
    const { api, limitText } = this.provider;
    const minutes = Math.ceil(this.longest / 60_000);
    void pulumi.log.info(
      `${api.title} answers ${limitText}, so the last records are made in ${minutes} minutes`,
      resource,
    );
  }

  private next(): number {
    return pulumi.runtime.isDryRun() ? 0 : this.provider.limit.next(this.start) - this.start;
  }
}

/** The record once its value is known. */
export const known = (record: MadeRecord): pulumi.Output<DnsRecord<string>> =>
  'value' in record
    ? pulumi.output(record.value).apply((value): DnsRecord<string> => ({ ...record, value }))
    : pulumi.output(record as DnsRecord<string>);
