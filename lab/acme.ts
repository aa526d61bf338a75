import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { join } from 'node:path';
import { addresses } from './network';
import { certificate } from './selfSigned';
import { kill, run, startUntil, type Lab } from './state';

/** The certificate authority that issues to whoever shows that a name is theirs, as public ones do: Pebble. */
export const acmeZone = 'ca.example';
const host = `acme.${acmeZone}`;
export const acmeDirectory = `https://${host}:14000/dir`;

export interface AcmeOptions {
  /** Seconds that its certificates are good for. */
  lifetime?: number;
  /** Names that it refuses to issue for. */
  refused?: string[];
  /** Seconds at most that it waits before it looks at an answer. */
  delay?: number;
}

const folder = (lab: Lab) => join(lab.dir, 'acme');

const caFiles = (lab: Lab) => ({
  cert: join(folder(lab), 'ca.pem'),
  key: join(folder(lab), 'ca.key'),
});

/** PEM of the CA that the certificates of servers in the lab are by; machines trust it as they do the real ones. */
export function serverCa(lab: Lab): string {
  const { cert, key } = caFiles(lab);
  if (!existsSync(cert)) {
    mkdirSync(folder(lab), { recursive: true, mode: 0o700 });
    run('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'],
      ...['-days', '90', '-keyout', key, '-out', cert],
      ...['-subj', '/CN=lab server CA', '-addext', 'keyUsage=critical,keyCertSign'],
    ]);
  }
  return readFileSync(cert, 'utf8');
}

/** A server's certificate by that CA, and its key, in PEM. */
export function serverPair(lab: Lab, hostName: string): { key: string; cert: string } {
  serverCa(lab);
  return certificate(hostName, caFiles(lab));
}

export const acmeRecords = () => {
  const { v4, v6 } = addresses.acme;
  return [
    { name: host, type: 'A', ttl: 300, rdata: v4 },
    { name: host, type: 'AAAA', ttl: 300, rdata: v6 },
  ];
};

/** Starts it, or starts it anew, with no memory of accounts and another root. */
export async function startAcme(
  lab: Lab,
  { lifetime = 90 * 86400, refused = [], delay = 0 }: AcmeOptions = {},
): Promise<void> {
  await stopAcme(lab);
  const { acme, resolver } = addresses;
  const inside = '/lab/acme';
  const root = join(lab.dir, 'services/root');
  mkdirSync(join(root, inside), { recursive: true });
  const { cert, key } = serverPair(lab, host);
  writeFileSync(join(root, inside, 'server.pem'), cert);
  writeFileSync(join(root, inside, 'server.key'), key);
  const pebble = {
    listenAddress: `${acme.v4}:14000`,
    managementListenAddress: `${acme.v4}:15000`,
    certificate: `${inside}/server.pem`,
    privateKey: `${inside}/server.key`,
    httpPort: 80,
    tlsPort: 443,
    domainBlocklist: refused,
    retryAfter: { authz: 1, order: 1 },
    certificateValidityPeriod: lifetime,
  };
  writeFileSync(join(root, inside, 'pebble.json'), JSON.stringify({ pebble }));
  const command = [
    ...['netns', 'exec', 'acme', 'chroot', root, 'env'],
    delay > 0 ? `PEBBLE_VA_SLEEPTIME=${delay}` : 'PEBBLE_VA_NOSLEEP=1',
    // Every answer is looked at anew. It would refuse one in 20 messages, and two in a row are too many for certbot.
    'PEBBLE_AUTHZREUSE=0',
    'PEBBLE_WFE_NONCEREJECT=0',
    ...['pebble', '-config', `${inside}/pebble.json`, '-dnsserver', `${resolver.v4}:53`],
  ];
  await startUntil(lab, 'acme', 'ip', command, () =>
    acmeRoot(lab).then(
      () => true,
      () => false,
    ),
  );
}

export const stopAcme = (lab: Lab): Promise<void> => kill(lab, 'acme');

/** PEM of the root that its certificates lead to; another one at each start. */
export function acmeRoot(lab: Lab): Promise<string> {
  return new Promise((resolve, reject) => {
    get(
      {
        host: addresses.acme.v4,
        port: 15000,
        path: '/roots/0',
        ca: serverCa(lab),
        servername: host,
        agent: false,
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.on('end', () => resolve(text));
      },
    ).on('error', reject);
  });
}
