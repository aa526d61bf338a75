import type { Change, Edit } from './changes';
import { painter, plural, visible, visibleName, type Style } from './terminal';
import { changedLines, hunksOf, type Line } from './lines';
import type { Mark, Review, Section } from './model';
import { editNote, effectLine, headline, heading, isFile, isShort } from './words';

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

  const editBlocks = (change: Change, edit: Edit): Block[] => {
    const note = editNote(change, edit);
    const label = isShort(change, edit) ? `${edit.at}: ` : '';
    // A push that comes or goes as a whole is not read line by line here.
    if (options.isSummary || (isFile(edit) && change.action !== 'change')) {
      const lines = changedLines([edit]);
      const count = lines > 0 ? `: ${plural(lines, 'line')}` : '';
      return [{ lines: [`  ${visibleName(note || edit.at)}${count}`], isKept: edit.isSecret }];
    }
    const head = note && !label ? [`  ${visibleName(note)}`] : [];
    const hunks = hunksOf(edit, options.context).map(({ lines }) =>
      lines.map(({ sign, text }) =>
        paint(lineStyles[sign], `    ${sign} ${visibleName(`${label}${text}`)}`.trimEnd()),
      ),
    );
    const [first = [], ...rest] = hunks;
    return [
      { lines: [...head, ...first], isKept: edit.isSecret },
      ...rest.map((lines) => ({ lines })),
    ];
  };
  const sectionLines = ({ title, changes }: Section) => {
    const blocks = changes.flatMap((change, i): Block[] => {
      const { mark, reason, edits } = change;
      const isSaid = mark === 'harmless' || reason === changes[i - 1]?.reason;
      const what = heading(change);
      const [first, ...rest] = edits.flatMap((edit) => editBlocks(change, edit));
      const head = [
        ...(isSaid ? [] : [`  ${paint(markStyles[mark], mark)}: ${visibleName(reason)}`]),
        ...(what ? [`  ${visibleName(what)}`] : []),
      ];
      return [{ ...first, lines: [...head, ...(first?.lines ?? [])] }, ...rest];
    });
    return [paint('bold', title), ...fitting(blocks, options.most ?? Infinity)];
  };

  const [mark, compared] = headline(review);
  return [
    `${paint('bold', paint(markStyles[review.mark], mark))}${visibleName(compared)}`,
    ...list('Blocked', 'red', review.blockers),
    ...list('Warnings', 'yellow', review.warnings),
    ...list('Messages', 'bold', review.notes),
    ...list('Effects', 'bold', review.effects.map(effectLine)),
    ...review.sections.flatMap(sectionLines),
    '',
  ].join('\n');
}

/** Lines that are read together: one hunk, with what it belongs to. */
interface Block {
  lines: string[];
  /** It is never left out. */
  isKept?: boolean;
}

/** As many blocks as there is room for, and how many lines are left out; the first one alone is cut if it is too long. */
function fitting(blocks: Block[], most: number): string[] {
  const shown: string[] = [];
  let left = 0;
  for (const { lines, isKept } of blocks) {
    const room = left > 0 ? 0 : most - shown.length;
    const isWhole = isKept === true || lines.length <= room;
    const part = isWhole ? lines : shown.length === 0 ? lines.slice(0, room) : [];
    shown.push(...part);
    left += lines.length - part.length;
  }
  const how = 'set review to full, or run `mailhost review`';
  return left > 0 ? [...shown, `  … ${plural(left, 'more line')}: ${how}`] : shown;
}
