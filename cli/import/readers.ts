import { readFileSync } from 'node:fs';
import { passwordOf } from './hashes';
import { readMailcow } from './mailcow';
import { readMailInABox } from './mailInABox';
import { listed, type Entry, type Found, type NamedAlias } from './found';

export interface OldAccount {
  address: string;
  /** crypt(5) form. */
  hash: string;
  /** MB; 0 for none. */
  quota?: number;
  sendAs?: string[];
}

/** What another host has. */
export interface OldHost {
  accounts: OldAccount[];
  aliases: { address: string; recipients: string[] }[];
  /** Domains whose unknown addresses are those of an account or alias. */
  catchAlls: { domain: string; address: string }[];
  /** What cannot be taken, each with what to do. */
  problems: string[];
}

/** Paths of files of another host. */
export interface OldFiles {
  accounts: string;
  aliases?: string;
  quotas?: string;
  /** Domain of names that have none. */
  domain?: string;
}

export type Format = keyof typeof formats;

/** How the file of each kind is read. */
export const formats = {
  /** Dovecot: `user:password:uid:gid::home::extra fields`. */
  dovecot: linesAs((line) => {
    const [name = '', password = '', ...rest] = line.split(':');
    const extra = rest.join(':');
    const quota = /(?:quota_rule=\*:storage|quota_storage_size)=(\S+)/.exec(extra)?.[1];
    const sendAs = /userdb_send_as=(\S+)/.exec(extra)?.[1]?.split(',');
    return { name, password, quota, sendAs };
  }),
  /** Of shadow(5). A name that never had a password is no account. */
  shadow: linesAs((line) => {
    const [name = '', password = ''] = line.split(':');
    return /^[!*]*$/.test(password) ? undefined : { name, password };
  }),
  /** `postfix-accounts.cf` of docker-mailserver: `address|password|attributes`. */
  'docker-mailserver': linesAs((line) => {
    const [name = '', password = ''] = line.split('|');
    return { name, password };
  }),
  /** `users.sqlite` of Mail-in-a-Box. */
  'mail-in-a-box': readMailInABox,
  /** What `mysqldump` or `mariadb-dump` writes of the database of mailcow. */
  mailcow: (path: string) => readMailcow(readFileSync(path, 'utf8')),
};

function linesAs(entryOf: (line: string) => Entry | undefined): (path: string) => Found {
  return (path) => {
    const entries = linesIn(path).flatMap((line) => entryOf(line) ?? []);
    return { entries, aliases: [], problems: [] };
  };
}

/** Lines of a file that say something, without comments; none of a file that is not given. */
const linesIn = (path: string | undefined): string[] =>
  (path === undefined ? '' : readFileSync(path, 'utf8'))
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));

/** Reads the files of another host. Nothing of a password is in a text that is shown. */
export function readOldHost(format: Format, files: OldFiles): OldHost {
  const read = formats[format](files.accounts);
  const old: OldHost = { accounts: [], aliases: [], catchAlls: [], problems: [...read.problems] };
  const quotas = new Map(
    linesIn(files.quotas).map((line) => {
      const [name = '', size = ''] = line.split(':');
      return [name.toLowerCase(), size] as const;
    }),
  );
  for (const entry of read.entries) {
    const address = addressOf(entry.name, files.domain);
    if (address === undefined) {
      old.problems.push(`${entry.name} has no domain: name one by --domain`);
      continue;
    }
    if (old.accounts.some((one) => one.address === address)) {
      old.problems.push(`${address} is there twice: the first one is taken`);
      continue;
    }
    const password = passwordOf(entry.password);
    if ('problem' in password) {
      old.problems.push(`${address} ${password.problem}`);
      continue;
    }
    const size = entry.quota ?? quotas.get(address);
    const quota = size === undefined ? undefined : megabytes(size);
    if (Number.isNaN(quota))
      old.problems.push(`${address} has the quota ${size}, which is not read: set its quota`);
    old.accounts.push({
      ...{ address, hash: password.hash },
      ...(quota === undefined || Number.isNaN(quota) ? {} : { quota }),
      ...(entry.sendAs ? { sendAs: entry.sendAs } : {}),
    });
  }
  const table = linesIn(files.aliases).map((line) => {
    const [name = '', ...rest] = line.split(/\s+/);
    return { name, recipients: listed(rest.join(' ')) };
  });
  readAliases([...read.aliases, ...table], files.domain, old);
  return old;
}

function readAliases(aliases: NamedAlias[], domain: string | undefined, old: OldHost): void {
  const wholeDomains: { name: string; recipients: string[] }[] = [];
  for (const { name, recipients } of aliases) {
    if (name.startsWith('@')) {
      wholeDomains.push({ name: name.toLowerCase(), recipients });
      continue;
    }
    const [address, ...to] = [name, ...recipients].map((one) => addressOf(one, domain));
    if (to.length > 0 && to.every((one) => one === address)) continue;
    if (address === undefined || to.length === 0 || !to.every(isMail)) {
      old.problems.push(
        `the alias ${name} for ${recipients.join(', ') || 'nobody'} is not read: add it to aliases`,
      );
      continue;
    }
    // A list that names the mailbox itself has a copy go there.
    if (old.accounts.some((one) => one.address === address)) {
      old.problems.push(
        `${address} is an account that forwards to ${to.join(', ')}: have it do so by a Sieve script`,
      );
      continue;
    }
    old.aliases.push({ address, recipients: to });
  }
  for (const one of wholeDomains) readWholeDomain(one, old);
}

/** A catch-all, or a domain that stands for another. */
function readWholeDomain({ name, recipients }: NamedAlias, old: OldHost): void {
  const [to = '', ...others] = recipients.map((one) => one.toLowerCase());
  const own = [...old.accounts, ...old.aliases].map(({ address }) => address);
  if (to.startsWith('@') && others.length === 0) {
    const locals = own.filter((one) => one.endsWith(to)).map((one) => one.slice(0, -to.length));
    for (const local of locals)
      if (!own.includes(local + name))
        old.aliases.push({ address: local + name, recipients: [local + to] });
    if (locals.length > 0) return;
  }
  if (others.length === 0 && own.includes(to))
    old.catchAlls.push({ domain: name.slice(1), address: to });
  else
    old.problems.push(
      `${name} is a catch-all for ${recipients.join(', ')}, which is not one account or alias: set catchAll of the domain`,
    );
}

/** Whether mail can go there; mailcow names what it does itself at `localhost`. */
const isMail = (address: string | undefined): address is string =>
  address !== undefined && /^[^@]+@(?!localhost$)[^@]+$/.test(address);

/** @returns undefined for a name without a domain where none is given */
function addressOf(name: string, domain: string | undefined): string | undefined {
  const address = name.includes('@') ? name : domain && `${name}@${domain}`;
  return address?.toLowerCase();
}

/** In the units of Dovecot; NaN where it is none. */
function megabytes(size: string): number {
  const [, count, unit = 'B'] = /^(\d+)\s*([bkmgt])?(?:i?b)?$/i.exec(size) ?? [];
  if (count === undefined) return NaN;
  const powers: Record<string, number> = { B: -2, K: -1, M: 0, G: 1, T: 2 };
  return Math.ceil(Number(count) * 1024 ** powers[unit.toUpperCase()]!);
}
