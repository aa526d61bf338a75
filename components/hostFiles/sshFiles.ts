import { fileAsItIs, type HostFiles } from './files';

/** What sshd does besides Debian's own configuration of it. */
export const sshFiles = (): HostFiles => fileAsItIs('/etc/ssh/sshd_config.d/10-mailhost.conf');
