import { server } from '../machine';
import type { Rule } from './draft';

/** These form what the stack makes at Hetzner: its server, volume, addresses and cloud firewall. */
const ofServer = [...(Object.keys(server) as (keyof typeof server)[]), 'adminNetworks'] as const;

/** A value that is the default may come from Pulumi.yaml, and has no effect. */
export const machineIsGivenOrMade: Rule = function* ({ machine, ...draft }) {
  if (machine === undefined) return;
  for (const key of ofServer) {
    const value = draft[key];
    const isDefault =
      key === 'adminNetworks'
        ? draft.adminNetworks?.every((network) => network?.endsWith('/0'))
        : value === server[key].parse(undefined);
    if (value !== undefined && !isDefault)
      yield {
        path: [key],
        ...(typeof value === 'object' ? {} : { value }),
        problem: `${advice[key] ?? 'applies only to a server that the stack makes'}, and machine is given; remove one of them`,
        remedy: { path: [key], remove: true },
      };
  }
};

const advice: Partial<Record<(typeof ofServer)[number], string>> = {
  adminNetworks: 'applies only to the cloud firewall of a server that the stack makes',
  ipv6: 'applies only to a server that the stack makes, while machine.ipv6 has that of a machine',
};
