import type { X509Certificate } from 'node:crypto';
import type { HostStack } from '../stack';
import { listResults, reverseResults } from './addresses';
import { dnssecResults } from './dnssec';
import type { Result } from './finding';
import { dmarcResults, spfResults } from './policies';
import { relayResults, serviceResults, tlsaResults, type Outside } from './services';
import { autoconfigResults, mtaStsResults } from './web';
import { recordResults, zoneOf } from './zones';

/** Looks at a mail host as any mail system and client does, all its parts side by side. */
export async function lookFromOutside(stack: HostStack, outside: Outside): Promise<Result[]> {
  const { dns } = outside;
  const names = [stack.hostName, ...stack.domains, ...stack.parked];
  const results = await Promise.all([
    ...zonesOf(stack).map((zone) => zoneResults(stack, outside, zone)),
    machineResults(stack, outside),
    ...names.map((name) => attempt(`SPF of ${name}`, () => spfResults(dns, name))),
    ...stack.domains.map((domain) =>
      attempt(`DMARC of ${domain}`, () => dmarcResults(dns, domain)),
    ),
  ]);
  return results.flat();
}

/** What fails for want of an answer has found nothing out. */
const attempt = (what: string, work: () => Promise<Result[]>): Promise<Result[]> =>
  work().catch((error: unknown) => [{ unchecked: what, why: (error as Error).message }]);

const zonesOf = ({ records }: HostStack) => [...new Set(records.map(({ zone }) => zone))];

const zoneResults = (stack: HostStack, { dns, now }: Outside, name: string): Promise<Result[]> =>
  attempt(`the zone ${name}`, async () => {
    const zone = await zoneOf(dns, name);
    const own = stack.records.filter((record) => record.zone === name);
    const results = await Promise.all([
      recordResults(dns, zone, own),
      attempt(`DNSSEC of ${name}`, () => dnssecResults(dns, zone, stack.dsRecords[name], now)),
    ]);
    return [...zone.results, ...results.flat()];
  });

/** Everything at the host's addresses. */
async function machineResults(stack: HostStack, outside: Outside): Promise<Result[]> {
  const { network, dns } = outside;
  const addresses = [stack.ipv4, stack.ipv6].filter((address) => address !== undefined);
  const results = await Promise.all([
    ...addresses.map((address) =>
      attempt(`reverse DNS of ${address}`, () => reverseResults(dns, address, stack.hostName)),
    ),
    listResults(dns, addresses),
    ...addresses.map(async (address): Promise<Result[]> =>
      (await network.reaches(address))
        ? addressResults(stack, outside, address)
        : [{ unchecked: `services at ${address}`, why: 'this machine has no route to it' }],
    ),
  ]);
  return results.flat();
}

async function addressResults(
  stack: HostStack,
  outside: Outside,
  address: string,
): Promise<Result[]> {
  const { network, dns, now } = outside;
  const services = await serviceResults(outside, stack, address);
  const has = (label: string, domain: string) =>
    stack.records.some(({ name, type }) => type === 'CNAME' && name === `${label}.${domain}`);
  const tlsa = (certificate: X509Certificate | undefined) =>
    attempt('TLSA records', () => tlsaResults(dns, stack.hostName, certificate));
  const results = await Promise.all([
    tlsa(services.mailCertificate),
    relayResults(network, stack, address),
    ...stack.domains.flatMap((domain) => [
      ...(has('mta-sts', domain)
        ? [
            attempt(`MTA-STS of ${domain}`, () =>
              mtaStsResults(network, dns, stack, { domain, address, now }),
            ),
          ]
        : []),
      ...(has('autoconfig', domain) ? [autoconfigResults(network, stack, domain, address)] : []),
    ]),
  ]);
  return [...services.results, ...results.flat()];
}
