import { getDomain } from 'tldts';
import { z } from 'zod';
import { domainOf, localPartOf, type AccountKind } from './mailSettings';

/** A value that the plan may know only later, such as a secret of the stack: checked only where it is plain text. */
type Later = object;

const label = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;
const localPart = /^(?!.*\.\.)[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;

const isDomain = (name: string): boolean =>
  name.length <= 253 && name.includes('.') && name.split('.').every((part) => label.test(part));

const isAddress = (address: string): boolean => {
  const at = address.lastIndexOf('@');
  return localPart.test(address.slice(0, Math.max(at, 0))) && isDomain(address.slice(at + 1));
};

const domainName = z.string({ error: 'must be a domain name, e.g. example.org' }).refine(isDomain, {
  error: 'is no domain name: write lower-case letters, digits, hyphens and dots, e.g. example.org',
});

const address = z
  .string({ error: 'must be a mail address, e.g. anna@example.org' })
  .refine(isAddress, {
    error: 'is no mail address: write it in lower case, e.g. anna@example.org',
  });

const makeHash =
  'make one with `openssl passwd -6`, and set it with `pulumi config set --secret --path`';

/** Whether it is of a crypt(5) form that OpenSMTPD and Dovecot on Debian 13 both verify. */
export const isPasswordHash = (text: string): boolean =>
  /^\$(?:5|6|y|gy|2b|2y)\$[./A-Za-z0-9$=,]{20,200}$/.test(text);

export const passwordHashForm = `must be a yescrypt, sha512-crypt, sha256-crypt or bcrypt hash: ${makeHash}`;

const passwordHash = z.union(
  [
    z.string().refine(isPasswordHash, { error: passwordHashForm }),
    z.custom<Later>((value) => typeof value === 'object' && value !== null),
  ],
  { error: passwordHashForm },
);

const wholeNumber = (minimum: number, unit: string) =>
  z.coerce
    .number({ error: `must be a whole number of at least ${minimum}${unit}` })
    .int({ error: `must be a whole number of at least ${minimum}${unit}` })
    .min(minimum, { error: `must be at least ${minimum}${unit}` });

const shape = z.strictObject({
  domains: z
    .array(z.strictObject({ name: domainName, zone: domainName.optional() }), {
      error:
        'must be a list of domains: pulumi config set --path "mailhost:domains[0].name" example.org',
    })
    .min(1, {
      error: 'is empty: pulumi config set --path "mailhost:domains[0].name" example.org',
    }),
  accounts: z.array(
    z.strictObject({
      address,
      passwordHash,
      aliases: z
        .array(address, {
          error: 'must be a list of addresses: set aliases[0], aliases[1] … with --path',
        })
        .default([]),
    }),
    { error: 'must be a list of accounts, each with address and passwordHash' },
  ),
  postmaster: address,
  hostName: domainName.optional(),
  accountKind: z
    .enum(['virtual', 'system'], { error: 'must be "virtual" or "system"' })
    .default('virtual'),
  dkimGeneration: wholeNumber(1, '').default(1),
  spamTagLevel: z.coerce
    .number({ error: 'must be a number, e.g. 2.0' })
    .min(0, { error: 'must be at least 0' })
    .max(100, { error: 'must be at most 100' })
    .default(2),
  serverType: z
    .string()
    .regex(/^[a-z]+\d+$/, { error: 'must be a Hetzner server type, e.g. cx23' })
    .default('cx23'),
  location: z
    .string()
    .regex(/^[a-z]{3}\d?$/, { error: 'must be a Hetzner location by name, e.g. fsn1' })
    .default('fsn1'),
  volumeSize: wholeNumber(10, ' GB').default(20),
  adminSshKeys: z
    .array(
      z
        .string()
        .regex(/^(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+(?: [^\r\n]*)?$/, {
          error: 'must be one line of OpenSSH public key, e.g. "ssh-ed25519 AAAA… anna"',
        }),
    )
    .default([]),
  adminNetworks: z
    .array(z.union([z.cidrv4(), z.cidrv6()], { error: 'must be a network, e.g. 192.0.2.0/24' }))
    .min(1, { error: 'is empty: name the networks that may use SSH, e.g. ["192.0.2.0/24"]' })
    .default(['0.0.0.0/0', '::/0']),
  protect: z.union([z.boolean(), z.stringbool()], { error: 'must be true or false' }).default(true),
});

/** What a mail host is made from, checked and complete. */
export interface Settings {
  hostName: string;
  domains: { name: string; zone: string }[];
  accounts: { address: string; passwordHash: string | object; aliases: string[] }[];
  postmaster: string;
  accountKind: AccountKind;
  dkimGeneration: number;
  spamTagLevel: number;
  serverType: string;
  location: string;
  /** GB. */
  volumeSize: number;
  adminSshKeys: string[];
  adminNetworks: string[];
  protect: boolean;
}

/** One thing wrong with the settings: the key's path, and what is wrong with it and what to write instead. */
export interface Mistake {
  path: string;
  message: string;
}

/** Every mistake in a set of settings at once; `message` has one line for each. */
export class SettingsError extends Error {
  constructor(
    readonly mistakes: Mistake[],
    prefix: string,
  ) {
    const lines = mistakes.map(({ path, message }) => `  ${prefix}${path} ${message}`);
    super(
      `the settings have ${mistakes.length} ${mistakes.length === 1 ? 'mistake' : 'mistakes'}; nothing was changed:\n${lines.join('\n')}`,
    );
    this.name = 'SettingsError';
  }
}

/**
 * Checks `input` as a whole and completes it with what can be derived (host name, zones).
 *
 * @param prefix put before each key in the messages, e.g. `mailhost:`
 * @throws SettingsError with every mistake, never only the first
 */
export function parseSettings(input: unknown, prefix = ''): Settings {
  const parsed = shape.safeParse(input);
  if (!parsed.success) {
    throw new SettingsError(
      parsed.error.issues
        .flatMap((issue) =>
          issue.code === 'unrecognized_keys'
            ? issue.keys.map((key) => ({
                path: pathText([...issue.path, key]),
                message: 'is no setting: remove it, or mend its name',
              }))
            : [{ path: pathText(issue.path), message: issue.message }],
        )
        .concat(crossMistakes(input)),
      prefix,
    );
  }
  const mistakes = crossMistakes(input);
  if (mistakes.length > 0) {
    throw new SettingsError(mistakes, prefix);
  }
  const { domains, hostName, ...rest } = parsed.data;
  return {
    ...rest,
    hostName: hostName ?? `mail.${domains[0]!.name}`,
    domains: domains.map(({ name, zone }) => ({ name, zone: zone ?? registrableDomain(name) })),
  };
}

function registrableDomain(name: string): string {
  return getDomain(name, { allowPrivateDomains: true }) ?? name;
}

function pathText(path: PropertyKey[]): string {
  return path
    .map((p, i) => (typeof p === 'number' ? `[${p}]` : `${i > 0 ? '.' : ''}${String(p)}`))
    .join('');
}

/** Local parts become names of system users (useradd(8)), so each can exist once, whatever its domain. */
function systemUserMistakes(accounts: unknown[]): Mistake[] {
  const names = accounts.map((account) => {
    const address = field(account, 'address');
    return typeof address === 'string' ? localPartOf(address) : undefined;
  });
  return names.flatMap((name, i) => {
    const path = `accounts[${i}].address`;
    if (name === undefined || !localPart.test(name)) return [];
    if (!/^[a-z][a-z0-9._-]{0,30}$/.test(name)) {
      return [
        {
          path,
          message: `cannot be a system user: begin "${name}" with a letter, at most 31 characters`,
        },
      ];
    }
    const first = names.indexOf(name);
    return first === i
      ? []
      : [
          {
            path,
            message: `is the system user "${name}" again, as accounts[${first}].address: choose another local part, or accountKind virtual`,
          },
        ];
  });
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const field = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;

/** Rules between settings, judged on whatever part of the input has the right form, so that all mistakes come at once. */
function crossMistakes(input: unknown): Mistake[] {
  const domains = list(field(input, 'domains')).map((d) => field(d, 'name'));
  const accounts = list(field(input, 'accounts'));

  const named = [
    ...accounts.map((a, i) => ({ path: `accounts[${i}].address`, address: field(a, 'address') })),
    ...accounts.flatMap((a, i) =>
      list(field(a, 'aliases')).map((alias, j) => ({
        path: `accounts[${i}].aliases[${j}]`,
        address: alias,
      })),
    ),
  ].filter(
    (n): n is { path: string; address: string } =>
      typeof n.address === 'string' && isAddress(n.address),
  );

  const mistakes: Mistake[] = [];
  const seen = new Map<string, string>();
  for (const { path, address } of named) {
    const domain = domainOf(address);
    if (!domains.includes(domain)) {
      mistakes.push({
        path,
        message: `is "${address}", but ${domain} is not in domains: add it there, or mend the address`,
      });
    }
    const first = seen.get(address);
    if (first !== undefined) {
      mistakes.push({
        path,
        message: `is "${address}" again, as ${first}: every address belongs to one account`,
      });
    } else {
      seen.set(address, path);
    }
  }
  domains.forEach((name, i) => {
    if (typeof name === 'string' && domains.indexOf(name) !== i) {
      mistakes.push({
        path: `domains[${i}].name`,
        message: `is "${name}" again: name each domain once`,
      });
    }
  });
  list(field(input, 'domains')).forEach((domain, i) => {
    const [name, zone] = [field(domain, 'name'), field(domain, 'zone')];
    if (typeof name === 'string' && typeof zone === 'string' && !`.${name}`.endsWith(`.${zone}`)) {
      mistakes.push({
        path: `domains[${i}].zone`,
        message: `is "${zone}", in which ${name} does not lie: write the zone at Cloudflare that holds it`,
      });
    }
  });
  const hostName = field(input, 'hostName') ?? `mail.${String(domains[0])}`;
  if (typeof hostName === 'string' && isDomain(hostName)) {
    const parent = domains.find((name) => hostName.endsWith(`.${String(name)}`));
    if (parent === undefined || domains.includes(hostName)) {
      mistakes.push({
        path: 'hostName',
        message: `is "${hostName}": write a name of its own below one of the domains, e.g. mail.${String(domains[0])}`,
      });
    }
  }
  if (field(input, 'accountKind') === 'system') mistakes.push(...systemUserMistakes(accounts));
  const postmaster = field(input, 'postmaster');
  if (typeof postmaster === 'string' && isAddress(postmaster)) {
    const domain = domainOf(postmaster);
    if ([...domains, hostName].includes(domain) && !seen.has(postmaster)) {
      mistakes.push({
        path: 'postmaster',
        message: `is "${postmaster}", which no account has: make the account, or name one that exists`,
      });
    }
  }
  return mistakes;
}
