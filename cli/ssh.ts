import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { Connection } from './stack';

export interface Output {
  /** ssh has 255 if it does not reach the host. */
  status: number | null;
  stdout: string;
  stderr: string;
}

/**
 * Runs one command as root on the host with the system's `ssh`. The private key lies in a folder of this user alone for as
 * long as that takes.
 *
 * @param seconds after which it is ended; undefined for no end
 * @param onLine gets each line of its standard output, which is then not in the result
 * @throws Error if there is no `ssh`
 */
export async function onHost(
  { host, user, hostKey, privateKey }: Connection,
  command: string,
  stdin: string,
  seconds: number | undefined,
  onLine?: (line: string) => void,
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
        timeout: seconds === undefined ? undefined : seconds * 1000,
      },
    );
    // A command that ends early reads no more.
    child.stdin.on('error', () => undefined).end(stdin);
    const ended = new Promise<number | null>((resolve, reject) => {
      child.on('error', (cause) => {
        reject(new Error(`ssh cannot be run: ${cause.message}. Install OpenSSH.`, { cause }));
      });
      child.on('close', resolve);
    });
    const [status, stdout, stderr] = await Promise.all([
      ended,
      onLine ? eachLine(child.stdout, onLine) : text(child.stdout),
      text(child.stderr),
    ]);
    return { status, stdout, stderr };
  } finally {
    forget();
    process.off('exit', forget);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, end);
  }
}

async function eachLine(stream: Readable, onLine: (line: string) => void): Promise<string> {
  for await (const line of createInterface({ input: stream })) onLine(line);
  return '';
}
