import { parseArgs } from 'node:util';
import { isKept } from '../../lab/keep';
import { endLab, startLab } from '../../lab/lifecycle';
import { onHost } from '../../lab/machines';
import { waitFor } from '../../lab/state';
import { inOwnCell } from '../lab/ownCell';
import { TestStack } from '../lab/testLab';
import { Forwarding, forwardingAliases, someCases } from './forwarding';

/**
 * Fuzzes what a mail host in a lab of its own makes of senders of mail that it forwards, for as many minutes as given, one
 * seed after the other. What goes wrong is printed with its case, and belongs in a test.
 */
const { values: given } = parseArgs({
  options: {
    minutes: { type: 'string', default: '15' },
    seed: { type: 'string', default: '1' },
  },
});

/** Of a seed. */
const count = 200;
/** Each waits for its message; the scan of others goes on meanwhile. */
const sessions = 12;

async function main(): Promise<void> {
  const kept = 'test-host';
  const lab = await startLab('fuzz', isKept(kept) ? kept : undefined);
  try {
    const stack = new TestStack(lab);
    await stack.select();
    await stack.setAll(forwardingAliases());
    const { status, output } = await stack.up();
    if (status !== 0) throw new Error(output);
    const forwarding = await Forwarding.begin(lab, stack.outputs().ipv4);
    const start = Date.now();
    let seed = Number(given.seed);
    let told = 0;
    const tell = () => {
      const minutes = ((Date.now() - start) / 60_000).toFixed(1);
      const counts = Object.entries(forwarding.counts).map(([what, n]) => `${n} ${what}`);
      for (const fault of forwarding.faults.slice(told)) console.log(fault);
      told = forwarding.faults.length;
      console.log(
        `${minutes} min, seeds ${given.seed} to ${seed - 1}: ${counts.join(', ')}; at most ${forwarding.longest} octets; ${told} faults`,
      );
    };
    do {
      await forwarding.play(someCases(seed++, count), sessions);
      tell();
    } while (Date.now() - start < Number(given.minutes) * 60_000);
    await waitFor('the queue is empty', () => onHost(lab, 'smtpctl show queue') === '');
    forwarding.finish();
    tell();
    process.exitCode = forwarding.faults.length > 0 ? 1 : 0;
  } finally {
    await endLab(lab);
  }
}

inOwnCell(main).catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
