import { createPrivateKey, X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';

const pemBlock = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

function certificatesOf(chain: string): X509Certificate[] {
  return (chain.match(pemBlock) ?? []).map((pem) => new X509Certificate(pem));
}

const succeeds = (work: () => unknown): boolean => {
  try {
    work();
    return true;
  } catch {
    return false;
  }
};

/** Whether it is certificates in PEM and nothing else. */
export const isCertificateChain = (text: string): boolean =>
  text.replaceAll(pemBlock, '').trim() === '' && succeeds(() => certificatesOf(text)[0]!.subject);

/** Whether it is a private key in PEM that is not encrypted. */
export const isPrivateKey = (text: string): boolean => succeeds(() => createPrivateKey(text));

/** Names that a certificate, the first of a chain in PEM, is not for. */
export const uncovered = (chain: string, names: string[]): string[] =>
  names.filter((name) => certificatesOf(chain)[0]!.checkHost(name) === undefined);

/**
 * What is wrong with a certificate for a host, as a predicate; undefined where nothing is.
 *
 * @param chain PEM of the certificate followed by those of its issuers
 * @param privateKey PEM
 * @param name that it has to be for
 */
export function pairMistake(
  chain: string,
  privateKey: string,
  name: string,
  now = new Date(),
): string | undefined {
  const certificates = certificatesOf(chain);
  const [leaf] = certificates;
  const last = certificates.at(-1);
  if (leaf === undefined || last === undefined) return 'has no certificate';
  if (!leaf.checkPrivateKey(createPrivateKey(privateKey))) {
    return 'does not belong to the privateKey; set both again, from the same issue';
  }
  if (leaf.checkHost(name) === undefined) {
    return `is for ${leaf.subjectAltName ?? 'no name'}, not for ${name}; have it issued for that name`;
  }
  const disorder = certificates.findIndex(
    (certificate, i) => i > 0 && !issued(certificate, certificates[i - 1]!),
  );
  if (disorder > 0) {
    return `is out of order: number ${disorder + 1} did not issue number ${disorder}; write the certificate first, then its issuer, then that one's`;
  }
  if (!isRoot(last) && !roots().some((root) => issued(root, last))) {
    return `ends with ${oneLine(last.subject)}, whose issuer ${oneLine(last.issuer)} is not a public root; add the missing certificates`;
  }
  const early = certificates.find(({ validFromDate }) => validFromDate > now);
  if (early) return `is valid only from ${early.validFromDate.toISOString()}`;
  const late = certificates.find(({ validToDate }) => validToDate < now);
  return late && `expired on ${late.validToDate.toISOString()}; have it issued again`;
}

const issued = (issuer: X509Certificate, certificate: X509Certificate): boolean =>
  certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);

const isRoot = (certificate: X509Certificate): boolean => issued(certificate, certificate);

const roots = (): X509Certificate[] => rootCertificates.map((pem) => new X509Certificate(pem));

const oneLine = (name: string): string => name.replaceAll('\n', ', ');
