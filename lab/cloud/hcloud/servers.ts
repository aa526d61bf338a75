import { z } from 'zod';
import { ApiError } from '../api';
import { mustBeDeletable, type Account, type PrimaryIp, type Server } from './account';
import { imageFor, images, locationNamed, serverTypeOf } from './catalogue';
import { collection, created, id, idOf, protect, type Hcloud } from './collection';
import { enforce } from './firewalls';
import { addressesOf } from './primaryIps';

const serverType = z.union([z.string(), z.number()]);
const creation = created.extend({
  server_type: serverType,
  image: z.union([z.string(), z.number()]),
  location: z.string().default('fsn1'),
  ssh_keys: z.array(id).default([]),
  user_data: z.string().max(32768).default(''),
  start_after_create: z.boolean().default(true),
  firewalls: z.array(z.object({ firewall: id })).default([]),
  public_net: z.looseObject({ ipv4: id.nullish(), ipv6: id.nullish() }).default({}),
});
type Creation = z.output<typeof creation>;

export function servers(cloud: Hcloud): void {
  const { app, account, actions, backend } = cloud;
  const report = (server: Server) => serverReport(cloud, server);
  const action = collection(cloud, 'servers', report);

  app.post('/v1/servers', (request) => {
    const body = creation.parse(request.body);
    const { server, work } = create(cloud, body);
    const creating = actions.begin('create_server', 'server', server.id, work);
    return { server: report(server), action: creating, next_actions: [], root_password: null };
  });
  app.delete('/v1/servers/:id', async (request) => {
    const server = account.find('servers', idOf(request));
    mustBeDeletable(server);
    await release(cloud, server);
    account.remove('servers', server);
    return {
      action: actions.begin('delete_server', 'server', server.id, () =>
        backend.deleteMachine(server.id),
      ),
    };
  });
  action('change_protection', 'change_protection', protect);
  action('poweron', 'poweron', (server) => async () => {
    await backend.powerOn(server.id);
    server.status = 'running';
  });
  action('poweroff', 'poweroff', (server) => async () => {
    await backend.powerOff(server.id);
    server.status = 'off';
  });
  // The action ends once the server got the signal; the server is off when it is.
  action('shutdown', 'shutdown', (server) => () => {
    void backend.shutdown(server.id).then(
      () => (server.status = 'off'),
      () => undefined,
    );
    return Promise.resolve();
  });
  action('reboot', 'reboot', (server) => async () => {
    await backend.reboot(server.id);
    server.status = 'running';
  });
  action('change_type', 'change_server_type', (server, body) => {
    const { server_type: wanted } = z.looseObject({ server_type: serverType }).parse(body);
    if (server.status !== 'off')
      throw new ApiError(422, 'server_not_stopped', 'server must be off');
    const [type, present] = [serverTypeOf(wanted), serverTypeOf(server.serverType)];
    cloud.catalogue.mustOffer(type, server.location);
    if (type.architecture !== present.architecture || type.disk < present.disk)
      throw new ApiError(422, 'invalid_server_type', 'server type does not fit for the server');
    server.serverType = type.name;
    return async () => {
      await backend.powerOn(server.id);
      server.status = 'running';
    };
  });
}

function create(cloud: Hcloud, body: Creation) {
  const { account, backend, catalogue } = cloud;
  const { location, start_after_create: starts } = body;
  const type = serverTypeOf(body.server_type);
  catalogue.mustOffer(type, location);
  const { name: image } = imageFor(body.image, type.architecture);
  const { ipv4, ipv6 } = body.public_net;
  const ips = [ipv4, ipv6].map((ip) => (ip == null ? undefined : freeIp(account, ip, location)));
  if (ips.every((ip) => ip === undefined)) {
    throw new ApiError(
      422,
      'invalid_input',
      'the lab hands out addresses by primary IPs only: give public_net.ipv4 and ipv6',
    );
  }
  const chosen = body.firewalls.map(({ firewall }) => account.find('firewalls', firewall));
  const authorizedKeys = body.ssh_keys.map((key) => account.find('ssh_keys', key).public_key);
  const server = account.add('servers', body, {
    status: starts ? 'running' : 'off',
    serverType: type.name,
    image,
    location,
    protection: { delete: false, rebuild: false },
  });
  for (const ip of ips) if (ip !== undefined) ip.assignee_id = server.id;
  for (const firewall of chosen) firewall.servers.push(server.id);
  const work = async () => {
    await backend.createMachine({
      id: server.id,
      name: server.name,
      image,
      userData: body.user_data,
      authorizedKeys,
      ...addressesOf(account, server.id),
    });
    if (!starts) await backend.powerOff(server.id);
    await enforce(cloud, server.id);
  };
  return { server, work };
}

/** A primary IP that a new server can get. */
function freeIp(account: Account, wanted: number, location: string): PrimaryIp {
  const ip = account.find('primary_ips', wanted);
  if (ip.assignee_id !== null)
    throw new ApiError(422, 'primary_ip_assigned', 'primary IP is already assigned');
  if (ip.location !== location) {
    const words = 'primary IP is in a different location';
    throw new ApiError(422, 'primary_ip_datacenter_mismatch', words);
  }
  return ip;
}

/** Takes a server's volumes, firewalls and addresses from it. */
async function release({ account, backend }: Hcloud, server: Server): Promise<void> {
  const { items } = account;
  for (const volume of items.volumes.filter((v) => v.server === server.id)) {
    await backend.detachVolume(volume.id);
    volume.server = null;
  }
  for (const firewall of items.firewalls)
    firewall.servers = firewall.servers.filter((other) => other !== server.id);
  for (const ip of items.primary_ips.filter((i) => i.assignee_id === server.id)) {
    if (ip.auto_delete) account.remove('primary_ips', ip);
    else ip.assignee_id = null;
  }
}

/** A server as the API reports it. */
function serverReport({ account, actions, catalogue }: Hcloud, server: Server) {
  const { id, name, status, created, labels, protection, location } = server;
  const { primary_ips, firewalls, volumes } = account.items;
  const ipOf = (type: PrimaryIp['type']) =>
    primary_ips.find((ip) => ip.assignee_id === id && ip.type === type);
  const [ipv4, ipv6] = [ipOf('ipv4'), ipOf('ipv6')];
  return {
    id,
    name,
    status,
    created,
    labels,
    protection,
    public_net: {
      ipv4: ipv4 && {
        id: ipv4.id,
        ip: ipv4.ip,
        blocked: false,
        dns_ptr: ipv4.dns_ptr[0]?.dns_ptr ?? '',
      },
      ipv6: ipv6 && { id: ipv6.id, ip: ipv6.ip, blocked: false, dns_ptr: ipv6.dns_ptr },
      floating_ips: [],
      firewalls: firewalls
        .filter((firewall) => firewall.servers.includes(id))
        .map((firewall) => ({ id: firewall.id, status: 'applied' })),
    },
    private_net: [],
    server_type: catalogue.serverType(serverTypeOf(server.serverType)),
    datacenter: catalogue.datacenter(location),
    location: locationNamed(location),
    image: images.find((image) => image.name === server.image),
    iso: null,
    rescue_enabled: false,
    locked: actions.isRunningOn('server', id),
    backup_window: null,
    outgoing_traffic: 0,
    ingoing_traffic: 0,
    included_traffic: 20e12,
    primary_disk_size: 40,
    volumes: volumes.filter((volume) => volume.server === id).map((volume) => volume.id),
    load_balancers: [],
    placement_group: null,
  };
}
