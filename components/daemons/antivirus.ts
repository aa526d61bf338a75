import { fileAsItIs, serviceFiles } from '../hostFiles/files';
import type { DaemonSpec } from './spec';

/** ClamAV's daemon, with what it runs with besides Debian's own configuration of it. */
export const antivirus: DaemonSpec = {
  name: 'antivirus',
  title: 'ClamAV',
  effect: 'restarts ClamAV; mail waits in the queue until it answers',
  comes: 'ClamAV scans all mail for viruses; mail waits while ClamAV is down',
  goes: 'mail is no longer scanned for viruses',
  unit: 'clamav-daemon',
  packageUsers: ['clamav'],
  isWanted: (mail) => mail.antivirus,
  packages: () => ['clamav-daemon', 'clamav-freshclam'],
  waitsFor: ['resolver'],
  files: () => ({
    ...fileAsItIs('/etc/sysusers.d/mailhost-antivirus.conf'),
    ...serviceFiles('clamav-daemon'),
  }),
};
