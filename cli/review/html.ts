import type { Change, Edit } from '../../components/review/changes';
import { hunksOf, type Hunk, type Line } from '../../components/review/lines';
import type { Mark, Review, Section, Verdict } from '../../components/review/model';
import { verdictOf } from '../../components/review/review';
import { idOf, markup, page, part, table, type Html } from '../page/markup';
import { css } from './style';
import {
  amountOf,
  editNote,
  headline,
  heading,
  isRecordLine,
  isShort,
  markTitles,
  timeOf,
} from '../../components/review/words';

/** The review as one page that loads nothing. */
export function htmlReview(review: Review): string {
  const [mark, compared] = headline(review);
  return page(
    `${mark}: review of ${review.stack || 'a mail host'}`,
    css,
    markup`<header>
<p>Mail host review</p>
<h1><span class="mark ${review.mark}">${mark}</span> ${review.stack}</h1>
<p>${sentence(compared)}</p>
</header>
<main>
${messages('Blocked', 'blocked', review.blockers)}${messages('Warnings', 'risky', review.warnings)}${timeline(review)}${overview(review)}${calendar(review)}${review.sections.map(section)}${messages('Messages', 'plain', review.notes)}</main>`,
  );
}

/** The second part of the headline by itself. */
const sentence = (text: string) => {
  const own = text.replace(/^: /, '');
  return own && `${own[0]!.toUpperCase()}${own.slice(1)}.`;
};

const messages = (title: string, mark: string, all: string[]) =>
  all.length > 0 &&
  part(
    title,
    all.map(
      (message) => markup`<pre class="message ${mark}">${message}</pre>
`,
    ),
  );

const markOf = (mark: Mark) => markup`<span class="mark ${mark}">${markTitles[mark]}</span>`;

/** One line for each part: how much changes, and what to look at. */
const overview = ({ sections }: Review) =>
  sections.length > 0 &&
  part(
    'Changes',
    table(
      'list',
      ['Part', 'Resources', 'Changed', 'Mark', 'Reason'],
      sections.map(({ title, changes }) => {
        const { mark, reasons } = verdictOf(changes);
        return [
          markup`<a href="#${idOf(title)}">${title}</a>`,
          changes.length,
          amountOf(changes),
          markOf(mark),
          reasons.join(' '),
        ];
      }),
    ),
  );

/** What the change does to mail: during the update by weight, then in time. */
const timeline = ({ effects: all }: Review) => {
  const effects = [...all].sort((a, b) => (a.after ?? 0) - (b.after ?? 0));
  return (
    effects.length > 0 &&
    part(
      'Effects',
      markup`<ol class="timeline">
${effects.map((effect, i) => {
  const time = timeOf(effect) || 'during the update';
  const isSame = i > 0 && effect.after === effects[i - 1]!.after;
  return markup`<li><span class="time">${!isSame && time}</span> <span>${effect.what}</span></li>
`;
})}</ol>
`,
    )
  );
};

/** Of a time in ISO form. */
const minute = (time: string) => time.replace(/^(.{10})T(.{5}).*$/, '$1 $2 UTC');

const calendar = ({ calendar: dates }: Review) =>
  dates.length > 0 &&
  part(
    'DKIM keys before the change',
    table(
      'list',
      ['Domain', 'Signs', 'Since', 'Next', 'Retired'],
      dates.map(({ domain, signs, since, next, retired }) => [
        domain,
        signs,
        since && minute(since),
        next,
        Object.entries(retired)
          .map(([selector, from]) => `${selector}: removed by a rotation after ${minute(from)}`)
          .join(', '),
      ]),
    ),
  );

function section({ title, changes }: Section): Html {
  const records = changes.filter(({ record }) => record);
  const others = changes.filter(({ record }) => !record);
  return markup`<section aria-labelledby="${idOf(title)}">
<details open>
<summary><h2 id="${idOf(title)}">${title}</h2> <span class="faint">${amountOf(changes)}</span></summary>
${records.length > 0 && recordTable(records)}${others.map(changeBlock)}</details>
</section>
`;
}

