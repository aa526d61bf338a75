import type * as pulumi from '@pulumi/pulumi';
import type { Api, LookUps } from '../preflight/lookUps';
import type { DnsRecord } from './dnsRecords';
import type { RateLimit } from './rateLimit';

/** A zone at its DNS provider. */
export interface Zone {
  id: string;
  name: string;
  /** `active` once the domain is delegated to the provider's name servers. */
  status: string;
  nameServers: string[];
  /** Why its records are not answered as they are there; unset where they are. */
  problem?: string;
  /** Status of DNSSEC: `active` once the parent zone has the DS record. Unset if it was not looked up. */
  dnssec?: string;
}

/** A record at a DNS provider. Its names are in lower-case A-labels, without final dot. */
export interface ExistingRecord {
  id: string;
  type: string;
  name: string;
  /** In the form of recordContent(); empty if the state does not have it. */
  content: string;
  /** Whether the provider answers with addresses of its own instead. */
  proxied?: boolean;
  /** Of an MX. */
  priority?: number;
  /** Seconds; 1 where the provider chooses. */
  ttl?: number;
}

/** A record whose value may be known only later. */
export type MadeRecord = DnsRecord<pulumi.Input<string>>;

/** A resource in the current state. */
export interface StateResource {
  urn: string;
  type: string;
  outputs: Record<string, unknown>;
}

/**
 * What a mail host needs of a DNS provider: find zones, list their records, publish records and sign zones. Each provider
 * is one file beside this one, listed in providers.ts.
 */
export interface DnsProvider {
  api: Api;
  /** Whether a CNAME at the zone's own name is answered as the addresses it leads to, so that other records may stand beside it. */
  flattensCname: boolean;
  /** Seconds that a record lives whose `ttl` is 1. */
  automaticTtl: number;
  /** Types of which a record with another content is a new one, and not an update. */
  replacedTypes: DnsRecord['type'][];
  /** How many calls the API answers. */
  limit: RateLimit;
  /** The same in words, e.g. `1,200 calls in 5 minutes`. */
  limitText: string;

  /**
   * Looks a zone up.
   *
   * @param zone name or id
   * @param dnssec whether to look up its signing, too
   * @returns undefined if it cannot be read, which `lookUps` reports
   */
  findZone(zone: string, dnssec: boolean, lookUps: LookUps): Promise<Zone | undefined>;
  /**
   * Lists the records of a zone.
   *
   * @param only the records of one name and type. Default: all
   * @returns undefined if they cannot be read, which `lookUps` reports
   */
  listRecords(
    zone: Zone,
    lookUps: LookUps,
    only?: Pick<ExistingRecord, 'name' | 'type'>,
  ): Promise<ExistingRecord[] | undefined>;

  /** Creates the resource `name` that is a record. An `old` one that is not restored stays as it is. */
  publish(
    name: string,
    zoneId: pulumi.Input<string>,
    record: MadeRecord,
    opts: pulumi.CustomResourceOptions,
  ): pulumi.Resource;
  /**
   * Creates the resource `name` that signs a zone.
   *
   * @returns the DS record for the parent zone
   */
  sign(name: string, zoneId: string, opts: pulumi.CustomResourceOptions): pulumi.Output<string>;

  /** Type of the resource that publish() creates. */
  recordType: string;
  /** The import id of such a resource. */
  importId(zoneId: string, recordId: string): string;
  /** The record that a resource is; undefined if it is none of this provider's. */
  recordIn(resource: StateResource): (ExistingRecord & { zoneId: string }) | undefined;
  /** The DS record of the zone that a resource signs; undefined if it is none of this provider's. */
  dsRecordIn(resource: StateResource): string | undefined;
}
