import type { Action, Change, Edit } from './changes';
import { changedLines } from './lines';
import type { Effect, Mark, Review } from './model';
import { secretNote, type SecretChange } from './secrets';
import { plural } from './terminal';

/** The mark as a heading. */
export const markTitles: Record<Mark, string> = {
  blocked: 'Blocked',
  risky: 'Risky',
  harmless: 'Harmless',
};

const verbs: Record<Action, { now: string; done: string }> = {
  add: { now: 'create', done: 'created' },
  import: { now: 'import', done: 'imported' },
  change: { now: 'change', done: 'changed' },
  replace: { now: 'replace', done: 'replaced' },
  remove: { now: 'delete', done: 'deleted' },
};

/** The result in one line, in two parts: the mark, and what was compared. */
export function headline({ mark, counts, resources, stack, blockers }: Review): [string, string] {
  const of = stack ? ` of the stack ${stack}` : ' of the mail host';
  const compared = resources === undefined ? '' : `${plural(resources, 'resource')}${of} compared`;
  if (mark === 'harmless' && Object.keys(counts).length === 0)
    return ['Nothing changes', compared && `: ${compared}`];
  const kinds = (Object.keys(verbs) as Action[])
    .filter((action) => counts[action])
    .map((action) => `${counts[action]} ${verbs[action].done}`);
  // An engine that is stopped counts what it had reached.
  const parts = [
    ...(kinds.length > 0 ? [kinds.join(', ')] : []),
    blockers.length > 0 ? `the preview${of} stopped` : compared,
  ];
  return [markTitles[mark], `: ${parts.join('; ')}`];
}

/** What happens to a secret of a resource to which this happens. */
const hows: Partial<Record<Action, SecretChange['how']>> = { add: 'new', remove: 'removed' };

/** What happens to the resource, if its lines do not say it. */
export function heading({
  push,
  record,
  action,
  type,
  name,
  edits,
  replaceReasons,
}: Change): string {
  if (record) return '';
  if (push !== undefined && action === 'change' && edits.length > 0) return '';
  if (push !== undefined && edits.some(({ isSecret }) => isSecret)) return '';
  if (push !== undefined && action === 'add') return `new on the host: ${name}`;
  if (push !== undefined && action === 'remove') return `no longer on the host: ${name}`;
  const why =
    replaceReasons.length > 0
      ? ` because of ${replaceReasons.join(', ')}`
      : asked(type, action, edits);
  return `${verbs[action].now} ${shortType(type)} ${name}${why}`;
}

/** A server of which no property differs. */
const asked = (type: string, action: Action, edits: Edit[]): string =>
  type === 'hcloud:index/server:Server' && action === 'replace' && edits.length === 0
    ? ' because serverGeneration or --replace asks for it'
    : '';

/** `hcloud:index/server:Server` is `hcloud Server`. */
const shortType = (type: string) => {
  const [provider = '', , kind] = type.split(':');
  return kind === undefined ? type : `${provider} ${kind}`;
};

/** Whether an edit has the record itself, and not another property of it. */
export const isRecordLine = ({ record }: Change, at: string): boolean =>
  [record?.before?.title, record?.after?.title].includes(at);

export const isFile = ({ at }: Edit): boolean => at.startsWith('/');

/** A value of one line, which stands behind its name. */
export const isShort = (change: Change, edit: Edit): boolean =>
  !isRecordLine(change, edit.at) &&
  !isFile(edit) &&
  !edit.isSecret &&
  ![edit.before, edit.after].some((text) => /\n|^- /.test(text ?? ''));

/** What the lines of an edit belong to; empty if they say it themselves. */
export function editNote(
  change: Change,
  { at, before, after, isSecret, secrets, changedSecrets }: Edit,
): string {
  if (isSecret)
    return changedSecrets?.length
      ? secretNote(changedSecrets)
      : `${hows[change.action] ?? 'changed'} secret: ${secrets ?? at}`;
  if (isRecordLine(change, at)) return '';
  if (change.action === 'change' && before === undefined) return `${at} (new)`;
  if (change.action === 'change' && after === undefined) return `${at} (removed)`;
  return at;
}

/** When it comes, if that is known. */
export function timeOf({ after }: Effect): string {
  if (after === undefined) return '';
  return after % 60 === 0 ? `after ${after / 60} min` : `after ${after} s`;
}

export const effectLine = (effect: Effect): string =>
  [timeOf(effect), effect.what].filter((text) => text !== '').join(': ');

/** Times that were measured, with what else is to know of them; empty if none was. */
export const forSeconds = (seconds: (number | undefined)[], note = ''): string => {
  const known = seconds.filter((one) => one !== undefined);
  return known.length > 0 ? ` (measured: up to ${known.join(' s, then ')} s${note})` : '';
};

/** How much changes, in words; empty if nothing but the resource itself. */
export function amountOf(changes: Change[]): string {
  const edits = changes.flatMap((change) => change.edits);
  const [lines, secrets] = [changedLines(edits), edits.filter(({ isSecret }) => isSecret).length];
  return [
    ...(lines > 0 ? [plural(lines, 'line')] : []),
    ...(secrets > 0 ? [plural(secrets, 'secret')] : []),
  ].join(', ');
}
