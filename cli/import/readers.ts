import { passwordOf } from './hashes';

/** What another host has. */
export interface OldHost {
  accounts: { address: string; hash: string; quota?: number }[];
  aliases: { address: string; recipients: string[] }[];
  /** What cannot be taken, each with what to do. */
  problems: string[];
}

/** Texts of files of another host. */
export interface OldFiles {
  accounts: string;
  aliases?: string;
  quotas?: string;
  /** Domain of names that have none. */
  domain?: string;
}

export type Format = keyof typeof formats;

/** Lines that say something, without comments. */
const linesOf = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));

interface Entry {
  name: string;
  password: string;
  quota?: string;
}

/** How a file of each kind names accounts. */
export const formats = {
  /** Dovecot: `user:password:uid:gid::home::extra fields`. */
  dovecot: (line: string): Entry => {
    const [name = '', password = '', ...rest] = line.split(':');
    const quota = /(?:quota_rule=\*:storage|quota_storage_size)=(\S+)/.exec(rest.join(':'))?.[1];
    return { name, password, quota };
  },
  /** Of shadow(5). A name that never had a password is no account. */
  shadow: (line: string): Entry | undefined => {
    const [name = '', password = ''] = line.split(':');
    return /^[!*]*$/.test(password) ? undefined : { name, password };
  },
  /** `postfix-accounts.cf` of docker-mailserver: `address|password|attributes`. */
  'docker-mailserver': (line: string): Entry => {
    const [name = '', password = ''] = line.split('|');
    return { name, password };
  },
};

/** Reads the files of another host. Nothing of a password is in a text that is shown. */
export function readOldHost(format: Format, files: OldFiles): OldHost {
  const found: OldHost = { accounts: [], aliases: [], problems: [] };
  const quotas = new Map(
    linesOf(files.quotas ?? '').map((line) => {
      const [name = '', size = ''] = line.split(':');
      return [name.toLowerCase(), size] as const;
    }),
  );
  for (const line of linesOf(files.accounts)) {
    const entry = formats[format](line);
    if (entry === undefined) continue;
    const address = addressOf(entry.name, files.domain);
    if (address === undefined) {
      found.problems.push(`${entry.name} has no domain: name one by --domain`);
      continue;
    }
    if (found.accounts.some((one) => one.address === address)) {
      found.problems.push(`${address} is there twice: the first one is taken`);
      continue;
    }
    const password = passwordOf(entry.password);
    if ('problem' in password) {
      found.problems.push(`${address} ${password.problem}`);
      continue;
    }
    const size = entry.quota ?? quotas.get(address);
    const quota = size === undefined ? undefined : megabytes(size);
    if (Number.isNaN(quota))
      found.problems.push(`${address} has the quota ${size}, which is not read: set its quota`);
    found.accounts.push({
      ...{ address, hash: password.hash },
      ...(quota === undefined || Number.isNaN(quota) ? {} : { quota }),
    });
  }
  readAliases(files, found);
  return found;
}

function readAliases({ aliases = '', domain }: OldFiles, found: OldHost): void {
  for (const line of linesOf(aliases)) {
    const [name = '', ...rest] = line.split(/\s+/);
    const recipients = rest
      .join(' ')
      .split(/[\s,]+/)
      .filter(Boolean);
    if (name.startsWith('@')) {
      found.problems.push(
        `${name} is a catch-all for ${recipients.join(', ')}: set catchAll of the domain`,
      );
      continue;
    }
    const [address, ...to] = [name, ...recipients].map((one) => addressOf(one, domain));
    if (address === undefined || to.length === 0 || to.includes(undefined)) {
      found.problems.push(`the alias ${name} is not read: add it to aliases`);
      continue;
    }
    // A mailbox is no alias of itself, and a list that names it has a copy go there.
    if (found.accounts.some((one) => one.address === address)) {
      if (to.some((one) => one !== address))
        found.problems.push(
          `${address} is an account that forwards to ${to.join(', ')}: have it do so by a Sieve script`,
        );
      continue;
    }
    found.aliases.push({ address, recipients: to as string[] });
  }
}

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
