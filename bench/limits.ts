import { figure, ratio, say, timed, type Figure, type Part } from './frame';
import { manyHosts } from './manyHosts/stack';
import type { Limit } from './stubCloud';

/** Of Cloudflare's API, for each user: https://developers.cloudflare.com/fundamentals/api/reference/limits/ */
const published: Limit = { requests: 1200, seconds: 300 };

async function run({ quick }: { quick: boolean }): Promise<Figure[]> {
  const size = quick ? 20 : 200;
  const limit = quick ? { requests: 120, seconds: 60 } : published;
  say('an up without a limit: how many calls there are');
  const free = await manyHosts(1, size);
  const { status, output } = await free.stack.up();
  if (status !== 0) throw new Error(output);
  const calls = free.cloud.requests.cloudflare;
  await free.cloud.close();

  const { cloud, stack } = await manyHosts(1, size, { limit });
  let ups = 0;
  const seconds = await timed(async () => {
    for (let status = 1; status !== 0;) {
      ups++;
      say(`up number ${ups}`);
      const result = await stack.up();
      status = result.status;
      if (status !== 0 && !result.output.includes('rate limit')) throw new Error(result.output);
    }
  });
  const { requests, refused } = cloud;
  await cloud.close();
  // The first window takes its share at once; so many more have to begin before the last call is answered.
  const least = Math.floor((calls - 1) / limit.requests) * limit.seconds;
  const name = `first up of ${size} domains`;
  const took = figure(`${name}: all took`, 's', [seconds]);
  const asked = figure(`${name}: what the limit asks`, 's', [least]);
  return [
    ratio(took, asked, { most: 1.1 }),
    asked,
    took,
    figure(`${name}: times that \`pulumi up\` was called`, '', [ups]),
    figure(`${name}: calls that it takes`, '', [calls]),
    figure(`${name}: calls that were answered`, '', [requests.cloudflare]),
    figure(`${name}: calls that were refused`, '', [refused]),
  ];
}

export const limits: Part = {
  title: "Within Cloudflare's limit",
  method: `A first \`up\` of one host with 200 domains, where the lab's Cloudflare API answers ${published.requests} requests in ${published.seconds} s, as the real one
does, and all others with 429 (the real one for longer than that). \`up\` lets records begin in turns, so that none is refused; where it fails for the limit
all the same, it is called again, until all is there. No machine is behind it, as above. Once: it is the limit that takes the
time. (\`make bench\` leaves it out, as it takes a quarter of an hour: \`node --import tsx bench/main.ts limits\`.)`,
  onlyByName: true,
  run,
};
