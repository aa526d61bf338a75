import { daemons } from '../daemons';
import { some } from './terminal';
import { filesIn, type HostFile } from './values';

/** How passwords of accounts are named. */
export const passwordOf = 'password of ';

type Files = Record<string, HostFile>;

/** One secret of a push that is new, another one, or removed. */
export interface SecretChange {
  how: 'new' | 'changed' | 'removed';
  /** `password of ACCOUNT, ACCOUNT`, or the path of a file. */
  what: string;
}

/**
 * Which secrets differ between two texts of a push: the passwords of accounts, where a file has a line for each, or else a
 * file. Holds no secret itself.
 *
 * @returns undefined if one of the texts is not known yet
 */
export function changedSecrets(
  push: string | undefined,
  before: unknown,
  after: unknown,
): SecretChange[] | undefined {
  const [old, next] = [before, after].map((text) =>
    text === undefined || text === '{}' ? {} : filesIn(text),
  );
  if (!old || !next) return undefined;
  const accounts = daemons.find(({ name }) => name === push)?.secrets?.accounts;
  const paths = [...new Set([...Object.keys(old), ...Object.keys(next)])].sort();
  return paths
    .filter((path) => JSON.stringify(old[path]) !== JSON.stringify(next[path]))
    .flatMap((path) => {
      const passwords = path === accounts ? changedPasswords(path, old, next) : [];
      return passwords.length > 0
        ? passwords
        : [{ how: !old[path] ? 'new' : next[path] ? 'changed' : 'removed', what: path } as const];
    });
}

/** The account is what each line begins with. */
function changedPasswords(path: string, old: Files, next: Files): SecretChange[] {
  const [before, after] = [old, next].map(
    (files) =>
      new Map(
        [...(files[path]?.text ?? '').matchAll(/^([^\s:#]+)[\s:](.*)$/gm)].map(
          ([, account, hash]) => [account!, hash!] as const,
        ),
      ),
  );
  const all = [...new Set([...before!.keys(), ...after!.keys()])].sort();
  const accounts = {
    new: all.filter((one) => !before!.has(one)),
    changed: all.filter(
      (one) => before!.has(one) && after!.has(one) && before!.get(one) !== after!.get(one),
    ),
    removed: all.filter((one) => !after!.has(one)),
  };
  return (['new', 'changed', 'removed'] as const).flatMap((how) =>
    accounts[how].length > 0 ? [{ how, what: `${passwordOf}${some(accounts[how])}` }] : [],
  );
}

/** The accounts of which another password is set, as `changedSecrets` names them. */
export const withNewPassword = (secrets: SecretChange[]): string[] =>
  secrets
    .filter(({ how, what }) => how === 'changed' && what.startsWith(passwordOf))
    .map(({ what }) => what.slice(passwordOf.length));

/** As one line of a review. */
export const secretNote = (secrets: SecretChange[]): string =>
  secrets.map(({ how, what }) => `${how} secret: ${what}`).join('; ');

const note = /^(new|changed|removed) secret: (.+)$/;

/**
 * Which secrets the report of a preview names, by the title of the part of the report: in the engine's own words for a
 * preview all secrets are alike.
 */
export function secretsNamedIn(report: string): Map<string, SecretChange[]> {
  const found = new Map<string, SecretChange[]>();
  let title = '';
  for (const line of report.split('\n')) {
    if (/^\S/.test(line)) title = line;
    const [, names = ''] = /^ {2}(\S.*)$/.exec(line) ?? [];
    const notes = names.split('; ').map((text) => note.exec(text));
    if (notes.every((one) => one !== null))
      found.set(title, [
        ...(found.get(title) ?? []),
        ...notes.map(([, how, what]) => ({ how: how as SecretChange['how'], what: what! })),
      ]);
  }
  return found;
}
