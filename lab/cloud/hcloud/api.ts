import type { FastifyInstance } from 'fastify';
import type { Backend } from '../../backend';
import { ApiError, apiServer } from '../api';
import { defaultOffers, type Offers } from '../offers';
import { Account } from './account';
import { Actions } from './actions';
import { Catalogue, images, locations } from './catalogue';
import { readable, type Hcloud } from './collection';
import { enforce, firewalls } from './firewalls';
import { primaryIps } from './primaryIps';
import { servers } from './servers';
import { sshKeys } from './sshKeys';
import { volumes } from './volumes';

/**
 * The part of the Hetzner Cloud API that a mail host needs, below `/v1`: servers, primary IPs, volumes, firewalls, SSH keys,
 * their actions, and the read-only catalogues.
 *
 * @param storePath JSON file that keeps the account over a restart; made if it does not exist
 * @param token the one that is let in
 * @param offers what the locations have of each server type now
 * @see https://docs.hetzner.cloud/reference/cloud
 */
export function hcloudApi(
  backend: Backend,
  storePath: string,
  token: string,
  offers: () => Offers = () => defaultOffers,
): FastifyInstance {
  const app = apiServer({
    unauthorized: (header) =>
      header === `Bearer ${token}`
        ? undefined
        : new ApiError(401, 'unauthorized', 'unable to authenticate'),
    noSuchPath: (request) => new ApiError(404, 'not_found', `no such path: ${request}`),
    invalid: (reason) => new ApiError(422, 'invalid_input', reason),
    internal: (reason) => new ApiError(500, 'server_error', reason),
    body: ({ code, message, details = null }) => ({ error: { code, message, details } }),
  });
  const account = new Account(storePath);
  const catalogue = new Catalogue(offers);
  const cloud: Hcloud = { app, backend, account, actions: new Actions(account), catalogue };

  app.addHook('onReady', () => resume(cloud));
  // Bodiless POSTs and DELETEs come with a JSON content type.
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text, done) => {
    if (text === '') done(null, {});
    else void parse(request, text as string, done);
  });
  app.addHook('preHandler', (request, reply, done) => {
    if (request.method === 'POST') void reply.status(201);
    done();
  });
  app.addHook('onResponse', (request, _reply, done) => {
    if (request.method !== 'GET') account.save();
    done();
  });

  readable(app, 'server_types', () => catalogue.serverTypes());
  readable(app, 'locations', () => locations);
  readable(app, 'datacenters', () => catalogue.datacenters());
  readable(app, 'images', () => images);
  readable(app, 'actions', () => account.actions);
  for (const routes of [sshKeys, primaryIps, volumes, firewalls, servers]) routes(cloud);
  return app;
}

/** Makes what the account has work again after a restart of the lab. */
async function resume(cloud: Hcloud): Promise<void> {
  const { backend, account } = cloud;
  const { primary_ips, volumes, servers } = account.items;
  for (const { dns_ptr } of primary_ips)
    for (const { ip, dns_ptr: name } of dns_ptr) await backend.setReverse(ip, name);
  for (const { id } of servers) await backend.connectMachine(id);
  for (const { id, server } of volumes) if (server !== null) await backend.attachVolume(id, server);
  for (const { id, status } of servers) {
    await enforce(cloud, id);
    if (status === 'running') await backend.powerOn(id);
  }
}
