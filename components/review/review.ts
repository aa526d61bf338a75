import { changesIn, type Change } from './changes';
import { dkimCalendar, effectsOf } from './effects';
import { marks, type Mark, type Review, type Section, type Verdict } from './model';
import type { Plan } from './plan';
import { works } from './pushes';
import { verdictOn } from './risk';

export function reviewOf(plan: Plan): Review {
  const changes = changesIn(plan).map((change) => ({ ...change, ...verdictOn(change) }));
  const messages = (...severities: string[]) => [
    ...new Set(
      plan.diagnostics
        .filter(({ severity }) => severities.includes(severity))
        .map(({ message }) => message),
    ),
  ];
  const [blockers, warnings] = [messages('error'), messages('warning')];
  const found: Mark[] = [
    ...(blockers.length > 0 ? (['blocked'] as const) : []),
    ...(warnings.length > 0 && changes.length > 0 ? (['risky'] as const) : []),
    ...changes.map(({ mark }) => mark),
  ];
  const counts: Review['counts'] = {};
  for (const { action } of changes) counts[action] = (counts[action] ?? 0) + 1;
  return {
    stack: plan.stack,
    mark: marks.find((mark) => found.includes(mark)) ?? 'harmless',
    resources: plan.resources,
    counts,
    blockers,
    warnings,
    notes: messages('info', 'info#err'),
    effects: effectsOf(changes),
    sections: sectionsOf(changes),
    calendar: changes.some(touchesKeys) ? dkimCalendar(plan) : [],
  };
}

const touchesKeys = ({ record, type }: Change) =>
  type === 'tls:index/privateKey:PrivateKey' ||
  [record?.before, record?.after].some((one) => one?.name.includes('._domainkey.'));

/** By subject, in the order in which a person asks: the machine, DNS, keys, each push, and whatever else there is. */
function sectionsOf(changes: Section['changes']): Section[] {
  const known = works();
  const subjects = [
    'Server',
    'DNS',
    'Keys and certificates',
    ...[...known.values()].map(({ title }) => title),
    'Other resources',
  ];
  const subjectOf = ({ push, record, type }: Change): string => {
    if (push !== undefined) return known.get(push)?.title ?? 'Other resources';
    if (record || type.startsWith('cloudflare:')) return 'DNS';
    if (type.startsWith('hcloud:')) return 'Server';
    return type.startsWith('tls:') ? 'Keys and certificates' : 'Other resources';
  };
  // The effects name what is pushed or checked again without a change of its own; what is checked follows from the rest.
  const shown = changes.filter(
    ({ push, edits, action }) =>
      push === undefined ||
      action === 'remove' ||
      !known.has(push) ||
      (edits.length > 0 && push !== 'check' && push !== 'records'),
  );
  // What needs attention comes first, and of records what has one reason together.
  const order = ({ record, mark, reason }: Change & Verdict) =>
    [
      marks.indexOf(mark),
      ...(record ? [reason, (record.after ?? record.before)?.line] : []),
    ].join();
  return subjects
    .map((title) => ({
      title,
      changes: shown
        .filter((change) => subjectOf(change) === title)
        .sort((a, b) => order(a).localeCompare(order(b), 'en')),
    }))
    .filter(({ changes: own }) => own.length > 0);
}

/** The worst mark, and the reasons of the changes that have it. */
export function verdictOf(changes: Verdict[]): { mark: Mark; reasons: string[] } {
  const mark = marks.find((one) => changes.some((change) => change.mark === one))!;
  const worst = changes.filter((change) => change.mark === mark);
  return { mark, reasons: [...new Set(worst.map(({ reason }) => reason))] };
}
