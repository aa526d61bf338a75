import { domainToUnicode } from 'node:url';
import * as cloudflare from '@pulumi/cloudflare';
import * as pulumi from '@pulumi/pulumi';
import type { Api, LookUps } from '../preflight/lookUps';
import { asciiName, isZoneId } from '../settings/names';
import type { DnsRecord } from './dnsRecords';
import type { DnsProvider, ExistingRecord, MadeRecord, Zone } from './provider';
import { RateLimit } from './rateLimit';
import { quoteTxt, ttl } from './recordForms';

const api: Api = {
  package: 'cloudflare',
  title: 'Cloudflare',
  token: 'cloudflare:apiToken (or CLOUDFLARE_API_TOKEN)',
  access: 'the token needs Zone:Read and DNS:Edit for these zones',
  endpoint: 'cloudflare:baseUrl (or CLOUDFLARE_BASE_URL)',
};

/**
 * Cloudflare answers 1,200 calls in 5 minutes, of all tokens of a user together, and refuses all for the next 5 minutes
 * after that (https://developers.cloudflare.com/fundamentals/api/reference/limits/). So some are left to others.
 */
export const cloudflareLimit = new RateLimit(1_100, 300);

const recordType = 'cloudflare:index/dnsRecord:DnsRecord';

/** Inputs of a record but for its zone: it has `content` or `data`, and an import reads both. */
const changeable = ({ type }: MadeRecord): string[] => [
  ...['name', 'type', 'ttl', 'priority', 'proxied', 'comment', 'tags', 'settings'],
  type === 'SRV' ? 'data' : 'content',
];

/** Cloudflare: its name servers, its API, and the resources of its Pulumi package. */
export const cloudflareDns: DnsProvider = {
  api,
  flattensCname: true,
  automaticTtl: 300,
  // Their content is put together by Cloudflare, from `data`.
  replacedTypes: ['SRV', 'CAA', 'TLSA'],
  limit: cloudflareLimit,
  limitText: '1,200 calls in 5 minutes',
  findZone,
  listRecords,
  publish: (name, zoneId, record, opts) => {
    const inputs = recordInputs(record, (text) => pulumi.output(text).apply(quoteTxt));
    // An update would send the content that Cloudflare had made from the old data along with the new.
    const replaceOnChanges = ['data', 'type'];
    const ignoreChanges = record.old && !record.old.restored ? changeable(record) : undefined;
    const options = { ...opts, replaceOnChanges, ignoreChanges };
    return new cloudflare.DnsRecord(name, { zoneId, ...inputs }, options);
  },
  sign: (name, zoneId, opts) =>
    new cloudflare.ZoneDnssec(name, { zoneId, status: 'active' }, opts).ds,
  recordType,
  importId: (zoneId, recordId) => `${zoneId}/${recordId}`,
  recordIn: ({ type, outputs }) =>
    type === recordType
      ? asciiRecord(outputs as unknown as ExistingRecord & { zoneId: string })
      : undefined,
  dsRecordIn: ({ type, outputs }) =>
    type === 'cloudflare:index/zoneDnssec:ZoneDnssec' ? String(outputs.ds) : undefined,
};

async function findZone(
  zone: string,
  dnssec: boolean,
  lookUps: LookUps,
): Promise<Zone | undefined> {
  const found = await lookUps.ask(
    {
      api,
      call: 'getZone',
      about: zone,
      mistake: `the zone ${zone} cannot be read at Cloudflare: make it there, let the API token read it, or mend the name or zone of the domain`,
    },
    (options) => zoneAt(zone, options),
  );
  if (found === undefined) return undefined;
  const { zoneId, status, type, nameServers } = found;
  // The API tells the names of zones in Unicode, and those of records in ASCII.
  const name = asciiName(found.name);
  const signing = dnssec
    ? await lookUps.ask(
        {
          api,
          call: 'getZoneDnssec',
          about: name,
          mistake: `whether the zone ${name} is signed cannot be read at Cloudflare: give the API token DNS:Edit for it, or set dnssec to false`,
        },
        (options) => cloudflare.getZoneDnssec({ zoneId }, options),
      )
    : undefined;
  return {
    id: zoneId,
    name,
    status,
    // A zone that others answer for has none here.
    nameServers: (nameServers as string[] | undefined)?.map(asciiName) ?? [],
    problem: ['partial', 'secondary', 'internal'].includes(type)
      ? `is ${type} at Cloudflare, and others answer for it: make it a full zone there, or set dns to manual`
      : undefined,
    dnssec: signing?.status,
  };
}

