import { readFileSync } from 'node:fs';
import { pulumiProcesses } from '../lab/state';
import { EngineOnly } from './engineOnly/program';
import { figure, ratio, say, timed, type Figure, type Part } from './frame';
import { manyHosts } from './manyHosts/stack';

/** MiB of all processes of the engine, its language host and its plugins together, at most. */
class Memory {
  private most = 0;
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly home: string) {
    this.timer = setInterval(() => this.sample(), 250);
  }

  end(): number {
    clearInterval(this.timer);
    return this.most;
  }

  private sample(): void {
    const sizes = pulumiProcesses(this.home).map(({ pid }) => {
      try {
        const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
        return Number(/^Pss:\s+(\d+)/m.exec(rollup)![1]) / 1024;
      } catch {
        // It ended meanwhile.
        return 0;
      }
    });
    this.most = Math.max(
      this.most,
      sizes.reduce((sum, size) => sum + size, 0),
    );
  }
}

/** The straight line through the points that lies nearest to them, and how much of their spread it explains. */
function fit(points: { x: number; y: number }[]): { slope: number; r2: number } {
  const mean = (values: number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
  const [mx, my] = [mean(points.map(({ x }) => x)), mean(points.map(({ y }) => y))];
  const sum = (of: (x: number, y: number) => number) =>
    points.reduce((all, { x, y }) => all + of(x - mx, y - my), 0);
  const slope = sum((x, y) => x * y) / sum((x) => x * x);
  const spread = sum((_, y) => y * y);
  return { slope, r2: spread === 0 ? 1 : (slope * sum((x, y) => x * y)) / spread };
}

const of = (domains: number) => `${domains} domain${domains === 1 ? '' : 's'}`;

async function domains(sizes: number[], quick: boolean): Promise<Figure[]> {
  const figures: Figure[] = [];
  const points = new Map<string, { x: number; y: number }[]>();
  const add = (what: string, size: number, unit: string, values: number[]) => {
    const one = figure(`${what}: ${of(size)}`, unit, values);
    say(`${one.name}: ${one.value.toFixed(2)} ${unit}`);
    figures.push(one);
    points.set(what, [...(points.get(what) ?? []), { x: size, y: one.value }]);
    return one;
  };
  for (const size of sizes) {
    const runs = quick ? 1 : size <= 10 ? 5 : 3;
    const { cloud, stack } = await manyHosts(1, size);
    const measure = async (command: string[]) => {
      const memory = new Memory(stack.env.PULUMI_HOME!);
      let output = '';
      const seconds = await timed(async () => {
        const result = await stack.run(command);
        if (result.status !== 0) throw new Error(result.output);
        output = result.output;
      });
      return { seconds, megabytes: memory.end(), output };
    };
    const repeat = async (what: string, command: string[]) => {
      const all = [];
      for (let run = 0; run < runs; run++) all.push(await measure(command));
      add(
        `${what}, memory`,
        size,
        'MiB',
        all.map(({ megabytes }) => megabytes),
      );
      return add(
        what,
        size,
        's',
        all.map(({ seconds }) => seconds),
      );
    };

    await repeat('first preview', ['preview']);
    const before = { ...cloud.requests };
    const { seconds, output } = await measure(['up', '--yes', '--skip-preview']);
    add('first up without a host', size, 's', [seconds]);
    add('first up, calls of Cloudflare', size, '', [cloud.requests.cloudflare - before.cloudflare]);
    add('first up, calls of Hetzner', size, '', [cloud.requests.hcloud - before.hcloud]);
    const resources = Number(/\+ (\d+) created/.exec(output)![1]);
    add('resources', size, '', [resources]);
    const noop = await repeat('nothing changed', [
      'up',
      '--yes',
      '--skip-preview',
      '--expect-no-changes',
    ]);
    const bare = new EngineOnly(stack, 'nothing', { mailhost: resources });
    bare.create();
    const bareSeconds = [];
    for (let run = 0; run < runs; run++) bareSeconds.push(await timed(() => bare.up()));
    const engine = add('nothing changed, engine only', size, 's', bareSeconds);
    figures.push({ ...ratio(noop, engine), name: `nothing changed / engine only: ${of(size)}` });
    await cloud.close();
  }
  for (const [what, all] of points) {
    const unit = figures.find(({ name }) => name.startsWith(`${what}: `))!.unit;
    const { slope, r2 } = fit(all);
    const [shown, value] = unit === 's' ? ['ms', slope * 1000] : [unit, slope];
    figures.push(figure(`${what}: each domain more`, shown, [value]));
    // Counts are the same for every domain.
    if (unit !== '')
      figures.push(figure(`${what}: R² of the straight line`, '', [r2], { least: 0.99 }));
  }
  return figures;
}

export const scale: Part = {
  title: 'Many domains',
  method: `One host with 1 to 200 domains, each with ten accounts and a zone of its own, planned and made against the lab's
cloud APIs with no machine behind them: its SSH server says to every command that it succeeded. So this is what the plan
costs: the program, the engine, the plugins and the APIs' answers, all on this machine. *Engine only* is a program of as
many resources that does nothing. The engine writes its state once at the end here (\`PULUMI_SKIP_CHECKPOINTS\`); by
default it writes all of it after each change, which grows by the square of the number of resources.`,
  run: ({ quick }) => domains(quick ? [1, 10] : [1, 10, 50, 200], quick),
};
