import { existsSync, readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { runPulumi } from '../pulumi';
import { partChanges, readAccountsFile, sealingKey, writeAccountsFile } from './accountsFile';
import { changesText, configChanges, readStack, type ConfigChanges } from './changes';
import { formats, readOldHost, type Format } from './readers';

interface Options {
  from: Format;
  aliases?: string;
  quotas?: string;
  domain?: string;
  stack?: string;
  set?: boolean;
  toFile?: boolean;
}

export const importAccountsCommand = (): Command =>
  new Command('import-accounts')
    .description('take the accounts of another host, with their password hashes, into stack config')
    .argument('<file>', 'its accounts')
    .addOption(
      new Option(
        '--from <format>',
        'what the file is: passwd-file of Dovecot, /etc/shadow, postfix-accounts.cf, users.sqlite, or an SQL dump',
      )
        .choices(Object.keys(formats))
        .makeOptionMandatory(),
    )
    .option('--aliases <file>', 'its aliases: a table of Postfix, such as postfix-virtual.cf')
    .option('--quotas <file>', 'its quotas, as dovecot-quotas.cf has them')
    .option('--domain <domain>', 'domain of names that have none')
    .option('--stack <stack>', 'stack to set. Default: the one that is selected')
    .option('--set', 'set it. Default: print what would be set')
    .option(
      '--to-file',
      'set accounts and aliases in Pulumi.STACK.accounts.yaml, which has room for any number. Default: where that is there',
    )
    .addHelpText(
      'after',
      '\nExit status: 0 all can be taken, 2 some cannot, 1 if nothing could be read or set',
    )
    .action((accounts: string, options: Options) => {
      const { from, aliases, quotas, domain } = options;
      const old = readOldHost(from, { accounts, aliases, quotas, domain });
      const stack = options.stack ?? pulumi(['stack', '--show-name']).trim();
      const name = `Pulumi.${stack.split('/').at(-1)}`;
      const path = `${name}.yaml`;
      const config = readStack(existsSync(path) ? readFileSync(path, 'utf8') : '');
      const file = `${name}.accounts.yaml`;
      const inFile = readAccountsFile(file);
      const changes = configChanges(old, {
        domains: config.domains,
        accounts: [...config.accounts, ...inFile.accounts],
        aliases: [...config.aliases, ...inFile.aliases],
      });
      process.stdout.write(changesText(changes, old.problems));
      if (options.set && (options.toFile || existsSync(file))) {
        const parts = partChanges(changes, config);
        apply(parts.config, stack);
        writeAccountsFile(file, parts, sealingKey(runPulumiAlone, stack));
      } else if (options.set) apply(changes, stack);
      process.exitCode = old.problems.length > 0 ? 2 : 0;
    });

/** Settings in one call of pulumi: its command line has room for so many. */
const atOnce = 200;

/** Secrets go by standard input, so that no list of processes shows them. */
function apply({ plain, secret }: ConfigChanges, stack: string): void {
  for (let at = 0; at < plain.length; at += atOnce) {
    const pairs = plain.slice(at, at + atOnce);
    const words = pairs.flatMap(([path, value]) => ['--plaintext', `${path}=${value}`]);
    pulumi(['config', 'set-all', '--stack', stack, '--path', ...words]);
  }
  for (const [path, value] of secret)
    pulumi(['config', 'set', '--stack', stack, '--path', '--secret', path], value);
}

const runPulumiAlone = (words: string[], input?: string) =>
  runPulumi(['--non-interactive', ...words], input);

function pulumi(words: string[], input = ''): string {
  const { status, stdout } = runPulumiAlone(words, input);
  if (status !== 0) throw new Error(`pulumi ${words[0]} ${words[1]} failed; run it again to go on`);
  return stdout;
}
