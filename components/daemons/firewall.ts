import { filledFile } from '../hostFiles/files';
import type { DaemonSpec } from './spec';

/** The host's own firewall: it opens the same ports as the cloud's. */
export const firewall: DaemonSpec = {
  name: 'firewall',
  title: 'nftables',
  effect: 'replaces the rules of the packet filter in one step',
  unit: 'nftables',
  packages: () => ['nftables'],
  waitsFor: [],
  files: ({ openPorts, ports }) =>
    filledFile('/etc/nftables.conf', { openPorts: openPorts.join(', '), ports }),
};
