import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parsePlan } from '../../cli/review/plan';
import type { Review } from '../../components/review/model';
import { reviewOf } from '../../components/review/review';

const folder = join(__dirname, 'samples');

export const sampleFile = (name: string): string => join(folder, `${name}.json`);

/** Previews of the real engine, shortened: each by the change that it has. */
export const sampleNames = readdirSync(folder).map((file) => file.replace('.json', ''));

export const sampleText = (name: string): string => readFileSync(sampleFile(name), 'utf8');

export const sampleReview = (name: string): Review => reviewOf(parsePlan(sampleText(name)));

/** Inputs of a resource before and after. */
type Inputs = Record<string, unknown>;

/** What the engine writes for one resource. */
export const step = (
  type: string,
  op: string,
  before?: Inputs,
  after?: Inputs,
  more: object = {},
): object => ({
  op,
  urn: `urn:pulumi:prod::mail::mailhost:index:MailHost$${type}::mail-one`,
  ...(before ? { oldState: { inputs: before } } : {}),
  ...(after ? { newState: { inputs: after } } : {}),
  detailedDiff: null,
  ...more,
});

/** A push of files as the engine writes it. */
export const push = (before: Record<string, string>, after: Record<string, string>): object => {
  const inputs = (files: Record<string, string>, change: number) => ({
    create: `mailhost activate dovecot --change ${change}`,
    stdin: JSON.stringify(
      Object.fromEntries(
        Object.entries(files).map(([path, text]) => [
          path,
          { mode: '0644', owner: 'root:root', text },
        ]),
      ),
    ),
    connection: '[secret]',
    triggers: ['9'],
  });
  return step('command:remote:Command', 'update', inputs(before, 1), inputs(after, 2));
};

export const reviewOfSteps = (...steps: object[]): Review =>
  reviewOf(parsePlan(JSON.stringify({ steps, changeSummary: { same: 1 } })));
