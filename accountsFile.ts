import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { FrontEnd, Mistake, Path } from './components/settings/mistakes';
import { unsealed } from './components/settings/sealed';

/** Config of the stack that says how the secrets of the file are encrypted. */
export const accountsKey = 'accountsKey';

/** Lists that the file may have. */
const lists = ['accounts', 'aliases'] as const;

interface Merged {
  input: Record<string, unknown>;
  mistakes: Mistake[];
  frontEnd: FrontEnd;
}

/**
 * Adds the accounts and aliases of a stack's own file to those of its config, which has no room for many: Pulumi hands all of
 * it to the program in one variable of 128 KB.
 *
 * @param file e.g. `Pulumi.dev.accounts.yaml`
 * @param input settings of the stack's config
 * @param marked keys of it with a secret inside
 * @throws Error if it is not YAML
 */
export function withAccountsFile(
  file: string,
  { [accountsKey]: key, ...input }: Record<string, unknown>,
  frontEnd: FrontEnd,
  marked: string[],
): Merged {
  const mistakes: Mistake[] = [];
  if (key !== undefined && !marked.includes(`mailhost:${accountsKey}`))
    mistakes.push({
      path: [accountsKey],
      problem: 'is not encrypted; set it again',
      remedy: { path: [accountsKey], secret: true },
    });
  if (!existsSync(file)) return { input, mistakes, frontEnd };
  const content = (parse(readFileSync(file, 'utf8')) ?? {}) as Record<string, unknown>;
  const merged = { ...input };
  const first = new Map<PropertyKey, number>();
  for (const list of lists) {
    const own = asList(input[list]);
    const added = content[list];
    if (added === undefined) continue;
    first.set(list, own.length);
    const path: Path = [list, own.length];
    if (Array.isArray(added))
      merged[list] = [
        ...own,
        ...added.map((item, i) => opened(item, key, [list, own.length + i], mistakes)),
      ];
    else mistakes.push({ path, problem: 'is not a list' });
  }
  for (const other of Object.keys(content))
    if (!lists.some((list) => list === other))
      mistakes.push({
        path: [file, other],
        problem:
          'is not a list of this file: accounts or aliases; set it in the config of the stack',
      });
  return { input: merged, mistakes, frontEnd: inFile(file, first, frontEnd) };
}

/** An entry with its hash in the clear. */
function opened(entry: unknown, key: unknown, path: Path, mistakes: Mistake[]): unknown {
  const { passwordHash: hash, ...rest } = (entry ?? {}) as Record<string, unknown>;
  if (hash === undefined) return entry;
  const secure = (hash as { secure?: unknown }).secure;
  const place = [...path, 'passwordHash'];
  const wrong = (problem: string) => {
    mistakes.push({ path: place, problem });
    return rest;
  };
  const how = 'write what `npx mailhost encrypt` makes of it';
  if (typeof secure !== 'string') return wrong(`is not encrypted: ${how}`);
  if (typeof key !== 'string')
    return wrong(
      `cannot be decrypted: mailhost:${accountsKey} is not set in the config of the stack`,
    );
  const plain = unsealed(secure, key);
  return plain === undefined
    ? wrong(`was not encrypted by the mailhost:${accountsKey} of the stack, or was changed: ${how}`)
    : { ...rest, passwordHash: plain };
}

const asList = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);

/** Names what the file has by its place there. */
const inFile = (file: string, first: Map<PropertyKey, number>, other: FrontEnd): FrontEnd => {
  const placeOf = ([list = '', index, ...inside]: Path): Path | undefined => {
    const from = first.get(list);
    return from === undefined || typeof index !== 'number' || index < from
      ? undefined
      : [list, index - from, ...inside];
  };
  const named = (path: Path) => `${file}: ${other.name(path).replace(/^mailhost:/, '')}`;
  return {
    name: (path) => {
      const place = placeOf(path);
      return place ? named(place) : path[0] === file ? named(path.slice(1)) : other.name(path);
    },
    instruction: (change) => {
      const place = placeOf(change.path);
      if (!place) return other.instruction(change);
      if ('remove' in change) return `remove ${named(place)}`;
      if ('value' in change) return `set ${named(place)} to ${JSON.stringify(change.value)}`;
      return `set ${named(place)} to what \`npx mailhost encrypt\` writes`;
    },
  };
};
