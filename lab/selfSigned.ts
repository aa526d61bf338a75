import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A certificate for a host that nobody else has signed, and its key, in PEM. */
export const selfSigned = (hostName: string) => certificate(hostName);

/**
 * A certificate for a host, and its key, in PEM.
 *
 * @param ca files of who signs it; absent: itself
 */
export function certificate(
  hostName: string,
  ca?: { cert: string; key: string },
): { key: string; cert: string } {
  const dir = mkdtempSync(join(tmpdir(), 'certificate-'));
  try {
    const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
    const options = [
      ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-days', '90'],
      ...['-subj', `/CN=${hostName}`, '-addext', `subjectAltName=DNS:${hostName}`],
      ...['-keyout', key, '-out', cert],
      ...(ca ? ['-CA', ca.cert, '-CAkey', ca.key, '-addext', 'basicConstraints=CA:FALSE'] : []),
    ];
    execFileSync('openssl', ['req', '-x509', ...options], { stdio: 'ignore' });
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
  } finally {
    rmSync(dir, { recursive: true });
  }
}
