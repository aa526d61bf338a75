import { createPublicKey } from 'node:crypto';
import { spfRecord } from './spf';

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

/** The record of a selector, at the name where its key is looked for (RFC 6376, section 3.6.2.1), without the key. */
export const dkimRecord = (selector: string, domain: string) => ({
  key: `dkim-${selector}`,
  type: 'TXT',
  name: `${selector}._domainkey.${domain}`,
});

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
  type: string;
  /** Full name, never `@`. */
  name: string;
  content: string;
  priority?: number;
}

/** A domain as far as its records depend on it. */
export interface DomainNames {
  /** A-label form, e.g. `example.org`. */
  domain: string;
  /** The mail host, e.g. `mail.example.org`. */
  hostName: string;
  /** SPF mechanisms of other systems that send for it. */
  spf: string[];
}

/** Both identifiers have to lie in the domain itself, not merely in the same organisation (RFC 7489, section 3.1). */
const rejectAll = 'v=DMARC1; p=reject; adkim=s; aspf=s';

/**
 * What a domain with mail publishes besides addresses and DKIM keys: MX (RFC 5321, section 5.1), SPF (RFC 7208) and
 * DMARC (RFC 7489), whose reports go to an address in the domain: one elsewhere would have to consent in DNS.
 */
export function domainRecords({ domain, hostName, spf }: DomainNames): PlainRecord[] {
  return [
    { key: 'mx', type: 'MX', name: domain, content: hostName, priority: 10 },
    { key: 'spf', type: 'TXT', name: domain, content: quoteTxt(spfRecord(spf)) },
    {
      key: 'dmarc',
      type: 'TXT',
      name: `_dmarc.${domain}`,
      content: quoteTxt(`${rejectAll}; rua=mailto:dmarc-reports@${domain}`),
    },
  ];
}

/** That nobody sends for it. */
export const parkedSpf = 'v=spf1 -all';

/** What a domain without mail publishes, so that nobody can send in its name: a null MX (RFC 7505) and no sender at all. */
export function parkedRecords(domain: string): PlainRecord[] {
  return [
    { key: 'mx', type: 'MX', name: domain, content: '.', priority: 0 },
    { key: 'spf', type: 'TXT', name: domain, content: quoteTxt(parkedSpf) },
    { key: 'dmarc', type: 'TXT', name: `_dmarc.${domain}`, content: quoteTxt(rejectAll) },
    {
      key: 'dkim',
      type: 'TXT',
      name: `*._domainkey.${domain}`,
      content: quoteTxt('v=DKIM1; p='),
    },
  ];
}
