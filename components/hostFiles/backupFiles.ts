import { isOverSsh } from '../settings/derived';
import type { MailSettings } from '../settings/mailSettings';
import { fileAsItIs, hostFile, textOfLines, type HostFiles } from './files';

const folder = '/etc/mailhost';

/**
 * restic's settings as environment variables, and the timer that runs it.
 *
 * @param restore the snapshot that an empty volume is to be filled from; until it is, no backup is made
 */
export function backupFiles({ hostName, backup }: MailSettings, restore?: string): HostFiles {
  if (backup === undefined) return {};
  const { repository, hostKey, keepDaily, keepWeekly, keepMonthly } = backup;
  const host = sshHost(repository);
  return {
    [`${folder}/restic.env`]: hostFile(
      textOfLines([
        `RESTIC_REPOSITORY=${repository}`,
        `RESTIC_PASSWORD_FILE=${folder}/restic.password`,
        `RESTIC_HOST=${hostName}`,
        'RESTIC_CACHE_DIR=/var/cache/mailhost-restic',
        `KEEP_DAILY=${keepDaily}`,
        `KEEP_WEEKLY=${keepWeekly}`,
        `KEEP_MONTHLY=${keepMonthly}`,
      ]),
    ),
    ...(hostKey !== undefined && host !== undefined
      ? { [`${folder}/restic.known_hosts`]: hostFile(textOfLines([`${host} ${hostKey}`])) }
      : {}),
    ...(restore === undefined ? {} : { [`${folder}/restore`]: hostFile(textOfLines([restore])) }),
    ...fileAsItIs('/etc/systemd/system/mailhost-backup.service'),
    ...fileAsItIs('/etc/systemd/system/mailhost-backup.timer'),
  };
}

/** As known_hosts(5) has it, `[name]:port` where the port is another than 22. */
function sshHost(repository: string): string | undefined {
  if (!isOverSsh(repository)) return undefined;
  const url = /^sftp:\/\/(?:[^@/]+@)?(\[[^\]]+\]|[^:/]+)(?::(\d+))?\//.exec(repository);
  if (url) {
    const name = url[1]!.replace(/^\[|\]$/g, '');
    return url[2] === undefined || url[2] === '22' ? name : `[${name}]:${url[2]}`;
  }
  return /^sftp:(?:[^@/]+@)?([^:/]+):/.exec(repository)?.[1];
}

/** What opens the repository: its own password, and what its server asks for. */
export function backupSecrets(
  password: string,
  environment: Record<string, string>,
  sshKey: string | undefined,
): HostFiles {
  const lines = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return {
    [`${folder}/restic.password`]: hostFile(textOfLines([password]), '0600'),
    [`${folder}/restic-secrets.env`]: hostFile(textOfLines(lines.sort()), '0600'),
    ...(sshKey === undefined ? {} : { [`${folder}/restic.key`]: hostFile(sshKey, '0600') }),
  };
}
