import { publicPorts, sshPort } from '../machineFiles';
import type { MailSettings } from '../settings/mailSettings';
import { filledFile, type HostFiles } from './files';

/** The host's own firewall: the same ports as the cloud's. */
export const firewallFiles = (mail: MailSettings): HostFiles =>
  filledFile('/etc/nftables.conf', {
    ports: [sshPort, ...publicPorts(mail)].sort((a, b) => a - b).join(', '),
  });
