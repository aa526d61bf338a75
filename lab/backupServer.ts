import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { addresses } from './network';
import { run, start, type Lab } from './state';

const user = 'root';
const folder = '/srv/backups';

/** The SFTP server of the lab: beside the remote mail system, so that it outlives every machine. */
export function backupServer(lab: Lab) {
  const root = join(lab.dir, 'services', 'root');
  const { remote } = addresses;
  return {
    /** As restic takes it. */
    repository: `sftp:${user}@${remote.v4}:${folder}/mail`,
    hostKey: readFileSync(join(root, 'etc/ssh/lab_host_key.pub'), 'utf8').split(' ', 2).join(' '),
    /** Where that lies on this machine. */
    folder: join(root, folder),
    /** Nobody is let in before. */
    letIn: (publicKey: string) =>
      writeFileSync(join(root, 'etc/ssh/lab_authorized_keys'), `${publicKey}\n`),
  };
}

/** @param root of the lab's own daemons */
export function startBackupServer(lab: Lab, root: string): void {
  const key = '/etc/ssh/lab_host_key';
  if (!existsSync(join(root, key))) {
    run('chroot', [root, 'ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', key]);
  }
  mkdirSync(join(root, folder), { recursive: true, mode: 0o700 });
  mkdirSync(join(root, 'run/sshd'), { recursive: true });
  writeFileSync(
    join(root, 'etc/ssh/lab.conf'),
    `ListenAddress ${addresses.remote.v4}
HostKey ${key}
AuthorizedKeysFile /etc/ssh/lab_authorized_keys
AuthenticationMethods publickey
PermitRootLogin prohibit-password
PerSourcePenalties no
Subsystem sftp internal-sftp
ForceCommand internal-sftp
`,
  );
  start(lab, 'sftp', 'ip', [
    ...['netns', 'exec', 'remote', 'chroot', root],
    ...['/usr/sbin/sshd', '-D', '-e', '-f', '/etc/ssh/lab.conf'],
  ]);
}
