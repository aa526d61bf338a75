import * as pulumi from '@pulumi/pulumi';
import { nextChange, sha256, type HostAccess } from './daemon';
import { hostCommand } from './hooks';
import { readHostFile, textOfLines } from './hostFiles/files';
import { hostProgram, systemFiles } from './hostFiles/systemFiles';
import type { MailSettings } from './settings/mailSettings';

export interface HostArgs {
  access: HostAccess;
  mail: MailSettings;
  /** Public keys that may log in besides the stack's own. */
  adminSshKeys: pulumi.Input<string>[];
  /** What is no drift, in the words of `mailhost drift`. */
  driftAccepted: string[];
  /** Undefined where mail and queue are where the machine has them. */
  volume?: {
    device: pulumi.Input<string>;
    /** GB; the file system grows with it. Undefined where somebody else lets it grow. */
    size?: pulumi.Input<number>;
  };
  /** Whether it is prepared without a volume, beside a host that serves. Default: no. */
  standby?: boolean;
  /** When the host is looked at for drift, which ends the `up` before anything is pushed. Default: it is not. */
  lookedAt?: pulumi.Input<string>;
}

/**
 * A server that boots may take minutes to open SSH: 68 tries, at most 5 s apart, are five minutes where the port is shut, and
 * ten where nothing answers at all.
 */
const firstPatience = { dialErrorLimit: 68, perDialTimeout: 5 };

/** The operating system made ready for the daemons: the host program, names, users, the mounted volume, packages. */
export class Host extends pulumi.ComponentResource {
  constructor(name: string, args: HostArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:Host', name, {}, opts);
    const { connection, triggers, changeBefore } = args.access;
    const firstContact = pulumi
      .output(connection)
      .apply((known) => ({ ...known, ...firstPatience }));
    const drift =
      args.lookedAt === undefined
        ? []
        : [
            hostCommand(
              `${name}-drift`,
              {
                connection: firstContact,
                // A new host has nothing yet; one that there is may have another list.
                create:
                  'if [ -d /var/lib/mailhost ]; then mailhost drift --accepted /dev/stdin; fi',
                stdin: textOfLines(args.driftAccepted),
                triggers: [...triggers, args.lookedAt],
              },
              { parent: this },
            ),
          ];

    const programText = JSON.stringify(hostProgram());
    const systemText = pulumi
      .all(args.adminSshKeys)
      .apply((adminSshKeys) => JSON.stringify(systemFiles(args.mail, { ...args, adminSshKeys })));
    const size =
      args.volume?.size === undefined ? '' : pulumi.interpolate`--volume-size ${args.volume.size} `;
    // Another program may prepare more.
    const preparation = pulumi.interpolate`${size}--program ${sha256(programText).slice(0, 12)}`;
    const volume = args.standby
      ? '--standby '
      : args.volume
        ? pulumi.interpolate`--volume-device ${args.volume.device} `
        : '';
    const numbered = (of: string, text: string) => nextChange(changeBefore(of), sha256(text));
    const [programName, systemName] = [`${name}-program`, `${name}-system`];
    const brought = numbered(programName, programText);
    const prepared = pulumi.interpolate`${preparation}\n${systemText}`.apply((text) =>
      numbered(systemName, text),
    );
    this.registerOutputs({ changes: { [programName]: brought, [systemName]: prepared } });
    const program = hostCommand(
      programName,
      {
        connection: firstContact,
        create: `timeout 600 cloud-init status --wait >/dev/null 2>&1; python3 -c '${readHostFile('bootstrap.py')}' --change ${brought.number}`,
        stdin: programText,
        triggers,
      },
      { parent: this, dependsOn: drift },
    );
    hostCommand(
      systemName,
      {
        connection,
        create: pulumi.interpolate`mailhost prepare ${volume}${preparation} --change ${prepared.number}`,
        stdin: systemText,
        triggers,
      },
      { parent: this, dependsOn: [program] },
    );
  }
}
