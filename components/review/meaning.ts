import { unquoted } from '../dns/recordForms';
import { isSpf } from '../dns/spf';
import type { Change, Edit } from './changes';
import { plural } from './terminal';

/** What a change means to people: who can log in, who reads the operator's mail, and which mail passes or is spam. */
export function meaningOf(changes: Change[]): string[] {
  const edits = changes.flatMap((change) => change.edits);
  return [...accountEffects(edits), ...valueEffects(edits), ...changes.flatMap(senderEffects)];
}

/** Accounts have a line of their own beside those of other names that they log in with. */
const accountsIn = (logins: string | undefined): string[] =>
  [...(logins ?? '').matchAll(/^([^:\n]+):.*\buser=(\S+)/gm)]
    .filter(([, name, user]) => name === user)
    .map(([, name]) => name!);

/** Accounts that the edits add and remove. */
export function accountsOf(edits: Edit[]): { added: string[]; removed: string[] } {
  const logins = edits.find(({ at }) => at === '/etc/dovecot/logins');
  const [before, after] = [accountsIn(logins?.before), accountsIn(logins?.after)];
  return {
    added: after.filter((one) => !before.includes(one)),
    removed: before.filter((one) => !after.includes(one)),
  };
}

function accountEffects(edits: Edit[]): string[] {
  const { added, removed } = accountsOf(edits);
  return [
    ...named('adds', added),
    ...named('removes', removed, ': logins end, and mail is no longer delivered to the mailbox'),
  ];
}

const named = (verb: string, accounts: string[], rest = ''): string[] =>
  accounts.length === 0
    ? []
    : [
        accounts.length > 3
          ? `${verb} ${plural(accounts.length, 'account')}${rest}`
          : `${verb} the account${accounts.length > 1 ? 's' : ''} ${accounts.join(', ')}${rest}`,
      ];

/** Values that a person knows by what they do. */
const values: { at: string; value: RegExp; says: (before: string, after: string) => string }[] = [
  {
    at: '/etc/dovecot/dovecot.conf',
    value: /^postmaster_address = (\S+)$/m,
    says: (before, after) =>
      `mail for root and for the role addresses goes to ${after} instead of ${before}`,
  },
  {
    at: '/etc/amavis/conf.d/60-mailhost',
    value: /^\$sa_tag2_level_deflt = (\S+);$/m,
    says: (before, after) => `marks mail as spam from a score of ${after} instead of ${before}`,
  },
  {
    at: '/etc/amavis/conf.d/60-mailhost',
    value: /^\$sa_kill_level_deflt = (\S+);$/m,
    says: (before, after) => `takes mail for junk from a score of ${after} instead of ${before}`,
  },
];

const valueEffects = (edits: Edit[]): string[] =>
  values.flatMap(({ at, value, says }) => {
    const edit = edits.find((one) => one.at === at);
    const [before, after] = [edit?.before, edit?.after].map((text) => value.exec(text ?? '')?.[1]);
    return before !== undefined && after !== undefined && before !== after
      ? [says(before, after)]
      : [];
  });

/** Mechanisms of an SPF record (RFC 7208) that let a sender pass. */
function passing(data: string): string[] {
  const text = unquoted(data);
  if (!isSpf(text)) return [];
  const terms = text.split(' ').slice(1);
  return terms.filter((term) => !/^[-~?]|^(?:\+?all|redirect=.*|exp=.*)$/.test(term));
}

function senderEffects({ record }: Change): string[] {
  if (!record?.before || !record.after) return [];
  const [before, after] = [passing(record.before.data), passing(record.after.data)];
  const { name } = record.after;
  const added = after.filter((term) => !before.includes(term));
  const removed = before.filter((term) => !after.includes(term));
  return [
    ...(added.length > 0 ? [`senders at ${added.join(', ')} may use ${name} (SPF)`] : []),
    ...(removed.length > 0
      ? [`senders at ${removed.join(', ')} may no longer use ${name} (SPF)`]
      : []),
  ];
}
