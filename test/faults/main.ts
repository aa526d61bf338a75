import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format } from 'prettier';
import { endLab, startLab, TestStack } from '../lab/testLab';
import { brokenFiles } from './brokenFiles';
import { cloudFaults, strays, withFaults } from './cloud';
import { asItIs, pushChanged } from './host';
import { killMachine, quickFaults, slowFaults, type Bed } from './hostFaults';

/** The whole fault campaign, in a lab of its own. It prints a line for each fault, and writes docs/faults.md. */
const name = 'faults';
const kills = 20;
const machineKills = 10;

interface Row {
  fault: string;
  runs: number;
  seen: string;
}
const rows: Row[] = [];
let failures = 0;

async function run(fault: string, runs: number, work: () => Promise<string> | string) {
  const started = Date.now();
  const seen = await Promise.resolve()
    .then(work)
    .catch((error: unknown) => {
      failures++;
      return `FAILED: ${error instanceof Error ? error.message : String(error)}`;
    });
  const seconds = Math.round((Date.now() - started) / 1000);
  rows.push({ fault, runs, seen: seen.split('\n').slice(0, 3).join(' ') });
  console.log(`${fault} (${runs}, ${seconds} s): ${seen}`);
  await writeTable();
}

/** Written after each fault, so that a campaign that was ended early tells what it did. */
async function writeTable(): Promise<void> {
  const text = `# Faults

What the fault campaign (\`make faults\`) did, and what was seen. It is made by that command. Machines are killed, not cut off
from power: the kernel's page cache stays.

${rows.reduce((sum, row) => sum + row.runs, 0)} runs, ${failures} with another outcome than expected.

| Fault | Runs | Seen |
| --- | --- | --- |
${rows.map((row) => `| ${row.fault} | ${row.runs} | ${row.seen.replaceAll('|', '\\|')} |`).join('\n')}
`;
  writeFileSync(
    join(__dirname, '../../docs/faults.md'),
    await format(text, { parser: 'markdown', printWidth: 120 }),
  );
}

async function main(): Promise<void> {
  const lab = startLab(name);
  const stack = new TestStack(lab);
  await stack.select();
  const noStrays = async () => {
    const found = await strays(lab, stack.state());
    assert.deepEqual(found, [], 'left behind or made twice');
    return '0 duplicates, 0 orphans';
  };
  const converge = async () => {
    const { status, output } = await stack.up();
    assert.equal(status, 0, output);
  };

  for (const faults of cloudFaults) {
    const came = await withFaults(lab, faults, () => stack.up());
    for (const { fault, times } of came) {
      const { api, method, done, status } = fault;
      const path = fault.path.replace(/\(.*\)\?$/, '').replace(/\\[dw]\+/g, 'ID');
      const answer = status === undefined ? 'has its connection cut' : `answers ${status}`;
      rows.push({
        fault: `${api === 'hcloud' ? 'Hetzner' : 'Cloudflare'}: ${method} ${path} ${answer}${done ? ' after the work is done' : ''}`,
        runs: times,
        seen: 'as the next row says',
      });
    }
  }
  await run('after all of these: an `up`', 1, async () => {
    await converge();
    return `it converges, ${await noStrays()}`;
  });
  await stack.run(['destroy', '--yes', '--skip-preview']);

  await run(
    `an \`up\` from nothing is killed at ${kills} points, and run again each time`,
    kills,
    async () => {
      for (let i = 0; i < kills; i++) {
        const events = 1 + ((i * 3) % 7);
        let seen = 0;
        let killed = false;
        await stack.up((text, kill) => {
          seen += text.split(/ (?:created|imported|updated) \(/).length - 1;
          if (killed || seen < events) return;
          killed = true;
          kill();
        });
        await stack.run(['cancel', '--yes']);
        if (!killed) break;
      }
      await converge();
      return `the last \`up\` converges, ${await noStrays()}`;
    },
  );
  const bed: Bed = { lab, stack, outputs: stack.outputs() };

  for (const [push, list] of Object.entries(brokenFiles)) {
    await run(`${push}: ${list.length} broken configurations`, list.length, () => {
      const wrong: string[] = [];
      for (const broken of list) {
        const before = asItIs(lab);
        try {
          pushChanged(lab, push, [broken]);
          wrong.push(`${broken.what}: taken`);
        } catch {
          if (asItIs(lab) !== before) wrong.push(`${broken.what}: not as it was`);
        }
      }
      assert.deepEqual(wrong, []);
      return 'all refused, 0 left down, 0 half-applied';
    });
  }
  await run('the machine is killed under a flow of mail', machineKills, () =>
    killMachine(bed, machineKills),
  );
  for (const fault of [...quickFaults, ...slowFaults]) {
    await run(fault.what, 1, async () => `${fault.expected}: ${await fault.run(bed)}`);
  }
  await run('after all of it: an `up`', 1, async () => {
    await converge();
    return noStrays();
  });

  endLab(name);
  process.exitCode = failures > 0 ? 1 : 0;
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
