import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import type { Port } from './daemons/spec';
import { readHostFile } from './hostFiles/files';

/** What the server is made from. */
export const image = 'debian-13';

/** The places that servers take in turn, by the name of their resource below that of the machine. */
export type Slot = 'server' | 'second-server';

/** Hetzner lets one server have a name. */
export const serverName = (hostName: string, slot: Slot): string =>
  slot === 'server' ? hostName : `second-${hostName}`;

/** What the servers have at Hetzner while they do not serve. */
export const standbyNames = {
  address: (hostName: string, slot: Slot, family: string): string =>
    `${family}-of-${serverName(hostName, slot)}`,
  firewall: (hostName: string): string => `standby-${hostName}`,
};

/** A TCP port that others can reach. */
export type OpenPort = Pick<Port, 'number' | 'purpose' | 'from'>;

const anywhere = ['0.0.0.0/0', '::/0'];

interface InboundRule {
  direction: 'in';
  protocol: string;
  port?: string;
  sourceIps: string[];
  description: string;
}

/** The cloud firewall: `ports` from where they may be reached, and ping. Everything else is dropped. */
export function firewallRules(adminNetworks: string[], ports: OpenPort[]): InboundRule[] {
  // By who can reach them, purpose, and number.
  const place = ({ from, purpose, number }: OpenPort) =>
    `${from} ${purpose} ${String(number).padStart(5)}`;
  return [
    { direction: 'in', protocol: 'icmp', sourceIps: anywhere, description: 'ping' },
    ...[...ports]
      .sort((a, b) => (place(a) < place(b) ? -1 : 1))
      .map(({ number, purpose, from }): InboundRule => ({
        direction: 'in',
        protocol: 'tcp',
        port: String(number),
        sourceIps: from === 'admins' ? [...new Set(adminNetworks)].sort() : anywhere,
        description: purpose,
      })),
  ];
}

/**
 * Tells what a stack made at Hetzner from what is somebody else's, also where its state knows nothing of it.
 *
 * @param publicKey the stack's own SSH key
 */
export const ownerLabel = (publicKey: string) => ({
  mailhost: createHash('sha256').update(publicKey.trim()).digest('hex').slice(0, 32),
});

/** Root alone may ask for the user data, which holds the host key; `ip rule` needs no package. */
export const metadataGuard = '/etc/systemd/system/metadata-guard.service';

/**
 * First-boot data for cloud-init: the host key that every connection pins, SSH by key only, and the closed metadata
 * service. Depends on no mail setting: an edit would replace the server.
 */
export function userData(hostKey: string, hostPublicKey: string): string {
  const config = {
    ssh_deletekeys: true,
    ssh_keys: { ed25519_private: hostKey, ed25519_public: hostPublicKey.trim() },
    ssh_pwauth: false,
    disable_root: false,
    // The names are set together with all that depends on them.
    preserve_hostname: true,
    manage_etc_hosts: false,
    package_update: false,
    write_files: [
      {
        path: metadataGuard,
        permissions: '0644',
        content: readHostFile(metadataGuard),
      },
      {
        // A server that gets other addresses configures them at its next boot.
        path: '/etc/cloud/cloud.cfg.d/90-mailhost.cfg',
        permissions: '0644',
        content: stringify({ updates: { network: { when: ['boot-new-instance', 'boot'] } } }),
      },
    ],
    runcmd: [['systemctl', 'enable', '--now', 'metadata-guard.service']],
  };
  return `#cloud-config\n${stringify(config)}`;
}

/** The address in use of an IPv6 network, as Hetzner gives it to a server: the first, of `2001:db8::` this is `2001:db8::1`. */
export const hostAddress = (network: string): string => `${network}1`;
