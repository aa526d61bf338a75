import * as cloudflare from '@pulumi/cloudflare';
import * as pulumi from '@pulumi/pulumi';
import type { Dkim } from './dkim';
import type { PlainRecord } from './dnsRecords';
import { hostSpf } from './plannedRecords';

/** Seconds. Long enough to be cached, short enough to mend a mistake within minutes. */
const ttl = 300;

export interface DomainDnsArgs {
  zoneId: pulumi.Input<string>;
  records: PlainRecord[];
  /** The keys that are published. Default: none. */
  dkim?: Dkim;
}

/** What one domain publishes. */
export class DomainDns extends pulumi.ComponentResource {
  constructor(name: string, args: DomainDnsArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:DomainDns', name, {}, opts);
    const record = (key: string, inputs: Omit<cloudflare.DnsRecordArgs, 'zoneId' | 'ttl'>) =>
      new cloudflare.DnsRecord(
        `${name}/${key}`,
        { zoneId: args.zoneId, ttl, ...inputs },
        // Two types cannot always stand at one name, and two texts of one kind never may.
        { parent: this, deleteBeforeReplace: true },
      );

    for (const { key, ...inputs } of [...args.records, ...(args.dkim?.records ?? [])])
      record(key, inputs);
    this.registerOutputs({});
  }
}

export interface HostDnsArgs {
  hostName: string;
  zoneId: pulumi.Input<string>;
  ipv4: pulumi.Input<string>;
  /** Default: none. */
  ipv6?: pulumi.Input<string>;
}

/** The host's own names: its addresses, never proxied, and SPF for the name in HELO (RFC 7208, section 2.3). */
export class HostDns extends pulumi.ComponentResource {
  constructor(name: string, args: HostDnsArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:HostDns', name, {}, opts);
    const record = (key: string, type: string, content: pulumi.Input<string>) =>
      new cloudflare.DnsRecord(
        `${name}/${key}`,
        {
          zoneId: args.zoneId,
          name: args.hostName,
          type,
          content,
          ttl,
          ...(type === 'TXT' ? {} : { proxied: false }),
        },
        { parent: this, deleteBeforeReplace: true },
      );
    record('a', 'A', args.ipv4);
    if (args.ipv6 !== undefined) record('aaaa', 'AAAA', args.ipv6);
    record('spf', 'TXT', hostSpf);
    this.registerOutputs({});
  }
}
