import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Backend } from '../../backend';
import { ApiError } from '../api';
import type { Account, Collection, Collections } from './account';
import type { Actions } from './actions';
import type { Catalogue } from './catalogue';

/** What the routes of all collections share. */
export interface Hcloud {
  app: FastifyInstance;
  backend: Backend;
  account: Account;
  actions: Actions;
  catalogue: Catalogue;
}

export const id = z.coerce.number().int();
export const labels = z.record(z.string(), z.string());
/** What every item is created with. */
export const created = z.looseObject({ name: z.string(), labels: labels.default({}) });

/** The name of one item, and its type in actions: `servers` has `server`. */
const singular = (path: string) => path.replace(/s$/, '');

export const idOf = (request: FastifyRequest) => z.object({ id }).parse(request.params).id;

const filters = ['id', 'name', 'architecture', 'fingerprint', 'ip', 'type'];
const listQuery = z.looseObject({
  page: z.coerce.number().default(1),
  per_page: z.coerce.number().default(25),
});

/** Adds the routes that list items, page by page and filtered by their fields, and that get one. */
export function readable(app: FastifyInstance, path: string, items: () => { id: number }[]): void {
  app.get(`/v1/${path}`, (request) => {
    const query = listQuery.parse(request.query);
    const found = items().filter((item: Record<string, unknown>) =>
      filters.every((field) => {
        const asked = query[field];
        return asked === undefined || [asked].flat().map(String).includes(String(item[field]));
      }),
    );
    const { page, per_page } = query;
    const lastPage = Math.max(1, Math.ceil(found.length / per_page));
    return {
      [path]: found.slice((page - 1) * per_page, page * per_page),
      meta: {
        pagination: {
          page,
          per_page,
          previous_page: page > 1 ? page - 1 : null,
          next_page: page < lastPage ? page + 1 : null,
          last_page: lastPage,
          total_entries: found.length,
        },
      },
    };
  });
  app.get(`/v1/${path}/:id`, (request) => {
    const found = items().find((item) => item.id === idOf(request));
    if (found === undefined) throw new ApiError(404, 'not_found', `${path} not found`);
    return { [singular(path)]: found };
  });
}

const change = z.object({
  name: z.string().optional(),
  labels: labels.optional(),
  auto_delete: z.boolean().optional(),
});

/**
 * Adds the routes that list, get and rename the items of a collection.
 *
 * @param report an item as the API reports it
 * @returns adds an action: `POST /v1/PATH/:id/actions/NAME`. Its handler checks the request, changes the item and returns the
 * work that is left
 */
export function collection<C extends Collection>(
  { app, account, actions }: Hcloud,
  path: C,
  report: (item: Collections[C]) => { id: number },
) {
  const type = singular(path);
  readable(app, path, () => account.items[path].map(report));
  app.put(`/v1/${path}/:id`, (request) => {
    const item = account.find(path, idOf(request));
    Object.assign(item, change.parse(request.body));
    return { [type]: report(item) };
  });
  return (
    name: string,
    command: string,
    handle: (item: Collections[C], body: unknown) => () => Promise<void>,
  ) => {
    app.post(`/v1/${path}/:id/actions/${name}`, (request) => {
      const item = account.find(path, idOf(request));
      actions.mustBeFree(type, item.id);
      return { action: actions.begin(command, type, item.id, handle(item, request.body)) };
    });
  };
}

/** The work of an action that has none left. */
export const nothing = () => Promise.resolve();

const protection = z.object({ delete: z.boolean().optional(), rebuild: z.boolean().optional() });

/** The handler of `change_protection`. */
export function protect(
  item: Collections['primary_ips' | 'volumes' | 'servers'],
  body: unknown,
): typeof nothing {
  const next = { ...item.protection, ...protection.parse(body) };
  // Only servers have both.
  if (next.rebuild !== undefined && next.delete !== next.rebuild)
    throw new ApiError(422, 'invalid_input', 'delete and rebuild protection must be equal');
  item.protection = next;
  return nothing;
}
