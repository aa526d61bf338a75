import { figure, ratio, say, timed, type Figure, type Part } from './frame';
import { manyHosts } from './manyHosts/stack';

/** Seconds of each command on a host. */
const commandSeconds = 1;

async function run({ quick }: { quick: boolean }): Promise<Figure[]> {
  const sizes = quick ? [1, 2] : [1, 2, 5, 10];
  const rounds = quick ? 1 : 3;
  const measured = new Map<string, number[]>();
  const add = (name: string, seconds: number) => {
    say(`${name}: ${seconds.toFixed(1)} s`);
    measured.set(name, [...(measured.get(name) ?? []), seconds]);
  };
  for (let round = 0; round < rounds; round++) {
    for (const size of sizes) {
      const { cloud, stack } = await manyHosts(size, 1, { commandSeconds });
      for (const what of ['first up', 'nothing changed']) {
        add(
          `${what}: ${size} hosts`,
          await timed(async () => {
            const { status, output } = await stack.up();
            if (status !== 0) throw new Error(output);
          }),
        );
      }
      await cloud.close();
    }
  }
  const figures = [...measured].map(([name, values]) => figure(name, 's', values));
  const one = (name: string) =>
    figures.find((of) => of.name === name.replace(/\d+ hosts$/, '1 hosts'))!;
  const ratios = figures.filter((of) => of !== one(of.name)).map((of) => ratio(of, one(of.name)));
  return [...ratios, ...figures];
}

export const hosts: Part = {
  title: 'Many hosts in one stack',
  method: `1 to 10 hosts in one stack, each with one domain. The step on the hosts is stubbed, as two cores cannot carry ten
real ones: every command on a host takes ${commandSeconds} s and does nothing. What is seen is whether the hosts are made
side by side, and what each more costs the engine.`,
  run,
};
