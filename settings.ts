import { existsSync, readFileSync } from 'node:fs';
import * as pulumi from '@pulumi/pulumi';
import { parse } from 'yaml';
import { withAccountsFile } from './accountsFile';
import { checkedSettings } from './components/settings/checked';
import { aboutOf, mapValues } from './components/settings/fields';
import {
  pathText,
  valueAt,
  type FrontEnd,
  type Mistake,
  type Path,
} from './components/settings/mistakes';
import type { Settings } from './components/settings/settings';

const prefix = 'mailhost:';

/** Settings as keys of stack config, which commands change. */
export const stackConfig: FrontEnd = {
  name: (path) => `${prefix}${pathText(path)}`,
  instruction: (change) => {
    const key = shellWord(`${prefix}${pathText(change.path)}`);
    const flag = change.path.length > 1 ? ' --path' : '';
    if ('remove' in change) return `pulumi config rm${flag} ${key}`;
    if ('value' in change)
      return `pulumi config set${flag} ${key} ${shellWord(String(change.value))}`;
    return `pulumi config set --secret${flag} ${key}${change.file ? ` < ${change.file}` : ''}`;
  },
};

/** A word as a POSIX shell takes it for one. */
const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;

/**
 * The stack's settings, checked as a whole.
 *
 * Read from the raw config rather than through `pulumi.Config`, so that a value with a secret inside stays a structure:
 * the secrets alone are marked as such, and the addresses stay readable in previews.
 *
 * @throws pulumi.RunError (shown without a stack trace) with every mistake, each with its key and the command that mends it
 */
export function readSettings(): Settings {
  const input: Record<string, unknown> = {};
  for (const [key, text] of Object.entries(pulumi.runtime.allConfig())) {
    // Keys that are not set have the default of Pulumi.yaml, which is empty where there is none.
    if (key.startsWith(prefix) && !['', '{}'].includes(text))
      input[key.slice(prefix.length)] = structureOrText(text);
  }
  const stack = `Pulumi.${pulumi.getStack()}`;
  const file = `${stack}.yaml`;
  const stackFile: unknown = existsSync(file) ? parse(readFileSync(file, 'utf8')) : undefined;
  const marked = JSON.parse(process.env.PULUMI_CONFIG_SECRET_KEYS ?? '[]') as string[];
  const plain = plainSecrets(input, marked, stackFile);
  const merged = withAccountsFile(`${stack}.accounts.yaml`, input, stackConfig, marked);
  return checkedSettings(merged.input, merged.frontEnd, [...plain, ...merged.mistakes]);
}

/**
 * Secrets that stand in the stack's file for everyone to read. The engine tells the program only which keys have a secret
 * somewhere inside, so the file itself is inspected where it holds the value that the engine gave.
 *
 * @param marked keys with a secret inside, e.g. `mailhost:accounts`
 * @param stackFile the stack's file, parsed; undefined where it is elsewhere
 */
export function plainSecrets(input: unknown, marked: string[], stackFile: unknown): Mistake[] {
  const paths: Path[] = [];
  mapValues(input, (value, field, path) => {
    if (aboutOf(field).secret && value !== undefined) paths.push(path);
  });
  return paths.flatMap((path) => {
    const [key, ...inside] = path;
    const inFile = valueAt(stackFile, ['config', `${prefix}${String(key)}`, ...inside]);
    const isMarked = marked.includes(`${prefix}${String(key)}`) && inFile !== valueAt(input, path);
    return isMarked
      ? []
      : [{ path, problem: 'is not encrypted; set it again', remedy: { path, secret: true } }];
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
