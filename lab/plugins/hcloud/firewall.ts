import type { Rule } from '../../cloud/hcloud/account';
import { sameSet } from '../difference';
import type { Properties } from '../values';
import { act } from './api';
import { collection } from './collection';

const rulesBody = ({ rules }: Properties) => ({
  rules: ((rules ?? []) as Properties[]).map(({ sourceIps, destinationIps, ...rule }) => ({
    ...rule,
    source_ips: sourceIps,
    destination_ips: destinationIps,
  })),
});

export const firewall = collection({
  path: 'firewalls',
  inputs: ['rules'],
  sets: ['rules'],
  deleteBeforeReplace: true,
  body: rulesBody,
  outputs: (item) => ({
    rules: (item.rules as Rule[]).map(({ source_ips, destination_ips, ...rule }) => ({
      ...rule,
      port: rule.port ?? undefined,
      description: rule.description ?? undefined,
      sourceIps: source_ips.length > 0 ? source_ips : undefined,
      destinationIps: destination_ips.length > 0 ? destination_ips : undefined,
    })),
  }),
  change: async (path, inputs, state) => {
    if (sameSet(inputs.rules, state.rules)) return;
    await act(`${path}/actions/set_rules`, rulesBody(inputs));
  },
  release: async (path, { applied_to }) => {
    if ((applied_to as unknown[]).length === 0) return;
    await act(`${path}/actions/remove_from_resources`, { remove_from: applied_to });
  },
});
