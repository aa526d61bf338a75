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

/** Of a larger difference the smallest description takes seconds to find, and nobody reads it line by line. */
const mostEdits = 2000;

const found = new WeakMap<Edit, Map<number, Hunk[]>>();

/** The lines that change, with at most `context` unchanged lines before and after. */
export function hunksOf(edit: Edit, context: number): Hunk[] {
  const known = found.get(edit) ?? new Map<number, Hunk[]>();
  found.set(edit, known);
  const hunks = known.get(context) ?? compared(edit, context);
  known.set(context, hunks);
  return hunks;
}

function compared({ before, after }: Edit, context: number): Hunk[] {
  // Values have no newline at their end, which would be remarked on.
  const end = [before, after].some((text) => text?.endsWith('\n')) ? '' : '\n';
  const [old = '', next = ''] = [before, after].map((text) => text && `${text}${end}`);
  if (old === next) return [];
  const patch =
    old !== '' && next !== ''
      ? structuredPatch('', '', old, next, '', '', { context, maxEditLength: mostEdits })
      : undefined;
  if (patch === undefined) return [wholeHunk(old, next, context)];
  return patch.hunks.map(({ oldStart, newStart, lines }) => ({
    oldStart,
    newStart,
    lines: lines.map((line) => ({ sign: line[0] as Line['sign'], text: line.slice(1) })),
  }));
}

/** Everything between what two texts begin and end with alike. */
function wholeHunk(before: string, after: string, context: number): Hunk {
  const split = (text: string): string[] => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  const [old, next] = [split(before), split(after)];
  const most = Math.min(old.length, next.length);
  let start = 0;
  while (start < most && old[start] === next[start]) start++;
  let rest = 0;
  while (rest < most - start && old.at(-1 - rest) === next.at(-1 - rest)) rest++;
  const signed = (sign: Line['sign'], lines: string[]) =>
    lines.flatMap((line): Line[] =>
      line.endsWith('\n')
        ? [{ sign, text: line.slice(0, -1) }]
        : [
            { sign, text: line },
            { sign: '\\', text: ' No newline at end of file' },
          ],
    );
  const first = Math.max(0, start - context);
  return {
    oldStart: first + 1,
    newStart: first + 1,
    lines: [
      ...signed(' ', old.slice(first, start)),
      ...signed('-', old.slice(start, old.length - rest)),
      ...signed('+', next.slice(start, next.length - rest)),
      ...signed(' ', old.slice(old.length - rest, old.length - rest + context)),
    ],
  };
}

/** Number of lines that the edits remove and add. */
export const changedLines = (edits: Edit[]): number =>
  edits
    .flatMap((edit) => hunksOf(edit, 0))
    .flatMap(({ lines }) => lines)
    .filter(({ sign }) => sign === '-' || sign === '+').length;
