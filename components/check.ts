import * as command from '@pulumi/command';
import * as pulumi from '@pulumi/pulumi';
import type { Daemon, HostAccess } from './daemon';
import type { MailSettings } from './mailSettings';

export interface CheckArgs {
  host: HostAccess;
  mail: MailSettings;
  /** Whatever changes on the host is followed by a check. */
  pushes: Daemon[];
}

/**
 * Asks the host itself, at the end of an `up`, whether mail works: services and listeners, a spam probe that must come
 * out marked, and a probe for each domain that must come out signed. Fails the `up` with every reason.
 */
export class Check extends pulumi.ComponentResource {
  /** What it said, warnings among it. */
  readonly output: pulumi.Output<string>;

  constructor(name: string, args: CheckArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:Check', name, {}, opts);
    const state = pulumi
      .all(args.pushes.map((push) => push.fingerprint))
      .apply((fingerprints) => fingerprints.map((f) => f.slice(0, 12)).join(' '));
    const { stdout } = new command.remote.Command(
      name,
      {
        connection: args.host.connection,
        create: pulumi.interpolate`mailhost check ${state}`,
        stdin: JSON.stringify({
          hostName: args.mail.hostName,
          domains: args.mail.domains.map(({ name: domain, selector }) => ({
            name: domain,
            selector,
          })),
        }),
        triggers: [args.host.serverId],
      },
      { parent: this },
    );
    this.output = stdout;
    this.registerOutputs({});
  }
}
