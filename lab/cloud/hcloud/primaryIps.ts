import { z } from 'zod';
import { ApiError } from '../api';
import { mustBeDeletable, type PrimaryIp } from './account';
import { locationNamed } from './catalogue';
import { collection, created, idOf, nothing, protect, type Hcloud } from './collection';

const creation = created.extend({
  type: z.enum(['ipv4', 'ipv6']),
  auto_delete: z.boolean().default(false),
  location: z.string().optional(),
  datacenter: z.string().optional(),
});
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
  action('unassign', 'unassign_primary_ip', (ip) => {
    ip.assignee_id = null;
    return nothing;
  });
}
