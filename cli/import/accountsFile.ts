import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { Document, parseDocument } from 'yaml';
import { newSealingKey, sealed } from '../../components/settings/sealed';
import type { ConfigChanges, Stack } from './changes';

type Lists = Pick<Stack, 'accounts' | 'aliases'>;

/** The lists of a stack's own file of accounts, which the program adds to those of its config. */
export function readAccountsFile(path: string): Lists {
  const { accounts = [], aliases = [] } =
    (existsSync(path)
      ? (parseDocument(readFileSync(path, 'utf8')).toJS() as Partial<Lists> | null)
      : null) ?? {};
  return { accounts, aliases };
}

/** Parts changes in those of the config and those of the file, which has what comes after the config's own accounts and aliases. */
export function partChanges(changes: ConfigChanges, config: Lists) {
  const placeInFile = (path: string): (string | number)[] | undefined => {
    const [, list, index] = /^mailhost:(accounts|aliases)\[(\d+)\]/.exec(path) ?? [];
    const at = Number(index) - (config[list as keyof Lists]?.length ?? 0);
    if (list === undefined || at < 0) return undefined;
    const inside = [...path.slice(path.indexOf(']') + 1).matchAll(/\.(\w+)|\[(\d+)\]/g)];
    return [list, at, ...inside.map(([, name, number]) => name ?? Number(number))];
  };
  const part = (pairs: ConfigChanges['plain']) => ({
    config: pairs.filter(([path]) => !placeInFile(path)),
    file: pairs.flatMap(([path, value]) => {
      const place = placeInFile(path);
      return place ? [{ place, value }] : [];
    }),
  });
  const [plain, secret] = [part(changes.plain), part(changes.secret)];
  return {
    config: { ...changes, plain: plain.config, secret: secret.config },
    plain: plain.file,
    secret: secret.file,
  };
}

/** Writes the file anew, with its comments. */
export function writeAccountsFile(
  path: string,
  { plain, secret }: Pick<ReturnType<typeof partChanges>, 'plain' | 'secret'>,
  key: string,
): void {
  const found = existsSync(path) ? parseDocument(readFileSync(path, 'utf8')) : undefined;
  const document = found?.contents ? found : new Document({});
  for (const { place, value } of plain)
    document.setIn(place, place[2] === 'quota' ? Number(value) : value);
  for (const { place, value } of secret) document.setIn(place, { secure: sealed(value, key) });
  const part = `${path}.part`;
  writeFileSync(part, document.toString());
  renameSync(part, path);
}

/** The key of a stack that encrypts the secrets of the file, made where there is none. */
export function sealingKey(
  pulumi: (words: string[], input?: string) => { status: number | null; stdout: string },
  stack: string,
): string {
  const words = ['mailhost:accountsKey', '--stack', stack];
  const known = pulumi(['config', 'get', ...words], '');
  if (known.status === 0) return known.stdout.trim();
  const key = newSealingKey();
  const set = pulumi(['config', 'set', '--secret', ...words], key);
  if (set.status !== 0)
    throw new Error('pulumi config set failed: mailhost:accountsKey is not set');
  return key;
}
