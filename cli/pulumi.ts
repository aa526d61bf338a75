import { spawnSync } from 'node:child_process';

/**
 * Runs `pulumi`, whose standard error is passed on.
 *
 * @returns what it wrote to standard output, whatever its exit status
 * @throws Error if it cannot be run, or wrote no JSON
 */
export function pulumiJson(command: string[], words: string[], result: string): string {
  const { error, status, stdout } = spawnSync(
    'pulumi',
    [...command, '--non-interactive', ...words],
    {
      encoding: 'utf8',
      maxBuffer: Infinity,
      stdio: ['inherit', 'pipe', 'inherit'],
    },
  );
  if (error)
    throw new Error(`pulumi cannot be run: ${error.message}. Install the Pulumi CLI.`, {
      cause: error,
    });
  if (!stdout.includes('{'))
    throw new Error(
      `pulumi ${command.filter((word) => !word.startsWith('-')).join(' ')} failed with exit status ${status}, and wrote no ${result}.`,
    );
  return stdout;
}
