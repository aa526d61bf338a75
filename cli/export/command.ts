import { Command, Option } from 'commander';
import { readStack } from '../stack';
import { exportAll, type Request } from './export';

interface Options extends Omit<Request, 'accounts'> {
  stack?: string;
  host?: string;
}

export const exportCommand = (): Command =>
  new Command('export')
    .description(
      'take accounts, with their mail and Sieve scripts, out of the host into files that others read',
    )
    .argument('[accounts...]', 'addresses of accounts')
    .option(
      '--domain <domain>',
      'a table of its accounts, with password hashes, one of its aliases, and the mail of all of them',
    )
    .option('--no-mail', 'with --domain: the tables alone')
    .addOption(
      new Option('--format <format>', 'of the mail: Maildir++, or a file of mbox for each folder')
        .choices(['maildir', 'mbox'])
        .default('maildir'),
    )
    .option('--to <folder>', 'where the files are written. None of them may be there', '.')
    .option('--stack <stack>', 'stack of the host. Default: the one that is selected')
    .option('--host <name>', 'name of the MailHost. Default: the only one')
    .addHelpText('after', '\nExit status: 0 all is there, 1 if something is not')
    .action(async (accounts: string[], { stack, host, ...request }: Options) => {
      const { connection } = readStack({ stack, host });
      const failures = await exportAll(connection, { ...request, accounts }, (line) => {
        process.stderr.write(`${line}\n`);
      });
      if (failures.length > 0) throw new Error(failures.join('\n'));
    });
