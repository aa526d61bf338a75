import type { Fault } from '../../lab/cloud/faults';
import { described, hcloud, lost, refused, silent, type Wrong } from './cloud';

/** The calls of a switch in their order, and how often each comes: for one server or both, and for each address. */
const calls: [path: string, count: number][] = [
  ['/firewalls/\\d+/actions/remove_from_resources', 1],
  ['/firewalls/\\d+/actions/apply_to_resources', 1],
  ['/servers/\\d+/actions/poweroff', 2],
  ['/primary_ips/\\d+/actions/unassign', 4],
  ['/primary_ips/\\d+/actions/assign', 4],
  ['/servers/\\d+/actions/poweron', 2],
  ['/volumes/\\d+/actions/detach', 1],
  ['/volumes/\\d+/actions/attach', 1],
];

const each = (wrong: Wrong): Fault[] =>
  calls.flatMap(([path, count]) =>
    Array.from({ length: count }, (_, after) => ({ ...hcloud('POST', path, wrong), after })),
  );

/** Each call failing once. */
export const switchFaults = {
  refused: each(refused(500)),
  lost: each(lost),
  silent: calls.map(([path]) => hcloud('POST', path, silent)),
};

export const titleOf = (fault: Fault): string =>
  `${described(fault)}${fault.after === undefined ? '' : `, call ${fault.after + 1} of these`}`;
