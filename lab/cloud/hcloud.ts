import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Backend, FirewallRule } from '../backend';
import { defaultOffers, type Offers } from './offers';

interface Action {
  id: number;
  command: string;
  status: 'running' | 'success' | 'error';
  progress: number;
  started: string;
  finished: string | null;
  resources: { id: number; type: string }[];
  error: { code: string; message: string } | null;
}

interface Named {
  id: number;
  name: string;
  labels: Record<string, string>;
  created: string;
}
interface Protected extends Named {
  protection: { delete: boolean; rebuild?: boolean };
}
interface SshKey extends Named {
  public_key: string;
  fingerprint: string;
}
interface PrimaryIp extends Protected {
  type: 'ipv4' | 'ipv6';
  ip: string;
  assignee_id: number | null;
  auto_delete: boolean;
  location: string;
  dns_ptr: { ip: string; dns_ptr: string }[];
}
interface Volume extends Protected {
  size: number;
  location: string;
  format: 'ext4' | 'xfs' | null;
  server: number | null;
}
interface Firewall extends Named {
  rules: Record<string, unknown>[];
  servers: number[];
}
interface Server extends Protected {
  status: 'running' | 'off';
  serverType: string;
  image: string;
  location: string;
}

interface Account {
  nextId: number;
  sshKeys: SshKey[];
  primaryIps: PrimaryIp[];
  volumes: Volume[];
  firewalls: Firewall[];
  servers: Server[];
  actions: Action[];
}

type Collection = 'sshKeys' | 'primaryIps' | 'volumes' | 'firewalls' | 'servers';

const serverTypes = [
  { id: 104, name: 'cx22', cores: 2, memory: 4, disk: 40, architecture: 'x86' },
  { id: 114, name: 'cx23', cores: 2, memory: 4, disk: 40, architecture: 'x86' },
  { id: 115, name: 'cx33', cores: 4, memory: 8, disk: 80, architecture: 'x86' },
  { id: 45, name: 'cax11', cores: 2, memory: 4, disk: 40, architecture: 'arm' },
].map((type) => ({
  ...type,
  description: type.name.toUpperCase(),
  storage_type: 'local',
  cpu_type: 'shared',
  category: 'cost_optimized',
  // Hetzner reports 0 since August 2024.
  included_traffic: 0,
  prices: [],
}));

const locations = [
  { id: 1, name: 'fsn1', description: 'Falkenstein DC Park 1', city: 'Falkenstein' },
  { id: 2, name: 'nbg1', description: 'Nuremberg DC Park 1', city: 'Nuremberg' },
  { id: 3, name: 'hel1', description: 'Helsinki DC Park 1', city: 'Helsinki' },
].map((l) => ({
  ...l,
  country: l.name === 'hel1' ? 'FI' : 'DE',
  latitude: 0,
  longitude: 0,
  network_zone: 'eu-central',
}));

const images = [
  { id: 310557660, name: 'debian-13', architecture: 'x86' },
  { id: 310558102, name: 'debian-13', architecture: 'arm' },
].map((image) => ({
  ...image,
  type: 'system',
  status: 'available',
  description: 'Debian 13',
  image_size: null,
  disk_size: 5,
  created: '2025-08-11T00:00:00Z',
  created_from: null,
  bound_to: null,
  os_flavor: 'debian',
  os_version: '13',
  rapid_deploy: true,
  protection: { delete: false },
  deprecated: null,
  deleted: null,
  labels: {},
}));

/** An error as the API tells it, with its documented code. */
class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: object | null = null,
  ) {
    super(message);
  }
}

