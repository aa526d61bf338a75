import { serviceFiles, type HostFiles } from './files';

/** What ClamAV's daemon runs with besides Debian's own configuration of it. */
export const antivirusFiles = (): HostFiles => serviceFiles('clamav-daemon');
