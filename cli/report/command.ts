import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { aResolver, examine } from '../doctor/command';
import { readStack } from '../stack';
import { loadTools } from './chart';
import { readFigures } from './figures';
import { htmlReport } from './html';

interface Options {
  stack?: string;
  host?: string;
  resolver?: string;
  output?: string;
}

export const reportCommand = (): Command =>
  new Command('report')
    .description('write a page about the state of the mail host and its mail of the last 12 months')
    .option('--stack <name>', 'stack that has the mail host. Default: the selected one')
    .option('--host <name>', 'name of the MailHost. Default: the only one of the stack')
    .option(
      '--resolver <address>',
      'DNS resolver to ask. Default: the one of this machine',
      aResolver,
    )
    .option('--output <file>', 'write it to a file. Default: standard output')
    .addHelpText('after', '\nExit status: 0, or 1 if no report could be made')
    .action(async (options: Options) => {
      const stack = readStack(options);
      const [report, figures, tools] = await Promise.all([
        examine(stack, options),
        readFigures(stack),
        loadTools(),
      ]);
      const written = htmlReport({ report, figures }, tools);
      if (options.output === undefined) process.stdout.write(written);
      // It has the names of accounts.
      else writeFileSync(options.output, written, { mode: 0o600 });
    });
