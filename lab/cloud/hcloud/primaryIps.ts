import { z } from 'zod';
import { ApiError } from '../api';
import { mustBeDeletable, type Account, type PrimaryIp, type Server } from './account';
import { locationNamed } from './catalogue';
import { collection, created, id, idOf, protect, type Hcloud } from './collection';

const creation = created.extend({
  type: z.enum(['ipv4', 'ipv6']),
  auto_delete: z.boolean().default(false),
  location: z.string().optional(),
  datacenter: z.string().optional(),
});
const assignment = z.looseObject({ assignee_id: id });
const pointer = z.object({ ip: z.string(), dns_ptr: z.string().nullable() });

export function primaryIps(cloud: Hcloud): void {
  const { app, account, backend, catalogue } = cloud;
  const report = ({ location, ...ip }: PrimaryIp) => ({
    ...ip,
    assignee_type: 'server',
    blocked: false,
    location: locationNamed(location),
    datacenter: catalogue.datacenter(location),
  });
  const action = collection(cloud, 'primary_ips', report);

  app.post('/v1/primary_ips', (request) => {
    const body = creation.parse(request.body);
    const { type, auto_delete } = body;
    const location = body.location ?? body.datacenter?.split('-')[0] ?? 'fsn1';
    const pool = type === 'ipv4' ? backend.network.ipv4Pool : backend.network.ipv6Networks;
    const ip = pool.find((free) => !account.items.primary_ips.some((used) => used.ip === free));
    if (ip === undefined) throw new ApiError(403, 'resource_limit_exceeded', 'no address is free');
    const made = account.add('primary_ips', body, {
      type,
      ip,
      assignee_id: null,
      auto_delete,
      location: locationNamed(location).name,
      dns_ptr: [],
      protection: { delete: false },
    });
    return { primary_ip: report(made) };
  });
  app.delete('/v1/primary_ips/:id', async (request, reply) => {
    const ip = account.find('primary_ips', idOf(request));
    mustBeDeletable(ip);
    if (ip.assignee_id !== null)
      throw new ApiError(422, 'resource_in_use', 'primary IP is assigned to a server');
    for (const { ip: address } of ip.dns_ptr) await backend.setReverse(address, undefined);
    account.remove('primary_ips', ip);
    return reply.status(204).send();
  });
  action('change_protection', 'change_protection', protect);
  action('change_dns_ptr', 'change_dns_ptr', (ip, body) => {
    const { ip: address, dns_ptr: name } = pointer.parse(body);
    ip.dns_ptr = ip.dns_ptr.filter((other) => other.ip !== address);
    if (name !== null) ip.dns_ptr.push({ ip: address, dns_ptr: name });
    return () => backend.setReverse(address, name ?? undefined);
  });
  action('assign', 'assign_primary_ip', (ip, body) => {
    const { assignee_id } = assignment.parse(body);
    const server = account.find('servers', assignee_id);
    if (ip.assignee_id !== null)
      throw new ApiError(409, 'primary_ip_already_assigned', 'primary IP is already assigned');
    mustBeOff(server);
    if (account.items.primary_ips.some((o) => o.assignee_id === server.id && o.type === ip.type))
      throw new ApiError(409, `server_has_${ip.type}`, `server already has an ${ip.type} address`);
    if (server.location !== ip.location)
      throw new ApiError(422, 'server_error', 'primary IP is in a different location');
    ip.assignee_id = server.id;
    return () => backend.setAddresses(server.id, addressesOf(account, server.id));
  });
  action('unassign', 'unassign_primary_ip', (ip) => {
    const server = account.items.servers.find(({ id: own }) => own === ip.assignee_id);
    if (server === undefined)
      throw new ApiError(422, 'primary_ip_not_assigned', 'primary IP is not assigned');
    mustBeOff(server);
    ip.assignee_id = null;
    return () => backend.setAddresses(server.id, addressesOf(account, server.id));
  });
}

/** @throws ApiError while the server is on: an address neither comes to it nor leaves it then */
function mustBeOff({ status }: Server): void {
  if (status !== 'off')
    throw new ApiError(422, 'server_not_stopped', 'server must be off for this action');
}

/** The addresses in use of a server. */
export function addressesOf({ items }: Account, server: number) {
  const of = (type: PrimaryIp['type']) =>
    items.primary_ips.find((ip) => ip.assignee_id === server && ip.type === type)?.ip;
  return { ipv4: of('ipv4'), ipv6: of('ipv6')?.replace('/64', '1') };
}
