import { serve, type Properties } from '../resourceProvider';
import { HttpApi } from '../httpApi';

const api = new HttpApi('https://api.cloudflare.com/client/v4');

interface Record_ {
  id: string;
  [property: string]: unknown;
}
interface Zone {
  id: string;
  name: string;
  status: string;
  name_servers: string[];
}

const inputs = ['zoneId', 'name', 'type', 'ttl', 'content', 'priority', 'proxied', 'comment'];
const body = (properties: Properties) =>
  Object.fromEntries(inputs.filter((n) => n !== 'zoneId').map((n) => [n, properties[n]]));
const path = (zoneId: unknown, id = '') => `/zones/${String(zoneId)}/dns_records${id && `/${id}`}`;

/** What the API tells besides what it was asked for. */
const outputs = (record: Record_): Properties => ({
  ...Object.fromEntries(inputs.map((n) => [n, record[n] ?? undefined])),
  createdOn: record.created_on,
  modifiedOn: record.modified_on,
  proxiable: record.proxiable,
});
const withZone = (zoneId: unknown, record: Record_) => ({ ...outputs(record), zoneId });

serve({
  name: 'cloudflare',
  version: '6.22.1',
  configure: (configuration) =>
    api.configure(
      configuration.baseUrl ?? process.env.CLOUDFLARE_BASE_URL,
      configuration.apiToken ?? process.env.CLOUDFLARE_API_TOKEN,
    ),
  resources: {
    'cloudflare:index/dnsRecord:DnsRecord': {
      inputs,
      replaces: ['zoneId'],
      computed: ['createdOn', 'modifiedOn', 'proxiable', 'proxied'],
      changing: ['modifiedOn'],
      create: async (properties) => {
        const record = await api.call<Record_>('POST', path(properties.zoneId), body(properties));
        return { id: record.id, outputs: withZone(properties.zoneId, record) };
      },
      update: async (id, properties) =>
        withZone(
          properties.zoneId,
          await api.call<Record_>('PUT', path(properties.zoneId, id), body(properties)),
        ),
      delete: async (id, state) => {
        await api.call('DELETE', path(state.zoneId, id), undefined, 'maybe gone');
      },
      // Imports name both: `<zone id>/<record id>`.
      read: async (id, state) => {
        const [zoneId, recordId] = id.includes('/') ? id.split('/') : [state.zoneId, id];
        const record = await api.call<Record_ | undefined>(
          'GET',
          path(zoneId, recordId),
          undefined,
          'maybe gone',
        );
        return record && withZone(zoneId, record);
      },
    },
  },
  functions: {
    'cloudflare:index/getZone:getZone': async (args) => {
      const name = (args.filter as { name?: string } | undefined)?.name ?? '';
      const zones = await api.call<Zone[]>('GET', `/zones?name=${encodeURIComponent(name)}`);
      const [zone] = zones;
      if (zone === undefined || zones.length > 1) {
        throw new Error(`${zones.length} zones are named ${name} in this Cloudflare account`);
      }
      const { id, status, name_servers: nameServers } = zone;
      return { ...args, id, zoneId: id, name: zone.name, status, nameServers };
    },
  },
});
