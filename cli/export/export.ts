import {
  createWriteStream,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { fromJson } from '../../components/review/values';
import { isOlder, onHost, type Connection, type Output } from '../../components/ssh';

/** What to take out of a host. */
export interface Request {
  /** Addresses. */
  accounts: string[];
  domain?: string;
  /** Whether the mail of the domain's accounts is wanted, too. */
  mail: boolean;
  format: string;
  /** Folder of the files. */
  to: string;
}

/** As `Tables` of export_accounts.py has it. */
const tables = z.object({ accounts: z.string(), aliases: z.string() });

/** Seconds. */
const patience = 120;

/**
 * Writes the files of an export, readable for this user alone, because they hold password hashes and mail. One that is cut
 * off leaves none that looks complete.
 *
 * @param tell takes a line of progress
 * @returns what failed, a line each
 * @throws Error if a request cannot be right, or would write over a file, before anything is written
 */
export async function exportAll(
  connection: Connection,
  { accounts, domain, mail, format, to }: Request,
  tell: (line: string) => void,
  run: typeof onHost = onHost,
): Promise<string[]> {
  const wrong = accounts.filter((address) => !isAddress(address));
  if (wrong.length > 0) throw new Error(`${wrong.join(', ')}: not an address of an account.`);
  if (domain !== undefined && !/^[a-z0-9.-]+$/.test(domain))
    throw new Error(`${domain} is not a domain in the form of DNS.`);
  if (domain === undefined && accounts.length === 0)
    throw new Error('name accounts, or a domain with --domain.');
  const found = domain === undefined ? undefined : await tablesOf(connection, domain, run);
  const ofDomain = mail && found !== undefined ? addressesIn(found.accounts) : [];
  const tarOf = (address: string) => join(to, `${address}.${format}.tar`);
  const addresses = [...new Set([...accounts, ...ofDomain])];
  const texts =
    found === undefined
      ? []
      : ([
          [join(to, `${domain}.accounts`), found.accounts],
          [join(to, `${domain}.aliases`), found.aliases],
        ] as const);
  const there = [...texts.map(([path]) => path), ...addresses.map(tarOf)].filter((path) =>
    existsSync(path),
  );
  if (there.length > 0)
    throw new Error(
      `${there.join(', ')}: there already. Move it away, or name another folder with --to.`,
    );

  mkdirSync(to, { recursive: true, mode: 0o700 });
  for (const [path, content] of texts) {
    writeFileSync(path, content, { mode: 0o600, flag: 'wx' });
    tell(path);
  }
  const failures: string[] = [];
  for (const address of addresses) {
    const path = tarOf(address);
    const part = `${path}.part`;
    rmSync(part, { force: true });
    const command = `mailhost export ${quoted(address)} --format ${format}`;
    const file = createWriteStream(part, { mode: 0o600, flags: 'wx' });
    const output = await run(connection, command, '', 0, file);
    if (output.status === 0) {
      renameSync(part, path);
      tell(`${output.stderr.trim()} -> ${path}`);
    } else {
      rmSync(part, { force: true });
      failures.push(`${address}: ${reasonOf(command, output)}`);
    }
  }
  return failures;
}

async function tablesOf(connection: Connection, domain: string, run: typeof onHost) {
  const command = `mailhost export-accounts ${domain}`;
  const output = await run(connection, command, '', patience);
  if (output.status !== 0) throw new Error(reasonOf(command, output));
  const { data } = tables.safeParse(fromJson(output.stdout));
  if (!data) throw new Error('its host program is of another version: run `pulumi up`.');
  return data;
}

const reasonOf = (command: string, output: Output): string =>
  isOlder(command, output)
    ? 'its host program is older than this command: run `pulumi up`.'
    : output.stderr.trim() || `the command on the host ended with ${output.status}`;

const addressesIn = (passwdFile: string): string[] =>
  passwdFile
    .split('\n')
    .filter(Boolean)
    .map((line) => line.slice(0, line.indexOf(':')));

/** It names a file, too. */
const isAddress = (text: string): boolean => /^[^/@\s\0]+@[^/@\s\0]+$/.test(text);

/** A word of a POSIX shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;
