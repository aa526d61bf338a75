import { Stack } from '../../lab/stack';
import type { Lab } from '../../lab/state';
import { timed } from '../frame';

/** Previews a new stack of `domains` domains with ten accounts each. */
export async function manyDomains(
  lab: Lab,
  domains: number,
): Promise<{ resources: number; seconds: number; output: string }> {
  const stack = new Stack(lab, undefined, __dirname);
  stack.env.PULUMI_STACK = 'bench';
  stack.env.BENCH_DOMAINS = String(domains);
  // The engine writes its whole state after every resource, in a preview too: a cost that grows by the square, and not ours.
  stack.env.PULUMI_EXPERIMENTAL = 'true';
  stack.env.PULUMI_SKIP_CHECKPOINTS = 'true';
  await stack.select('bench');
  let output = '';
  const seconds = await timed(async () => {
    const result = await stack.run(['preview']);
    if (result.status !== 0) throw new Error(result.output);
    output = result.output;
  });
  return { resources: Number(/\+ (\d+) to create/.exec(output)?.[1]), seconds, output };
}
