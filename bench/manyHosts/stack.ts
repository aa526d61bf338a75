import type { Stack } from '../../lab/stack';
import { StubCloud, type StubOptions } from '../stubCloud';
import { domainsOf } from './domains';

/** A new stack of so many hosts, with so many domains each, in a stubbed cloud of its own, which has to be closed. */
export async function manyHosts(
  hosts: number,
  domains: number,
  options: StubOptions = {},
): Promise<{ cloud: StubCloud; stack: Stack }> {
  const zones = Array.from({ length: hosts }, (_, host) => domainsOf(host, domains)).flat();
  const cloud = await StubCloud.start(zones, options);
  const stack = await cloud.stack(__dirname, {
    BENCH_HOSTS: String(hosts),
    BENCH_DOMAINS: String(domains),
    // As much of a limit as the program takes of the real one; far too many calls to wait where there is none.
    BENCH_LIMIT: JSON.stringify(
      options.limit
        ? { calls: Math.floor((options.limit.requests * 11) / 12), seconds: options.limit.seconds }
        : { calls: 1e9, seconds: 1 },
    ),
    // By default the engine writes its whole state after every resource: a cost that grows by the square, and not ours.
    PULUMI_EXPERIMENTAL: 'true',
    PULUMI_SKIP_CHECKPOINTS: 'true',
  });
  return { cloud, stack };
}
