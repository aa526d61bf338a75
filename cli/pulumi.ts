import { spawnSync } from 'node:child_process';

/**
 * Runs `pulumi`, whose standard error is passed on.
 *
 * @param stdin its standard input; default: that of this process
 * @throws Error if it cannot be run
 */
export function runPulumi(
  words: string[],
  stdin?: string,
): { status: number | null; stdout: string } {
  const { error, status, stdout } = spawnSync('pulumi', words, {
    encoding: 'utf8',
    maxBuffer: Infinity,
    input: stdin,
    stdio: [stdin === undefined ? 'inherit' : 'pipe', 'pipe', 'inherit'],
  });
  if (error)
    throw new Error(`pulumi cannot be run: ${error.message}. Install the Pulumi CLI.`, {
      cause: error,
    });
  return { status, stdout };
}

/**
 * Runs a command of `pulumi` that writes JSON.
 *
 * @returns what it wrote to standard output, and its exit status, whatever that is
 * @throws Error if it cannot be run, or wrote no JSON
 */
export function pulumiJson(
  command: string[],
  words: string[],
  result: string,
): { status: number | null; stdout: string } {
  const { status, stdout } = runPulumi([...command, '--non-interactive', ...words]);
  if (!stdout.includes('{'))
    throw new Error(
      `pulumi ${command.filter((word) => !word.startsWith('-')).join(' ')} failed with exit status ${status}, and wrote no ${result}.`,
    );
  return { status, stdout };
}
