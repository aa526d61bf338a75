import { parse } from 'yaml';
import { z } from 'zod';
import type { FilesSource } from './files';

/** Where a secret is read when it is needed. */
const secret = z.union(
  [
    z.literal('prompt'),
    z.strictObject({ file: z.string().min(1) }),
    z.strictObject({ command: z.array(z.string()).min(1) }),
  ],
  { error: 'must be prompt, { file: PATH } or { command: [PROGRAM, ARGUMENT, …] }' },
);
export type SecretSource = z.infer<typeof secret>;

const text = z.string().min(1).max(1000);

/** What both kinds of rows have. */
const common = {
  account: z.string().regex(/^[^\s@]+@[^\s@]+$/, 'must be an address'),
  user: text.optional(),
  folders: z.record(z.string(), z.string().nullable()).optional(),
};

const filesRow = z.strictObject({
  ...common,
  files: z.union([text, z.strictObject({ command: z.array(z.string()).min(1) })], {
    error: 'must be a path, or { command: [PROGRAM, ARGUMENT, …] }',
  }),
});

const row = z.strictObject({
  ...common,
  server: z.string().regex(/^[A-Za-z0-9.-]+(?::\d{1,5})?$/, 'must be HOST or HOST:PORT'),
  password: secret.optional(),
  token: secret.optional(),
  master: text.optional(),
  fingerprint: z
    .string()
    .regex(/^(?:[0-9A-Fa-f]{2}:?){32}$/, 'must be SHA-256 in hexadecimal digits')
    .optional(),
});

/** A mailbox in files. */
export interface FilesRow {
  account: string;
  /** Whose mailbox it is, if there are several. */
  user: string;
  files: FilesSource;
  folders: Record<string, string>;
}

/** A mailbox at a server of IMAP. */
export interface Row {
  /** Its address here. */
  account: string;
  host: string;
  port: number;
  /** Its user there. */
  user: string;
  /** The user that logs in for it. */
  master?: string;
  kind: 'password' | 'token';
  secret: SecretSource;
  fingerprint?: string;
  /** Folders here by the names there; an empty name leaves one out. */
  folders: Record<string, string>;
}

export interface Table {
  atServers: Row[];
  inFiles: FilesRow[];
}

/** Where TLS begins with the connection. */
const imaps = 993;

/**
 * Reads a table of mailboxes: a list in YAML or JSON.
 *
 * @param source e.g. the path, for errors
 * @param domains that have mail here
 * @throws Error with all mistakes. None has a secret: the table has none
 * @example readTable('[{ account: anna@example.org, server: imap.old.example, password: prompt }]', 'table.yaml', ['example.org'])
 */
export function readTable(content: string, source: string, domains: string[]): Table {
  const list = z.array(z.unknown()).min(1).safeParse(parseYaml(content, source));
  if (!list.success)
    throw new Error(`${source} is not a list of mailboxes: docs/moving.md shows one.`);
  const mistakes: string[] = [];
  const seen = new Set<string>();
  const table: Table = { atServers: [], inFiles: [] };
  list.data.forEach((one, at) => {
    const wrong = (problem: string) => mistakes.push(`row ${at + 1}: ${problem}`);
    const isFiles = typeof one === 'object' && one !== null && 'files' in one;
    const { data, error } = (isFiles ? filesRow : row).safeParse(one);
    if (error) {
      for (const { path, message } of error.issues) wrong([...path.map(String), message].join(' '));
      return;
    }
    const account = data.account.toLowerCase();
    if (!domains.includes(account.slice(account.indexOf('@') + 1)))
      wrong(`${account} is not in a domain of the stack: ${domains.join(', ')}`);
    const user = data.user ?? data.account;
    const folders = Object.fromEntries(
      Object.entries(data.folders ?? {}).map(([name, target]) => [name, target ?? '']),
    );
    const isTwice = (place: string, words: string) => {
      const key = JSON.stringify([account, place, user]);
      if (seen.has(key)) wrong(`${user} ${words} is there twice for ${account}`);
      seen.add(key);
    };
    if ('files' in data) {
      isTwice('', 'in files');
      table.inFiles.push({ account, user, files: data.files, folders });
      return;
    }
    const [name = '', port] = data.server.split(':');
    const host = name.toLowerCase();
    const source = data.password ?? data.token;
    if (source === undefined || (data.password && data.token))
      wrong(`${account} needs a password or a token, and not both`);
    if (data.token && data.master !== undefined)
      wrong(`${account} has a master user, who logs in with a password`);
    if (port !== undefined && !(Number(port) > 0 && Number(port) < 65536))
      wrong(`${port} is not a port`);
    isTwice(host, `at ${host}`);
    table.atServers.push({
      ...{ account, host, port: Number(port ?? imaps), user },
      kind: data.token ? 'token' : 'password',
      secret: source ?? 'prompt',
      folders,
      ...(data.master === undefined ? {} : { master: data.master }),
      ...(data.fingerprint === undefined ? {} : { fingerprint: data.fingerprint }),
    });
  });
  if (mistakes.length > 0)
    throw new Error(
      `${source} has ${mistakes.length} mistake${mistakes.length === 1 ? '' : 's'}; nothing was copied:\n${mistakes.map((line) => `- ${line}`).join('\n')}`,
    );
  return table;
}

function parseYaml(content: string, source: string): unknown {
  try {
    return parse(content);
  } catch (cause) {
    throw new Error(`${source} is not valid YAML: ${(cause as Error).message}`, { cause });
  }
}
