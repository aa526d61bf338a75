import { HttpApi } from '../httpApi';
import { serve, type Found } from '../resourceProvider';
import type { Properties } from '../values';

const api = new HttpApi('https://api.cloudflare.com/client/v4');

interface DnsRecord {
  id: string;
  [property: string]: unknown;
}

interface Zone {
  id: string;
  name: string;
  status: string;
  name_servers: string[];
}

/** Inputs that the API takes and tells under the same names. */
const fields = ['name', 'type', 'ttl', 'content', 'priority', 'proxied', 'comment'];
const pick = (from: Properties, names: string[]) =>
  Object.fromEntries(names.map((name) => [name, from[name] ?? undefined]));
const body = (inputs: Properties) => pick(inputs, fields);

const records = (zoneId: unknown) => `/zones/${String(zoneId)}/dns_records`;

/** @param known name of the record as the program has it: the state keeps a short form of the API's full name */
function found(zoneId: unknown, record: DnsRecord, known?: unknown): Found {
  const name = String(known ?? record.name);
  const same = name === '@' || String(record.name).startsWith(`${name}.`);
  return {
    id: record.id,
    outputs: {
      ...pick(record, fields),
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
      inputs: ['zoneId', ...fields],
      required: ['zoneId', 'name', 'type', 'ttl'],
      defaults: { proxied: false },
      optionalComputed: ['content'],
      replaces: ['zoneId', 'type'],
      computed: ['createdOn', 'modifiedOn', 'proxiable'],
      changing: ['modifiedOn'],
      check: ({ proxied, ttl }) => ({
        ...(proxied === true && ttl !== 1 && { ttl: 'must be 1 where the record is proxied' }),
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
  },
  functions: {
    'cloudflare:index/getZone:getZone': async (args) => {
      const { name } = (args.filter ?? {}) as { name?: string };
      if (name === undefined)
        throw new Error('the stand-in plugin finds zones by filter.name only');
      const zones = await api.call<Zone[]>('GET', `/zones?name=${encodeURIComponent(name)}`);
      const [zone] = zones;
      if (zone === undefined || zones.length > 1) {
        throw new Error(`${zones.length} zones are named ${name} in this Cloudflare account`);
      }
      const { id, status, name_servers: nameServers } = zone;
      return { ...args, id, zoneId: id, name: zone.name, status, nameServers };
    },
    'cloudflare:index/getDnsRecords:getDnsRecords': async ({ zoneId, maxItems }) => {
      const query = `?per_page=${Number(maxItems ?? 1000)}`;
      const found = await api.call<DnsRecord[]>('GET', `${records(zoneId)}${query}`);
      return { results: found.map((record) => pick(record, ['id', ...fields])) };
    },
  },
});
