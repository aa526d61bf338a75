import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { Stack } from '../lab/stack';
import { findLab } from '../lab/state';
import { secondsText, spread, timed, type Spread } from './statistics';

/**
 * How long a `pulumi up` takes that has nothing to do, as a ratio to that of a bare program with as many resources of the
 * same packages, and to that of a bare program with as many resources of no package; in turns. Needs `make up`.
 */
const rounds = 7;
const lab = findLab('dev');
if (lab === undefined) throw new Error('no lab is up: make up');
const stack = new Stack(lab);
const project = join(__dirname, '..');
const other = join(__dirname, 'engineOnly');

const { resources } = (
  JSON.parse(stack.state()) as { checkpoint: { latest: { resources: { type: string }[] } } }
).checkpoint.latest;
/** Resources of each package; providers are none of the program. */
const counts: Record<string, number> = {};
for (const { type } of resources.filter((r) => !r.type.startsWith('pulumi:'))) {
  const [name] = type.split(':');
  counts[name!] = (counts[name!] ?? 0) + 1;
}
const count = Object.values(counts).reduce((sum, n) => sum + n);
const bare: Record<string, Record<string, number>> = {
  packages: counts,
  nothing: { mailhost: count },
};

const pulumi = (cwd: string, name: string, ...args: string[]) =>
  execFileSync('pulumi', [...args, '--cwd', cwd, '--stack', name], {
    env: { ...stack.env, PULUMI_STACK: undefined, BENCH_RESOURCES: JSON.stringify(bare[name]) },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
const up = (cwd: string, name: string) =>
  timed(() => pulumi(cwd, name, 'up', '--yes', '--skip-preview', '--expect-no-changes'));

async function main(): Promise<void> {
  for (const name of Object.keys(bare)) {
    pulumi(other, name, 'stack', 'select', '--create');
    pulumi(other, name, 'up', '--yes', '--skip-preview');
  }
  const seconds = { mailHost: [] as number[], packages: [] as number[], nothing: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    seconds.mailHost.push(await up(project, 'dev'));
    seconds.packages.push(await up(other, 'packages'));
    seconds.nothing.push(await up(other, 'nothing'));
  }
  pulumi(other, 'packages', 'destroy', '--yes', '--skip-preview');
  const [mailHost, packages, nothing] = [
    spread(seconds.mailHost),
    spread(seconds.packages),
    spread(seconds.nothing),
  ];
  const ratio = (of: Spread) => (mailHost.median / of.median).toFixed(2);
  console.log(`no-op up of the mail host, ${count} resources: ${secondsText(mailHost)}`);
  console.log(
    `bare program, as many of the same packages: ${secondsText(packages)}; ratio ${ratio(packages)}`,
  );
  console.log(
    `bare program, as many of no package: ${secondsText(nothing)}; ratio ${ratio(nothing)}`,
  );
}

void main();
