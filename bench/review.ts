import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { changedLines } from '../components/review/lines';
import { parsePlan } from '../cli/review/plan';
import { reviewOf } from '../components/review/review';
import { textReview } from '../components/review/text';
import { project } from '../lab/sources';
import type { Stack } from '../lab/stack';
import { changes as ordinary } from '../test/lab/planTable';
import { figure, say, type Figure, type Options, type Part } from './frame';
import { StubCloud } from './stubCloud';

const changes: typeof ordinary = [
  ...ordinary.filter(([title]) => title !== 'nothing'),
  [
    'three at once: `spamTagLevel`, `messageSize`, an alias',
    () => ({
      spamTagLevel: '3',
      messageSize: '50',
      aliases: [{ address: 'team@example.org', recipients: ['anna@example.org'] }],
    }),
  ],
];

/** What is counted of each change. */
const labels = ['lines that change', 'review', 'pulumi preview --diff'] as const;

async function preview(stack: Stack, form: '--json' | '--diff'): Promise<string> {
  const { status, output } = await stack.run(['preview', form]);
  if (status !== 0) throw new Error(output);
  return output;
}

async function run({ quick }: Options): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-review-'));
  const config = join(folder, 'Pulumi.bench.yaml');
  const original = readFileSync(join(project, 'Pulumi.dev.yaml'), 'utf8');
  writeFileSync(config, original);
  const cloud = await StubCloud.start(['example.org', 'example.net', 'example.com'], {});
  const stack = await cloud.stack(project, {}, config);
  say('making the stack');
  const { status, output } = await stack.up();
  if (status !== 0) throw new Error(output);
  const figures: Figure[] = [];
  for (const [title, change] of quick ? changes.slice(0, 3) : changes) {
    const file = parse(original) as { config: Record<string, unknown> };
    const settings = Object.fromEntries(
      Object.entries(file.config).map(([key, value]) => [key.replace(/^mailhost:/, ''), value]),
    );
    for (const [key, value] of Object.entries(change(settings)))
      file.config[`mailhost:${key}`] = value;
    writeFileSync(config, stringify(file));
    const review = reviewOf(parsePlan(await preview(stack, '--json')));
    const text = textReview(review, { isColoured: false, context: 0, isSummary: false });
    // The engine reports which plugins it did not install itself.
    const diff = (await preview(stack, '--diff'))
      .split('\n')
      .filter((line) => line.trim() !== '' && !line.includes('using pulumi-'));
    const edits = review.sections.flatMap((section) => section.changes.flatMap((one) => one.edits));
    const counts = [changedLines(edits), text.trimEnd().split('\n').length, diff.length];
    say(`${title}: ${counts.join(', ')}`);
    figures.push(...labels.map((label, i) => figure(`${title}: ${label}`, 'lines', [counts[i]!])));
  }
  await cloud.close();
  rmSync(folder, { recursive: true });
  return figures;
}

/** One row for each change. */
export function reviewLengths(figures: Figure[]): string {
  const rows = new Map<string, number[]>();
  for (const { name, value } of figures) {
    const title = name.slice(0, name.lastIndexOf(': '));
    rows.set(title, [...(rows.get(title) ?? []), value]);
  }
  const cells = [...rows].map(([title, counts]) => `| ${title} | ${counts.join(' | ')} |`);
  return `| Change | Lines that change | Review | \`pulumi preview --diff\` |\n| --- | --: | --: | --: |\n${cells.join('\n')}`;
}

export const review: Part = {
  title: 'Length of a review',
  method: `Each change of [docs/changes.md](../docs/changes.md), and three of them at once, previewed by the real engine against the lab's
cloud APIs with no machine behind them, as above: lines that are removed or added in files, records and properties; lines of \`mailhost
review\`; and lines of \`pulumi preview --diff\` that are not empty.`,
  run,
};