const labels = z.record(z.string(), z.string()).default({});
const id = z.coerce.number().int();
const rule = z.looseObject({
  direction: z.enum(['in', 'out']),
  protocol: z.enum(['tcp', 'udp', 'icmp', 'esp', 'gre']),
  port: z.string().nullish(),
  source_ips: z.array(z.string()).nullish(),
  destination_ips: z.array(z.string()).nullish(),
  description: z.string().nullish(),
});
const applied = z.array(z.object({ type: z.string(), server: z.object({ id }).optional() }));

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
  const account: Account = existsSync(storePath)
    ? (JSON.parse(readFileSync(storePath, 'utf8')) as Account)
    : {
        nextId: 1,
        sshKeys: [],
        primaryIps: [],
        volumes: [],
        firewalls: [],
        servers: [],
        actions: [],
      };

  const save = () => {
    writeFileSync(`${storePath}.new`, JSON.stringify(account), { mode: 0o600 });
    renameSync(`${storePath}.new`, storePath);
  };
  const timestamp = () => new Date().toISOString();
  const named = (name: string, itsLabels: Record<string, string>): Named => ({
    id: account.nextId++,
    name,
    labels: itsLabels,
    created: timestamp(),
  });

  const find = <C extends Collection>(collection: C, wanted: number): Account[C][number] => {
    const found = (account[collection] as Named[]).find((item) => item.id === wanted);
    if (found === undefined)
      throw new ApiError(404, 'not_found', `${collection} with ID ${wanted} not found`);
    return found as Account[C][number];
  };
  const unique = (collection: Collection, name: string) => {
    if (account[collection].some((item) => item.name === name)) {
      throw new ApiError(409, 'uniqueness_error', `${collection} name is already used`);
    }
  };
  const deletable = (item: Protected) => {
    if (item.protection.delete)
      throw new ApiError(423, 'protected', 'resource is protected from deletion');
  };
  const without = <T extends Named>(list: T[], item: T) =>
    list.filter((other) => other.id !== item.id);

  /** What runs on a resource: the next action on it is refused until then, as Hetzner does. */
  const busy = new Set<string>();
  const begin = (
    command: string,
    type: string,
    resource: number,
    work: () => Promise<void>,
  ): Action => {
    const key = `${type}-${resource}`;
    if (busy.has(key)) throw new ApiError(423, 'locked', `${type} is locked by a running action`);
    busy.add(key);
    const action: Action = {
      id: account.nextId++,
      command,
      status: 'running',
      progress: 0,
      started: timestamp(),
      finished: null,
      resources: [{ id: resource, type }],
      error: null,
    };
    account.actions.push(action);
    const end = (status: Action['status'], error: Action['error']) => {
      Object.assign(action, { status, error, progress: 100, finished: timestamp() });
      busy.delete(key);
      save();
    };
    work().then(
      () => end('success', null),
      (error: unknown) => {
        console.error(error);
        end('error', { code: 'action_failed', message: String(error) });
      },
    );
    return action;
  };

  const locationOf = (name: string) => locations.find((l) => l.name === name);
  const offerOf = (type: string, location: string) => {
    const { available = true, deprecation = null } = offers()[`${type}@${location}`] ?? {};
    const isGone = deprecation !== null && new Date(deprecation.unavailable_after) <= new Date();
    return { available: available && !isGone, deprecation, isGone };
  };
  const serverTypeResult = (type: (typeof serverTypes)[number]) => {
    const offered = locations.map(({ id, name }) => ({ id, name, ...offerOf(type.name, name) }));
    const deprecations = offered.flatMap(({ deprecation }) => deprecation ?? []);
    // A type as a whole is deprecated once it is so everywhere.
    const deprecation = deprecations.length === locations.length ? deprecations[0]! : null;
    return {
      ...type,
      deprecated: deprecation !== null,
      deprecation,
      locations: offered.map(({ id, name, available, deprecation: here }) => ({
        id,
        name,
        available,
        recommended: available && here === null,
        deprecation: here,
      })),
    };
  };
  /** The type, where a server of it can be made, or become one, at the location now. */
  const offered = (wanted: string | number, location: string) => {
    const type = serverTypes.find((t) => t.id === Number(wanted) || t.name === wanted);
    if (type === undefined) throw new ApiError(422, 'invalid_input', 'unknown server_type');
    if (locationOf(location) === undefined)
      throw new ApiError(422, 'invalid_input', 'unknown location');
    const { available, isGone } = offerOf(type.name, location);
    if (isGone || !available)
      throw new ApiError(412, 'resource_unavailable', 'error during placement');
    return type;
  };
  const primaryIpResult = ({ location, ...ip }: PrimaryIp) => ({
    ...ip,
    assignee_type: 'server',
    blocked: false,
    location: locationOf(location),
    datacenter: datacenterOf(location),
  });
  const volumeResult = ({ location, ...volume }: Volume) => ({
    ...volume,
    status: 'available',
    location: locationOf(location),
    linux_device: `/dev/disk/by-id/scsi-0HC_Volume_${volume.id}`,
  });
  const firewallResult = ({ servers, ...firewall }: Firewall) => ({
    ...firewall,
    applied_to: servers.map((server) => ({ type: 'server', server: { id: server } })),
  });
  const datacenterOf = (location: string) => ({
    id: locationOf(location)!.id + 3,
    name: `${location}-dc14`,
    description: location,
    location: locationOf(location),
    server_types: {
      supported: serverTypes.map((type) => type.id),
      available: availableIn(location),
      available_for_migration: availableIn(location),
    },
  });
  const availableIn = (location: string) =>
    serverTypes.filter(({ name }) => offerOf(name, location).available).map((type) => type.id);
  const addressesOf = (server: Server) => {
    const of = (type: string) =>
      account.primaryIps.find((ip) => ip.assignee_id === server.id && ip.type === type);
    return { ipv4: of('ipv4'), ipv6: of('ipv6') };
  };
  const serverResult = (server: Server) => {
    const { ipv4, ipv6 } = addressesOf(server);
    return {
      id: server.id,
      name: server.name,
      status: server.status,
      created: server.created,
      labels: server.labels,
      protection: server.protection,
      public_net: {
        ipv4: ipv4 && {
          id: ipv4.id,
          ip: ipv4.ip,
          blocked: false,
          dns_ptr: ipv4.dns_ptr[0]?.dns_ptr ?? '',
        },
        ipv6: ipv6 && { id: ipv6.id, ip: ipv6.ip, blocked: false, dns_ptr: ipv6.dns_ptr },
        floating_ips: [],
        firewalls: account.firewalls
          .filter((firewall) => firewall.servers.includes(server.id))
          .map((firewall) => ({ id: firewall.id, status: 'applied' })),
      },
      private_net: [],
      server_type: serverTypeResult(serverTypes.find((type) => type.name === server.serverType)!),
      datacenter: datacenterOf(server.location),
      location: locationOf(server.location),
      image: images.find((image) => image.name === server.image),
      iso: null,
      rescue_enabled: false,
      locked: busy.has(`server-${server.id}`),
      backup_window: null,
      outgoing_traffic: 0,
      ingoing_traffic: 0,
      included_traffic: 20e12,
      primary_disk_size: 40,
      volumes: account.volumes
        .filter((volume) => volume.server === server.id)
        .map((volume) => volume.id),
      load_balancers: [],
      placement_group: null,
    };
  };

  const enforce = async (serverId: number) => {
    const own = account.firewalls.filter((firewall) => firewall.servers.includes(serverId));
    const rules = own.flatMap((firewall) => firewall.rules.map((r) => backendRule(rule.parse(r))));
    await backend.setFirewall(serverId, own.length > 0 ? rules : undefined);
  };

  /** Brings back what the account has, after a restart of all that it is served from. */
  const resume = async () => {
    for (const { dns_ptr } of account.primaryIps) {
      for (const pointer of dns_ptr) await backend.setReverse(pointer.ip, pointer.dns_ptr);
    }
    for (const server of account.servers) await backend.connectMachine(server.id);
    for (const volume of account.volumes) {
      if (volume.server !== null) await backend.attachVolume(volume.id, volume.server);
    }
    for (const server of account.servers) {
      await enforce(server.id);
      if (server.status === 'running') await backend.powerOn(server.id);
    }
  };

  const app = fastify();
  app.addHook('onReady', resume);
  app.setErrorHandler((error, _request, reply) => {
    const known =
      error instanceof ApiError
        ? error
        : error instanceof z.ZodError
          ? new ApiError(422, 'invalid_input', z.prettifyError(error))
          : new ApiError(500, 'server_error', String(error));
    if (known.status === 500) console.error(error);
    return reply
      .status(known.status)
      .send({ error: { code: known.code, message: known.message, details: known.details } });
  });
  app.setNotFoundHandler((request, reply) =>
    reply.status(404).send({
      error: { code: 'not_found', message: `no such path: ${request.method} ${request.url}` },
    }),
  );
  // Bodiless POSTs and DELETEs come with a JSON content type.
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    try {
      done(null, text === '' ? {} : JSON.parse(text as string));
    } catch (error) {
      done(error as Error);
    }
  });
  app.addHook('onRequest', (request, reply, done) => {
    if (request.headers.authorization !== `Bearer ${token}`) {
      void reply
        .status(401)
        .send({ error: { code: 'unauthorized', message: 'unable to authenticate' } });
      return;
    }
    done();
  });
  app.addHook('onResponse', (request, _reply, done) => {
    if (request.method !== 'GET') save();
    done();
  });

  const idOf = (request: FastifyRequest) => z.object({ id }).parse(request.params).id;
  const list = (
    path: string,
    key: string,
    items: () => (Record<string, unknown> & { id: number; name?: string })[],
  ) => {
    app.get(`/v1/${path}`, (request) => {
      const query = z
        .looseObject({
          page: z.coerce.number().default(1),
          per_page: z.coerce.number().default(25),
        })
        .parse(request.query);
      const wanted = items().filter((item) =>
        ['id', 'name', 'architecture', 'fingerprint', 'ip', 'type'].every((field) => {
          const asked = query[field];
          return asked === undefined || [asked].flat().map(String).includes(String(item[field]));
        }),
      );
      const from = (query.page - 1) * query.per_page;
      const lastPage = Math.max(1, Math.ceil(wanted.length / query.per_page));
      return {
        [key]: wanted.slice(from, from + query.per_page),
        meta: {
          pagination: {
            page: query.page,
            per_page: query.per_page,
            previous_page: query.page > 1 ? query.page - 1 : null,
            next_page: query.page < lastPage ? query.page + 1 : null,
            last_page: lastPage,
            total_entries: wanted.length,
          },
        },
      };
    });
    app.get(`/v1/${path}/:id`, (request) => {
      const found = items().find((item) => item.id === idOf(request));
      if (found === undefined) throw new ApiError(404, 'not_found', `${path} not found`);
      return { [key.replace(/ies$/, 'y').replace(/s$/, '')]: found };
    });
  };
  list('server_types', 'server_types', () => serverTypes.map(serverTypeResult));
  list('locations', 'locations', () => locations);
  list('datacenters', 'datacenters', () => locations.map((l) => datacenterOf(l.name)));
  list('images', 'images', () => images);
  list('actions', 'actions', () => account.actions as unknown as { id: number }[]);
  list('ssh_keys', 'ssh_keys', () => account.sshKeys as unknown as { id: number }[]);
  list('primary_ips', 'primary_ips', () => account.primaryIps.map(primaryIpResult));
  list('volumes', 'volumes', () => account.volumes.map(volumeResult));
  list('firewalls', 'firewalls', () => account.firewalls.map(firewallResult));
  list('servers', 'servers', () => account.servers.map(serverResult));

  const rename = (
    path: string,
    collection: Collection,
    key: string,
    result: (item: never) => unknown,
  ) => {
    app.put(`/v1/${path}/:id`, (request) => {
      const item = find(collection, idOf(request));
      const change = z
        .object({
          name: z.string().optional(),
          labels: z.record(z.string(), z.string()).optional(),
          auto_delete: z.boolean().optional(),
        })
        .parse(request.body);
      Object.assign(item, change);
      return { [key]: result(item as never) };
    });
  };
  rename('ssh_keys', 'sshKeys', 'ssh_key', (k) => k);
  rename('primary_ips', 'primaryIps', 'primary_ip', primaryIpResult);
  rename('volumes', 'volumes', 'volume', volumeResult);
  rename('firewalls', 'firewalls', 'firewall', firewallResult);
  rename('servers', 'servers', 'server', serverResult);

  const protect = (
    path: string,
    collection: 'primaryIps' | 'volumes' | 'servers',
    type: string,
  ) => {
    app.post(`/v1/${path}/:id/actions/change_protection`, (request, reply) => {
      const item = find(collection, idOf(request));
      const change = z
        .object({ delete: z.boolean().optional(), rebuild: z.boolean().optional() })
        .parse(request.body);
      const next = { ...item.protection, ...change };
      if (collection === 'servers' && next.delete !== next.rebuild) {
        throw new ApiError(422, 'invalid_input', 'delete and rebuild protection must be equal');
      }
      item.protection = next;
      void reply.status(201);
      return { action: begin('change_protection', type, item.id, () => Promise.resolve()) };
    });
  };
  protect('primary_ips', 'primaryIps', 'primary_ip');
  protect('volumes', 'volumes', 'volume');
  protect('servers', 'servers', 'server');

  app.post('/v1/ssh_keys', (request, reply) => {
    const body = z.object({ name: z.string(), public_key: z.string(), labels }).parse(request.body);
    unique('sshKeys', body.name);
    const blob = Buffer.from(body.public_key.split(' ')[1] ?? '', 'base64');
    const fingerprint = createHash('md5')
      .update(blob)
      .digest('hex')
      .replace(/..(?!$)/g, '$&:');
    const key: SshKey = {
      ...named(body.name, body.labels),
      public_key: body.public_key,
      fingerprint,
    };
    account.sshKeys.push(key);
    void reply.status(201);
    return { ssh_key: key };
  });
  app.delete('/v1/ssh_keys/:id', (request, reply) => {
    account.sshKeys = without(account.sshKeys, find('sshKeys', idOf(request)));
    return reply.status(204).send();
  });

  app.post('/v1/primary_ips', (request, reply) => {
    const body = z
      .looseObject({
        name: z.string(),
        type: z.enum(['ipv4', 'ipv6']),
        auto_delete: z.boolean().default(false),
        location: z.string().optional(),
        datacenter: z.string().optional(),
        labels,
      })
      .parse(request.body);
    unique('primaryIps', body.name);
    const pool = body.type === 'ipv4' ? backend.network.ipv4Pool : backend.network.ipv6Networks;
    const ip = pool.find((candidate) => !account.primaryIps.some((used) => used.ip === candidate));
    if (ip === undefined) throw new ApiError(403, 'resource_limit_exceeded', 'no address is free');
    const primary: PrimaryIp = {
      ...named(body.name, body.labels),
      type: body.type,
      ip,
      assignee_id: null,
      auto_delete: body.auto_delete,
      location: body.location ?? body.datacenter?.split('-')[0] ?? 'fsn1',
      dns_ptr: [],
      protection: { delete: false },
    };
    account.primaryIps.push(primary);
    void reply.status(201);
    return { primary_ip: primaryIpResult(primary) };
  });
  app.delete('/v1/primary_ips/:id', async (request, reply) => {
    const ip = find('primaryIps', idOf(request));
    deletable(ip);
    if (ip.assignee_id !== null)
      throw new ApiError(422, 'resource_in_use', 'primary IP is assigned to a server');
    for (const pointer of ip.dns_ptr) await backend.setReverse(pointer.ip, undefined);
    account.primaryIps = without(account.primaryIps, ip);
    return reply.status(204).send();
  });
  app.post('/v1/primary_ips/:id/actions/change_dns_ptr', (request, reply) => {
    const ip = find('primaryIps', idOf(request));
    const { ip: address, dns_ptr: name } = z
      .object({ ip: z.string(), dns_ptr: z.string().nullable() })
      .parse(request.body);
    ip.dns_ptr = ip.dns_ptr.filter((pointer) => pointer.ip !== address);
    if (name !== null) ip.dns_ptr.push({ ip: address, dns_ptr: name });
    void reply.status(201);
    return {
      action: begin('change_dns_ptr', 'primary_ip', ip.id, () =>
        backend.setReverse(address, name ?? undefined),
      ),
    };
  });
  app.post('/v1/primary_ips/:id/actions/unassign', (request, reply) => {
    const ip = find('primaryIps', idOf(request));
    ip.assignee_id = null;
    void reply.status(201);
    return { action: begin('unassign_primary_ip', 'primary_ip', ip.id, () => Promise.resolve()) };
  });

  app.post('/v1/volumes', (request, reply) => {
    const body = z
      .looseObject({
        name: z.string(),
        size: z.number().int().min(10).max(10240),
        location: z.string().optional(),
        format: z.enum(['ext4', 'xfs']).optional(),
        server: id.optional(),
        labels,
      })
      .parse(request.body);
    unique('volumes', body.name);
    const location =
      body.location ?? (body.server === undefined ? 'fsn1' : find('servers', body.server).location);
    const volume: Volume = {
      ...named(body.name, body.labels),
      size: body.size,
      location,
      format: body.format ?? null,
      server: body.server ?? null,
      protection: { delete: false },
    };
    account.volumes.push(volume);
    const action = begin('create_volume', 'volume', volume.id, async () => {
      await backend.createVolume({ id: volume.id, sizeGb: volume.size, format: body.format });
      if (volume.server !== null) await backend.attachVolume(volume.id, volume.server);
    });
    void reply.status(201);
    return { volume: volumeResult(volume), action, next_actions: [] };
  });
  app.delete('/v1/volumes/:id', async (request, reply) => {
    const volume = find('volumes', idOf(request));
    deletable(volume);
    if (volume.server !== null)
      throw new ApiError(422, 'volume_still_attached', 'volume is attached to a server');
    await backend.deleteVolume(volume.id);
    account.volumes = without(account.volumes, volume);
    return reply.status(204).send();
  });
  app.post('/v1/volumes/:id/actions/attach', (request, reply) => {
    const volume = find('volumes', idOf(request));
    const { server } = z.looseObject({ server: id }).parse(request.body);
    if (volume.server !== null)
      throw new ApiError(422, 'volume_already_attached', 'volume is attached already');
    find('servers', server);
    if (busy.has(`server-${server}`)) throw new ApiError(423, 'locked', 'server is locked');
    volume.server = server;
    void reply.status(201);
    return {
      action: begin('attach_volume', 'volume', volume.id, () =>
        backend.attachVolume(volume.id, server),
      ),
    };
  });
  app.post('/v1/volumes/:id/actions/detach', (request, reply) => {
    const volume = find('volumes', idOf(request));
    volume.server = null;
    void reply.status(201);
    return {
      action: begin('detach_volume', 'volume', volume.id, () => backend.detachVolume(volume.id)),
    };
  });
  app.post('/v1/volumes/:id/actions/resize', (request, reply) => {
    const volume = find('volumes', idOf(request));
    const { size } = z.object({ size: z.number().int() }).parse(request.body);
    if (size <= volume.size) throw new ApiError(422, 'invalid_input', 'a volume can only grow');
    volume.size = size;
    void reply.status(201);
    return {
      action: begin('resize_volume', 'volume', volume.id, () =>
        backend.resizeVolume(volume.id, size),
      ),
    };
  });

  app.post('/v1/firewalls', (request, reply) => {
    const body = z
      .object({
        name: z.string(),
        rules: z.array(rule).default([]),
        apply_to: applied.default([]),
        labels,
      })
      .parse(request.body);
    unique('firewalls', body.name);
    const firewall: Firewall = {
      ...named(body.name, body.labels),
      rules: body.rules.map(storedRule),
      servers: body.apply_to.flatMap(({ server }) => server?.id ?? []),
    };
    account.firewalls.push(firewall);
    void reply.status(201);
    return {
      firewall: firewallResult(firewall),
      actions: firewall.servers.map((s) => begin('apply_firewall', 'server', s, () => enforce(s))),
    };
  });
  app.delete('/v1/firewalls/:id', (request, reply) => {
    const firewall = find('firewalls', idOf(request));
    if (firewall.servers.length > 0)
      throw new ApiError(422, 'resource_in_use', 'firewall is still in use');
    account.firewalls = without(account.firewalls, firewall);
    return reply.status(204).send();
  });
  app.post('/v1/firewalls/:id/actions/set_rules', (request, reply) => {
    const firewall = find('firewalls', idOf(request));
    firewall.rules = z
      .object({ rules: z.array(rule).default([]) })
      .parse(request.body)
      .rules.map(storedRule);
    void reply.status(201);
    return {
      actions: [
        begin('set_firewall_rules', 'firewall', firewall.id, async () => {
          for (const server of firewall.servers) await enforce(server);
        }),
      ],
    };
  });
  const membership = (
    path: string,
    field: string,
    command: string,
    change: (servers: number[], server: number) => number[],
  ) => {
    app.post(`/v1/firewalls/:id/actions/${path}`, (request, reply) => {
      const firewall = find('firewalls', idOf(request));
      const body = z.looseObject({ [field]: applied }).parse(request.body);
      const servers = (body[field] as z.infer<typeof applied>).flatMap(
        ({ server }) => server?.id ?? [],
      );
      const actions = servers.map((server) => {
        firewall.servers = change(firewall.servers, server);
        return begin(command, 'firewall', firewall.id, () => enforce(server));
      });
      void reply.status(201);
      return { actions };
    });
  };
  membership('apply_to_resources', 'apply_to', 'apply_firewall', (servers, server) => [
    ...new Set([...servers, server]),
  ]);
  membership('remove_from_resources', 'remove_from', 'remove_firewall', (servers, server) =>
    servers.filter((s) => s !== server),
  );

  app.post('/v1/servers', (request, reply) => {
    const body = z
      .looseObject({
        name: z.string(),
        server_type: z.union([z.string(), z.number()]),
        image: z.union([z.string(), z.number()]),
        location: z.string().optional(),
        ssh_keys: z.array(id).default([]),
        user_data: z.string().max(32768).default(''),
        start_after_create: z.boolean().default(true),
        firewalls: z.array(z.object({ firewall: id })).default([]),
        volumes: z.array(id).default([]),
        public_net: z
          .looseObject({
            enable_ipv4: z.boolean().default(true),
            enable_ipv6: z.boolean().default(true),
            ipv4: id.nullish(),
            ipv6: id.nullish(),
          })
          .default({ enable_ipv4: true, enable_ipv6: true }),
        labels,
      })
      .parse(request.body);
    unique('servers', body.name);
    const location = body.location ?? 'fsn1';
    const type = offered(body.server_type, location);
    const image = images.find(
      (i) =>
        i.id === Number(body.image) ||
        (i.name === body.image && i.architecture === type.architecture),
    );
    if (image === undefined) throw new ApiError(422, 'invalid_input', 'unknown image');
    const net = body.public_net;
    const primary = (wanted: number | null | undefined) =>
      wanted == null ? undefined : find('primaryIps', wanted);
    const ips = [primary(net.ipv4), primary(net.ipv6)];
    for (const ip of ips) {
      if (ip !== undefined && ip.assignee_id !== null) {
        throw new ApiError(422, 'primary_ip_assigned', 'primary IP is already assigned');
      }
      if (ip !== undefined && ip.location !== location) {
        throw new ApiError(
          422,
          'primary_ip_datacenter_mismatch',
          'primary IP is in a different location',
        );
      }
    }
    if (ips.every((ip) => ip === undefined)) {
      throw new ApiError(
        422,
        'invalid_input',
        'the lab hands out addresses by primary IPs only: give public_net.ipv4 and ipv6',
      );
    }
    const server: Server = {
      ...named(body.name, body.labels),
      status: body.start_after_create ? 'running' : 'off',
      serverType: type.name,
      image: image.name,
      location,
      protection: { delete: false, rebuild: false },
    };
    account.servers.push(server);
    for (const ip of ips) if (ip !== undefined) ip.assignee_id = server.id;
    for (const { firewall } of body.firewalls) find('firewalls', firewall).servers.push(server.id);
    const spec = {
      id: server.id,
      name: server.name,
      image: image.name,
      userData: body.user_data,
      authorizedKeys: body.ssh_keys.map((key) => find('sshKeys', key).public_key),
      ipv4: ips[0]?.ip,
      ipv6: ips[1]?.ip.replace('/64', '1'),
    };
    const action = begin('create_server', 'server', server.id, async () => {
      await backend.createMachine(spec);
      if (!body.start_after_create) await backend.powerOff(server.id);
      await enforce(server.id);
    });
    void reply.status(201);
    return { server: serverResult(server), action, next_actions: [], root_password: null };
  });
  app.delete('/v1/servers/:id', async (request) => {
    const server = find('servers', idOf(request));
    deletable(server);
    for (const volume of account.volumes) {
      if (volume.server === server.id) {
        await backend.detachVolume(volume.id);
        volume.server = null;
      }
    }
    for (const firewall of account.firewalls) {
      firewall.servers = firewall.servers.filter((s) => s !== server.id);
    }
    account.primaryIps = account.primaryIps.filter(
      (ip) => ip.assignee_id !== server.id || !ip.auto_delete,
    );
    for (const ip of account.primaryIps) {
      if (ip.assignee_id === server.id) ip.assignee_id = null;
    }
    account.servers = without(account.servers, server);
    return {
      action: begin('delete_server', 'server', server.id, () => backend.deleteMachine(server.id)),
    };
  });
  const power = (path: string, status: Server['status'], work: (id: number) => Promise<void>) => {
    app.post(`/v1/servers/:id/actions/${path}`, (request, reply) => {
      const server = find('servers', idOf(request));
      void reply.status(201);
      return {
        action: begin(path, 'server', server.id, async () => {
          await work(server.id);
          server.status = status;
        }),
      };
    });
  };
  power('poweron', 'running', (s) => backend.powerOn(s));
  power('poweroff', 'off', (s) => backend.powerOff(s));
  // The action ends once the server was told; the server is off when it is.
  power('shutdown', 'running', (s) => {
    void backend.shutdown(s).then(
      () => Object.assign(find('servers', s), { status: 'off' }),
      () => undefined,
    );
    return Promise.resolve();
  });
  power('reboot', 'running', (s) => backend.reboot(s));
  app.post('/v1/servers/:id/actions/change_type', (request, reply) => {
    const server = find('servers', idOf(request));
    const { server_type: wanted } = z
      .looseObject({ server_type: z.union([z.string(), z.number()]) })
      .parse(request.body);
    if (server.status !== 'off')
      throw new ApiError(422, 'server_not_stopped', 'server must be off');
    const type = offered(wanted, server.location);
    const present = serverTypes.find(({ name }) => name === server.serverType)!;
    if (type.architecture !== present.architecture || type.disk < present.disk)
      throw new ApiError(422, 'invalid_server_type', 'server type does not fit for the server');
    server.serverType = type.name;
    void reply.status(201);
    return {
      action: begin('change_server_type', 'server', server.id, async () => {
        await backend.powerOn(server.id);
        server.status = 'running';
      }),
    };
  });
  return app;
}

function storedRule(input: z.infer<typeof rule>) {
  return {
    direction: input.direction,
    protocol: input.protocol,
    port: input.port ?? null,
    source_ips: input.source_ips ?? [],
    destination_ips: input.destination_ips ?? [],
    description: input.description ?? null,
  };
}

function backendRule(input: z.infer<typeof rule>): FirewallRule {
  return {
    direction: input.direction,
    protocol: input.protocol,
    port: input.port ?? undefined,
    sourceIps: input.source_ips ?? [],
    destinationIps: input.destination_ips ?? [],
  };
}