/** A zone by its id, or by its name in either form: whether the API finds an international one by its A-labels is not said. */
async function zoneAt(
  zone: string,
  options: pulumi.InvokeOptions,
): Promise<cloudflare.GetZoneResult> {
  if (isZoneId(zone)) return cloudflare.getZone({ zoneId: zone }, options);
  const named = (name: string) => cloudflare.getZone({ filter: { name } }, options);
  const unicode = domainToUnicode(zone);
  return unicode === zone ? named(zone) : named(zone).catch(() => named(unicode));
}

async function listRecords(
  { id: zoneId, name: zone }: Zone,
  lookUps: LookUps,
  only?: Pick<ExistingRecord, 'name' | 'type'>,
): Promise<ExistingRecord[] | undefined> {
  const about = only?.name ?? zone;
  const filter = only ? { name: { exact: only.name }, type: only.type } : { maxItems: 100_000 };
  const answer = await lookUps.ask({ api, call: 'getDnsRecords', about }, (options) =>
    cloudflare.getDnsRecords({ zoneId, ...filter }, options),
  );
  return answer?.results.map(asciiRecord);
}

/** Types whose content is, or ends in, the name of a host. */
const hostTypes = ['CNAME', 'MX', 'NS', 'PTR', 'SRV'];

/**
 * The record as an ExistingRecord has it, whatever form the API told it in. Cloudflare shows the priority of an SRV beside
 * its content, and not in it.
 */
export const asciiRecord = <
  R extends Omit<ExistingRecord, 'content'> & { content?: string; priority?: number },
>({
  name,
  content = '',
  ...record
}: R) => {
  const { type, priority } = record;
  const lacksPriority =
    type === 'SRV' && priority !== undefined && content.split(/\s+/).length === 3;
  const data = lacksPriority ? `${priority} ${content}` : content;
  return {
    ...record,
    name: asciiName(name),
    content: hostTypes.includes(type) ? data.replace(/\S+$/, asciiName) : data,
  };
};

/** What a record is made from, the zone aside. */
interface RecordInputs<V> {
  name: string;
  type: string;
  ttl: number;
  content?: V;
  priority?: number;
  proxied?: boolean;
  data?: {
    flags?: number;
    tag?: string;
    value?: V;
    priority?: number;
    weight?: number;
    port?: number;
    target?: string;
    usage?: number;
    selector?: number;
    matchingType?: number;
    certificate?: V;
  };
}

/**
 * The inputs of `cloudflare.DnsRecord` that read back as they are: `data` alone for SRV, CAA and TLSA, whose content
 * Cloudflare puts together, and the priority of SRV also beside it, as Cloudflare tells it; names without final dot.
 *
 * @param quoted quoteTxt() for such a value
 */
export function recordInputs<V>(record: DnsRecord<V>, quoted: (text: V) => V): RecordInputs<V> {
  const { name, type, old } = record;
  const common = { name, type, ttl: old?.ttl ?? ttl };
  const proxied = old?.proxied ?? false;
  switch (record.type) {
    case 'A':
    case 'AAAA':
      return { ...common, content: record.value, proxied };
    case 'CNAME':
      return { ...common, content: record.target as V, proxied };
    case 'MX':
      return { ...common, content: record.target as V, priority: record.priority };
    case 'TXT':
      return { ...common, content: quoted(record.value) };
    case 'SRV': {
      const { priority, weight, port, target } = record;
      return { ...common, priority, data: { priority, weight, port, target } };
    }
    case 'CAA':
      return { ...common, data: { flags: record.flags, tag: record.tag, value: record.value } };
    case 'TLSA': {
      const { usage, selector, matchingType, value: certificate } = record;
      return { ...common, data: { usage, selector, matchingType, certificate } };
    }
  }
}
