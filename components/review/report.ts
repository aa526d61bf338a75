import type { Review } from './model';
import { textReview } from './text';
import { plural } from './terminal';
import { effectLine, headline } from './words';

/** What a report begins with. */
export const reportTitle = 'Review: ';

/** In place of a report, if the engine does not let the program see what it plans. */
export const noReport = `${reportTitle}none, as this version of the Pulumi CLI runs no hooks in a preview. \`mailhost review\` needs none`;

/** What the program has looked at. */
export interface Compared {
  resources: number;
  files: number;
  records: number;
}

/** Most lines of each part in a summary. */
const most = 20;

/**
 * The review as the program reports it in a preview.
 *
 * @param detail `full` has all lines that change, and lines around them
 * @param isNew nothing of the mail host exists yet, so that everything is new
 */
export function reportOf(
  review: Review,
  compared: Compared,
  detail: 'full' | 'summary',
  isNew: boolean,
): string {
  return `${reportTitle}${forEngine(reportText(review, compared, detail, isNew))}`;
}

function reportText(
  review: Review,
  { resources, files, records }: Compared,
  detail: 'full' | 'summary',
  isNew: boolean,
): string {
  if (review.sections.length === 0 && review.effects.length === 0)
    return `the stack has what the program wants: ${plural(resources, 'resource')}, ${plural(files, 'file')} and ${plural(records, 'record')} compared`;
  if (isNew && detail === 'summary')
    return [
      headline(review).join(''),
      'Effects',
      ...review.effects.map((one) => `  - ${effectLine(one)}`),
    ].join('\n');
  const options = detail === 'full' ? { context: 3 } : { context: 0, most };
  // The engine prints the warnings beside the report.
  return textReview(
    { ...review, warnings: [] },
    { isColoured: false, isSummary: false, ...options },
  ).trimEnd();
}

/** The engine takes these characters for the beginning of a colour, and fails if it does not know it. */
const forEngine = (text: string): string => text.replaceAll('<{%', '<{ %');
