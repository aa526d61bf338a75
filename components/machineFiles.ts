import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import { readHostFile } from './hostFiles/files';
import type { CertificateIssuer } from './settings/mailSettings';

/** What the server is made from. */
export const image = 'debian-13';

/** SMTP, submissions, submission, IMAPS, ManageSieve. */
const mailPorts = [25, 465, 587, 993, 4190];

/** What says which ports are open. */
interface Opening {
  web?: boolean;
  tls?: { issuer: CertificateIssuer };
}

/** TCP ports that are open to everyone. */
export const publicPorts = (opening: Opening): number[] => [...mailPorts, ...webPorts(opening)];

/** Without a web server, the CA that issues the certificates asks on 80 now and then. */
function webPorts({ web, tls }: Opening): number[] {
  if (web) return [80, 443];
  return tls?.issuer === 'acme' ? [80] : [];
}

export const sshPort = 22;

const anywhere = ['0.0.0.0/0', '::/0'];

interface InboundRule {
  direction: 'in';
  protocol: string;
  port?: string;
  sourceIps: string[];
  description: string;
}

/** The cloud firewall: mail and the web side for all, SSH for `adminNetworks`, ping. Everything else is dropped. */
export function firewallRules(adminNetworks: string[], opening: Opening): InboundRule[] {
  const open = (ports: number[], description: string) =>
    ports.map((port): InboundRule => ({
      direction: 'in',
      protocol: 'tcp',
      port: String(port),
      sourceIps: anywhere,
      description,
    }));
  return [
    { direction: 'in', protocol: 'icmp', sourceIps: anywhere, description: 'ping' },
    {
      direction: 'in',
      protocol: 'tcp',
      port: String(sshPort),
      sourceIps: [...adminNetworks].sort(),
      description: 'ssh',
    },
    ...open(mailPorts, 'mail'),
    ...open(webPorts(opening), 'web'),
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
const metadataGuard = '/etc/systemd/system/metadata-guard.service';

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
    ],
    runcmd: [['systemctl', 'enable', '--now', 'metadata-guard.service']],
  };
  return `#cloud-config\n${stringify(config)}`;
}

/** The address in use of an IPv6 network, as Hetzner gives it to a server: the first, of `2001:db8::` this is `2001:db8::1`. */
export const hostAddress = (network: string): string => `${network}1`;
