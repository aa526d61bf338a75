import type { Rule } from './draft';

/** Pulumi connects by IPv4. */
export const pulumiCanConnect: Rule = function* ({ adminNetworks }) {
  const networks = adminNetworks?.filter((network) => network !== undefined) ?? [];
  if (networks.length === 0 || networks.some((network) => network.includes('.'))) return;
  yield {
    path: ['adminNetworks'],
    problem:
      'has no IPv4 network, and Pulumi connects by IPv4; add that of the machine that runs it',
  };
};
