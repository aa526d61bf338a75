import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import type { Row } from './table';

/**
 * Reads the secret of each mailbox: once where several have the same one.
 *
 * @param ask asks a person, who sees the question and not the answer
 * @throws Error with all that cannot be read; it has no secret
 */
export async function readSecrets(
  rows: Row[],
  ask: (question: string) => Promise<string> = askAtTerminal,
): Promise<string[]> {
  const known = new Map<string, string>();
  const mistakes: string[] = [];
  const secrets: string[] = [];
  // A person is asked once all that needs nobody is there.
  const inOrder = [...rows].sort(
    (a, b) => Number(a.secret === 'prompt') - Number(b.secret === 'prompt'),
  );
  for (const row of inOrder) {
    const key = keyOf(row);
    if (known.has(key) || (row.secret === 'prompt' && mistakes.length > 0)) continue;
    try {
      const value = await read(row, ask);
      if (value === '') throw new Error('it is empty');
      known.set(key, value);
    } catch (cause) {
      known.set(key, '');
      mistakes.push(`${row.user} at ${row.host}: ${(cause as Error).message}`);
    }
  }
  if (mistakes.length > 0)
    throw new Error(
      `${mistakes.length} secret${mistakes.length === 1 ? '' : 's'} cannot be read; nothing was copied:\n${mistakes.map((line) => `- ${line}`).join('\n')}`,
    );
  for (const row of rows) secrets.push(known.get(keyOf(row))!);
  return secrets;
}

const keyOf = ({ secret, host, master, user }: Row): string =>
  JSON.stringify(secret === 'prompt' ? [host, master ?? user] : secret);

async function read(
  { secret, kind, host, master, user }: Row,
  ask: (question: string) => Promise<string>,
): Promise<string> {
  if (secret === 'prompt') {
    const what = kind === 'token' ? 'Token' : 'Password';
    return ask(`${what} of ${master ?? user} at ${host}: `);
  }
  if ('file' in secret) {
    if ((statSync(secret.file).mode & 0o077) !== 0)
      throw new Error(`${secret.file} can be read by other users: chmod 600 ${secret.file}`);
    return firstLine(readFileSync(secret.file, 'utf8'));
  }
  const [program = '', ...words] = secret.command;
  const { error, status, stdout } = spawnSync(program, words, {
    encoding: 'utf8',
    stdio: ['inherit', 'pipe', 'inherit'],
  });
  if (error) throw new Error(`${program} cannot be run: ${error.message}`);
  if (status !== 0) throw new Error(`${program} failed with exit status ${status}`);
  return firstLine(stdout);
}

const firstLine = (text: string): string => text.split(/\r?\n/, 1)[0]!;

async function askAtTerminal(question: string): Promise<string> {
  if (!process.stdin.isTTY)
    throw new Error('there is no terminal to ask at: give a file or a command');
  process.stderr.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    return await reader.question('');
  } finally {
    reader.close();
    process.stderr.write('\n');
  }
}
