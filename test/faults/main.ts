import { strict as assert } from 'node:assert';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { format } from 'prettier';
import { endLab, startLab } from '../../lab/lifecycle';
import { inOwnCell } from '../lab/ownCell';
import { TestStack } from '../lab/testLab';
import { setup as sayThatItRuns } from '../progress';
import { succeeds, type Bed, type Row } from './bed';
import { brokenRows } from './brokenFiles';
import { changeRows, holdings, makingRow, settles } from './cloud';
import { quickFaults, slowFaults } from './hostFaults';
import { killedMachine, killedReplacement, killedUp } from './kills';
import { modelledSwitches } from './switchModel';
import { switchRows } from './switches';

/**
 * The fault campaign, in a lab of its own: all of it, or the rows that the command line names. What was seen is kept in
 * docs/faults.json, and docs/faults.md tells it. A row starts from what the last one left, where that came out as expected,
 * and in a new lab where it did not.
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
  ...switchRows,
  modelledSwitches,
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
  seen: string;
  isExpected: boolean;
  seconds: number;
  date: string;
}
const inDocs = (file: string) => join(__dirname, '../../docs', file);
const kept = inDocs('faults.json');
/** The last result of each row, by its name. */
let results: Record<string, Result> = {};
const done = () => campaign.filter(({ name: of }) => results[of] !== undefined);
const failures = () => done().filter(({ name: of }) => !results[of]!.isExpected);
const partsOf = ({ parts, what, runs = 1 }: Row) => parts ?? [{ what, runs }];

/** What has been done so far, in a line. */
function summary(): string {
  const sum = (numbers: number[]) => numbers.reduce((all, n) => all + n, 0);
  const expected = done().filter((row) => !failures().includes(row));
  const runs = sum(expected.flatMap((row) => partsOf(row).map((part) => part.runs)));
  const minutes = Math.round(sum(done().map(({ name: of }) => results[of]!.seconds)) / 60);
  return `${runs} runs came out as expected, and ${failures().length} of ${done().length} kinds did not, in ${minutes} minutes on ${availableParallelism()} cores`;
}

/** What tells most of what an error or a whole `up` says. */
function reason(words: string): string {
  const lines = words.split('\n');
  const errors = lines.filter((line) => line.includes('error:'));
  return (errors.length > 0 ? errors : lines).slice(0, 3).join('\n');
}

/** Written after each row, so that a campaign that was ended early tells what it did. */
async function write(): Promise<void> {
  writeFileSync(kept, await format(JSON.stringify(results), { parser: 'json' }));
  const lines = done().flatMap((row) => {
    const { seen, isExpected, date } = results[row.name]!;
    const words = isExpected ? `${row.expected}: ${seen}` : `**not as expected**: ${seen}`;
    const cell = words.replaceAll('\n', ' ').replaceAll('|', '\\|');
    return partsOf(row).map(({ what, runs }) => `| ${what} | ${runs} | ${date} | ${cell} |`);
  });
  const rest = campaign.length - done().length;
  const text = `# Faults

What the fault campaign (\`make faults\`) did, and what was seen of each kind when it was done last. It is made by that
command. Machines are killed, not cut off from power: the kernel's page cache stays. Pulumi's plugins are the lab's
stand-ins, unless the official ones were on PATH ([lab/README.md](../lab/README.md)).

${summary()}.${rest > 0 ? ` ${rest} kinds were not done yet.` : ''}

| Fault | Runs | When | Seen |
| --- | --- | --- | --- |
${lines.join('\n')}
`;
  writeFileSync(inDocs('faults.md'), await format(text, { parser: 'markdown', printWidth: 120 }));
}

async function newBed(): Promise<Bed> {
  const lab = await startLab(name);
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
    rmSync(bed.stack.configFile!);
    bed.stack = new TestStack(bed.lab);
  } else if (!stands) await succeeds(bed);
}

async function run(row: Row, bed: Bed): Promise<boolean> {
  const start = Date.now();
  console.log(`${row.name}: ${row.what}`);
  const result = await begin(row, bed)
    .then(() => row.run(bed))
    .then(
      (seen) => ({ seen, isExpected: true }),
      (error: Error) => ({ seen: error.message, isExpected: false }),
    );
  const seconds = Math.round((Date.now() - start) / 1000);
  const date = new Date().toISOString().slice(0, 10);
  results[row.name] = {
    ...result,
    seen: result.isExpected ? result.seen : reason(result.seen),
    seconds,
    date,
  };
  const words = result.isExpected ? row.expected : 'NOT AS EXPECTED';
  console.log(`${row.name} (${seconds} s): ${words}: ${result.seen}`);
  return result.isExpected;
}

async function main(): Promise<void> {
  const names = process.argv.slice(2);
  const unknown = names.filter((given) => !campaign.some((row) => row.name === given));
  assert.deepEqual(unknown, [], `rows are: ${campaign.map((row) => row.name).join(' ')}`);
  sayThatItRuns();
  if (names.length > 0 && existsSync(kept))
    results = JSON.parse(readFileSync(kept, 'utf8')) as typeof results;
  const rows = campaign.filter((row) => names.length === 0 || names.includes(row.name));
  let bed: Bed | undefined;
  try {
    for (const row of rows) {
      bed ??= await newBed();
      const isExpected = await run(row, bed);
      await write();
      if (isExpected) continue;
      // What it may have left is not for the next.
      await endLab(bed.lab);
      bed = undefined;
    }
  } finally {
    if (bed) await endLab(bed.lab);
  }
  console.log(summary());
  process.exitCode = failures().length > 0 ? 1 : 0;
}

inOwnCell(main).catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
