import { parse } from 'yaml';
import type { OldHost } from './readers';

/** Settings of a stack as its file has them. */
export interface Stack {
  domains: { name?: string; catchAll?: string }[];
  accounts: { address?: string; passwordHash?: unknown; aliases?: string[] }[];
  aliases: { address?: string }[];
}

/** What to set, by paths as `pulumi config set --path` takes them. */
export interface ConfigChanges {
  plain: [path: string, value: string][];
  secret: [path: string, value: string][];
  /** Addresses that the stack has already. */
  there: string[];
}

/**
 * Reads the settings of a stack, of which the secrets stay encrypted.
 *
 * @param text of `Pulumi.STACK.yaml`
 * @throws Error if a list is encrypted as a whole
 */
export function readStack(text: string): Stack {
  const { config } = (parse(text) ?? {}) as { config?: Record<string, unknown> };
  const list = (key: string) => {
    const value = config?.[`mailhost:${key}`] ?? [];
    if (!Array.isArray(value))
      throw new Error(
        `mailhost:${key} is not a list that can be read: its addresses must not be encrypted. Set them by \`pulumi config set --path\`.`,
      );
    return value as never[];
  };
  return { domains: list('domains'), accounts: list('accounts'), aliases: list('aliases') };
}

/**
 * What to set so that a stack has what another host has. What is there stays as it is, but for an account without a password: so an
 * import that was interrupted goes on. A new domain is prepared while that host goes on delivering its mail.
 */
export function configChanges(old: OldHost, stack: Stack): ConfigChanges {
  const changes: ConfigChanges = { plain: [], secret: [], there: [] };
  const { plain, secret, there } = changes;
  const set = (path: string, value: string) => plain.push([`mailhost:${path}`, value]);

  const domains = stack.domains.map(({ name }) => name?.toLowerCase());
  const named = [...old.accounts, ...old.aliases].map(({ address }) =>
    address.slice(address.lastIndexOf('@') + 1),
  );
  for (const domain of [...named, ...old.catchAlls.map((one) => one.domain)]) {
    if (domains.includes(domain)) continue;
    const place = `domains[${domains.push(domain) - 1}]`;
    set(`${place}.name`, domain);
    set(`${place}.delivery`, 'elsewhere');
  }

  const accounts = stack.accounts.map(({ address }) => address?.toLowerCase());
  for (const { address, hash, quota, sendAs = [] } of old.accounts) {
    const at = accounts.indexOf(address);
    if (at >= 0 && stack.accounts[at]?.passwordHash !== undefined) {
      there.push(address);
      continue;
    }
    const place = `accounts[${at >= 0 ? at : accounts.push(address) - 1}]`;
    if (at < 0) set(`${place}.address`, address);
    if (quota !== undefined) set(`${place}.quota`, String(quota));
    if (at < 0) sendAs.forEach((other, i) => set(`${place}.sendAs[${i}]`, other));
    secret.push([`mailhost:${place}.passwordHash`, hash]);
  }

  const own = accounts.map((_, i) => [...(stack.accounts[i]?.aliases ?? [])]);
  const aliases = stack.aliases.map(({ address }) => address?.toLowerCase());
  for (const { address, recipients } of old.aliases) {
    if ([...aliases, ...accounts, ...own.flat().map(lower)].includes(address)) {
      there.push(address);
      continue;
    }
    const account = recipients.length === 1 ? accounts.indexOf(recipients[0]) : -1;
    if (account >= 0) {
      // The hosts that are read let an account send as an address that is its alone.
      set(`accounts[${account}].aliases[${own[account]!.push(address) - 1}]`, address);
      continue;
    }
    const place = `aliases[${aliases.push(address) - 1}]`;
    set(`${place}.address`, address);
    recipients.forEach((recipient, i) => set(`${place}.recipients[${i}]`, recipient));
  }

  for (const { domain, address } of old.catchAlls) {
    const at = domains.indexOf(domain);
    if (stack.domains[at]?.catchAll === undefined) set(`domains[${at}].catchAll`, address);
    else there.push(`@${domain}`);
  }
  return changes;
}

const lower = (text: string): string => text.toLowerCase();

/** What would be set, as text. Of a secret it says that it is one. */
export function changesText({ plain, secret, there }: ConfigChanges, problems: string[]): string {
  const section = (title: string, lines: string[]) =>
    lines.length > 0 ? [title, ...lines.map((line) => `  ${line}`)] : [];
  return [
    ...section('To set:', [
      ...plain.map(([path, value]) => `${path} ${value}`),
      ...secret.map(([path]) => `${path} (secret)`),
    ]),
    ...section('There already, and left as it is:', there),
    ...section('Not taken:', problems),
    '',
  ].join('\n');
}
