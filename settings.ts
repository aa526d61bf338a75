import { existsSync, readFileSync } from 'node:fs';
import * as pulumi from '@pulumi/pulumi';
import { parse } from 'yaml';
import { checkedSettings } from './components/mailHost';
import type {
  AccountArgs,
  BackupSettingsArgs,
  SmarthostArgs,
  TlsArgs,
} from './components/mailHostArgs';
import { pathText, valueAt, type Mistake, type Settings } from './components/settings/settings';

const prefix = 'mailhost:';

/** Settings as text of stack config gives them, with the secrets marked as such. */
type StackSettings = Omit<Settings, 'tls'> & {
  accounts: AccountArgs[];
  smarthost?: SmarthostArgs;
  backup?: BackupSettingsArgs;
  tls: TlsArgs;
};

/**
 * The stack's settings, checked as a whole.
 *
 * Read from the raw config rather than through `pulumi.Config`, so that a value with a secret inside stays a structure:
 * the secrets alone are marked as such, and the addresses stay readable in previews.
 *
 * @throws pulumi.RunError (shown without a stack trace) with every mistake, each with its key and what to write instead
 */
export function readSettings(): StackSettings {
  const input: Record<string, unknown> = {};
  for (const [key, text] of Object.entries(pulumi.runtime.allConfig())) {
    // Keys that are not set have the default of Pulumi.yaml, which is empty where there is none.
    if (key.startsWith(prefix) && !['', '{}'].includes(text))
      input[key.slice(prefix.length)] = structureOrText(text);
  }
  const file = `Pulumi.${pulumi.getStack()}.yaml`;
  const stackFile: unknown = existsSync(file) ? parse(readFileSync(file, 'utf8')) : undefined;
  const marked = JSON.parse(process.env.PULUMI_CONFIG_SECRET_KEYS ?? '[]') as string[];
  const plain = plainSecrets(input, marked, stackFile);
  const { accounts, smarthost, backup, tls, ...settings } = checkedSettings(input, prefix, plain);
  // Stack config has text only.
  const secret = (value: string | object) => pulumi.secret(value as string);
  return {
    ...settings,
    accounts: accounts.map((a) => ({ ...a, passwordHash: secret(a.passwordHash) })),
    ...(smarthost ? { smarthost: { ...smarthost, password: secret(smarthost.password) } } : {}),
    ...(backup
      ? {
          backup: {
            ...backup,
            password: secret(backup.password),
            environment: Object.fromEntries(
              Object.entries(backup.environment).map(([name, value]) => [name, secret(value)]),
            ),
          },
        }
      : {}),
    tls: {
      ...tls,
      chain: tls.chain && secret(tls.chain),
      privateKey: tls.privateKey && secret(tls.privateKey),
    },
  };
}

/**
 * Secrets that stand in the stack's file for everyone to read. The engine tells the program only which keys have a secret
 * somewhere inside, so the file itself is looked at where it holds the value that the engine gave.
 *
 * @param marked keys with a secret inside, e.g. `mailhost:accounts`
 * @param stackFile the stack's file, parsed; undefined where it is elsewhere
 */
export function plainSecrets(
  input: Record<string, unknown>,
  marked: string[],
  stackFile: unknown,
): Mistake[] {
  const accounts = Array.isArray(input.accounts) ? input.accounts : [];
  const paths = [
    ...accounts.map((_, i) => ['accounts', i, 'passwordHash']),
    ['smarthost', 'password'],
    ['backup', 'password'],
    ...Object.keys(valueAt(input, ['backup', 'environment']) ?? {}).map((name) => [
      'backup',
      'environment',
      name,
    ]),
    ['tls', 'privateKey'],
  ];
  return paths.flatMap((path) => {
    const [key, ...inside] = path;
    const value = valueAt(input, path);
    const inFile = valueAt(stackFile, ['config', `${prefix}${key}`, ...inside]);
    if (value === undefined || (marked.includes(`${prefix}${key}`) && inFile !== value)) return [];
    return [
      {
        path: pathText(path),
        message: `is not marked secret: set it again, with pulumi config set --secret --path '${prefix}${pathText(path)}'`,
      },
    ];
  });
}

/** A structure as JSON; text that is none stays text, so that the check names the key instead of a syntax error. */
function structureOrText(text: string): unknown {
  if (!/^[[{]/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
