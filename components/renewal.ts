import * as pulumi from '@pulumi/pulumi';
import type { Daemon, HostAccess } from './daemon';
import { hostCommand } from './hooks';

export interface RenewalArgs {
  host: HostAccess;
  /** The push of what the CA is asked for. */
  tls: Daemon;
}

/**
 * The first issue of the certificates by the CA, and that of every change. What the CA refuses stops no `up`: the host
 * goes on with the certificates that it has, its timer asks again, and the check after this warns.
 */
export class Renewal extends pulumi.ComponentResource {
  constructor(name: string, args: RenewalArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:Renewal', name, {}, opts);
    hostCommand(
      name,
      {
        connection: args.host.connection,
        create: pulumi.interpolate`mailhost renew --state ${args.tls.fingerprint.apply((f) => f.slice(0, 12))}`,
        triggers: args.host.triggers,
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}
