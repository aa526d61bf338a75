import { filledFile } from '../hostFiles/files';
import { trustedNetworks } from './fail2ban';
import { givenFiles, type DaemonSpec } from './spec';

/** What sshd does besides Debian's own configuration of it. No unit: the way in is never stopped. */
export const ssh: DaemonSpec = {
  name: 'ssh',
  title: 'sshd',
  effect: 'reloads sshd; open sessions stay',
  isQuiet: true,
  ports: { ssh: { number: 22, protocol: 'SSH', purpose: 'ssh', from: 'admins' } },
  waitsFor: [],
  files: givenFiles(['adminNetworks'], (_plan, { adminNetworks }) =>
    filledFile('/etc/ssh/sshd_config.d/10-mailhost.conf', {
      // Not held back for failed connections.
      trusted: trustedNetworks(adminNetworks).join(','),
    }),
  ),
};
