import { figure, ratio, say, timed, type Figure, type Part } from './frame';
import { manyHosts } from './manyHosts/stack';

/** Seconds of each command on a host. */
const commandSeconds = 1;

async function run({ quick }: { quick: boolean }): Promise<Figure[]> {
  const sizes = quick ? [1, 2] : [1, 2, 5, 10];
  const rounds = quick ? 1 : 3;
  const measured = new Map(sizes.map((size) => [size, [] as number[]]));
  for (let round = 0; round < rounds; round++) {
    for (const [size, all] of measured) {
      const { cloud, stack } = await manyHosts(size, 1, { commandSeconds });
      const seconds = await timed(async () => {
        const { status, output } = await stack.up();
        if (status !== 0) throw new Error(output);
      });
      say(`${name(size)}: ${seconds.toFixed(1)} s`);
      all.push(seconds);
      await cloud.close();
    }
  }
  const figures = [...measured].map(([size, all]) => figure(name(size), 's', all));
  const [one, ...more] = figures;
  return [...more.map((many) => ratio(many, one!)), ...figures];
}

const name = (size: number) => `first up: ${size} host${size === 1 ? '' : 's'}`;

export const hosts: Part = {
  title: 'Many hosts in one stack',
  method: `1 to 10 hosts in one stack, each with one domain. The step on the hosts is stubbed, as two cores cannot carry ten
real ones: every command on a host takes ${commandSeconds} s and does nothing. What is seen is whether the hosts are made
side by side, and what each more costs the engine, which writes its state once at the end, as above.`,
  run,
};
