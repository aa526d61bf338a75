import { text } from 'node:stream/consumers';
import { Command } from 'commander';
import { sealed } from '../../components/settings/sealed';
import { runPulumi } from '../pulumi';
import { sealingKey } from './accountsFile';

export const encryptCommand = (): Command =>
  new Command('encrypt')
    .description(
      'encrypt a secret on standard input, such as a password hash, for the file of accounts',
    )
    .option('--stack <stack>', 'stack whose key encrypts it. Default: the one that is selected')
    .action(async ({ stack }: { stack?: string }) => {
      const secret = (await text(process.stdin)).trim();
      const run = (words: string[], input?: string) =>
        runPulumi(['--non-interactive', ...words], input);
      const name = stack ?? run(['stack', '--show-name'], '').stdout.trim();
      process.stdout.write(`{secure: ${sealed(secret, sealingKey(run, name))}}\n`);
    });
