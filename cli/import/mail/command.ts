import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { PassThrough, type Readable } from 'node:stream';
import { Command, InvalidArgumentError } from 'commander';
import { hasColours } from '../../../components/review/terminal';
import { fromJson } from '../../../components/review/values';
import { isOlder, onHost, reasonIn } from '../../../components/ssh';
import { readStack, type HostStack } from '../../stack';
import { openFiles, type OpenedFiles } from './files';
import { hostLine, type Result } from './lines';
import { ProgressLine } from './progress';
import { statusOf, textReport } from './report';
import { readSecrets } from './secrets';
import { readTable, type FilesRow, type Row, type Table } from './table';

interface Options {
  stack?: string;
  host?: string;
  parallel: number;
  json?: boolean;
}

export const importCommand = (): Command =>
  new Command('import')
    .description(
      'copy mailboxes of another host, or of files, into accounts of this one, and compare both',
    )
    .argument('<table>', 'file that lists them: see docs/moving.md')
    .option('--stack <name>', 'stack that has the mail host. Default: the selected one')
    .option('--host <name>', 'name of the MailHost. Default: the only one of the stack')
    .option('--parallel <count>', 'accounts to copy at a time', aCount, 4)
    .option('--json', 'write the report as JSON')
    .addHelpText(
      'after',
      '\nExit status: 0 all is here, 3 something is missing or an account failed, 1 if nothing could be copied',
    )
    .action(async (path: string, options: Options) => {
      const stack = readStack(options);
      const table = readTable(readFileSync(path, 'utf8'), path, stack.domains);
      const results = await copyAll(stack, table, options.parallel);
      process.stdout.write(
        options.json
          ? `${JSON.stringify(results, undefined, 2)}\n`
          : textReport(results, hasColours()),
      );
      process.exitCode = statusOf(results);
    });

function aCount(value: string): number {
  if (!/^[1-9]\d?$/.test(value)) throw new InvalidArgumentError('Give a number from 1 to 99.');
  return Number(value);
}

/** Standard input of `mailhost import` on the host, as components/hostDocuments.schema.json has it. */
export const jobOf = (rows: Row[], secrets: string[], parallel: number): object => ({
  accounts: rows.map((row, at) => ({ ...row, secret: secrets[at] })),
  parallel,
});

async function copyAll(
  stack: HostStack,
  { atServers, inFiles }: Table,
  parallel: number,
): Promise<Result[]> {
  const progress = new ProgressLine(atServers.length + inFiles.length, process.stderr);
  const results: Result[] = [];
  if (atServers.length > 0) {
    const job = JSON.stringify(jobOf(atServers, await readSecrets(atServers), parallel));
    results.push(...(await copy(stack, 'mailhost import', job, atServers, progress)));
  }
  // The mail of all accounts in one archive is sent once.
  const bySource = new Map<string, FilesRow[]>();
  for (const row of inFiles) {
    const key = JSON.stringify(row.files);
    bySource.set(key, [...(bySource.get(key) ?? []), row]);
  }
  for (const rows of bySource.values()) results.push(...(await copyFiles(stack, rows, progress)));
  return results;
}

/** The first line of standard input of `mailhost import-files` on the host. */
export const filesJobOf = (rows: FilesRow[]): object => ({
  accounts: rows.map(({ account, user, folders }) => ({ account, user, folders })),
});

/** @param rows with the same files */
async function copyFiles(
  stack: HostStack,
  rows: FilesRow[],
  progress: ProgressLine,
): Promise<Result[]> {
  const ends = (reason: string) => {
    const results = rows.map(({ account }) => unended(account, reason));
    for (const result of results) progress.end(result);
    return results;
  };
  let opened: OpenedFiles;
  try {
    opened = openFiles(rows[0]!.files, `${JSON.stringify(filesJobOf(rows))}\n`);
  } catch (cause) {
    return ends((cause as Error).message);
  }
  try {
    const results = await copy(stack, 'mailhost import-files', opened.stream, rows, progress);
    const failure = await opened.close(results.some(({ comparison }) => comparison));
    return failure === undefined
      ? results
      : results.map((result) => ({ ...result, error: unended(result.account, failure).error }));
  } catch (cause) {
    const failure = await opened.close(false);
    return ends([(cause as Error).message, ...(failure === undefined ? [] : [failure])].join('; '));
  }
}

async function copy(
  { connection, hostName }: HostStack,
  command: string,
  input: string | Readable,
  rows: { account: string }[],
  progress: ProgressLine,
): Promise<Result[]> {
  const results: Result[] = [];
  let hasBegun = false;
  const lines = new PassThrough();
  const read = (async () => {
    for await (const line of createInterface({ input: lines })) {
      const { data } = hostLine.safeParse(fromJson(line));
      hasBegun ||= data !== undefined;
      if (data?.received !== undefined) progress.receive(data.received);
      if (data?.account !== undefined && data.progress) progress.tell(data.account, data.progress);
      if (data?.result) {
        results.push(data.result);
        progress.end(data.result);
      }
    }
  })();
  const output = await onHost(connection, command, input, 0, lines);
  await read;
  const { status } = output;
  const words = reasonIn(output);
  if (isOlder(command, output))
    throw new Error('the host program is older than this command: run `pulumi up`.');
  // 255 is of ssh, without a connection or if the program on the host was killed.
  if ((status === 255 && !hasBegun) || (status === 1 && results.length === 0))
    throw new Error(`${hostName}: ${words}`);
  const ended = results.map(({ account }) => account);
  const rest = rows.filter(({ account }) => {
    const at = ended.indexOf(account);
    return at < 0 || ended.splice(at, 1).length === 0;
  });
  const reason = words || 'the import on the host was ended';
  return [...results, ...rest.map(({ account }) => unended(account, reason))];
}

const unended = (account: string, error: string): Result => ({
  ...{ account, copied: 0, moved: 0, flagged: 0, refused: [] },
  error: `${error}. What was copied stays: import it again`,
});
