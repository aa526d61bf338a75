import { z } from 'zod';
import { listed, type Found } from './found';

const isActive = z.string().transform((value) => value === '1');
const mailbox = z.object({
  username: z.string(),
  password: z.string(),
  quota: z.string(),
  kind: z.string().nullish(),
  authsource: z.string().nullish(),
  active: isActive,
});
const alias = z.object({
  address: z.string(),
  goto: z.string(),
  internal: z.string().default('0'),
  active: isActive,
});
const aliasDomain = z.object({
  alias_domain: z.string(),
  target_domain: z.string(),
  active: isActive,
});

/**
 * Reads the database of mailcow as `mysqldump` or `mariadb-dump` writes it.
 *
 * @see https://github.com/mailcow/mailcow-dockerized/blob/master/data/web/inc/init_db.inc.php
 * @throws Error if it has no mailboxes
 */
export function readMailcow(dump: string): Found {
  const rows = <S extends z.ZodType>(table: string, form: S) =>
    z.array(form).parse(rowsOf(dump, table));
  const mailboxes = rows('mailbox', mailbox);
  if (mailboxes.length === 0)
    throw new Error(
      'the dump has no rows of the table mailbox: is it one of the database of mailcow?',
    );
  const found: Found = { entries: [], aliases: [], problems: [] };
  for (const { username, password, quota, kind, authsource, active } of mailboxes) {
    const reason = kind
      ? `is a resource of the calendar (${kind})`
      : !active
        ? 'is switched off'
        : authsource && authsource !== 'mailcow'
          ? `has its password at ${authsource}: give it one, by \`openssl passwd -6\``
          : undefined;
    if (reason !== undefined) found.problems.push(`${username} ${reason}`);
    else found.entries.push({ name: username, password, ...(quota === '0' ? {} : { quota }) });
  }
  for (const { address, goto, internal, active } of rows('alias', alias)) {
    if (!active) found.problems.push(`the alias ${address} is switched off`);
    else if (internal === '1')
      found.problems.push(
        `the alias ${address} is for senders of the host alone, which there is not here: add it to aliases if it may be open`,
      );
    else found.aliases.push({ name: address, recipients: listed(goto) });
  }
  for (const { alias_domain: name, target_domain: target, active } of rows(
    'alias_domain',
    aliasDomain,
  ))
    if (active) found.aliases.push({ name: `@${name}`, recipients: [`@${target}`] });
  return found;
}

type Row = Record<string, string | null>;

/** The rows of a table in the statements INSERT of a dump, by the names of their columns. */
function rowsOf(dump: string, table: string): Row[] {
  const created = new RegExp(`^CREATE TABLE \`${table}\` \\(\\n((?: .*\\n)*)`, 'm').exec(dump)?.[1];
  const ofTable = created === undefined ? [] : namesIn(created.match(/^\s+`\w+`/gm)?.join() ?? '');
  // A line end within a text is escaped, so this stands in none.
  const statement = new RegExp(`^INSERT INTO \`${table}\`(?: \\(([^)]*)\\))? VALUES\\s*`, 'gm');
  const rows: Row[] = [];
  for (let insert = statement.exec(dump); insert; insert = statement.exec(dump)) {
    const names = insert[1] === undefined ? ofTable : namesIn(insert[1]);
    for (const values of tuplesAt(dump, statement.lastIndex))
      rows.push(Object.fromEntries(names.map((name, i) => [name, values[i] ?? null])));
  }
  return rows;
}

const namesIn = (text: string): string[] => [...text.matchAll(/`(\w+)`/g)].map(([, name]) => name!);

/** The tuples of values from there to the end of the statement. */
function tuplesAt(dump: string, start: number): (string | null)[][] {
  const value = /[\s(]*(?:_\w+\s+)?(?:'((?:[^'\\]+|\\[^]|'')*)'|([^,()'\s]+))\s*(\)?)\s*([,;]?)/y;
  value.lastIndex = start;
  const tuples: (string | null)[][] = [];
  let values: (string | null)[] = [];
  for (let found = value.exec(dump); found; found = value.exec(dump)) {
    const [, text, word, close, next] = found;
    values.push(text === undefined ? (word === 'NULL' ? null : word!) : unescaped(text));
    if (close === '') continue;
    tuples.push(values);
    values = [];
    if (next !== ',') return tuples;
  }
  throw new Error(
    'a statement INSERT of the dump is not read: it was written in another form, or cut off',
  );
}

const escapes: Record<string, string> = { 0: '\0', n: '\n', r: '\r', t: '\t', b: '\b', Z: '\x1a' };

const unescaped = (text: string): string =>
  text.replace(/\\([^])|''/g, (_, escaped?: string) =>
    escaped === undefined ? "'" : (escapes[escaped] ?? escaped),
  );
