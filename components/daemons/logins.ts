import { domainToUnicode } from 'node:url';
import type { MailSettings } from '../settings/mailSettings';
import { domainOf, liesIn, localPartOf } from '../settings/names';

/** The user name of an account: its address, or of a system user the local part of that. */
export function userName(mail: MailSettings, address: string): string {
  return mail.accountKind === 'virtual' ? address : localPartOf(address);
}

/**
 * The names that a mail client may log in with besides the user names themselves, each with the user name that it stands
 * for, in lower case: an account's aliases and the aliases that lead to it alone; each without its domain, where that is
 * the domain of the host's name or nothing else has it; and domains in Unicode. A tag (`+tag`) is removed before.
 *
 * @example loginNames(mail).get('info@example.org') // 'anna@example.org'
 */
export function loginNames(mail: MailSettings): Map<string, string> {
  const addresses = addressesOfAccounts(mail);
  const users = new Set(mail.accounts.map(({ address }) => userName(mail, address)));
  const names = new Map<string, string>();
  if (mail.accountKind === 'virtual') {
    for (const [address, account] of addresses) {
      for (const name of [address, inUnicode(address)]) names.set(name, account);
    }
  }
  for (const [local, account] of withoutDomain(mail, addresses)) {
    names.set(local, userName(mail, account));
  }
  return new Map([...names].filter(([name]) => !users.has(name)));
}

/** Each address of an account, with the account's own. */
function addressesOfAccounts({ accounts, aliases }: MailSettings): Map<string, string> {
  const targets = new Map<string, string[]>([
    ...accounts.flatMap(({ address, aliases: own }) =>
      own.map((alias): [string, string[]] => [alias, [address]]),
    ),
    ...aliases.map(({ address, recipients }): [string, string[]] => [address, recipients]),
  ]);
  const found = new Map(accounts.map(({ address }) => [address, address]));
  // The settings have no loop of aliases.
  const accountOf = (address: string): string | undefined => {
    const [target, ...others] = targets.get(address) ?? [];
    if (target === undefined) return found.get(address);
    return others.length === 0 ? accountOf(target) : undefined;
  };
  for (const alias of targets.keys()) {
    const account = accountOf(alias);
    if (account !== undefined) found.set(alias, account);
  }
  return found;
}

/** Local parts, each with the one account that they can mean. */
function withoutDomain(mail: MailSettings, addresses: Map<string, string>): Map<string, string> {
  const isHome = (address: string) => liesIn(mail.hostName, domainOf(address));
  const candidates = new Map<string, { home: Set<string>; all: Set<string> }>();
  for (const [address, account] of addresses) {
    const local = localPartOf(address);
    const known = candidates.get(local) ?? { home: new Set(), all: new Set() };
    known.all.add(account);
    if (isHome(address)) known.home.add(account);
    candidates.set(local, known);
  }
  return new Map(
    [...candidates].flatMap(([local, { home, all }]) => {
      const [account, ...others] =
        mail.accountKind === 'virtual' && home.size > 0 ? [...home] : [...all];
      return account !== undefined && others.length === 0 ? [[local, account] as const] : [];
    }),
  );
}

const inUnicode = (address: string): string =>
  `${localPartOf(address)}@${domainToUnicode(domainOf(address))}`;
