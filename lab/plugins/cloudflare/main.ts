import { HttpApi } from '../httpApi';
import type { Found } from '../resource';
import { serve } from '../resourceProvider';
import { isObject, type Properties } from '../values';

const api = new HttpApi('https://api.cloudflare.com/client/v4', {
  retries: 10,
  firstWait: 2000,
  longestWait: 30_000,
  passes: ({ status = 0 }) => status === 0 || [408, 409, 429].includes(status) || status >= 500,
});

interface DnsRecord {
  id: string;
  [property: string]: unknown;
}

interface Dnssec {
  status: string;
  [property: string]: unknown;
}

interface Zone {
  id: string;
  name: string;
  status: string;
  type: string;
  name_servers: string[];
}

/** Inputs that the API takes and tells under the same names. */
const fields = ['name', 'type', 'ttl', 'content', 'priority', 'proxied', 'comment'];
const pick = (from: Properties, names: string[]) =>
  Object.fromEntries(names.map((name) => [name, from[name] ?? undefined]));

/** Names as the API has them. */
const snakeCase = (name: string) => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
const camelCase = (name: string) => name.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase());
const renamed = (from: unknown, rename: (name: string) => string) =>
  isObject(from)
    ? Object.fromEntries(Object.entries(from).map(([name, value]) => [rename(name), value]))
    : undefined;

const body = (inputs: Properties) => ({
  ...pick(inputs, fields),
  data: renamed(inputs.data, snakeCase),
});

const records = (zoneId: unknown) => `/zones/${String(zoneId)}/dns_records`;

const dnssec = (zoneId: unknown) => `/zones/${String(zoneId)}/dnssec`;
const dnssecOutputs = [
  'algorithm',
  'digest',
  'digestAlgorithm',
  'digestType',
  'ds',
  'flags',
  'keyTag',
  'keyType',
  'modifiedOn',
  'publicKey',
];

const dnssecResult = (zoneId: unknown, told: Dnssec): Properties => ({
  ...pick(renamed(told, camelCase)!, ['status', ...dnssecOutputs]),
  zoneId,
});

const zoneOutputs = (args: Properties, zone: Zone): Properties => {
  const { id, name, status, type, name_servers: nameServers } = zone;
  return { ...args, id, zoneId: id, name, status, type, nameServers };
};

/** Asks for the status, which the state then has whatever the API tells: only a refresh takes that over. */
async function setDnssec(inputs: Properties): Promise<Properties> {
  const { status } = inputs;
  const told = await api.call<Dnssec>('PATCH', dnssec(inputs.zoneId), { status });
  return pick(renamed(told, camelCase)!, dnssecOutputs);
}

/** @param known name of the record as the program has it: the state keeps a short form of the API's full name */
function found(zoneId: unknown, record: DnsRecord, known?: unknown): Found {
  const name = String(known ?? record.name);
  const same = name === '@' || String(record.name).startsWith(`${name}.`);
  return {
    id: record.id,
    outputs: {
      ...pick(record, fields),
      data: renamed(record.data, camelCase),
      zoneId,
      name: same ? name : record.name,
      createdOn: record.created_on,
      modifiedOn: record.modified_on,
      proxiable: record.proxiable,
    },
  };
}

serve({
  name: 'cloudflare',
  version: '6.22.1',
  configure: ({ baseUrl, apiToken }) =>
    api.configure(
      baseUrl ?? process.env.CLOUDFLARE_BASE_URL,
      apiToken ?? process.env.CLOUDFLARE_API_TOKEN,
    ),
  resources: {
    'cloudflare:index/dnsRecord:DnsRecord': {
      inputs: ['zoneId', 'data', ...fields],
      // These are neither chosen nor left alone by the provider.
      told: ['data', 'priority'],
      required: ['zoneId', 'name', 'type', 'ttl'],
      defaults: { proxied: false },
      optionalComputed: ['content'],
      replaces: ['zoneId', 'type'],
      computed: ['createdOn', 'modifiedOn', 'proxiable'],
      changing: ['modifiedOn'],
      check: ({ proxied, ttl, content, data }) => ({
        ...(proxied === true && ttl !== 1 && { ttl: 'must be 1 where the record is proxied' }),
        ...(content !== undefined && data !== undefined && { content: 'cannot stand beside data' }),
      }),
      create: async (inputs) => {
        const record = await api.call<DnsRecord>('POST', records(inputs.zoneId), body(inputs));
        return found(inputs.zoneId, record, inputs.name);
      },
      update: async (id, inputs) => {
        const path = `${records(inputs.zoneId)}/${id}`;
        const record = await api.call<DnsRecord>('PUT', path, body(inputs));
        return found(inputs.zoneId, record, inputs.name).outputs;
      },
      // A record that is gone is an error, as with the official plugin: a refresh takes it out of the state.
      delete: async (id, { zoneId }) => {
        await api.call('DELETE', `${records(zoneId)}/${id}`);
      },
      // An import names both: `<zone id>/<record id>`.
      read: async (id, state) => {
        const [zoneId, recordId] = id.includes('/') ? id.split('/') : [state.zoneId, id];
        const record = await api.find<DnsRecord>(`${records(zoneId)}/${recordId}`);
        return record && found(zoneId, record, state.name);
      },
    },
    'cloudflare:index/zoneDnssec:ZoneDnssec': {
      inputs: ['zoneId', 'status'],
      required: ['zoneId'],
      replaces: ['zoneId'],
      computed: dnssecOutputs,
      changing: dnssecOutputs,
      check: ({ status }) => ({
        ...(!['active', 'disabled', undefined].includes(status as string | undefined) && {
          status: 'must be one of: "active" "disabled"',
        }),
      }),
      create: async (inputs) => ({ id: String(inputs.zoneId), outputs: await setDnssec(inputs) }),
      update: (_id, inputs) => setDnssec(inputs),
      delete: async (id) => {
        await api.call('PATCH', dnssec(id), { status: 'disabled' });
        await api.call('DELETE', dnssec(id));
      },
      read: async (id) => {
        const told = await api.find<Dnssec>(dnssec(id));
        return told && { id, outputs: dnssecResult(id, told) };
      },
    },
  },
  functions: {
    'cloudflare:index/getZone:getZone': async (args) => {
      const { name } = (args.filter ?? {}) as { name?: string };
      if (name === undefined) {
        return zoneOutputs(args, await api.call<Zone>('GET', `/zones/${String(args.zoneId)}`));
      }
      const zones = await api.call<Zone[]>('GET', `/zones?name=${encodeURIComponent(name)}`);
      const [zone] = zones;
      if (zone === undefined || zones.length > 1) {
        throw new Error(`${zones.length} zones are named ${name} in this Cloudflare account`);
      }
      return zoneOutputs(args, zone);
    },
    'cloudflare:index/getZoneDnssec:getZoneDnssec': async ({ zoneId }) => ({
      id: zoneId,
      ...dnssecResult(zoneId, await api.call<Dnssec>('GET', dnssec(zoneId))),
    }),
    'cloudflare:index/getDnsRecords:getDnsRecords': async ({ zoneId, maxItems, name, type }) => {
      const { exact } = (name ?? {}) as { exact?: string };
      const query = new URLSearchParams({
        per_page: `${Number(maxItems ?? 1000)}`,
        ...(exact === undefined ? {} : { 'name.exact': exact }),
        ...(typeof type === 'string' ? { type } : {}),
      });
      const found = await api.call<DnsRecord[]>('GET', `${records(zoneId)}?${query}`);
      return { results: found.map((record) => pick(record, ['id', ...fields])) };
    },
  },
});
