import { createHash } from 'node:crypto';
import * as packet from 'dns-packet';
import type { Dns } from './dns';
import type { Result } from './finding';
import type { Zone } from './zones';

/** Digests of a DS record (RFC 4509, RFC 6605; SHA-1 of RFC 3658). */
const digests: Record<number, string> = { 1: 'sha1', 2: 'sha256', 4: 'sha384' };

/**
 * The chain of trust from the parent to the zone.
 *
 * @param planned the DS record that the parent is to have; undefined if the stack does not sign the zone
 * @param now in ms
 */
export async function dnssecResults(
  dns: Dns,
  { name, parent, servers }: Zone,
  planned: string | undefined,
  now: number,
): Promise<Result[]> {
  if (parent === undefined || servers.length === 0) return [];
  const { answers } = await dns.ask(parent, { name, type: 'DS', recursive: false, dnssec: true });
  const ds = answers.flatMap((answer) => (answer.type === 'DS' ? [answer.data] : []));
  if (ds.length === 0)
    return planned === undefined
      ? []
      : [{ code: 'dnssec-ds-missing', about: name, evidence: `the registrar needs ${planned}` }];
  const looked = await Promise.all(
    servers.map(async (server): Promise<Result[]> => {
      const found = (code: 'dnssec-ds-wrong' | 'dnssec-signature', evidence: string): Result[] => [
        { code, about: name, place: server.name, evidence },
      ];
      const ask = (type: 'DNSKEY' | 'SOA') =>
        dns.ask(server.address, { name, type, recursive: false, dnssec: true });
      const [keys, soa] = await Promise.all([ask('DNSKEY'), ask('SOA')]);
      const matches = keys.answers.some(
        (answer) =>
          answer.type === 'DNSKEY' && ds.some((one) => isDigestOf(one, name, answer.data)),
      );
      if (!matches)
        return found(
          'dnssec-ds-wrong',
          `the parent has ${ds.map(({ keyTag, algorithm, digestType }) => `${keyTag} ${algorithm} ${digestType}`).join(' and ')}, which is none of the keys of the zone`,
        );
      const ends = [...keys.answers, ...soa.answers].flatMap((answer) =>
        answer.type === 'RRSIG' ? [answer.data.expiration * 1000] : [],
      );
      if (ends.length === 0) return found('dnssec-signature', 'its answers have no signature');
      const end = Math.min(...ends);
      return end > now
        ? []
        : found('dnssec-signature', `a signature expired at ${new Date(end).toISOString()}`);
    }),
  );
  const results = looked.flat();
  return results.length > 0 ? results : asValidated(dns, name);
}

/** What a resolver makes of it that validates. */
async function asValidated(dns: Dns, name: string): Promise<Result[]> {
  const ask = (of: string, unchecked = false) =>
    dns.ask(dns.resolver, { name: of, type: 'SOA', dnssec: true, unchecked });
  const [root, checked, unchecked] = await Promise.all([ask('.'), ask(name), ask(name, true)]);
  if (!root.isValidated)
    return [
      {
        unchecked: 'the chain of trust of DNSSEC from the root',
        why: `the resolver ${dns.resolver} does not validate`,
      },
    ];
  return checked.rcode === 'SERVFAIL' && unchecked.rcode === 'NOERROR'
    ? [
        {
          code: 'dnssec-bogus',
          about: name,
          evidence: `the resolver ${dns.resolver} answers SERVFAIL, and without validation NOERROR`,
        },
      ]
    : [];
}

/** RFC 4034, section 5.1.4. */
function isDigestOf(
  { algorithm, digestType, digest }: packet.DsData,
  zone: string,
  key: packet.DnskeyData,
): boolean {
  const hash = digests[digestType];
  if (hash === undefined || key.algorithm !== algorithm) return false;
  const rdata = Buffer.alloc(4);
  rdata.writeUInt16BE(key.flags);
  rdata.writeUInt8(3, 2);
  rdata.writeUInt8(key.algorithm, 3);
  const owner = zone
    .split('.')
    .map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return createHash(hash)
    .update(Buffer.concat([...owner, Buffer.from([0]), rdata, key.key]))
    .digest()
    .equals(digest);
}
