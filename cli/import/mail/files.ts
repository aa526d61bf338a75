import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';

/** Mail of another host: a path, or a command that writes a tar. */
export type FilesSource = string | { command: string[] };

const tarName = /\.(?:tar(?:\.(?:gz|bz2|xz))?|tgz|tbz2?|txz)$/i;

/** @throws Error if there is no such file */
function commandOf(source: FilesSource): string[] {
  if (typeof source !== 'string') return source.command;
  if (statSync(source).isDirectory()) return ['tar', '-cf', '-', '-C', source, '.'];
  return tarName.test(source)
    ? ['cat', '--', source]
    : ['tar', '-cf', '-', '-C', dirname(source), `./${basename(source)}`];
}

export interface OpenedFiles {
  stream: Readable;
  /**
   * @param isWanted whether the end of the command is waited for; else it is ended
   * @returns why the stream is not whole
   */
  close: (isWanted: boolean) => Promise<string | undefined>;
}

/**
 * Opens a Maildir, a file or folder of mbox, or a tar of such, as a stream of tar.
 *
 * @param before goes before it
 * @throws Error if there is no such file
 */
export function openFiles(source: FilesSource, before: string): OpenedFiles {
  const [program = '', ...words] = commandOf(source);
  const child = spawn(program, words, {
    stdio: ['ignore', 'pipe', 'inherit'],
    // The tar of macOS would add files of its own.
    env: { ...process.env, COPYFILE_DISABLE: '1' },
  });
  const stream = new PassThrough();
  stream.write(before);
  child.stdout.pipe(stream);
  const ended = new Promise<string | undefined>((resolve) => {
    child.on('error', (cause) => {
      stream.end();
      resolve(`${program} cannot be run: ${cause.message}`);
    });
    child.on('close', (status, signal) => {
      resolve(
        status === 0 ? undefined : `${program} failed with ${signal ?? `exit status ${status}`}`,
      );
    });
  });
  return {
    stream,
    close: (isWanted) => {
      // What comes after the end of the tar is read by nobody.
      child.stdout.unpipe().resume();
      if (!isWanted) child.kill();
      return ended;
    },
  };
}
