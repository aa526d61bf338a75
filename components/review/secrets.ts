import { daemons } from '../daemons';
import { filesIn, type HostFile } from './values';
import { some } from './words';

/** How passwords of accounts are named. */
export const passwordOf = 'password of ';

type Files = Record<string, HostFile>;

/**
 * Which secrets differ between two texts of a push: the password of an account, where a file has a line for each, or else a
 * file. Holds no secret itself.
 *
 * @returns undefined if one of the texts is not known yet
 */
export function changedSecrets(
  push: string | undefined,
  before: unknown,
  after: unknown,
): string[] | undefined {
  const [old, next] = [filesIn(before), filesIn(after)];
  if (!old || !next) return undefined;
  const accounts = daemons.find(({ name }) => name === push)?.secrets?.accounts;
  const paths = [...new Set([...Object.keys(old), ...Object.keys(next)])].sort();
  return paths
    .filter((path) => JSON.stringify(old[path]) !== JSON.stringify(next[path]))
    .map((path) => {
      const names = path === accounts ? changedAccounts(path, old, next) : [];
      return names.length > 0 ? `${passwordOf}${some(names)}` : path;
    });
}

/** The account is what each line begins with. */
function changedAccounts(path: string, old: Files, next: Files): string[] {
  const [lines, others] = [old, next].map((files) => (files[path]?.text ?? '').split('\n'));
  const differing = [
    ...lines!.filter((line) => !others!.includes(line)),
    ...others!.filter((line) => !lines!.includes(line)),
  ];
  return [...new Set(differing.flatMap((line) => /^[^\s:#]+(?=[\s:])/.exec(line) ?? []))].sort();
}
