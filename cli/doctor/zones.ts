import type { PlannedRecord } from '../stack';
import type { Dns } from './dns';
import { dataOf } from './dns';
import { grouped, type Result } from './finding';

/** A name server of a zone, at one of its addresses. */
export interface NameServer {
  name: string;
  address: string;
}

/** A zone as its parent and its own name servers have it. */
export interface Zone {
  name: string;
  /** A server that answers for the parent zone. */
  parent?: string;
  /** Those that answer for the zone. */
  servers: NameServer[];
  results: Result[];
}

/** Follows the delegation of a zone, and finds out which of its name servers answer for it. */
export async function zoneOf(dns: Dns, name: string): Promise<Zone> {
  const parent = await parentServer(dns, name);
  if (parent === undefined)
    return {
      name,
      servers: [],
      results: [{ unchecked: `the zone ${name}`, why: 'no name server of its parent answers' }],
    };
  const reply = await dns.ask(parent, { name, type: 'NS', recursive: false });
  const delegated = [...reply.answers, ...reply.authorities].filter(
    (record) => record.type === 'NS' && record.name.toLowerCase() === name,
  );
  const names = dataOf(delegated, 'NS');
  if (names.length === 0)
    return {
      name,
      parent,
      servers: [],
      results: [
        {
          code: 'zone-not-delegated',
          about: name,
          evidence: `the parent zone answers ${reply.rcode}, and names no name server`,
        },
      ],
    };
  const looked = await Promise.all(names.map((host) => lookAt(dns, name, host)));
  const servers = looked.flatMap((one) => one.servers);
  return {
    name,
    parent,
    servers,
    results: [
      ...looked.flatMap(({ results }) => results),
      ...(await sameNames(dns, name, names, servers)),
    ],
  };
}

/** A server that answers for the nearest zone above a name. */
export async function parentServer(dns: Dns, zone: string): Promise<string | undefined> {
  for (let labels = zone.split('.').slice(1); ; labels = labels.slice(1)) {
    const above = labels.join('.') || '.';
    for (const host of await dns.look(above, 'NS')) {
      for (const address of await dns.addresses(bare(host)).catch(() => [])) {
        const soa = await dns
          .ask(address, { name: above, type: 'SOA', recursive: false })
          .catch(() => undefined);
        if (soa?.isAuthoritative) return address;
      }
    }
    if (labels.length === 0) return undefined;
  }
}

const bare = (name: string) => name.replace(/\.$/, '');

/** One address of each family: behind it is the same server. */
async function lookAt(
  dns: Dns,
  zone: string,
  host: string,
): Promise<Pick<Zone, 'servers' | 'results'>> {
  const silent = (evidence: string): Result => ({
    code: 'name-server-silent',
    about: zone,
    place: bare(host),
    evidence,
  });
  const all = await dns.addresses(bare(host)).catch(() => []);
  const some = [all.find((one) => !one.includes(':')), all.find((one) => one.includes(':'))];
  const addresses = some.filter((address) => address !== undefined);
  if (addresses.length === 0)
    return { servers: [], results: [silent('it has no address that this machine can reach')] };
  const looked = await Promise.all(
    addresses.map(async (address) => {
      try {
        const { rcode, isAuthoritative, answers } = await dns.ask(address, {
          name: zone,
          type: 'SOA',
          recursive: false,
        });
        if (isAuthoritative && answers.some(({ type }) => type === 'SOA')) return { address };
        return {
          fault: `it answers ${rcode}${isAuthoritative ? '' : ', not authoritative'} (${address})`,
        };
      } catch (error) {
        return { fault: `${(error as Error).message} (${address})` };
      }
    }),
  );
  return {
    servers: looked.flatMap(({ address }) =>
      address === undefined ? [] : [{ name: bare(host), address }],
    ),
    results: looked.flatMap(({ fault }) => (fault === undefined ? [] : [silent(fault)])),
  };
}

async function sameNames(
  dns: Dns,
  zone: string,
  delegated: string[],
  servers: NameServer[],
): Promise<Result[]> {
  const results = await Promise.all(
    servers.map(async ({ name, address }): Promise<Result[]> => {
      const { answers } = await dns.ask(address, { name: zone, type: 'NS', recursive: false });
      const own = dataOf(answers, 'NS').sort();
      return own.join() === [...delegated].sort().join()
        ? []
        : [
            {
              code: 'name-servers-differ',
              about: zone,
              place: name,
              evidence: `the zone has ${own.map(bare).join(', ') || 'none'}, its parent ${delegated.map(bare).sort().join(', ')}`,
            },
          ];
    }),
  );
  return results.flat();
}

/** Compares the records of the plan with those that each name server of their zone has. */
export async function recordResults(
  dns: Dns,
  zone: Zone,
  records: PlannedRecord[],
): Promise<Result[]> {
  const sets = grouped(records, ({ name, type }) => `${name} ${type}`);
  const results = await Promise.all(
    sets.flatMap((planned) => zone.servers.map((server) => differences(dns, server, planned))),
  );
  return results.flat();
}

async function differences(
  dns: Dns,
  server: NameServer,
  planned: PlannedRecord[],
): Promise<Result[]> {
  const [{ name, type }] = planned as [PlannedRecord];
  const found = (
    code: 'record-missing' | 'record-differs' | 'record-unplanned',
    evidence: string,
  ): Result => ({
    code,
    about: `${name} ${type}`,
    place: server.name,
    evidence,
  });
  let there: string[];
  try {
    const reply = await dns.ask(server.address, { name, type: type as 'TXT', recursive: false });
    const alias = type === 'CNAME' ? [] : dataOf(reply.answers, 'CNAME');
    if (alias.length > 0)
      return [found('record-differs', `the name is an alias of ${bare(alias[0]!)}`)];
    there = dataOf(reply.answers, type);
  } catch (error) {
    return [{ unchecked: `${name} ${type} at ${server.name}`, why: (error as Error).message }];
  }
  const wanted = planned.map(({ data }) => comparable(data));
  const missing = wanted.filter((data) => !there.some((other) => comparable(other) === data));
  const rivals = there.filter(
    (other) =>
      !wanted.includes(comparable(other)) && planned.some((one) => contradicts(one, other)),
  );
  if (missing.length > 0 && rivals.length > 0)
    return [
      found('record-differs', `it answers ${rivals.join(' and ')}, not ${missing.join(' and ')}`),
    ];
  if (missing.length > 0) return [found('record-missing', `the plan has ${missing.join(' and ')}`)];
  return rivals.length > 0
    ? [found('record-unplanned', `it also answers ${rivals.join(' and ')}`)]
    : [];
}

/** Letters of texts count; of names and hexadecimal numbers their case does not. */
const comparable = (data: string) => (data.includes('"') ? data : data.toLowerCase());

/** Whether a record that is not in the plan is more than one beside it. */
function contradicts({ name, type, data }: PlannedRecord, other: string): boolean {
  if (type === 'CAA') return other.split(' ')[1] === data.split(' ')[1];
  if (type !== 'TXT' || name.includes('._domainkey.')) return true;
  const version = (text: string) => /^"\s*v\s*=\s*(\w+)/i.exec(text)?.[1]?.toLowerCase();
  return version(data) === version(other);
}
