import * as pulumi from '@pulumi/pulumi';
import type { Daemon, HostAccess } from './daemon';
import type { PublicRecord } from './dns/recordForms';
import { hostCommand } from './hooks';
import type { MailSettings } from './settings/mailSettings';

export interface CheckArgs {
  host: HostAccess;
  mail: MailSettings;
  /** Records that somebody else publishes; what is not in DNS is warned of. */
  records: pulumi.Input<PublicRecord>[];
  /** Whatever changes on the host is followed by a check. */
  pushes: Daemon[];
}

/** What `mailhost check` is told: what is to work. */
export const checkInput = ({ hostName, domains }: MailSettings): string =>
  JSON.stringify({
    hostName,
    domains: domains.map(({ name, selector }) => ({ name, selector })),
  });

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
    const { connection, triggers } = args.host;
    const { stdout } = hostCommand(
      name,
      {
        connection,
        create: pulumi.interpolate`mailhost check ${state}`,
        stdin: checkInput(args.mail),
        triggers,
      },
      { parent: this },
    );
    const warnings =
      args.records.length > 0
        ? hostCommand(
            `${name}-records`,
            {
              connection,
              create: 'mailhost records',
              stdin: pulumi.output(args.records).apply((records) => JSON.stringify(records)),
              triggers,
            },
            { parent: this },
          ).stdout
        : '';
    this.output = pulumi.interpolate`${stdout}\n${warnings}`;
    this.registerOutputs({});
  }
}
