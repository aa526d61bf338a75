import { clientNames, tlsaName } from '../dns/dnsRecords';
import type { MailSettings } from '../settings/mailSettings';
import { fileAsItIs, filledFile, hostFile, type HostFiles } from './files';

const folder = '/etc/ssl/mailhost';

/**
 * What daemons take of TLS 1.2, in OpenSSL's words: forward secrecy and authenticated encryption alone. TLS 1.3 has
 * nothing else.
 */
export const tlsCiphers = 'ECDHE+AESGCM:ECDHE+CHACHA20';

/** A private key with the certificate for it, in PEM. */
export interface Pair {
  chainPem: string;
  privateKeyPem: string;
}

/** The timer that renews the certificates, or tells of their end, and what the CA is asked for. */
export function tlsFiles(mail: MailSettings): HostFiles {
  const acme = mail.tls.issuer === 'acme';
  return {
    ...fileAsItIs('/etc/systemd/system/mailhost-renew.service'),
    ...filledFile('/etc/systemd/system/mailhost-renew.timer', { acme }),
    ...(acme ? { '/etc/mailhost/certificates.json': hostFile(certificatesText(mail)) } : {}),
  };
}

/**
 * The host reads from it which TLSA records others go by.
 *
 * @param keyHashes as the plan publishes them
 */
export const tlsaFile = (hostName: string, keyHashes: string[]): HostFiles => ({
  '/etc/mailhost/tlsa': hostFile(
    [tlsaName(hostName), ...keyHashes.map((hash) => `3 1 1 ${hash}`), ''].join('\n'),
  ),
});

/** The certificates by their names: the host's, and one for each domain, so that a domain whose DNS is broken stops no other. */
export function certificateNames(mail: Pick<MailSettings, 'hostName' | 'domains' | 'web'>) {
  return [
    { name: mail.hostName, dnsNames: [mail.hostName] },
    ...(mail.web ? mail.domains : []).map(({ name }) => ({ name, dnsNames: clientNames(name) })),
  ];
}

const requestPath = (name: string) => `${folder}/requests/${name}.pem`;
const webKeyPath = `${folder}/web-privkey.pem`;
const own = { chain: `${folder}/own/fullchain.pem`, privateKey: `${folder}/own/privkey.pem` };

function certificatesText(mail: MailSettings): string {
  const entries = certificateNames(mail).map(({ name, dnsNames }) => [
    name,
    {
      names: dnsNames,
      request: requestPath(name),
      privateKey: name === mail.hostName ? own.privateKey : webKeyPath,
    },
  ]);
  const { directory, contact } = mail.tls;
  const text = { directory, contact, certificates: Object.fromEntries(entries) as object };
  return `${JSON.stringify(text, undefined, 2)}\n`;
}

/** What stands in place until the CA has issued a certificate, or for good where none is asked. */
export const pairSecrets = ({ chainPem, privateKeyPem }: Pair): HostFiles => ({
  [`${folder}/fullchain.pem`]: hostFile(chainPem),
  [`${folder}/privkey.pem`]: hostFile(privateKeyPem, '0600'),
});

/**
 * The stack's own pair beside the one that is served, and what the CA is asked with.
 *
 * @param webKeyPem PEM of the key of all domains' names
 * @param requests PEM by the names of the certificates
 */
export const acmeSecrets = (
  { chainPem, privateKeyPem }: Pair,
  webKeyPem: string,
  requests: Record<string, string>,
): HostFiles => ({
  [own.chain]: hostFile(chainPem),
  [own.privateKey]: hostFile(privateKeyPem, '0600'),
  [webKeyPath]: hostFile(webKeyPem, '0600'),
  ...Object.fromEntries(
    Object.entries(requests).map(([name, pem]) => [requestPath(name), hostFile(pem)]),
  ),
});
