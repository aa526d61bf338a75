import * as pulumi from '@pulumi/pulumi';
import { checkedSettings, type AccountArgs } from './components/mailHost';
import type { Settings } from './components/settings';

const prefix = 'mailhost:';

/** Keys whose value in stack config is a JSON structure. */
const structured = new Set(['domains', 'accounts', 'adminSshKeys', 'adminNetworks']);

/**
 * The stack's settings, checked as a whole.
 *
 * Read from the raw config rather than through `pulumi.Config`, so that a value with a secret inside stays a structure:
 * the password hashes alone are made secrets, and the addresses stay readable in previews.
 *
 * @throws pulumi.RunError (shown without a stack trace) with every mistake, each with its key and what to write instead
 */
export function readSettings(): Settings & { accounts: AccountArgs[] } {
  const input: Record<string, unknown> = {};
  for (const [key, text] of Object.entries(pulumi.runtime.allConfig())) {
    if (key.startsWith(prefix) && text !== '') {
      const name = key.slice(prefix.length);
      input[name] = structured.has(name) ? parseJson(text) : text;
    }
  }
  const settings = checkedSettings(input, prefix);
  return {
    ...settings,
    accounts: settings.accounts.map((account) => ({
      ...account,
      // Stack config has text only.
      passwordHash: pulumi.secret(account.passwordHash as string),
    })),
  };
}

/** Text that is no JSON stays text, so that the check names the key instead of a syntax error. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
