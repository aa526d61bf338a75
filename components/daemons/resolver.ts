import { fileAsItIs, filledFile, serviceFiles } from '../hostFiles/files';
import type { DaemonSpec } from './spec';

/** unbound, and what keeps DHCP clients from writing over /etc/resolv.conf. */
export const resolver: DaemonSpec = {
  name: 'resolver',
  title: 'unbound',
  effect: 'restarts unbound, whose cache is empty then',
  isQuiet: true,
  unit: 'unbound',
  packageUsers: ['unbound'],
  // dns-root-data: the root's name servers and its key, from which unbound starts.
  packages: () => ['unbound', 'dns-root-data'],
  ports: { domain: { number: 53, protocol: 'DNS', purpose: 'name resolution', from: 'host' } },
  waitsFor: ['volume'],
  files: ({ mail: { ipv6 } }) => ({
    ...filledFile('/etc/unbound/unbound.conf.d/mailhost.conf', { ipv6 }),
    ...serviceFiles('unbound'),
    ...fileAsItIs('/etc/dhcp/dhclient-enter-hooks.d/mailhost'),
    ...fileAsItIs('/etc/dhcpcd.enter-hook'),
  }),
};
