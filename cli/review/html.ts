import { createHash } from 'node:crypto';
import type { Change, Edit } from './changes';
import { changedLines, hunksOf, visible, type Hunk, type Line } from './lines';
import type { Review, Section } from './review';
import type { Verdict } from './risk';
import { css } from './style';
import { editNote, headline, heading, markTitles, plural, timeOf } from './words';

/** Text that is HTML already. */
class Html {
  constructor(readonly text: string) {}
}

type Content = Html | string | number | undefined | Content[];

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function textOf(content: Content): string {
  if (content === undefined) return '';
  if (Array.isArray(content)) return content.map(textOf).join('');
  if (content instanceof Html) return content.text;
  return visible(String(content)).replaceAll(/[&<>"']/g, (character) => entities[character]!);
}

/** HTML in which everything that is filled in is escaped, unless it is HTML itself. */
const html = (literals: TemplateStringsArray, ...contents: Content[]): Html =>
  new Html(literals.map((literal, i) => literal + textOf(contents[i])).join(''));

/** The review as one page that loads nothing. */
export function htmlReview(review: Review): string {
  const [mark, compared] = headline(review);
  const hash = createHash('sha256').update(css).digest('base64');
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'"
        />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${mark}: review of ${review.stack || 'a mail host'}</title>
        <style>
          ${new Html(css)}
        </style>
      </head>
      <body>
        <header>
          <p>Mail host review</p>
          <h1><span class="mark ${review.mark}">${mark}</span> ${review.stack}</h1>
          <p>${sentence(compared)}</p>
        </header>
        <main>
          ${messages('Blocked', review.blockers)} ${messages('Warnings', review.warnings)}
          ${overview(review)} ${timeline(review)} ${calendar(review)}
          ${review.sections.map(section)} ${messages('Messages', review.notes)}
        </main>
      </body>
    </html> `.text;
}

/** The second part of the headline by itself. */
const sentence = (text: string) => {
  const own = text.replace(/^: /, '');
  return own && `${own[0]!.toUpperCase()}${own.slice(1)}.`;
};

const idOf = (title: string) => title.toLowerCase().replaceAll(/\W+/g, '-');

const messages = (title: string, all: string[]) =>
  all.length === 0
    ? undefined
    : html`<section aria-labelledby="${idOf(title)}">
        <h2 id="${idOf(title)}">${title}</h2>
        ${all.map((message) => html`<pre class="message ${title.toLowerCase()}">${message}</pre> `)}
      </section>`;

const markOf = ({ mark }: Verdict) => html`<span class="mark ${mark}">${markTitles[mark]}</span>`;

/** Every change with its mark and reason. */
const overview = ({ sections }: Review) =>
  sections.length === 0
    ? undefined
    : html`<section aria-labelledby="marks">
        <h2 id="marks">Marks</h2>
        <table class="marks">
          <thead>
            <tr>
              <th scope="col">Part</th>
              <th scope="col">Change</th>
              <th scope="col">Mark</th>
              <th scope="col">Reason</th>
            </tr>
          </thead>
          <tbody>
            ${sections.flatMap(({ title, changes }) =>
              changes.map(
                (change) =>
                  html`<tr>
                    <td><a href="#${idOf(title)}">${title}</a></td>
                    <td>${nameOf(change)}</td>
                    <td>${markOf(change)}</td>
                    <td>${change.reason}</td>
                  </tr> `,
              ),
            )}
          </tbody>
        </table>
      </section>`;

const nameOf = (change: Change) =>
  change.record
    ? `${change.action} ${(change.record.after ?? change.record.before)?.title ?? change.name}`
    : heading(change) || `${change.action} ${change.name}`;

/** What the change does to mail, in time. */
const timeline = ({ effects }: Review) =>
  effects.length === 0
    ? undefined
    : html`<section aria-labelledby="effects">
        <h2 id="effects">Effects</h2>
        <ol class="timeline">
          ${effects.map((effect) => html`<li><span class="time">${timeOf(effect).replace(/: $/, '') || 'during the update'}</span> <span>${effect.what}</span></li> `)}
        </ol>
      </section>`;

const calendar = ({ calendar: dates }: Review) =>
  dates.length === 0
    ? undefined
    : html`<section aria-labelledby="calendar">
        <h2 id="calendar">DKIM keys before the change</h2>
        <table>
          <thead>
            <tr>
              <th scope="col">Domain</th>
              <th scope="col">Signs</th>
              <th scope="col">Since</th>
              <th scope="col">Next</th>
              <th scope="col">Removed from</th>
            </tr>
          </thead>
          <tbody>
            ${dates.map(
              ({ domain, signs, since, next, retired }) =>
                html`<tr>
                  <td>${domain}</td>
                  <td>${signs}</td>
                  <td>${since}</td>
                  <td>${next}</td>
                  <td>
                    ${Object.entries(retired)
                      .map(([selector, from]) => `${selector}: ${from}`)
                      .join(', ')}
                  </td>
                </tr> `,
            )}
          </tbody>
        </table>
      </section>`;

function section({ title, changes }: Section): Html {
  const lines = changes.reduce((sum, { edits }) => sum + changedLines(edits), 0);
  const records = changes.filter(({ record }) => record);
  const others = changes.filter(({ record }) => !record);
  return html`<section aria-labelledby="${idOf(title)}">
    <details open>
      <summary>
        <h2 id="${idOf(title)}">${title}</h2>
        <span class="count">${plural(lines, 'changed line')}</span>
      </summary>
      ${records.length > 0 ? recordTable(records) : undefined} ${others.map(changeBlock)}
    </details>
  </section> `;
}

const recordTable = (changes: Section['changes']) =>
  html`<table class="records">
      <thead>
        <tr>
          <th scope="col">Record</th>
          <th scope="col">Before</th>
          <th scope="col">After</th>
          <th scope="col">TTL</th>
          <th scope="col">Mark</th>
        </tr>
      </thead>
      <tbody>
        ${changes.map((change) => {
          const { before, after } = change.record!;
          return html`<tr>
            <th scope="row">${(after ?? before)?.title ?? change.name}</th>
            <td class="removed">${before?.data}</td>
            <td class="added">${after?.data}</td>
            <td>${(after ?? before)?.ttl}</td>
            <td>${markOf(change)}</td>
          </tr> `;
        })}
      </tbody>
    </table>
    ${changes.flatMap(({ record, edits }) => edits.filter(({ at }) => at !== (record!.after ?? record!.before)?.title).map((edit) => diff(edit, edit.at)))}`;

function changeBlock(change: Change & Verdict): Html {
  const what = heading(change);
  return html`<div class="change">
    ${what || change.mark !== 'harmless' ? html`<p>${markOf(change)} ${what ? html`<b>${what}</b>. ` : undefined}${change.reason}</p> ` : undefined}${change.edits.map((edit) => diff(edit, editNote(change, edit)))}
  </div> `;
}

const diff = (edit: Edit, note: string): Html =>
  html`<div class="edit">
    ${note ? html`<h3>${note}</h3> ` : undefined}${hunksOf(edit, 3).map(sideBySide)}
  </div> `;

/** Before on the left, after on the right; lines that change stand beside each other. */
function sideBySide({ oldStart, newStart, lines }: Hunk): Html {
  let [oldNumber, newNumber] = [oldStart, newStart];
  const rows: Html[] = [];
  const row = (old: Line | undefined, next: Line | undefined) => {
    const kind = old?.sign === ' ' ? 'same' : 'differs';
    rows.push(
      html`<tr class="${kind}">
        ${side(old, old && oldNumber++, 'removed')}${side(next, next && newNumber++, 'added')}
      </tr> `,
    );
  };
  for (const group of groups(lines)) {
    if (group[0]!.sign === ' ') group.forEach((line) => row(line, line));
    else {
      const [old, next] = (['-', '+'] as const).map((sign) => marked(group, sign));
      for (let i = 0; i < Math.max(old!.length, next!.length); i++) row(old![i], next![i]);
    }
  }
  return html`<div class="scroll" tabindex="0">
    <table class="diff">
      <thead>
        <tr>
          <th scope="col" colspan="2">Before</th>
          <th scope="col" colspan="2">After</th>
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div> `;
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
    const isLast = group[i + 1]?.sign === '\\';
    return [isLast ? { sign, text: `${line.text} (no newline at the end)` } : line];
  });

const side = (line: Line | undefined, number: number | undefined, kind: string): Html =>
  line === undefined
    ? html`<td class="number"></td>
        <td class="none"></td>`
    : html`<td class="number">${number}</td>
        <td class="${line.sign === ' ' ? 'kept' : kind}">
          ${line.sign === ' ' ? undefined : html`<span class="sign">${line.sign}</span>`}${line.text}
        </td>`;