const recordTable = (changes: Section['changes']) => [
  table(
    'list records',
    ['Record', 'Before', 'After', 'TTL', 'Mark'],
    changes.map(({ record, name, mark, reason }) => {
      const { before, after } = record!;
      return [
        (after ?? before)?.title ?? name,
        deleted(before?.data),
        inserted(after?.data),
        [...new Set([before?.ttl, after?.ttl])].filter((ttl) => ttl !== undefined).join(' → '),
        [markOf(mark), ' ', reason],
      ];
    }),
  ),
  ...changes.flatMap((change) =>
    editBlocks(
      change,
      change.edits.filter(({ at }) => !isRecordLine(change, at)),
    ),
  ),
];

function changeBlock(change: Change & Verdict): Html {
  const what = heading(change);
  return markup`<div class="change">
<p>${markOf(change.mark)} ${what && markup`<b>${what}</b>. `}${change.reason}</p>
${editBlocks(change, change.edits)}</div>
`;
}

/** Values of one line in a table, all others side by side. */
function editBlocks(change: Change, edits: Edit[]): Html[] {
  const short = edits.filter((edit) => isShort(change, edit));
  const rows = short.map(({ at, before, after }) => [at, deleted(before), inserted(after)]);
  return [
    ...(rows.length > 0 ? [table('list values', ['Property', 'Before', 'After'], rows)] : []),
    ...edits
      .filter((edit) => !short.includes(edit))
      .map((edit) => diff(edit, editNote(change, edit))),
  ];
}

const deleted = (text?: string) => text !== undefined && markup`<del>${text}</del>`;
const inserted = (text?: string) => text !== undefined && markup`<ins>${text}</ins>`;

const diff = (edit: Edit, note: string): Html => markup`<figure>
<figcaption>${note}</figcaption>
${hunksOf(edit, 3).map(sideBySide)}</figure>
`;

/** Before on the left, after on the right; lines that change stand beside each other. */
function sideBySide({ oldStart, newStart, lines }: Hunk): Html {
  let [oldNumber, newNumber] = [oldStart, newStart];
  const rows: Html[] = [];
  const row = (old: Line | undefined, next: Line | undefined) =>
    rows.push(markup`<tr class="${old?.sign === ' ' ? 'same' : 'differs'}">${[
      side(old, oldNumber, 'removed'),
      side(next, newNumber, 'added'),
    ]}</tr>
`) && [(oldNumber += old ? 1 : 0), (newNumber += next ? 1 : 0)];
  for (const group of groups(lines)) {
    if (group[0]!.sign === ' ') group.forEach((line) => row(line, line));
    else {
      const [old, next] = [marked(group, '-'), marked(group, '+')];
      for (let i = 0; i < Math.max(old.length, next.length); i++) row(old[i], next[i]);
    }
  }
  return markup`<table class="diff">
<colgroup><col class="numbers"><col><col class="numbers"><col></colgroup>
<thead><tr><th scope="col" colspan="2">Before</th><th scope="col" colspan="2">After</th></tr></thead>
<tbody>
${rows}</tbody>
</table>
`;
}

/** Lines that are kept, and lines that change, by turns. */
function groups(lines: Line[]): Line[][] {
  const all: Line[][] = [];
  for (const line of lines) {
    const last = all.at(-1);
    if (last && (last[0]!.sign === ' ') === (line.sign === ' ')) last.push(line);
    else all.push([line]);
  }
  return all;
}

/** The lines of one side; a remark of the diff belongs to the line before it. */
const marked = (group: Line[], sign: '-' | '+'): Line[] =>
  group.flatMap((line, i): Line[] => {
    if (line.sign !== sign) return [];
    const isRemarked = group[i + 1]?.sign === '\\';
    return [{ sign, text: `${line.text}${isRemarked ? ' (no newline at the end)' : ''}` }];
  });

function side(line: Line | undefined, number: number, kind: string): Html {
  if (line === undefined) return markup`<td class="number"></td><td class="none"></td>`;
  if (line.sign === ' ') return markup`<td class="number">${number}</td><td>${line.text}</td>`;
  return markup`<td class="number">${number}</td><td class="${kind}"><span class="sign">${line.sign}</span>${line.text}</td>`;
}
