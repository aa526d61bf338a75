import * as pulumi from '@pulumi/pulumi';
import * as tls from '@pulumi/tls';
import { Daemon, type HostAccess } from './daemon';
import { hostCommand, keeping } from './hooks';
import { backupFiles, backupSecrets } from './hostFiles/backupFiles';
import { isOverSsh, type MailSettings } from './settings/mailSettings';

export interface BackupArgs {
  host: HostAccess;
  mail: MailSettings & { backup: NonNullable<MailSettings['backup']> };
  /** Of the repository. */
  password: pulumi.Input<string>;
  /** What its server asks for, as variables. */
  environment: pulumi.Input<Record<string, string>>;
  /** The snapshot that an empty volume is filled from. */
  restore?: string;
  /** Whether the stack has its SSH key already. */
  hasKey: boolean;
}

/** Backups of the volume each night; and, where it is asked for, the volume as a backup has it before any daemon runs. */
export class Backup extends pulumi.ComponentResource {
  readonly push: Daemon;
  /** What a server that takes backups by SSH has to let in. */
  readonly publicKey?: pulumi.Output<string>;

  constructor(name: string, args: BackupArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:Backup', name, {}, opts);
    const own = { parent: this };
    const { connection, triggers } = args.host;
    const sshKey = isOverSsh(args.mail.backup.repository)
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

    this.push = new Daemon(
      name,
      {
        push: 'backup',
        host: args.host,
        files: backupFiles(args.mail, args.restore),
        secrets: pulumi
          .all([args.password, args.environment, sshKey?.privateKeyOpenssh])
          .apply(([password, environment, key]) => backupSecrets(password, environment, key)),
      },
      own,
    );
    if (args.restore !== undefined) {
      hostCommand(
        `${name}-restore`,
        {
          connection,
          create: `mailhost restore volume --snapshot ${args.restore}`,
          triggers,
        },
        { ...own, dependsOn: [this.push] },
      );
    }
    if (sshKey) this.publicKey = sshKey.publicKeyOpenssh.apply((key) => key.trim());
    this.registerOutputs({ publicKey: this.publicKey });
  }
}
