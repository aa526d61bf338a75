import { z } from 'zod';
import { ApiError } from '../api';
import type { Action, Firewall } from './account';
import { collection, created, id, idOf, type Hcloud } from './collection';

const orNull = z
  .string()
  .nullish()
  .transform((text) => text ?? null);
const networks = z
  .array(z.string())
  .nullish()
  .transform((list) => list ?? []);
const rule = z.object({
  direction: z.enum(['in', 'out']),
  protocol: z.enum(['tcp', 'udp', 'icmp', 'esp', 'gre']),
  port: orNull,
  source_ips: networks,
  destination_ips: networks,
  description: orNull,
});

const rules = z.array(rule).default([]);
const serverIds = z
  .array(z.looseObject({ server: z.object({ id }).optional() }))
  .transform((resources) => resources.flatMap(({ server }) => server?.id ?? []));
const creation = created.extend({ rules, apply_to: serverIds.prefault([]) });

/** Has the network filter a server's link by the rules of all its firewalls. */
export async function enforce({ account, backend }: Hcloud, server: number): Promise<void> {
  const own = account.items.firewalls.filter(({ servers }) => servers.includes(server));
  const inForce = own.flatMap((firewall) =>
    firewall.rules.map(({ direction, protocol, port, source_ips, destination_ips }) => ({
      direction,
      protocol,
      port: port ?? undefined,
      sourceIps: source_ips,
      destinationIps: destination_ips,
    })),
  );
  await backend.setFirewall(server, own.length > 0 ? inForce : undefined);
}

export function firewalls(cloud: Hcloud): void {
  const { app, account, actions } = cloud;
  const report = ({ servers, ...firewall }: Firewall) => ({
    ...firewall,
    applied_to: servers.map((server) => ({ type: 'server', server: { id: server } })),
  });
  collection(cloud, 'firewalls', report);

  app.post('/v1/firewalls', (request) => {
    const body = creation.parse(request.body);
    const firewall = account.add('firewalls', body, { rules: body.rules, servers: body.apply_to });
    return {
      firewall: report(firewall),
      actions: firewall.servers.map((server) =>
        actions.begin('apply_firewall', 'server', server, () => enforce(cloud, server)),
      ),
    };
  });
  app.delete('/v1/firewalls/:id', (request, reply) => {
    const firewall = account.find('firewalls', idOf(request));
    if (firewall.servers.length > 0)
      throw new ApiError(422, 'resource_in_use', 'firewall is still in use');
    account.remove('firewalls', firewall);
    return reply.status(204).send();
  });

  // These answer a list of actions.
  const action = (name: string, handle: (firewall: Firewall, body: unknown) => Action[]) => {
    app.post(`/v1/firewalls/:id/actions/${name}`, (request) => ({
      actions: handle(account.find('firewalls', idOf(request)), request.body),
    }));
  };
  const begin = (command: string, { id: firewall }: Firewall, servers: number[]) =>
    actions.begin(command, 'firewall', firewall, async () => {
      for (const server of servers) await enforce(cloud, server);
    });
  action('set_rules', (firewall, body) => {
    firewall.rules = z.object({ rules }).parse(body).rules;
    return [begin('set_firewall_rules', firewall, firewall.servers)];
  });
  action('apply_to_resources', (firewall, body) => {
    const { apply_to } = z.looseObject({ apply_to: serverIds }).parse(body);
    return apply_to.map((server) => {
      firewall.servers = [...new Set([...firewall.servers, server])];
      return begin('apply_firewall', firewall, [server]);
    });
  });
  action('remove_from_resources', (firewall, body) => {
    const { remove_from } = z.looseObject({ remove_from: serverIds }).parse(body);
    return remove_from.map((server) => {
      firewall.servers = firewall.servers.filter((other) => other !== server);
      return begin('remove_firewall', firewall, [server]);
    });
  });
}
