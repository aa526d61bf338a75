import { readFileSync, writeFileSync } from 'node:fs';
import { text as textOfStream } from 'node:stream/consumers';
import { Command, InvalidArgumentError, Option } from 'commander';
import { exitStatus } from '../exitStatus';
import { pulumiJson } from '../pulumi';
import { hasColours } from '../../components/review/terminal';
import { htmlReview } from './html';
import { markdownReview } from './markdown';
import { parsePlan } from './plan';
import type { Mark, Review } from '../../components/review/model';
import type { Plan } from '../../components/review/plan';
import { reviewOf } from '../../components/review/review';
import { textReview } from '../../components/review/text';

const statuses: Record<Mark, number> = {
  harmless: exitStatus.fine,
  risky: exitStatus.warning,
  blocked: exitStatus.problem,
};

interface Options {
  format: 'text' | 'markdown' | 'html';
  output?: string;
  context: number;
  summary?: boolean;
}

export const reviewCommand = (): Command =>
  new Command('review')
    .description('show what a preview would change, and what that does to mail')
    .usage('[options] [FILE|-] [-- ARGUMENTS OF PULUMI PREVIEW]')
    .argument(
      '[file...]',
      'output of `pulumi preview --json`; - for standard input. Default: runs it, with the arguments behind --',
    )
    .addOption(
      new Option('--format <format>', 'how to write it')
        .choices(['text', 'markdown', 'html'])
        .default('text'),
    )
    .option('--output <file>', 'write it to a file')
    .option(
      '--context <lines>',
      'unchanged lines to show around a change, 0 to 3 (text)',
      contextLines,
      0,
    )
    .option('--summary', 'leave the lines that change out (text)')
    .addHelpText(
      'after',
      '\nExit status: 0 harmless or nothing changes, 2 risky, 3 blocked, 1 if no review could be made',
    )
    .action(async (words: string[], options: Options) => {
      const review = reviewOf(await planOf(words));
      const written = render(review, options);
      if (options.output === undefined) process.stdout.write(written);
      else writeFileSync(options.output, written);
      process.exitCode = statuses[review.mark];
    });

function contextLines(value: string): number {
  if (!/^[0-3]$/.test(value)) throw new InvalidArgumentError('Give a number from 0 to 3.');
  return Number(value);
}

function render(review: Review, { format, output, context, summary }: Options): string {
  if (format === 'markdown') return markdownReview(review);
  if (format === 'html') return htmlReview(review);
  const isColoured = output === undefined && hasColours();
  return textReview(review, { isColoured, context, isSummary: summary ?? false });
}

/** Words that begin with a hyphen are for `pulumi preview`, as is everything behind them. */
async function planOf([file, ...rest]: string[]): Promise<Plan> {
  if (file === undefined) return runPreview([]);
  if (/^-./.test(file)) return runPreview([file, ...rest]);
  if (rest.length > 0)
    throw new Error(
      `one preview can be reviewed at a time, and ${rest.length + 1} files are given. Arguments of pulumi preview belong behind --.`,
    );
  return parsePlan(file === '-' ? await textOfStream(process.stdin) : textOfFile(file));
}

function textOfFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why =
      { ENOENT: 'it does not exist', EISDIR: 'it is a folder', EACCES: 'it may not be read' }[
        code ?? ''
      ] ?? message;
    throw new Error(
      `${file} cannot be reviewed: ${why}. Name the output of \`pulumi preview --json\`, or no file to run the preview.`,
      { cause },
    );
  }
}

/** A preview that fails writes most reasons as JSON, too; those of a policy and of `--expect-no-changes` only to the terminal. */
function runPreview(words: string[]): Plan {
  const { status, stdout } = pulumiJson(['preview', '--json'], words, 'preview');
  const plan = parsePlan(stdout);
  const message = `pulumi preview failed with exit status ${status}, and its JSON has no reason: see what it wrote to the terminal`;
  return status === 0 || plan.diagnostics.some(({ severity }) => severity === 'error')
    ? plan
    : { ...plan, diagnostics: [...plan.diagnostics, { severity: 'error', message }] };
}
