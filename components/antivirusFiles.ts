import { fileAsItIs, type HostFiles } from './files';

/** What ClamAV's daemon runs with besides Debian's own configuration of it. */
export const antivirusFiles = (): HostFiles =>
  fileAsItIs('/etc/systemd/system/clamav-daemon.service.d/mailhost.conf');
