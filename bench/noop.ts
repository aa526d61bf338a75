import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Stack } from '../lab/stack';
import { findLab } from '../lab/state';

/**
 * How long a `pulumi up` takes that has nothing to do, as a ratio to one of as many resources without any plugin, in
 * turns. Needs `make up` to have run.
 */
const rounds = 7;
const lab = findLab('dev');
if (lab === undefined) throw new Error('no lab is up: make up');
const { env } = new Stack(lab);
const project = join(__dirname, '..');
const other = join(__dirname, 'engineOnly');

const state = readFileSync(join(lab.dir, 'pulumi/.pulumi/stacks/mailhost/dev.json'), 'utf8');
const { resources } = (
  JSON.parse(state) as { checkpoint: { latest: { resources: { type: string }[] } } }
).checkpoint.latest;
// Providers are no resources of the program.
const count = resources.filter(({ type }) => !type.startsWith('pulumi:')).length;

const pulumi = (cwd: string, stack: string, ...args: string[]) =>
  execFileSync('pulumi', [...args, '--cwd', cwd, '--stack', stack], {
    env: { ...env, PULUMI_STACK: undefined, BENCH_RESOURCES: String(count) },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
const timed = (cwd: string, stack: string) => {
  const start = process.hrtime.bigint();
  pulumi(cwd, stack, 'up', '--yes', '--skip-preview', '--expect-no-changes');
  return Number(process.hrtime.bigint() - start) / 1e9;
};
const spread = (seconds: number[]) => {
  const sorted = [...seconds].sort((a, b) => a - b);
  return { min: sorted[0]!, median: sorted[Math.floor(sorted.length / 2)]!, max: sorted.at(-1)! };
};
const text = ({ min, median, max }: ReturnType<typeof spread>) =>
  `${median.toFixed(2)} s (${min.toFixed(2)} to ${max.toFixed(2)})`;

pulumi(other, 'bench', 'stack', 'select', '--create');
pulumi(other, 'bench', 'up', '--yes', '--skip-preview');
const times = { mailHost: [] as number[], engineOnly: [] as number[] };
for (let round = 0; round < rounds; round++) {
  times.mailHost.push(timed(project, 'dev'));
  times.engineOnly.push(timed(other, 'bench'));
}
const [mailHost, engineOnly] = [spread(times.mailHost), spread(times.engineOnly)];
console.log(`no-op up of the mail host, ${count} resources: ${text(mailHost)}`);
console.log(`no-op up of ${count} resources without plugins: ${text(engineOnly)}`);
console.log(`ratio of the medians: ${(mailHost.median / engineOnly.median).toFixed(2)}`);
