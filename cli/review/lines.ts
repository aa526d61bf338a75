import { structuredPatch } from 'diff';
import type { Edit } from './changes';

/** A line of a diff: kept, removed, added, or a remark of the diff itself. */
export interface Line {
  sign: ' ' | '-' | '+' | '\\';
  text: string;
}

/** Neighbouring lines that change, with lines around them. */
export interface Hunk {
  /** Numbers of its first lines, from 1 on. */
  oldStart: number;
  newStart: number;
  lines: Line[];
}

/** The lines that change, with at most `context` unchanged lines before and after. */
export function hunksOf({ before, after }: Edit, context: number): Hunk[] {
  // Values have no newline at their end, which would be remarked on.
  const end = [before, after].some((text) => text?.endsWith('\n')) ? '' : '\n';
  const [old, next] = [before, after].map((text) => (text ? `${text}${end}` : ''));
  return structuredPatch('', '', old!, next!, '', '', { context }).hunks.map((hunk) => ({
    oldStart: hunk.oldStart,
    newStart: hunk.newStart,
    lines: hunk.lines.map((line) => ({ sign: line[0] as Line['sign'], text: line.slice(1) })),
  }));
}

/** Number of lines that the edits remove and add. */
export const changedLines = (edits: Edit[]): number =>
  edits
    .flatMap((edit) => hunksOf(edit, 0))
    .flatMap(({ lines }) => lines)
    .filter(({ sign }) => sign === '-' || sign === '+').length;

/**
 * Text as a reader sees it: control characters, which could rewrite a terminal, and characters that reverse or hide text
 * are shown by their numbers.
 */
export const visible = (text: string): string =>
  text.replaceAll(
    // eslint-disable-next-line no-control-regex
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (character) => `<U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}>`,
  );
