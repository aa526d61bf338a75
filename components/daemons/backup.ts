import { fileAsItIs, hostFile, textOfLines, type HostFiles } from '../hostFiles/files';
import { isOverSsh } from '../settings/derived';
import { entriesOf } from './meaning';
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
  isQuiet: true,
  comes: 'mail is backed up each night',
  goes: 'mail is no longer backed up; the snapshots in the repository stay',
  timers: ['mailhost-backup.timer'],
  isWanted: (mail) => mail.backup !== undefined,
  packages: () => ['restic', 'openssh-client'],
  waitsFor: [],
  files: givenFiles(['repository'], files),
  secrets: secretFiles(
    'the access to the repository and its password',
    ['backup'],
    (_plan, secrets) => repositoryFiles(secrets.backup),
    {
      meanings: {
        [`${folder}/restic.password`]:
          'backups are opened with another password, which the repository must know',
        [`${folder}/restic-secrets.env`]:
          "the host logs in at the repository's server with other credentials",
        [`${folder}/restic.key`]: "the host logs in at the repository's server with another key",
      },
    },
  ),
  meanings: [
    {
      path: `${folder}/restic.env`,
      says: (before, after) => {
        const { changed } = entriesOf(/^([A-Z_]+)=(.*)$/gm, before, after);
        return changed.flatMap(([name, old, next]) => {
          const [, each] = /^KEEP_(DAILY|WEEKLY|MONTHLY)$/.exec(name) ?? [];
          if (each)
            return [
              `keeps ${next} ${each.toLowerCase()} snapshots of the backup instead of ${old}`,
            ];
          return name === 'RESTIC_REPOSITORY'
            ? [`backs up to ${next} instead of ${old}; snapshots that are there stay there`]
            : [];
        });
      },
    },
    {
      path: `${folder}/restic.known_hosts`,
      says: () => ["expects another SSH host key of the repository's server"],
    },
    {
      path: `${folder}/restore`,
      says: (_before, after) =>
        after === ''
          ? ['an empty volume is no longer filled from the backup']
          : [`an empty volume is filled from the snapshot ${after.trim()} of the backup`],
    },
  ],
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
