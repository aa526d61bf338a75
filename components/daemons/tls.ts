import { clientNames, tlsaName } from '../dns/names';
import { fileAsItIs, filledFile, hostFile, textOfLines, type HostFiles } from '../hostFiles/files';
import type { MailSettings } from '../settings/mailSettings';
import { some } from '../review/terminal';
import { secretFiles, type DaemonSpec, type Pair, type Plan, type Secrets } from './spec';

const folder = '/etc/ssl/mailhost';
const own = { chain: `${folder}/own/fullchain.pem`, privateKey: `${folder}/own/privkey.pem` };
const certificatesFile = '/etc/mailhost/certificates.json';
const anotherCertificate = 'mail clients and other systems see another certificate';
const anotherKey = 'the TLS key is another one: what trusts the old one by itself, refuses it';

/** The certificates that daemons serve, and the timer that renews them or reports their end. */
export const tls: DaemonSpec = {
  name: 'tls',
  title: 'TLS certificates',
  effect:
    'restarts OpenSMTPD and reloads Dovecot and nginx if the certificate is another one: open SMTP sessions end, and senders try again',
  unit: 'mailhost-renew.timer',
  packages: (mail) => [
    'openssl',
    // The host program reads certificates.
    'python3-cryptography',
    ...(mail.tls.issuer === 'acme' ? ['certbot'] : []),
  ],
  ports: {
    'acme-challenge': {
      number: 80,
      protocol: 'HTTP',
      purpose: 'web',
      from: 'everyone',
      // Without a web server, certbot listens while the CA asks.
      isOpenFor: (mail) => mail.tls.issuer === 'acme',
    },
  },
  waitsFor: ['volume'],
  files,
  secrets: secretFiles(
    'the certificates and their private keys',
    ['certificate', 'tlsKeyHashes'],
    keyFiles,
    {
      meanings: {
        [`${folder}/fullchain.pem`]: anotherCertificate,
        [`${folder}/privkey.pem`]: anotherKey,
        [own.chain]: 'has another certificate of its own, until or unless the CA issues one',
        [own.privateKey]: anotherKey,
      },
    },
  ),
  meanings: [{ path: certificatesFile, says: certificateMeaning }],
};

/**
 * What daemons take of TLS 1.2, in OpenSSL's words: forward secrecy and authenticated encryption alone. TLS 1.3 has
 * nothing else.
 */
export const tlsCiphers = 'ECDHE+AESGCM:ECDHE+CHACHA20';

/** The timer, and what the CA is asked for. */
function files({ mail }: Plan): HostFiles {
  const acme = mail.tls.issuer === 'acme';
  return {
    ...fileAsItIs('/etc/systemd/system/mailhost-renew.service'),
    ...filledFile('/etc/systemd/system/mailhost-renew.timer', { acme }),
    ...(acme ? { [certificatesFile]: hostFile(certificatesText(mail)) } : {}),
  };
}

function keyFiles(
  { mail }: Plan,
  { certificate: { pair, acme }, tlsKeyHashes }: Pick<Secrets, 'certificate' | 'tlsKeyHashes'>,
): HostFiles {
  return {
    ...(acme ? acmeFiles(pair, acme) : servedFiles(pair)),
    // No secret, but known only once the keys are. The host reads from it which TLSA records others go by.
    ...(mail.tlsa
      ? {
          '/etc/mailhost/tlsa': hostFile(
            textOfLines([tlsaName(mail.hostName), ...tlsKeyHashes.map((hash) => `3 1 1 ${hash}`)]),
          ),
        }
      : {}),
  };
}

/** The domains whose names lead to the web server here. */
export const webDomains = ({ domains, web }: Pick<MailSettings, 'domains' | 'web'>): string[] =>
  (web ? domains : []).filter(({ elsewhere }) => !elsewhere).map(({ name }) => name);

/** The certificates by their names: the host's, and one for each domain, so that a domain whose DNS is broken stops no other. */
export function certificateNames(mail: Pick<MailSettings, 'hostName' | 'domains' | 'web'>) {
  return [
    { name: mail.hostName, dnsNames: [mail.hostName] },
    ...webDomains(mail).map((name) => ({ name, dnsNames: clientNames(name) })),
  ];
}

const requestPath = (name: string) => `${folder}/requests/${name}.pem`;
const webKeyPath = `${folder}/web-privkey.pem`;

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
const servedFiles = ({ chainPem, privateKeyPem }: Pair): HostFiles => ({
  [`${folder}/fullchain.pem`]: hostFile(chainPem),
  [`${folder}/privkey.pem`]: hostFile(privateKeyPem, '0600'),
});

/** The stack's own pair beside the one that is served, and what the CA is asked with. */
const acmeFiles = (
  { chainPem, privateKeyPem }: Pair,
  { webKeyPem, requests }: NonNullable<Secrets['certificate']['acme']>,
): HostFiles => ({
  [own.chain]: hostFile(chainPem),
  [own.privateKey]: hostFile(privateKeyPem, '0600'),
  [webKeyPath]: hostFile(webKeyPem, '0600'),
  ...Object.fromEntries(
    Object.entries(requests).map(([name, pem]) => [requestPath(name), hostFile(pem)]),
  ),
});

/** By what the CA is asked for. */
function certificateMeaning(before: string, after: string): string[] {
  interface Asked {
    directory: string;
    contact: string;
    certificates: Record<string, { names: string[] }>;
  }
  const [old, next] = [before, after].map((text) =>
    text === '' ? undefined : (JSON.parse(text) as Asked),
  );
  const names = (asked: Asked | undefined) =>
    Object.values(asked?.certificates ?? {}).flatMap((one) => one.names);
  const [left, joined] = [
    names(old).filter((name) => !names(next).includes(name)),
    names(next).filter((name) => !names(old).includes(name)),
  ];
  return [
    ...(joined.length > 0 ? [`gets certificates for ${some(joined)}`] : []),
    ...(left.length > 0 ? [`no longer renews certificates for ${some(left)}`] : []),
    ...(old && next && old.directory !== next.directory
      ? [`certificates come from ${next.directory} instead of ${old.directory}`]
      : []),
    ...(old && next && old.contact !== next.contact
      ? [`the certificate authority writes to ${next.contact} instead of ${old.contact}`]
      : []),
  ];
}
