import { setTimeout as sleep } from 'node:timers/promises';
import { figure, ratio, say, type Figure, type Options, type Part } from './frame';
import { connections, MeasuredHost, type Way } from './measuredHost';

/** After so many ms no session within the host is open any more. */
const rest = 15_000;
/** Messages, so that all workers have some. */
const load = 12;
/** Messages of an inbound batch; one of submission has half as many. */
const batchSize = 100;
const total = (values: Record<string, number>) =>
  Object.values(values).reduce((sum, value) => sum + value, 0);

/** Throughput of one way, in turns with SpamAssassin alone. */
async function throughput(
  host: MeasuredHost,
  way: Way,
  label: string,
  rounds: number,
  count: number,
) {
  const workers = await host.workers();
  const [ours, alone]: [number[], number[]] = [[], []];
  const processor: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round++) {
    const batch = await way.messages(count);
    const took = await host.deliver(way, batch);
    ours.push(count / took.seconds);
    for (const [unit, seconds] of Object.entries(took.processor))
      (processor[unit] ??= []).push((seconds / count) * 1000);
    alone.push(count / (await host.alone(way, batch, workers)).seconds);
    say(
      `${way.name}, ${label}: ${ours.at(-1)!.toFixed(2)} messages a second; SpamAssassin alone ${alone.at(-1)!.toFixed(2)}`,
    );
  }
  const name = `${way.name}, ${label}`;
  const rate = figure(`${name}: host`, 'messages/s', ours);
  const limit = figure(`${name}: SpamAssassin alone`, 'messages/s', alone);
  return {
    ratio: ratio(rate, limit, { least: 0.8 }),
    rates: [rate, limit],
    processor: Object.entries(processor).map(([unit, values]) =>
      figure(`${name}: processor time for a message, ${unit}`, 'ms', values),
    ),
  };
}

async function latency(
  host: MeasuredHost,
  what: string,
  pause: number,
  count: number,
): Promise<Figure[]> {
  const way = host.ways.inbound;
  const batch = (await way.messages(count * 2)).filter(({ spam }) => !spam).slice(0, count);
  const name = `latency, inbound, ${what}`;
  const ours = figure(`${name}: host`, 's', await host.latencies(batch, pause));
  const alone = figure(`${name}: SpamAssassin alone`, 's', (await host.alone(way, batch, 1)).each);
  say(`${name}: ${ours.value.toFixed(3)} s; SpamAssassin alone ${alone.value.toFixed(3)} s`);
  return [ratio(ours, alone, { most: 1.5 }), ours, alone];
}

async function memory(
  host: MeasuredHost,
  label: string,
  rounds: number,
  count: number,
): Promise<Figure[]> {
  const way = host.ways.inbound;
  const states: Record<string, Record<string, number>[]> = { 'at rest': [], 'at full load': [] };
  for (let round = 0; round < rounds; round++) {
    states['at full load']!.push((await host.deliver(way, await way.messages(count), true)).memory);
    await sleep(rest);
    states['at rest']!.push(await host.memory());
  }
  return Object.entries(states).flatMap(([state, samples]) => {
    const name = `memory ${state}, ${label}`;
    return [
      figure(`${name}: all daemons`, 'MB', samples.map(total)),
      ...Object.keys(samples[0]!).map((unit) =>
        figure(
          `${name}: ${unit}`,
          'MB',
          samples.map((sample) => sample[unit] ?? 0),
        ),
      ),
    ];
  });
}

async function run({ quick }: Options): Promise<Figure[]> {
  const rounds = quick ? 1 : 3;
  const count = quick ? 30 : batchSize;
  const half = count / 2;
  const host = await MeasuredHost.inFreshLab();
  if (!quick) await host.teachBayes(900);
  const { inbound, submission } = host.ways;
  say('one batch that is not measured');
  await host.deliver(inbound, await inbound.messages(half));

  const label = `${await host.workers()} workers`;
  const incoming = await throughput(host, inbound, label, rounds, count);
  const outgoing = await throughput(host, submission, label, rounds, half);
  const resting = await latency(host, 'at rest', rest, quick ? 1 : 5);
  const followed = await latency(host, 'after another', 0, quick ? 1 : 5);
  const rows = await memory(host, label, rounds, load);

  const others: Figure[] = [];
  const further = async (what: string) => {
    // Not measured.
    await host.deliver(inbound, await inbound.messages(half));
    const { ratio: share, rates, processor } = await throughput(host, inbound, what, rounds, count);
    others.push(share, ...rates, ...processor, ...(await memory(host, what, rounds, load)));
  };
  // With one alone amavis ends after 20 messages.
  for (const workers of quick ? [] : [2, 8]) {
    await host.setWorkers(workers);
    await further(`${workers} workers`);
  }
  if (!quick) {
    await host.setWorkers();
    say('adding ClamAV');
    await host.set({ antivirus: 'true' });
    await further(`${label}, ClamAV`);
  }
  await host.end();
  return [
    incoming.ratio,
    outgoing.ratio,
    ...resting,
    ...followed,
    ...incoming.rates,
    ...outgoing.rates,
    ...incoming.processor,
    ...outgoing.processor,
    ...rows,
    ...others,
  ];
}

export const mail: Part = {
  title: 'Mail',
  method: `A finished host in the lab, and SpamAssassin alone with the same messages, in the same batches, in turns: a Perl program
that loads SpamAssassin once, as amavis does, and scans in as many processes as amavis has workers, with the same rules,
resolver, and a copy of the host's Bayes store. **Messages a second** count from the first connection until the
last message lies in the mailbox; ${connections} connections send, TLS included, on the same two cores as everything else. Inbound is port 25 to a
mailbox, in batches of ${batchSize}; submission, in batches of ${batchSize / 2}, is port 587, login, scan, signature, and a mailbox of another domain of the host. **Latency** is that of
inbound messages which are no spam, each another one: from the connection until it lies in the mailbox, at rest (no session within the host
is open any more) and right after another; Dovecot tells a client that waits (IMAP IDLE) half a second later. **Memory** is the
proportional set size: the most while ${load} messages come in (*at full load*), and ${rest / 1000} s later (*at rest*). The messages come from a seeded
generator (\`bench/messages.ts\`): notes, notifications, newsletters, photos, tables, documents of several MB, and 28 % spam.
ClamAV has one signature in the lab: its own memory and time with the real ones are more.`,
  run,
};
