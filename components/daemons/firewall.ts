import { some } from '../review/terminal';
import { filledFile } from '../hostFiles/files';
import type { DaemonSpec } from './spec';

/** The host's own firewall: it opens the same ports as the cloud's. */
export const firewall: DaemonSpec = {
  name: 'firewall',
  title: 'nftables',
  effect: 'replaces the rules of the packet filter in one step',
  isQuiet: true,
  safeguard:
    'nft checks the rules before they are used; the old ones come back if the kernel does not have the new ones.',
  meanings: [{ path: '/etc/nftables.conf', says: portMeaning }],
  unit: 'nftables',
  packages: () => ['nftables'],
  waitsFor: [],
  files: ({ openPorts, ports }) =>
    filledFile('/etc/nftables.conf', { openPorts: openPorts.join(', '), ports }),
};

/** The ports that everyone can reach, by the one line that lists them. */
function portMeaning(before: string, after: string): string[] {
  const [old, next] = [before, after].map(
    (text) => /tcp dport \{ ([\d, ]+) \} accept/.exec(text)?.[1]?.split(', ') ?? [],
  );
  const said = (verb: string, ports: string[]) =>
    ports.length > 0 ? [`${verb} port${ports.length > 1 ? 's' : ''} ${some(ports)}`] : [];
  return [
    ...said(
      'opens',
      next!.filter((port) => !old!.includes(port)),
    ),
    ...said(
      'closes',
      old!.filter((port) => !next!.includes(port)),
    ),
  ];
}
