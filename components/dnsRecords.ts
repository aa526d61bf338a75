import { createPublicKey } from 'node:crypto';

/**
 * TXT content in the one form that Cloudflare stores and returns unchanged: quoted character-strings of 255 octets
 * (the last one shorter), joined by one space, with `"` and `\` escaped (RFC 1035, sections 3.3.14 and 5.1).
 *
 * @param value printable ASCII
 * @throws RangeError where `value` has another character
 * @example quoteTxt('v=spf1 mx -all') // '"v=spf1 mx -all"'
 */
export function quoteTxt(value: string): string {
  if (!/^[\x20-\x7e]*$/.test(value)) {
    throw new RangeError('TXT content must be printable ASCII');
  }
  const strings = value.match(/.{1,255}/g) ?? [''];
  return strings.map((part) => `"${part.replace(/["\\]/g, '\\$&')}"`).join(' ');
}

/**
 * The DKIM key record's text for an RSA public key (RFC 6376, section 3.6.1): `p=` is the base64 of its SubjectPublicKeyInfo.
 *
 * @param publicKeyPem PEM of any line width, with or without a final newline
 * @throws Error where the PEM is no RSA public key
 */
export function dkimKeyRecord(publicKeyPem: string): string {
  const key = createPublicKey(publicKeyPem);
  if (key.asymmetricKeyType !== 'rsa') {
    throw new Error(`DKIM signs with RSA here, but the key is ${key.asymmetricKeyType}`);
  }
  return `v=DKIM1; k=rsa; p=${key.export({ type: 'spki', format: 'der' }).toString('base64')}`;
}

/** The name of generation `generation` of a domain's DKIM key. A selector's key never changes. */
export function dkimSelector(generation: number): string {
  return `s${generation}`;
}

/**
 * The generations that are published while `generation` signs: the retired one (none at 1), the signing one, and the
 * next, so that a key is always in DNS one whole rotation before it signs.
 */
export function publishedGenerations(generation: number): number[] {
  return [generation - 1, generation, generation + 1].filter((n) => n >= 1);
}

/** A record whose content is known before anything is created. */
export interface PlainRecord {
  /** Part of the resource's name, unique in the domain. */
  key: string;
  type: 'MX' | 'TXT';
  /** Full name, never `@`. */
  name: string;
  content: string;
  priority?: number;
}

/**
 * What a hosted domain publishes besides addresses and DKIM keys: MX (RFC 5321, section 5.1), SPF (RFC 7208) and
 * DMARC (RFC 7489).
 *
 * @param domain A-label form, e.g. `example.org`
 * @param hostName the mail host, e.g. `mail.example.org`
 * @param postmaster recipient of DMARC aggregate reports
 */
export function domainRecords(domain: string, hostName: string, postmaster: string): PlainRecord[] {
  const records: PlainRecord[] = [
    { key: 'mx', type: 'MX', name: domain, content: hostName, priority: 10 },
    { key: 'spf', type: 'TXT', name: domain, content: quoteTxt('v=spf1 mx -all') },
    {
      key: 'dmarc',
      type: 'TXT',
      name: `_dmarc.${domain}`,
      content: quoteTxt(dmarcPolicy(domain, postmaster)),
    },
  ];
  return records;
}

/** Reports to another domain need that domain's consent in DNS (RFC 7489, section 7.1), so only a recipient inside gets them. */
function dmarcPolicy(domain: string, postmaster: string): string {
  const policy = 'v=DMARC1; p=reject; adkim=s; aspf=s';
  return postmaster.endsWith(`@${domain}`) ? `${policy}; rua=mailto:${postmaster}` : policy;
}
