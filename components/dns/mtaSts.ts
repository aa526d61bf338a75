import { createHash } from 'node:crypto';
import type { CertificateIssuer, MtaSts } from '../settings/enums';
import type { Settings } from '../settings/settings';

/** Whether other mail systems trust the host's certificate. */
export const hasPublicCertificate = ({ tls }: { tls?: { issuer?: CertificateIssuer } }): boolean =>
  tls?.issuer !== 'selfSigned';

/** The mode of the policy that domains announce; undefined where the host cannot serve one that others trust. */
export const announcedMtaSts = (settings: Settings): MtaSts | undefined =>
  settings.web && hasPublicCertificate(settings) ? settings.mtaSts : undefined;

const day = 86_400;

/** Seconds for which a policy may be kept: one that promises something outlasts a weekend, one that ends it is soon forgotten. */
export const maxAge = (mode: MtaSts): number => (mode === 'none' ? day : 7 * day);

/**
 * What other mail systems are told about TLS to a domain's MX (RFC 8461, section 3.2).
 *
 * @param mx exactly the domain's MX
 */
export function mtaStsPolicy(mode: MtaSts, mx: string[]): string {
  const lines = [
    'version: STSv1',
    `mode: ${mode}`,
    ...mx.map((host) => `mx: ${host}`),
    `max_age: ${maxAge(mode)}`,
  ];
  return lines.map((line) => `${line}\r\n`).join('');
}

/** By which others learn that the policy is another one (RFC 8461, section 3.1). */
export const mtaStsId = (policy: string): string =>
  createHash('sha256').update(policy).digest('hex').slice(0, 32);
