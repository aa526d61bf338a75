import { filledFile, type HostFiles } from './files';
import { trustedNetworks } from './fail2banFiles';

/**
 * What sshd does besides Debian's own configuration of it.
 *
 * @param adminNetworks are not held back for failed connections, unless that would be everybody
 */
export const sshFiles = (adminNetworks: string[]): HostFiles =>
  filledFile('/etc/ssh/sshd_config.d/10-mailhost.conf', {
    trusted: trustedNetworks(adminNetworks).join(','),
  });
