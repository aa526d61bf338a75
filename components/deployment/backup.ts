import * as pulumi from '@pulumi/pulumi';
import { Backup } from '../backup';
import type { HostAccess } from '../daemon';
import { backup } from '../daemons/backup';
import type { Host } from '../host';
import type { Deployment } from './deployment';
import type { Pushes } from './pushes';

/** Backups, where the settings have any. */
export function makeBackup(
  { name, settings, found, own }: Deployment,
  host: HostAccess,
  system: Host,
  pushes: Pushes,
): Backup | undefined {
  if (!settings.backup) return undefined;
  const { hostKey, password, environment } = settings.backup;
  return new Backup(
    `${name}-backup`,
    {
      host,
      // Only its repository has a host key, and needs one.
      overSsh: hostKey !== undefined,
      push: (sshKey, parent) =>
        pushes.push(backup, { backup: pulumi.output({ password, environment, sshKey }) }, parent),
      restore: settings.restore,
      hasKey: found.before.keyHashOf('backup-ssh-key') !== undefined,
    },
    { ...own, dependsOn: [system] },
  );
}
