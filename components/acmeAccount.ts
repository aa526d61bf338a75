import * as pulumi from '@pulumi/pulumi';
import type { HostAccess } from './daemon';
import { hostCommand } from './hooks';
import { registrableDomain } from './settings/names';

export interface AcmeAccountArgs {
  host: HostAccess;
  /** URL of the CA's directory. */
  directory: string;
  /** Whom the CA may write to. */
  contact: string;
}

/** The host's account at the CA; its key is made on the host, and stays there. */
export class AcmeAccount extends pulumi.ComponentResource {
  /** What a CAA record says so that nobody gets a certificate but this account, by this host's web server (RFC 8657). */
  readonly caa: pulumi.Output<string>;

  constructor(name: string, args: AcmeAccountArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:AcmeAccount', name, {}, opts);
    const { directory, contact } = args;
    const { stdout } = hostCommand(
      name,
      {
        connection: args.host.connection,
        create: `mailhost account --directory '${directory}' --contact '${contact}'`,
        triggers: args.host.triggers,
      },
      { parent: this },
    );
    this.caa = stdout.apply((text) => caaValue(directory, text));
    this.registerOutputs({ caa: this.caa });
  }
}

/** @param account JSON with what is known of it: nothing, where the CA could not be reached */
export function caaValue(directory: string, account: string): string {
  const { uri, caaIdentities = [] } = JSON.parse(account || '{}') as {
    uri?: string;
    caaIdentities?: string[];
  };
  const identity = caaIdentities[0] ?? registrableDomain(new URL(directory).hostname);
  return [identity, ...(uri ? [`accounturi=${uri}`] : []), 'validationmethods=http-01'].join('; ');
}
