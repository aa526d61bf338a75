import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Backend } from '../../backend';
import { apiServer } from '../api';
import { Account } from './account';
import { errors } from './errors';
import { ascii } from './names';
import { zoneReport } from './zone';

/**
 * The part of the Cloudflare API v4 that a mail host's DNS needs, below `/client/v4`: zones (list, get), their DNS
 * records and DNSSEC. The one API token may do everything. Each write is answered only after
 * `backend.putZone` has published the zone; if that fails, nothing has changed.
 *
 * @param storePath JSON file that keeps zones and records over a restart; made if it does not exist
 * @param token the one that is let in
 * @param zones names of the zones in the account, in A-label form
 * @see https://developers.cloudflare.com/api/resources/dns/subresources/records/
 */
export function cloudflareApi(
  backend: Backend,
  storePath: string,
  token: string,
  zones: string[],
): FastifyInstance {
  const account = new Account(backend, storePath, zones);
  const app = apiServer(errors(token));
  app.addHook('onReady', () => account.publishAll());
  app.register(
    (api, _options, done) => {
      zoneRoutes(api, account);
      recordRoutes(api, account);
      dnssecRoutes(api, account);
      done();
    },
    { prefix: '/client/v4/zones' },
  );
  return app;
}

interface ZoneParams {
  Params: { zone: string };
}
interface RecordParams {
  Params: { zone: string; record: string };
}

const pageQuery = z.object({ page: z.coerce.number().int().min(1).default(1) });
const zoneQuery = pageQuery.extend({
  name: z.string().optional(),
  status: z.string().optional(),
  per_page: z.coerce.number().int().min(5).max(50).default(20),
});
const recordQuery = pageQuery.extend({
  name: z.string().optional(),
  'name.exact': z.string().optional(),
  content: z.string().optional(),
  'content.exact': z.string().optional(),
  type: z.string().optional(),
  per_page: z.coerce.number().int().min(1).max(5_000_000).default(100),
});

function zoneRoutes(api: FastifyInstance, account: Account): void {
  api.get('', (request) => {
    const query = zoneQuery.parse(request.query);
    const { name, status } = query;
    const found = account.zones.filter(
      (zone) =>
        (name === undefined || zone.name === ascii(name)) &&
        (status === undefined || status === 'active'),
    );
    return page(found.map(zoneReport), query);
  });
  api.get<ZoneParams>('/:zone', ({ params }) => success(zoneReport(account.zone(params.zone))));
}

function recordRoutes(api: FastifyInstance, account: Account): void {
  const all = '/:zone/dns_records';
  const one = `${all}/:record`;
  api.get<ZoneParams>(all, ({ params, query: given }) => {
    const query = recordQuery.parse(given);
    const name = query['name.exact'] ?? query.name;
    const content = query['content.exact'] ?? query.content;
    const found = account
      .zone(params.zone)
      .records.filter(
        (record) =>
          (name === undefined || record.name === ascii(name)) &&
          (content === undefined || record.content === content) &&
          (query.type === undefined || record.type === query.type),
      );
    return page(found, query);
  });
  api.post<ZoneParams>(all, async ({ params, body }) =>
    success(await account.create(params.zone, body)),
  );
  api.get<RecordParams>(one, ({ params }) =>
    success(account.record(account.zone(params.zone), params.record)),
  );
  api.put<RecordParams>(one, async ({ params, body }) =>
    success(await account.update(params.zone, params.record, () => body)),
  );
  api.patch<RecordParams>(one, async ({ params, body }) => {
    const change = z.record(z.string(), z.unknown()).parse(body);
    return success(
      await account.update(params.zone, params.record, (old) => ({ ...old, ...change })),
    );
  });
  api.delete<RecordParams>(one, async ({ params }) =>
    success(await account.delete(params.zone, params.record)),
  );
}

function dnssecRoutes(api: FastifyInstance, account: Account): void {
  const path = '/:zone/dnssec';
  api.get<ZoneParams>(path, ({ params }) => success(account.dnssec(params.zone)));
  api.patch<ZoneParams>(path, async ({ params, body }) =>
    success(await account.setDnssec(params.zone, body)),
  );
  api.delete<ZoneParams>(path, async ({ params }) => {
    await account.setDnssec(params.zone, { status: 'disabled' });
    return success('');
  });
}

function success<T>(result: T) {
  return { success: true, errors: [], messages: [], result };
}

function page<T>(all: T[], { page, per_page }: { page: number; per_page: number }) {
  const result = all.slice((page - 1) * per_page, page * per_page);
  return {
    ...success(result),
    result_info: {
      page,
      per_page,
      count: result.length,
      total_count: all.length,
      total_pages: Math.ceil(all.length / per_page),
    },
  };
}
