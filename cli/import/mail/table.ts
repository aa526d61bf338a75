import { parse } from 'yaml';
import { z } from 'zod';

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

const row = z.strictObject({
  account: z.string().regex(/^[^\s@]+@[^\s@]+$/, 'must be an address'),
  server: z.string().regex(/^[A-Za-z0-9.-]+(?::\d{1,5})?$/, 'must be HOST or HOST:PORT'),
  user: text.optional(),
  password: secret.optional(),
  token: secret.optional(),
  master: text.optional(),
  fingerprint: z
    .string()
    .regex(/^(?:[0-9A-Fa-f]{2}:?){32}$/, 'must be SHA-256 in hexadecimal digits')
    .optional(),
  folders: z.record(z.string(), z.string().nullable()).optional(),
});

/** A mailbox to copy. */
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
export function readTable(content: string, source: string, domains: string[]): Row[] {
  const list = z.array(z.unknown()).min(1).safeParse(parseYaml(content, source));
  if (!list.success)
    throw new Error(`${source} is not a list of mailboxes: docs/moving.md shows one.`);
  const mistakes: string[] = [];
  const seen = new Set<string>();
  const rows = list.data.flatMap((one, at) => {
    const place = `row ${at + 1}`;
    const { data, error } = row.safeParse(one);
    if (error) {
      mistakes.push(
        ...error.issues.map(
          ({ path, message }) => `${place}: ${[...path.map(String), message].join(' ')}`,
        ),
      );
      return [];
    }
    const [host = '', port] = data.server.split(':');
    const account = data.account.toLowerCase();
    const source = data.password ?? data.token;
    if (source === undefined || (data.password && data.token))
      mistakes.push(`${place}: ${account} needs a password or a token, and not both`);
    if (data.token && data.master !== undefined)
      mistakes.push(`${place}: ${account} has a master user, who logs in with a password`);
    if (port !== undefined && !(Number(port) > 0 && Number(port) < 65536))
      mistakes.push(`${place}: ${port} is not a port`);
    if (!domains.includes(account.slice(account.indexOf('@') + 1)))
      mistakes.push(`${place}: ${account} is not in a domain of the stack: ${domains.join(', ')}`);
    const user = data.user ?? data.account;
    const key = JSON.stringify([account, host.toLowerCase(), user]);
    if (seen.has(key)) mistakes.push(`${place}: ${user} at ${host} is there twice for ${account}`);
    seen.add(key);
    return [
      {
        ...{ account, host: host.toLowerCase(), port: Number(port ?? imaps), user },
        kind: data.token ? ('token' as const) : ('password' as const),
        secret: source ?? 'prompt',
        folders: Object.fromEntries(
          Object.entries(data.folders ?? {}).map(([name, target]) => [name, target ?? '']),
        ),
        ...(data.master === undefined ? {} : { master: data.master }),
        ...(data.fingerprint === undefined ? {} : { fingerprint: data.fingerprint }),
      },
    ];
  });
  if (mistakes.length > 0)
    throw new Error(
      `${source} has ${mistakes.length} mistake${mistakes.length === 1 ? '' : 's'}; nothing was copied:\n${mistakes.map((line) => `- ${line}`).join('\n')}`,
    );
  return rows;
}

function parseYaml(content: string, source: string): unknown {
  try {
    return parse(content);
  } catch (cause) {
    throw new Error(`${source} is not valid YAML: ${(cause as Error).message}`, { cause });
  }
}
