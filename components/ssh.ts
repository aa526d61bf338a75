import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { text } from 'node:stream/consumers';
import { z } from 'zod';

/** How the stack reaches root on its host, as a command in its state has it. */
export const connection = z.object({
  host: z.string(),
  user: z.string().default('root'),
  /** A line of authorized_keys(5) without its comment. */
  hostKey: z.string(),
  privateKey: z.string(),
});
export type Connection = z.infer<typeof connection>;

export interface Output {
  /** ssh has 255 if it does not reach the host. */
  status: number | null;
  stdout: string;
  stderr: string;
}

type Failed = Pick<Output, 'status' | 'stderr'>;

/** The last line of what a command on the host wrote of its failure. */
export const reasonIn = ({ stderr }: Failed): string => stderr.trim().split('\n').at(-1) ?? '';

/** Whether the host program does not know a word of the command, as argparse says it: then it is older than this package. */
export const isOlder = (command: string, failed: Failed): boolean =>
  failed.status === 2 &&
  command.split(' ').some((word) => reasonIn(failed).includes(`invalid choice: '${word}'`));

/**
 * Runs one command as root on the host with the system's `ssh`. The private key lies in a folder of this user alone for as
 * long as that takes.
 *
 * @param seconds after which it is ended; 0 for never
 * @param to takes its standard output as it comes, which else is text of the result
 * @throws Error if there is no `ssh`
 */
export async function onHost(
  { host, user, hostKey, privateKey }: Connection,
  command: string,
  stdin: string | Readable,
  seconds: number,
  to?: Writable,
): Promise<Output> {
  const folder = mkdtempSync(join(tmpdir(), 'mailhost-'));
  const forget = () => rmSync(folder, { recursive: true, force: true });
  const end = () => process.exit(1);
  process.once('exit', forget);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, end);
  try {
    const alias = 'mailhost';
    const put = (name: string, content: string) => {
      writeFileSync(join(folder, name), content, { mode: 0o600 });
      return join(folder, name);
    };
    const options = {
      HostKeyAlias: alias,
      UserKnownHostsFile: put('known_hosts', `${alias} ${hostKey.trim()}\n`),
      GlobalKnownHostsFile: '/dev/null',
      StrictHostKeyChecking: 'yes',
      IdentitiesOnly: 'yes',
      IdentityAgent: 'none',
      BatchMode: 'yes',
      ConnectTimeout: '10',
      LogLevel: 'ERROR',
    };
    const words = Object.entries(options).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
    const key = put('key', `${privateKey.trim()}\n`);
    const child = spawn(
      'ssh',
      ['-F', '/dev/null', ...words, '-i', key, `${user}@${host}`, command],
      {
        timeout: seconds * 1000,
      },
    );
    // A command that ends early reads no more.
    child.stdin.on('error', () => undefined);
    if (typeof stdin === 'string') child.stdin.end(stdin);
    else stdin.pipe(child.stdin);
    const ended = new Promise<number | null>((resolve, reject) => {
      child.on('error', (cause) => {
        reject(new Error(`ssh cannot be run: ${cause.message}. Install OpenSSH.`, { cause }));
      });
      child.on('close', resolve);
    });
    const [status, stdout, stderr] = await Promise.all([
      ended,
      to === undefined ? text(child.stdout) : pipeline(child.stdout, to).then(() => ''),
      text(child.stderr),
    ]);
    return { status, stdout, stderr };
  } finally {
    forget();
    process.off('exit', forget);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, end);
  }
}
