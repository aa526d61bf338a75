import type { Change, Edit } from './changes';
import { painter, plural, visible, type Style } from './terminal';
import { changedLines, hunksOf, type Line } from './lines';
import type { Review, Section } from './review';
import type { Mark } from './risk';
import { editNote, effectLine, headline, heading } from './words';

const markStyles: Record<Mark, Style> = { blocked: 'red', risky: 'yellow', harmless: 'green' };
const lineStyles: Record<Line['sign'], Style> = {
  '-': 'red',
  '+': 'green',
  ' ': 'dim',
  '\\': 'dim',
};

export interface TextOptions {
  isColoured: boolean;
  /** Unchanged lines around a change. */
  context: number;
  /** Without the lines that change. */
  isSummary: boolean;
  /** Most lines of each part; what is left out is counted. Default: all. */
  most?: number;
}

/** The review for a terminal: one line for what is unchanged, at most two lines for each line that changes. */
export function textReview(review: Review, options: TextOptions): string {
  const paint = painter(options.isColoured);
  const indented = (text: string, by = '  ') =>
    visible(text)
      .split('\n')
      .map((line) => `${by}${line}`);
  const list = (title: string, style: Style, items: string[]) =>
    items.length > 0
      ? [
          paint(style, title),
          ...items.flatMap((item) => {
            const [first = '', ...rest] = indented(item, '    ');
            return [`  - ${first.trimStart()}`, ...rest];
          }),
        ]
      : [];

  const editLines = (change: Change, edit: Edit): string[] => {
    const note = editNote(change, edit);
    const label = isShort(change, edit) ? `${edit.at}: ` : '';
    // A push that comes or goes as a whole is not read line by line here.
    if (options.isSummary || (isFile(edit) && change.action !== 'change')) {
      const lines = changedLines([edit]);
      return [`  ${visible(note || edit.at)}${lines > 0 ? `: ${plural(lines, 'line')}` : ''}`];
    }
    return [
      ...(note && !label ? [`  ${visible(note)}`] : []),
      ...hunksOf(edit, options.context).flatMap(({ lines }) =>
        lines.map(({ sign, text }) =>
          paint(lineStyles[sign], `    ${sign} ${visible(`${label}${text}`)}`.trimEnd()),
        ),
      ),
    ];
  };
  const sectionLines = ({ title, changes }: Section) => {
    const lines = changes.flatMap((change, i) => {
      const { mark, reason, edits } = change;
      const isSaid = mark === 'harmless' || reason === changes[i - 1]?.reason;
      const what = heading(change);
      return [
        ...(isSaid ? [] : [`  ${paint(markStyles[mark], mark)}: ${reason}`]),
        ...(what ? [`  ${visible(what)}`] : []),
        ...edits.flatMap((edit) => editLines(change, edit)),
      ];
    });
    const { most = lines.length } = options;
    const left = lines.length - most;
    return [
      paint('bold', title),
      ...lines.slice(0, most),
      ...(left > 0 ? [`  … ${plural(left, 'more line')}`] : []),
    ];
  };

  const [mark, compared] = headline(review);
  return [
    `${paint('bold', paint(markStyles[review.mark], mark))}${compared}`,
    ...list('Blocked', 'red', review.blockers),
    ...list('Warnings', 'yellow', review.warnings),
    ...list('Messages', 'bold', review.notes),
    ...list('Effects', 'bold', review.effects.map(effectLine)),
    ...review.sections.flatMap(sectionLines),
    '',
  ].join('\n');
}

const isFile = ({ at }: Edit) => at.startsWith('/');

/** A value of one line, which stands behind its name. */
const isShort = ({ record }: Change, { at, before = '', after = '', isSecret }: Edit) =>
  !record && !isFile({ at }) && !isSecret && ![before, after].some((text) => /\n|^- /.test(text));
