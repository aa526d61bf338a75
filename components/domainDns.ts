import * as cloudflare from '@pulumi/cloudflare';
import * as pulumi from '@pulumi/pulumi';
import type { DnsRecord } from './dnsRecords';
import { quoteTxt, recordInputs } from './recordForms';

export interface DnsArgs {
  zoneId: pulumi.Input<string>;
  records: DnsRecord<pulumi.Input<string>>[];
}

/** Records of one owner. */
class OwnerDns extends pulumi.ComponentResource {
  constructor(type: string, name: string, args: DnsArgs, opts?: pulumi.ComponentResourceOptions) {
    super(type, name, {}, opts);
    for (const record of args.records) {
      new cloudflare.DnsRecord(
        `${name}/${record.key}`,
        {
          zoneId: args.zoneId,
          ...recordInputs(record, (text) => pulumi.output(text).apply(quoteTxt)),
        },
        {
          parent: this,
          // Two types cannot always stand at one name, and two texts of one kind never may.
          deleteBeforeReplace: true,
          // An update would send the content that Cloudflare had made from the old data along with the new.
          replaceOnChanges: ['data'],
        },
      );
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
