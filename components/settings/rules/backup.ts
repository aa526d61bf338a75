import { isOverSsh } from '../derived';
import type { Rule } from './draft';

export const hostKeyIsOfAnSshServer: Rule = function* ({ backup }) {
  if (backup?.repository === undefined) return;
  const path = ['backup', 'hostKey'];
  const overSsh = isOverSsh(backup.repository);
  if (overSsh && !('hostKey' in backup))
    yield {
      path,
      problem:
        'is missing; set the host key of the server as `ssh-keyscan -t ed25519 HOST` prints it, after its owner has confirmed it',
    };
  if (!overSsh && 'hostKey' in backup)
    yield {
      path,
      problem: 'applies only to a repository that begins with sftp:; remove it',
      remedy: { path, remove: true },
    };
};

export const backupIsElsewhere: Rule = function* ({ backup }) {
  if (!`${backup?.repository}/`.startsWith('/srv/mailhost/')) return;
  yield {
    path: ['backup', 'repository'],
    problem: 'is on the volume that it backs up; set another place',
  };
};

export const restoreHasABackup: Rule = function* (draft) {
  if (!('restore' in draft) || 'backup' in draft) return;
  const path = ['restore'];
  yield {
    path,
    problem: 'needs a backup to restore from; set backup, or remove it',
    remedy: { path, remove: true },
  };
};
