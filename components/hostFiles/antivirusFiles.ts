import { fileAsItIs, serviceFiles, type HostFiles } from './files';

/** What ClamAV's daemon runs with besides Debian's own configuration of it. */
export const antivirusFiles = (): HostFiles => ({
  ...fileAsItIs('/etc/sysusers.d/mailhost-antivirus.conf'),
  ...serviceFiles('clamav-daemon'),
});
