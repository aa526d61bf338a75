import { isIPv4 } from 'node:net';
import { reverseName } from '../../components/settings/names';
import { dataOf, type Dns } from './dns';
import type { Result } from './finding';
import { parentServer } from './zones';

/** DNS lists that many mail systems go by (RFC 5782), and whether they have IPv6 addresses. */
const lists = [
  { zone: 'zen.spamhaus.org', hasIpv6: true },
  { zone: 'bl.spamcop.net', hasIpv6: false },
  { zone: 'psbl.surriel.com', hasIpv6: false },
];

/** Whether an address leads back to the host. */
export async function reverseResults(
  dns: Dns,
  address: string,
  hostName: string,
): Promise<Result[]> {
  const names = await pointersOf(dns, reverseName(address));
  return names.length === 1 && names[0] === `${hostName}.`
    ? []
    : [
        {
          code: 'ptr-wrong',
          about: address,
          evidence: `it names ${names.join(' and ') || 'nothing'}, not ${hostName}.`,
        },
      ];
}

/** As a name server has them now; an alias (RFC 2317) is followed by the resolver. */
async function pointersOf(dns: Dns, name: string): Promise<string[]> {
  const server = await parentServer(dns, name);
  const reply =
    server === undefined
      ? undefined
      : await dns.ask(server, { name, type: 'PTR', recursive: false });
  return reply?.isAuthoritative && dataOf(reply.answers, 'CNAME').length === 0
    ? dataOf(reply.answers, 'PTR')
    : dns.look(name, 'PTR');
}

/** DNS lists that have one of the addresses. */
export async function listResults(dns: Dns, addresses: string[]): Promise<Result[]> {
  const results = await Promise.all(lists.map((list) => inList(dns, list, addresses)));
  return results.flat();
}

async function inList(
  dns: Dns,
  { zone, hasIpv6 }: (typeof lists)[number],
  addresses: string[],
): Promise<Result[]> {
  const entries = async (label: string) => {
    const answers = await dns.look(`${label}.${zone}`, 'A').catch(() => []);
    // Others say that the list refuses the resolver.
    return answers.filter((answer) => /^127\.0\./.test(answer));
  };
  // Every list has an entry to tell whether it answers (RFC 5782, section 5).
  if (!(await entries('2.0.0.127')).includes('127.0.0.2'))
    return [
      { unchecked: `the DNS list ${zone}`, why: `it does not answer the resolver ${dns.resolver}` },
    ];
  const asked = addresses.filter((address) => hasIpv6 || isIPv4(address));
  const results = await Promise.all(
    asked.map(async (address): Promise<Result[]> => {
      const label = reverseName(address).replace(/\.(?:in-addr|ip6)\.arpa$/, '');
      const answers = await entries(label);
      if (answers.length === 0) return [];
      const reasons = await dns.texts(`${label}.${zone}`).catch(() => []);
      return [
        {
          code: 'address-listed',
          about: address,
          evidence: [`${zone} has it as ${answers.join(' and ')}`, ...reasons].join(': '),
        },
      ];
    }),
  );
  return results.flat();
}
