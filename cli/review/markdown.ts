import type { Edit } from '../../components/review/changes';
import { hunksOf } from '../../components/review/lines';
import type { Review, Section } from '../../components/review/model';
import { verdictOf } from '../../components/review/review';
import {
  amountOf,
  editNote,
  effectLine,
  headline,
  heading,
  markTitles,
} from '../../components/review/words';
import { visible, visibleName } from '../../components/review/terminal';

/** Characters that a comment on GitHub may have; GitLab takes more. */
export const commentLimit = 65_536;

/** A part of the comment, and what stands in for it if there is no room. */
interface Part {
  full: string;
  short: string;
  /** As much of it as there is room for; empty if there is too little. */
  cut?: (room: number) => string;
}

/**
 * The review as a comment on a pull request. The result, the marks and the number of changes always stand in it; lines that
 * change are left out, with a remark, once the comment would be longer than GitHub takes.
 */
export function markdownReview(review: Review): string {
  const [mark, compared] = headline(review);
  const head = `<!-- mailhost review -->\n### Mail host review: ${icons[review.mark]} ${mark}${escaped(compared)}\n\n${summaryTable(review)}`;
  const parts = [
    messagePart('Blocked', review.blockers),
    messagePart('Warnings', review.warnings),
    listPart('Effects', review.effects.map(effectLine)),
    ...review.sections.map(sectionPart),
    messagePart('Messages', review.notes),
  ].filter((part) => part !== undefined);
  return fitted(head, parts);
}

const icons = { blocked: '⛔', risky: '⚠️', harmless: '✅' };

function summaryTable({ sections }: Review): string {
  if (sections.length === 0) return '';
  const rows = sections.map(({ title, changes }) => {
    const { mark, reasons } = verdictOf(changes);
    const why = reasons.length > 3 ? [...reasons.slice(0, 2), '…'] : reasons;
    return `| ${title} | ${changes.length} | ${amountOf(changes)} | ${icons[mark]} ${markTitles[mark]} | ${cell(why.join(' '))} |\n`;
  });
  return `| Part | Resources | Changed | Mark | Reason |\n| --- | ---: | ---: | --- | --- |\n${rows.join('')}\n`;
}

function listPart(title: string, items: string[]): Part | undefined {
  if (items.length === 0) return undefined;
  const lines = items.map((item) => `- ${escaped(item)}\n`);
  return { full: `**${title}**\n\n${lines.join('')}\n`, short: leftOut(title, items.length) };
}

/** Messages as they are, with commands that can be copied. */
function messagePart(title: string, messages: string[]): Part | undefined {
  if (messages.length === 0) return undefined;
  return {
    full: `**${title}**\n\n${messages.map((message) => fenced('text', `${withoutActions(visible(message))}\n`)).join('')}`,
    short: leftOut(title, messages.length),
  };
}

/** GitLab does what a line says that begins with a slash (`/merge`), and has not always spared code in longer fences. */
const withoutActions = (text: string): string => text.replaceAll(/^\//gm, ' /');

const leftOut = (title: string, count: number | string) =>
  `**${title}**: ${count}, left out for lack of room\n\n`;

function sectionPart({ title, changes }: Section): Part {
  const count = amountOf(changes);
  const blocks = changes.map((change) => {
    const parts = change.edits.map((edit) => {
      const note = editNote(change, edit);
      return `${note ? `${code(note)}\n\n` : ''}${diffBlock(edit)}`;
    });
    const risk =
      change.mark === 'harmless' ? '' : `${icons[change.mark]} ${escaped(change.reason)}\n\n`;
    const what = heading(change);
    return `${what ? `${code(what)}\n\n` : ''}${risk}${parts.join('')}`;
  });
  const mark = icons[verdictOf(changes).mark];
  const folded = (inner: string[]) =>
    `<details>\n<summary>${mark} <b>${title}</b>${count && `: ${count}`}</summary>\n\n${inner.join('')}</details>\n\n`;
  const remark = (left: number) =>
    `The remaining ${left} of ${blocks.length} changes are left out for lack of room: run \`mailhost review\` to see them.\n\n`;
  return {
    full: folded(blocks),
    short: `${mark} ${leftOut(title, count || 'changes')}`,
    cut: (room) => {
      let used = folded([remark(blocks.length)]).length;
      const kept = blocks.findIndex((block) => (used += block.length) > room);
      return kept > 0 ? folded([...blocks.slice(0, kept), remark(blocks.length - kept)]) : '';
    },
  };
}

function diffBlock(edit: Edit): string {
  const hunks = hunksOf(edit, 3);
  if (hunks.length === 0) return '';
  const isOneLine = [edit.before, edit.after].every((text) => !/\n./.test(text ?? ''));
  const text = hunks.map(({ oldStart, newStart, lines }) => {
    const shown = lines.map((line) => `${line.sign}${visible(line.text)}\n`);
    // Of a text of one line the numbers say nothing.
    return `${isOneLine ? '' : `@@ -${oldStart} +${newStart} @@\n`}${shown.join('')}`;
  });
  return fenced('diff', text.join(''));
}

const longestRun = (text: string) =>
  Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));

/** A block that nothing in it can close. GitHub reads no mentions in code. */
function fenced(language: string, text: string): string {
  const fence = '`'.repeat(Math.max(3, longestRun(text) + 1));
  return `${fence}${language}\n${text}${fence}\n\n`;
}

function code(text: string): string {
  const shown = visibleName(text);
  const fence = '`'.repeat(longestRun(shown) + 1);
  return `${fence} ${shown} ${fence}`;
}

/** Of one word; spaces inside are needed only beside a backtick. */
const codeSpan = (word: string): string => (word.includes('`') ? code(word) : `\`${word}\``);

/** What GitHub and GitLab make links of: mentions, references and addresses. */
const linked = /[@#]|:\/\/|\bwww\./;

/**
 * Text in which Markdown and HTML mean nothing. What could mention somebody, refer to something or be a link is code: so it
 * is none, and copies as it is.
 */
export const escaped = (text: string): string =>
  visible(text)
    .trim()
    .split(/\s+/)
    .map((word) => {
      const [, own = word, end = ''] = /^(.*?)([,;:.)]*)$/.exec(word) ?? [];
      return linked.test(own) ? `${codeSpan(own)}${end}` : plain(word);
    })
    .join(' ');

const plain = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll(/[\\`*_[\]|~]|^[-+>#]/g, '\\$&');

/** In a cell of a table a bar ends it, in code as well. */
const cell = (text: string): string => escaped(text).replaceAll(/(?<!\\)\|/g, '\\|');

/** All parts in full, or as much of each as fits, as long as there is room for the others in short. */
function fitted(head: string, parts: Part[]): string {
  const remark = (left: number) =>
    `${left} more parts are left out for lack of room: run \`mailhost review\` to see them.\n`;
  const reserve = remark(parts.length).length;
  const pieces = parts.map(({ short }) => short);
  let room = commentLimit - head.length - reserve - pieces.join('').length;
  if (room < 0) {
    // So many parts that not even their short forms fit.
    let used = head.length + reserve;
    const fitting = pieces.filter((piece) => (used += piece.length) <= commentLimit);
    return `${head}${fitting.join('')}${remark(parts.length - fitting.length)}`;
  }
  parts.forEach(({ full, short, cut }, index) => {
    const most = short.length + room;
    const piece = full.length > most ? cut?.(most) : full;
    if (!piece) return;
    room = most - piece.length;
    pieces[index] = piece;
  });
  return `${head}${pieces.join('')}`;
}
