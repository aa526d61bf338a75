import { fileAsItIs, hostFile, textOfLines, type HostFiles } from '../hostFiles/files';
import { isOverSsh } from '../settings/derived';
import {
  givenFiles,
  secretFiles,
  type DaemonSpec,
  type Given,
  type Plan,
  type Secrets,
} from './spec';

const folder = '/etc/mailhost';

/** restic, and the timer that runs it. */
export const backup: DaemonSpec = {
  name: 'backup',
  title: 'restic',
  effect: 'restarts the timer of the backup',
  timers: ['mailhost-backup.timer'],
  isWanted: (mail) => mail.backup !== undefined,
  packages: () => ['restic', 'openssh-client'],
  waitsFor: [],
  files: givenFiles(['repository'], files),
  secrets: secretFiles(
    'the access to the repository and its password',
    ['backup'],
    (_plan, secrets) => repositoryFiles(secrets.backup),
  ),
};

/** restic's settings as environment variables. As long as an empty volume is to be filled, no backup is made. */
function files({ mail, restore }: Plan, { repository }: Pick<Given, 'repository'>): HostFiles {
  const { hostName, backup } = mail;
  if (backup === undefined || repository === undefined) return {};
  const { keepDaily, keepWeekly, keepMonthly } = backup;
  const { url, hostKey } = repository;
  const host = sshHost(url);
  return {
    [`${folder}/restic.env`]: hostFile(
      textOfLines([
        `RESTIC_REPOSITORY=${url}`,
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
function repositoryFiles({ password, environment, sshKey }: Secrets['backup']): HostFiles {
  const lines = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return {
    [`${folder}/restic.password`]: hostFile(textOfLines([password]), '0600'),
    [`${folder}/restic-secrets.env`]: hostFile(textOfLines(lines.sort()), '0600'),
    ...(sshKey === undefined ? {} : { [`${folder}/restic.key`]: hostFile(sshKey, '0600') }),
  };
}
