import { accountsIn } from '../daemons/dovecot';
import { domainsIn, domainsTable } from '../daemons/openSmtpdMeanings';
import type { Change } from './changes';
import type { Effect } from './model';
import { recordMeanings } from './recordMeaning';
import { works } from './pushes';
import { withNewPassword } from './secrets';
import { plural, some } from './terminal';

/** What a change means to people: who can log in, who gets which mail, and which mail passes, is refused or is spam. */
export const meaningOf = (changes: Change[]): Effect[] => [
  ...accountEffects(changes),
  ...domainEffects(changes),
  ...changes.flatMap(fileEffects),
  ...secretEffects(changes),
  ...recordMeanings(changes),
];

const isPush = ({ push, action }: Change): boolean =>
  push !== undefined && (action === 'change' || action === 'replace');

/** What stands in a list of a file that a push changes. */
function listed(
  changes: Change[],
  list: (texts: (path: string) => string | undefined) => string[],
) {
  const edits = changes.filter(isPush).flatMap((change) => change.edits);
  const side = (which: 'before' | 'after') =>
    list((path) => edits.find(({ at }) => at === path)?.[which]);
  const [before, after] = [side('before'), side('after')];
  return {
    added: after.filter((one) => !before.includes(one)),
    removed: before.filter((one) => !after.includes(one)),
  };
}

/** Accounts that the changes add and remove. */
export const accountsOf = (changes: Change[]): { added: string[]; removed: string[] } =>
  listed(changes, accountsIn);

const named = (what: string, names: string[]): string =>
  names.length > 5
    ? plural(names.length, what)
    : `the ${what}${names.length > 1 ? 's' : ''} ${some(names)}`;

function accountEffects(changes: Change[]): Effect[] {
  const { added, removed } = accountsOf(changes);
  return [
    ...(removed.length > 0
      ? [
          {
            what: `removes ${named('account', removed)}: logins end, and mail is no longer delivered to the mailbox`,
            kind: 'stops' as const,
          },
        ]
      : []),
    ...(added.length > 0
      ? [
          {
            what: `adds ${named('account', added)}: ${added.length > 1 ? 'they' : 'it'} can log in, and ${added.length > 1 ? 'receive' : 'receives'} mail`,
            kind: 'means' as const,
          },
        ]
      : []),
  ];
}

function domainEffects(changes: Change[]): Effect[] {
  const { added, removed } = listed(changes, (text) => domainsIn(text(domainsTable) ?? ''));
  return [
    ...(removed.length > 0
      ? [{ what: `refuses mail for ${some(removed)}`, kind: 'stops' as const }]
      : []),
    ...(added.length > 0
      ? [{ what: `accepts mail for ${some(added)}`, kind: 'means' as const }]
      : []),
  ];
}

/** What the specs say of each file. */
function fileEffects(change: Change): Effect[] {
  if (!isPush(change)) return [];
  const meanings = works().get(change.push!)?.meanings ?? [];
  return meanings.flatMap(({ path, says }) => {
    const edit = change.edits.find(({ at }) => at === path);
    return edit
      ? says(edit.before ?? '', edit.after ?? '').map((what) => ({ what, kind: 'means' as const }))
      : [];
  });
}

function secretEffects(changes: Change[]): Effect[] {
  const secrets = changes
    .filter(isPush)
    .flatMap(({ push, edits }) =>
      edits
        .filter(({ isSecret }) => isSecret)
        .map((edit) => ({ edit, work: works().get(push ?? '') })),
    );
  const known = secrets.flatMap(({ edit }) => edit.changedSecrets ?? []);
  const passwords = [...new Set(withNewPassword(known))];
  const { added, removed } = accountsOf(changes);
  // Without a report the engine says only that they differ: of a push that has nothing else, passwords.
  const isUnnamed =
    added.length + removed.length === 0 &&
    secrets.some(
      ({ edit, work }) => !edit.changedSecrets && work?.secrets?.from.join() === 'credentials',
    );
  const whose =
    passwords.length > 0
      ? `the password of ${passwords.join(', ')}`
      : isUnnamed
        ? 'passwords of accounts'
        : undefined;
  const others = secrets.flatMap(({ edit, work }) =>
    (edit.changedSecrets ?? []).flatMap(({ how, what }) =>
      how === 'changed' ? (work?.secrets?.meanings?.[what] ?? []) : [],
    ),
  );
  return [
    ...(whose === undefined
      ? []
      : [
          {
            what: `changes ${whose}: mail clients log in again, with the new one`,
            kind: 'stops' as const,
          },
        ]),
    ...[...new Set(others)].map((what) => ({ what, kind: 'means' as const })),
  ];
}
