import { painter, plural, visible, type Style } from '../../components/review/terminal';
import type { Severity } from './catalogue';
import type { Finding, Unchecked } from './finding';

/** What a look at a mail host gave. */
export interface Report {
  /** `PROJECT/STACK`. */
  stack: string;
  hostName: string;
  domains: string[];
  /** In ISO form. */
  time: string;
  seconds: number;
  findings: Finding[];
  unchecked: Unchecked[];
}

/** What there is to report of a look that is compared with the one before. */
export interface News {
  fresh: Finding[];
  /** Problems that were reported a day ago or more. */
  lasting: Finding[];
  /** Codes with what they were about. */
  gone: string[];
  /** What could be checked before, and twice in a row could not. */
  unchecked: Unchecked[];
  /** Why nothing could be checked, twice in a row; empty if it can be again. */
  failure?: string;
}

const styles: Record<Severity, Style> = { problem: 'red', warning: 'yellow' };

/** The report for a terminal. */
export function textReport(report: Report, isColoured: boolean): string {
  const paint = painter(isColoured);
  const { findings, unchecked, hostName, stack, seconds } = report;
  const of = (severity: Severity) => findings.filter((one) => one.severity === severity).length;
  const counts = (['problem', 'warning'] as const).flatMap((severity) =>
    of(severity) > 0 ? [paint(styles[severity], plural(of(severity), severity))] : [],
  );
  const result = counts.length > 0 ? counts.join(', ') : paint('green', 'No findings');
  return [
    `${result}: ${hostName} of ${stack}, in ${seconds} s`,
    ...findingLines(findings, isColoured),
    ...uncheckedLines(unchecked),
    '',
  ].join('\n');
}

/** What changed since the last look, for a terminal or a mail. */
export function textNews(news: News, of: string, isColoured: boolean): string {
  const { fresh, lasting, gone, unchecked, failure } = news;
  const counts = [
    ...(fresh.length > 0 ? [`${fresh.length} new`] : []),
    ...(lasting.length > 0 ? [`${lasting.length} for a day or longer`] : []),
    ...(gone.length > 0 ? [`${gone.length} gone`] : []),
    ...(unchecked.length > 0 ? [`${unchecked.length} no longer checked`] : []),
    ...(failure ? ['nothing could be checked'] : []),
    ...(failure === '' ? ['checked again'] : []),
  ];
  return [
    `${counts.join(', ')}: ${of}`,
    ...findingLines([...fresh, ...lasting], isColoured),
    ...(gone.length > 0 ? ['', 'Gone', ...gone.map((one) => `  - ${visible(one)}`)] : []),
    ...uncheckedLines(unchecked),
    ...(failure ? ['', visible(failure)] : []),
    '',
  ].join('\n');
}

const field = (name: string, text: string) =>
  `  ${name.padEnd(9)}${visible(text).replaceAll('\n', `\n${' '.repeat(11)}`)}`;

function findingLines(findings: Finding[], isColoured: boolean): string[] {
  const paint = painter(isColoured);
  return findings.flatMap(({ code, severity, about, what, evidence, remedy, runbook }) => [
    '',
    `${paint(styles[severity], severity)} ${code}: ${visible(about)}`,
    `  ${what}`,
    field('found:', evidence),
    field('do:', remedy),
    field('see:', runbook),
  ]);
}

const uncheckedLines = (unchecked: Unchecked[]): string[] =>
  unchecked.length > 0
    ? [
        '',
        'Not checked',
        ...unchecked.map((one) => `  - ${visible(one.unchecked)}: ${visible(one.why)}`),
      ]
    : [];
