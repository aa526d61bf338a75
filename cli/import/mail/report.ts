import { painter, plural, visible } from '../../../components/review/terminal';
import { exitStatus } from '../../exitStatus';
import type { Named, Result } from './lines';

/** Messages of a kind that a report names. */
const most = 20;

/** What became of each mailbox, for a terminal. */
export function textReport(results: Result[], isColoured: boolean): string {
  const paint = painter(isColoured);
  return results
    .flatMap((result) => {
      const { account, copied, moved, flagged, refused, comparison, error } = result;
      const done = [
        ...(copied > 0 ? [`${copied} copied`] : []),
        ...(moved > 0 ? [`${moved} moved`] : []),
        ...(flagged > 0 ? [`${flagged} with new flags`] : []),
      ].join(', ');
      return [
        `${isWhole(result) ? paint('green', 'equal') : paint('red', 'not equal')} ${visible(account)}: ${done || 'nothing new'}`,
        ...(error === undefined ? [] : [`  error: ${visible(error)}`]),
        ...list('refused by Dovecot here', refused),
        ...(comparison
          ? [
              `  on both sides: ${plural(comparison.equal, 'message')}${comparison.elsewhere > 0 ? `, and ${comparison.elsewhere} here in another folder` : ''}`,
              ...list('missing here', comparison.missing.map(nameOf)),
              ...list('copied, and deleted here since', comparison.deleted.map(nameOf)),
              ...list('only here', comparison.here.map(nameOf)),
            ]
          : []),
      ];
    })
    .concat('')
    .join('\n');
}

const nameOf = ({ folder, message, size }: Named): string =>
  `${folder}: ${message}, ${size} octets`;

function list(title: string, lines: string[]): string[] {
  if (lines.length === 0) return [];
  const rest = lines.length - most;
  return [
    `  ${title}: ${plural(lines.length, 'message')}`,
    ...lines.slice(0, most).map((line) => `    ${visible(line)}`),
    ...(rest > 0 ? [`    and ${rest} more, which --json lists`] : []),
  ];
}

/** Whether all that the other host has is here, or was. */
const isWhole = ({ comparison, refused, error }: Result): boolean =>
  error === undefined && refused.length === 0 && comparison?.missing.length === 0;

export const statusOf = (results: Result[]): number =>
  results.every(isWhole) ? exitStatus.fine : exitStatus.problem;
