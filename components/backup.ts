import * as pulumi from '@pulumi/pulumi';
import * as tls from '@pulumi/tls';
import type { Daemon, HostAccess } from './daemon';
import { hostCommand, keeping } from './hooks';

export interface BackupArgs {
  host: HostAccess;
  /** Whether their server is reached by SSH. */
  overSsh: boolean;
  /** Pushes restic's files, as a child of `parent`, with the private key for a server that is reached by SSH. */
  push: (sshKey: pulumi.Output<string | undefined>, parent: pulumi.Resource) => Daemon;
  /** The snapshot that an empty volume is filled from. */
  restore?: string;
  /** Whether the stack has its SSH key already. */
  hasKey: boolean;
}

/** Backups of the volume each night; and, where it is asked for, the volume as a backup has it before any daemon runs. */
export class Backup extends pulumi.ComponentResource {
  /** What a server that takes backups by SSH has to let in. */
  readonly publicKey?: pulumi.Output<string>;

  constructor(name: string, args: BackupArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:Backup', name, {}, opts);
    const own = { parent: this };
    const { connection, triggers } = args.host;
    const sshKey = args.overSsh
      ? new tls.PrivateKey(
          `${name}-ssh-key`,
          { algorithm: 'ED25519' },
          {
            ...own,
            hooks: keeping(
              `${name}-ssh-key`,
              args.hasKey
                ? {
                    message:
                      'the SSH key of the backups would be made anew: their server refuses them until it lets in the new one (docs/backups.md)',
                  }
                : undefined,
              this,
            ),
          },
        )
      : undefined;
    const pushed = args.push(pulumi.output(sshKey?.privateKeyOpenssh), this);
    if (args.restore !== undefined) {
      hostCommand(
        `${name}-restore`,
        {
          connection,
          create: `mailhost restore volume --snapshot ${args.restore}`,
          triggers,
        },
        { ...own, dependsOn: [pushed] },
      );
    }
    if (sshKey) this.publicKey = sshKey.publicKeyOpenssh.apply((key) => key.trim());
    this.registerOutputs({ publicKey: this.publicKey });
  }
}
