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

/** They name accounts, so they are for networks that are named. */
export const metricsHaveReaders: Rule = function* ({ metrics, web, adminNetworks }) {
  if (!metrics) return;
  if (web === false)
    yield {
      path: ['metrics'],
      problem: 'needs the web server, which serves them',
      remedy: { path: ['web'], value: true },
    };
  if (adminNetworks?.every((network) => network?.endsWith('/0')))
    yield {
      path: ['metrics'],
      problem: 'would be served to nobody: adminNetworks names no network but that of everyone',
      remedy: { path: ['metrics'], value: false },
    };
};
