import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { format } from 'prettier';
import { endLab, startLab, TestStack } from '../lab/testLab';
import { setup as sayThatItRuns } from '../progress';
import { succeeds, type Bed, type Row } from './bed';
import { brokenRows } from './brokenFiles';
import { changeRows, holdings, makingRow, settles } from './cloud';
import { quickFaults, slowFaults } from './hostFaults';
import { killedMachine, killedReplacement, killedUp } from './kills';

/**
 * The fault campaign, in a lab of its own: all of it, which writes docs/faults.md, or the rows that the command line names.
 * A row starts from what the last one left, where that came out as expected, and in a new lab where it did not.
 */
const name = 'faults';

const campaign: Row[] = [
  makingRow,
  ...changeRows,
  killedUp,
  ...brokenRows,
  killedMachine(10),
  ...quickFaults,
  ...slowFaults,
  killedReplacement,
  {
    name: 'after-all',
    what: 'after all of it: an `up`',
    expected: 'it converges, 0 duplicates, 0 orphans',
    run: async (bed) => {
      await settles(bed);
      return 'the one after it changes nothing';
    },
  },
];

interface Result {
  row: Row;
  seen: string;
  isExpected: boolean;
}
const results: Result[] = [];
const started = Date.now();
const failures = () => results.filter(({ isExpected }) => !isExpected);
const partsOf = ({ parts, what, runs = 1 }: Row) => parts ?? [{ what, runs }];

/** What has been done so far, in a line. */
function summary(): string {
  const runs = results
    .filter(({ isExpected }) => isExpected)
    .flatMap(({ row }) => partsOf(row).map((part) => part.runs))
    .reduce((sum, n) => sum + n, 0);
  const minutes = Math.round((Date.now() - started) / 60_000);
  return `${runs} runs came out as expected, and ${failures().length} of ${results.length} kinds did not, in ${minutes} minutes on ${availableParallelism()} cores`;
}

/** What tells most of what an error or a whole `up` says. */
function reason(words: string): string {
  const lines = words.split('\n');
  const errors = lines.filter((line) => line.includes('error:'));
  return (errors.length > 0 ? errors : lines).slice(0, 3).join('\n');
}

/** Written after each row, so that a campaign that was ended early tells what it did. */
async function writePage(): Promise<void> {
  const lines = results.flatMap(({ row, seen, isExpected }) => {
    const words = isExpected ? `${row.expected}: ${seen}` : `**not as expected**: ${reason(seen)}`;
    const cell = words.replaceAll('\n', ' ').replaceAll('|', '\\|');
    return partsOf(row).map(({ what, runs }) => `| ${what} | ${runs} | ${cell} |`);
  });
  const rest = campaign.length - results.length;
  const text = `# Faults

What the fault campaign (\`make faults\`) did, and what was seen. It is made by that command. Machines are killed, not cut off
from power: the kernel's page cache stays.

${summary()}.${rest > 0 ? ` It was ended ${rest} kinds before its end.` : ''}

| Fault | Runs | Seen |
| --- | --- | --- |
${lines.join('\n')}
`;
  writeFileSync(
    join(__dirname, '../../docs/faults.md'),
    await format(text, { parser: 'markdown', printWidth: 120 }),
  );
}

async function newBed(): Promise<Bed> {
  const lab = startLab(name);
  const stack = new TestStack(lab);
  await stack.select();
  return { lab, stack };
}

/** Has there be what the row starts from. */
async function begin({ from }: Row, bed: Bed): Promise<void> {
  const stands = (await holdings(bed.lab)).get('servers')!.length > 0;
  if (from === 'nothing') {
    if (stands) {
      const { status, output } = await bed.stack.run(['destroy', '--yes', '--skip-preview']);
      assert.equal(status, 0, output);
    }
    // With the config that it had at first.
    bed.stack = new TestStack(bed.lab);
  } else if (!stands) await succeeds(bed);
}

async function run(row: Row, bed: Bed): Promise<boolean> {
  const start = Date.now();
  console.log(`${row.name}: ${row.what}`);
  const result = await begin(row, bed)
    .then(() => row.run(bed))
    .then(
      (seen) => ({ row, seen, isExpected: true }),
      (error: Error) => ({ row, seen: error.message, isExpected: false }),
    );
  results.push(result);
  const seconds = Math.round((Date.now() - start) / 1000);
  const words = result.isExpected ? row.expected : 'NOT AS EXPECTED';
  console.log(`${row.name} (${seconds} s): ${words}: ${result.seen}`);
  return result.isExpected;
}

async function main(): Promise<void> {
  const names = process.argv.slice(2);
  const unknown = names.filter((given) => !campaign.some((row) => row.name === given));
  assert.deepEqual(unknown, [], `rows are: ${campaign.map((row) => row.name).join(' ')}`);
  sayThatItRuns();
  const rows = campaign.filter((row) => names.length === 0 || names.includes(row.name));
  let bed: Bed | undefined;
  try {
    for (const row of rows) {
      bed ??= await newBed();
      // What it may have left is not for the next.
      if (!(await run(row, bed))) bed = undefined;
      if (names.length === 0) await writePage();
    }
  } finally {
    endLab(name);
  }
  console.log(summary());
  process.exitCode = failures().length > 0 ? 1 : 0;
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
