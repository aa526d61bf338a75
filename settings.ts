import * as pulumi from '@pulumi/pulumi';
import type { AccountArgs, SmarthostArgs } from './components/mailHostArgs';
import { checkedSettings } from './components/mailHost';
import type { Settings } from './components/settings';

const prefix = 'mailhost:';

/** Settings as text of stack config gives them, with the secrets marked as such. */
type StackSettings = Settings & { accounts: AccountArgs[]; smarthost?: SmarthostArgs };

/**
 * The stack's settings, checked as a whole.
 *
 * Read from the raw config rather than through `pulumi.Config`, so that a value with a secret inside stays a structure:
 * the password hashes alone are made secrets, and the addresses stay readable in previews.
 *
 * @throws pulumi.RunError (shown without a stack trace) with every mistake, each with its key and what to write instead
 */
export function readSettings(): StackSettings {
  const input: Record<string, unknown> = {};
  for (const [key, text] of Object.entries(pulumi.runtime.allConfig())) {
    // Keys that are not set have the default of Pulumi.yaml, which is empty where there is none.
    if (key.startsWith(prefix) && !['', '{}'].includes(text)) {
      const name = key.slice(prefix.length);
      input[name] = structureOrText(text);
    }
  }
  const { accounts, smarthost, ...settings } = checkedSettings(input, prefix);
  // Stack config has text only.
  const secret = (value: string | object) => pulumi.secret(value as string);
  return {
    ...settings,
    accounts: accounts.map((a) => ({ ...a, passwordHash: secret(a.passwordHash) })),
    ...(smarthost ? { smarthost: { ...smarthost, password: secret(smarthost.password) } } : {}),
  };
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
