import { z } from 'zod';
import { clientNames, reportConsentName } from '../dns/dnsRecords';
import { hasPublicCertificate } from '../dns/mtaSts';
import {
  hasTooManyLookups,
  leastLookups,
  maximumRecordLength,
  normalSpfMechanism,
  spfRecord,
} from '../dns/spf';
import { isCertificateChain, isPrivateKey, pairMistake, uncovered } from './certificates';
import { durationForm, seconds } from './duration';
import { isOverSsh, roles } from './mailSettings';
import {
  domainOf,
  isZoneId,
  liesIn,
  localPartOf,
  normalAddress,
  normalDomain,
  normalRecipient,
  normalZone,
  ownInLowerCase,
  withoutTag,
} from './names';
import type { Mistake } from './settings';

/** A text of the input in its normal form, and where it stands. */
interface Item {
  path: string;
  value: string;
}

/** The input as far as it has the right form: rules between settings are judged on that, so that all mistakes come at once. */
interface Estate {
  input: unknown;
  domains: {
    path: string;
    name?: string;
    zone?: string;
    parked: boolean;
    catchAll?: Item;
    spf: string[];
    dmarcPolicy: unknown;
    dkimGeneration: unknown;
  }[];
  hostName?: Item;
  postmaster?: Item;
  dmarcReports?: Item;
  accounts: { path: string; address?: Item; aliases: Item[]; sendAs: Item[]; quota: unknown }[];
  aliases: { path: string; address?: Item; recipients: Item[] }[];
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const field = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;

/** A truth value as stack config has it. */
const isTrue = (value: unknown): boolean =>
  value === true || z.stringbool().safeParse(value).data === true;

type Normal = (text: string) => string | undefined;

function item(path: string, value: unknown, normal: Normal): Item | undefined {
  const form = typeof value === 'string' ? normal(value) : undefined;
  return form === undefined ? undefined : { path, value: form };
}

const items = (path: string, value: unknown, normal = normalAddress): Item[] =>
  list(value).flatMap((v, i) => item(`${path}[${i}]`, v, normal) ?? []);

function estateOf(input: unknown): Estate {
  const at = <T>(key: string, read: (value: unknown, path: string) => T): T[] =>
    list(field(input, key)).map((value, i) => read(value, `${key}[${i}]`));
  const hostName = item('hostName', field(input, 'hostName'), normalDomain);
  const ownDomains = [
    hostName?.value,
    ...at('domains', (value, path) => item(path, field(value, 'name'), normalDomain)?.value),
  ];
  return {
    input,
    domains: at('domains', (value, path) => ({
      path,
      name: item(path, field(value, 'name'), normalDomain)?.value,
      zone: item(path, field(value, 'zone'), normalZone)?.value,
      parked: isTrue(field(value, 'parked')),
      catchAll: item(`${path}.catchAll`, field(value, 'catchAll'), normalAddress),
      spf: list(field(value, 'spf')).flatMap((term) =>
        typeof term === 'string' ? (normalSpfMechanism(term) ?? term) : [],
      ),
      dmarcPolicy: field(value, 'dmarcPolicy'),
      dkimGeneration: field(value, 'dkimGeneration'),
    })),
    hostName,
    postmaster: item('postmaster', field(input, 'postmaster'), normalAddress),
    dmarcReports: item('dmarcReports', field(input, 'dmarcReports'), normalAddress),
    accounts: at('accounts', (value, path) => ({
      path,
      address: item(`${path}.address`, field(value, 'address'), normalAddress),
      aliases: items(`${path}.aliases`, field(value, 'aliases')),
      sendAs: items(`${path}.sendAs`, field(value, 'sendAs')),
      quota: field(value, 'quota'),
    })),
    aliases: at('aliases', (value, path) => ({
      path,
      address: item(`${path}.address`, field(value, 'address'), normalAddress),
      recipients: items(`${path}.recipients`, field(value, 'recipients'), normalRecipient).map(
        (recipient) => ({ ...recipient, value: ownInLowerCase(recipient.value, ownDomains) }),
      ),
    })),
  };
}

/** Rules between settings; each gives every mistake that it finds. */
const rules: ((estate: Estate) => Mistake[])[] = [
  domainMistakes,
  hostNameMistakes,
  takenNames,
  dnsMistakes,
  duplicateAddresses,
  homelessAddresses,
  danglingTargets,
  aliasLoops,
  systemUserMistakes,
  keyMistakes,
  tlsMistakes,
  clashes,
  backupMistakes,
];

/** @returns what is wrong between the settings of `input`, which may itself have any form */
export function settingsMistakes(input: unknown): Mistake[] {
  const estate = estateOf(input);
  return rules.flatMap((rule) => rule(estate));
}

function domainMistakes({ input, domains }: Estate): Mistake[] {
  return domains.flatMap((domain) => {
    const { path, name, zone, parked, catchAll, spf, dmarcPolicy, dkimGeneration } = domain;
    const mistakes: Mistake[] = [];
    if (name === undefined) return mistakes;
    const first = domains.find((other) => other.name === name)!;
    if (first.path !== path) {
      mistakes.push({
        path: `${path}.name`,
        message: `is ${name} again, as ${first.path}: name each domain once`,
      });
    }
    if (zone !== undefined && !isZoneId(zone) && !liesIn(name, zone)) {
      mistakes.push({
        path: `${path}.zone`,
        message: `is "${zone}", in which ${name} does not lie: write the zone that holds it`,
      });
    }
    if (zone !== undefined && isZoneId(zone) && field(input, 'dns') === 'manual') {
      mistakes.push({
        path: `${path}.zone`,
        message: 'is an id at Cloudflare, which dns manual does not ask: write its name',
      });
    }
    for (const [key, set] of [
      ['catchAll', catchAll !== undefined],
      ['spf', spf.length > 0],
      ['dmarcPolicy', ![undefined, 'reject'].includes(dmarcPolicy as string | undefined)],
      ['dkimGeneration', dkimGeneration !== undefined],
    ] as const) {
      if (parked && set) {
        mistakes.push({
          path: `${path}.${key}`,
          message: `cannot be, because ${name} is parked: remove it, or parked`,
        });
      }
    }
    const record = spfRecord(spf);
    if (record.length > maximumRecordLength) {
      mistakes.push({
        path: `${path}.spf`,
        message: `makes an SPF record of ${record.length} octets, and a record takes ${maximumRecordLength}: write networks instead of single addresses`,
      });
    }
    if (hasTooManyLookups(record)) {
      mistakes.push({
        path: `${path}.spf`,
        message: `makes an SPF record of ${leastLookups(record)} look-ups, and receivers stop after 10: write ip4: and ip6: instead of names`,
      });
    }
    return mistakes;
  });
}

function hostNameMistakes({ hostName, domains }: Estate): Mistake[] {
  if (hostName === undefined) return [];
  const names = domains.map(({ name }) => name);
  // Another mistake tells of the name that cannot be compared.
  if (names.includes(undefined)) return [];
  const isBelow = names.some((name) => hostName.value.endsWith(`.${name}`));
  if (isBelow && !names.includes(hostName.value)) return [];
  return [
    {
      path: 'hostName',
      message: `is "${hostName.value}": write a name of its own below one of the domains, e.g. mail.${names[0] ?? 'example.org'}`,
    },
  ];
}

/** Names that lead to the host by a CNAME allow no other record (RFC 1034, section 3.6.2). */
function takenNames({ input, domains, hostName }: Estate): Mistake[] {
  if (!hasWeb(input)) return [];
  const taken = new Map(
    domains.flatMap(({ name, parked }) =>
      name === undefined || parked ? [] : clientNames(name).map((taken) => [taken, name] as const),
    ),
  );
  const own = domains.map(({ path, name }) => ({ path: `${path}.name`, value: name ?? '' }));
  return [...own, ...(hostName ? [hostName] : [])].flatMap(({ path, value }) =>
    taken.has(value)
      ? [
          {
            path,
            message: `is "${value}", under which mail clients and servers look for what ${taken.get(value)} has to say: choose another name, or set web to false`,
          },
        ]
      : [],
  );
}

const hasWeb = (input: unknown): boolean =>
  field(input, 'web') === undefined || isTrue(field(input, 'web'));

const falsePromise = (why: string): Mistake => ({
  path: 'mtaSts',
  message: `= "enforce" would promise what others cannot check, because ${why}`,
});

function dnsMistakes({ input, domains, dmarcReports }: Estate): Mistake[] {
  const mistakes: Mistake[] = [];
  if (field(input, 'mtaSts') === 'enforce') {
    const missing = !hasWeb(input)
      ? 'the web server is off: set web to true'
      : !hasPublicCertificate(input as object)
        ? 'others do not trust a certificate by a CA of the stack: take one from a public CA'
        : undefined;
    if (missing !== undefined) {
      mistakes.push(falsePromise(`${missing}, or leave mtaSts out`));
    }
  }
  if (dmarcReports !== undefined) {
    for (const { name } of domains) {
      const consent = name && reportConsentName(name, domainOf(dmarcReports.value));
      if (consent !== undefined && consent.length > 253) {
        mistakes.push({
          path: 'dmarcReports',
          message: `= "${dmarcReports.value}" would need a DNS name of ${consent.length} octets, and 253 fit: choose an address in a shorter domain`,
        });
      }
    }
  }
  return mistakes;
}

/** Addresses of accounts and aliases: each is one recipient's. */
const ownAddresses = ({ accounts, aliases }: Estate): Item[] =>
  [
    ...accounts.map(({ address }) => address),
    ...accounts.flatMap(({ aliases: own }) => own),
    ...aliases.map(({ address }) => address),
  ].filter((address) => address !== undefined);

function duplicateAddresses(estate: Estate): Mistake[] {
  const first = new Map<string, string>();
  return ownAddresses(estate).flatMap(({ path, value }) => {
    const other = first.get(value);
    if (other !== undefined) {
      return [
        {
          path,
          message: `is "${value}" again, as ${other}: one address has one owner, and an alias several recipients`,
        },
      ];
    }
    first.set(value, path);
    return [];
  });
}

function homelessAddresses(estate: Estate): Mistake[] {
  const sendAs = estate.accounts.flatMap((account) => account.sendAs);
  return [...ownAddresses(estate), ...sendAs].flatMap(({ path, value }) => {
    const domain = estate.domains.find(({ name }) => name === domainOf(value));
    if (domain === undefined) {
      return [
        {
          path,
          message: `is "${value}", but ${domainOf(value)} is not in domains: add it there, or mend the address`,
        },
      ];
    }
    return domain.parked
      ? [
          {
            path,
            message: `is "${value}", but ${domainOf(value)} is parked: remove ${domain.path}.parked, or the address`,
          },
        ]
      : [];
  });
}

/** Where mail is to go on to: an address here has to exist, one elsewhere is the other host's matter. */
function danglingTargets(estate: Estate): Mistake[] {
  const { domains, hostName, postmaster, dmarcReports, aliases } = estate;
  const known = new Set(ownAddresses(estate).map(({ value }) => value));
  const isRole = (address: string) =>
    roles.includes(localPartOf(address)) &&
    domains.some(({ name, parked }) => name === domainOf(address) && !parked);
  const isHere = (address: string) =>
    domainOf(address) === hostName?.value || domains.some(({ name }) => name === domainOf(address));
  const dangling = ({ path, value }: Item): Mistake[] =>
    !isHere(value) || known.has(withoutTag(value))
      ? []
      : [
          {
            path,
            message: `is "${value}", which no account or alias has: make it, or name one that exists`,
          },
        ];
  const next = nextHops(estate);
  const strayCatchAll = ({ path, value }: Item): Mistake[] => {
    const outside = reachable(value, next).find((address) => !isHere(address));
    return outside === undefined
      ? dangling({ path, value })
      : [
          {
            path,
            message: `is "${value}", whose mail goes to ${outside}: all spam to the domain would be sent on, so name an account of this host`,
          },
        ];
  };
  return [
    ...aliases.flatMap(({ recipients }) =>
      recipients.filter(({ value }) => !isRole(withoutTag(value))).flatMap(dangling),
    ),
    ...(postmaster ? dangling(postmaster) : []),
    ...(dmarcReports && !isRole(dmarcReports.value) ? dangling(dmarcReports) : []),
    ...domains.flatMap(({ catchAll }) => (catchAll ? strayCatchAll(catchAll) : [])),
  ];
}

/** Where mail for an address goes on to: an alias to its recipients, a role address that nobody has to the postmaster. */
function nextHops({ aliases, domains, postmaster }: Estate): Map<string | undefined, string[]> {
  const ofRoles = domains.flatMap(({ name }) =>
    roles.map((role) => [`${role}@${name}`, postmaster ? [postmaster.value] : []] as const),
  );
  return new Map<string | undefined, string[]>([
    ...ofRoles,
    ...aliases.map(
      ({ address, recipients }) =>
        [address?.value, recipients.map(({ value }) => withoutTag(value))] as const,
    ),
  ]);
}

/** Every address that mail for `start` can come to, itself among them. */
function reachable(start: string, next: Map<string | undefined, string[]>): string[] {
  const found = new Set([start]);
  for (const address of found) for (const to of next.get(address) ?? []) found.add(to);
  return [...found];
}

function aliasLoops(estate: Estate): Mistake[] {
  const { aliases } = estate;
  const next = nextHops(estate);
  const loopFrom = (start: string): string[] | undefined => {
    const seen = new Set<string>();
    const visit = (address: string, way: string[]): string[] | undefined => {
      for (const to of next.get(address) ?? []) {
        if (to === start) return [...way, to];
        if (seen.has(to)) continue;
        seen.add(to);
        const loop = visit(to, [...way, to]);
        if (loop) return loop;
      }
      return undefined;
    };
    return visit(start, [start]);
  };
  const loops = aliases.flatMap(({ path, address }) => {
    const loop = address && loopFrom(address.value);
    return loop
      ? [
          {
            path: `${path}.recipients`,
            message: `lead in a circle, ${loop.join(' -> ')}: take one of them out`,
          },
        ]
      : [];
  });
  return loops.length > 0 ? loops : longChains(estate);
}

/**
 * Aliases in a row. OpenSMTPD 7.6 follows 9 steps (EXPAND_DEPTH), of which a catch-all, a long list, an account's own alias,
 * its address, and the user of the mailbox take one each.
 */
const mostAliases = 5;

function longChains(estate: Estate): Mistake[] {
  const next = nextHops(estate);
  const further = (addresses: string[]) => [
    ...new Set(
      addresses.flatMap((address) => next.get(address) ?? []).filter((to) => next.has(to)),
    ),
  ];
  return estate.aliases.flatMap(({ path, address }) => {
    let step = address ? [address.value] : [];
    for (let steps = 0; steps < mostAliases; steps++) step = further(step);
    return step.length > 0
      ? [
          {
            path: `${path}.recipients`,
            message: `lead through more than ${mostAliases} aliases in a row, and OpenSMTPD gives up: name the addresses behind them`,
          },
        ]
      : [];
  });
}

/** Users that Debian's base system and the packages of the host bring along. */
const systemNames = new Set(
  (
    'root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc gnats nobody _apt ' +
    'systemd-network systemd-resolve systemd-timesync messagebus sshd polkitd amavis clamav debian-spamd dovecot ' +
    'dovenull opensmtpd opensmtpq unbound vmail mailhost-probe'
  ).split(' '),
);

/** Local parts become names of system users (useradd(8)), so each can exist once, whatever its domain. */
function systemUserMistakes({ input, accounts }: Estate): Mistake[] {
  if (field(input, 'accountKind') !== 'system') return [];
  const names = accounts.map(({ address }) => address && localPartOf(address.value));
  return names.flatMap((name, i) => {
    const path = `accounts[${i}].address`;
    if (name === undefined) return [];
    if (systemNames.has(name)) {
      return [
        { path, message: `cannot be a system user: Debian has one named "${name}" for itself` },
      ];
    }
    if (!/^[a-z][a-z0-9._-]{0,30}$/.test(name)) {
      return [
        {
          path,
          message: `cannot be a system user: begin "${name}" with a letter, with letters, digits and . - _ alone, at most 31`,
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

/** Keys that sign although nobody may trust them, or that would go too early. */
function keyMistakes({ input, domains }: Estate): Mistake[] {
  const compromised = list(field(input, 'dkimCompromised')).map(Number).filter(Number.isInteger);
  const signing = [
    { path: 'dkimGeneration', generation: field(input, 'dkimGeneration') ?? 1 },
    ...domains.map(({ path, dkimGeneration }) => ({
      path: `${path}.dkimGeneration`,
      generation: dkimGeneration,
    })),
  ];
  const mistakes = signing
    .filter(({ generation }) => compromised.includes(Number(generation)))
    .map(({ path, generation }) => ({
      path,
      message: `= ${Number(generation)} is in dkimCompromised, and no such key may sign: set another generation; where it signs now, rotate first, with one \`pulumi up\`, and declare it compromised after that`,
    }));
  const time = (key: string, standard: string) => {
    const value = field(input, key) ?? standard;
    return typeof value === 'string' && durationForm.test(value) ? value : undefined;
  };
  const [retention, lifetime] = [time('dkimRetention', '21d'), time('queueLifetime', '4d')];
  if (retention && lifetime && seconds(retention) < seconds(lifetime)) {
    mistakes.push({
      path: 'dkimRetention',
      message: `= ${retention} is less than a message may wait to be sent (queueLifetime, ${lifetime}): raise it, or lower queueLifetime`,
    });
  }
  return mistakes;
}

const termsOfLetsEncrypt = 'https://letsencrypt.org/repository/';

/** Who issues the certificates, and what it takes. */
function tlsMistakes({ input, domains, hostName }: Estate): Mistake[] {
  const tls = field(input, 'tls') ?? {};
  const at = (key: string) => field(tls, key);
  const issuer = at('issuer') ?? 'acme';
  const mistakes: Mistake[] = [];
  const mistake = (key: string, message: string) => mistakes.push({ path: `tls.${key}`, message });
  if (issuer === 'acme' && !isTrue(at('acceptTerms'))) {
    const directory = at('directory');
    const terms = typeof directory === 'string' ? `which ${directory} names` : termsOfLetsEncrypt;
    mistake(
      'acceptTerms',
      `must be true: read the terms of the CA, ${terms}, and agree with pulumi config set --path mailhost:tls.acceptTerms true; or set tls.issuer`,
    );
  }
  for (const key of ['chain', 'privateKey']) {
    if (issuer !== 'provided' && at(key) !== undefined)
      mistake(key, `does nothing unless tls.issuer is provided: remove it`);
    if (issuer === 'provided' && at(key) === undefined)
      mistake(
        key,
        `is missing: pulumi config set --secret --path mailhost:tls.${key} < ${key === 'chain' ? 'fullchain.pem' : 'privkey.pem'}`,
      );
  }
  const [chain, privateKey] = [at('chain'), at('privateKey')];
  if (
    issuer === 'provided' &&
    hostName !== undefined &&
    typeof chain === 'string' &&
    typeof privateKey === 'string' &&
    isCertificateChain(chain) &&
    isPrivateKey(privateKey)
  ) {
    const wrong = pairMistake(chain, privateKey, hostName.value);
    if (wrong !== undefined) mistake('chain', wrong);
    const names = domains.flatMap(({ name, parked }) =>
      name === undefined || parked ? [] : [`mta-sts.${name}`],
    );
    const missing = uncovered(chain, names);
    if (field(input, 'mtaSts') === 'enforce' && hasWeb(input) && missing.length > 0)
      mistakes.push(
        falsePromise(
          `tls.chain is not for ${missing.join(', ')}, where others ask for the policy (RFC 8461, section 3.3); have it issued for these names, too, or take testing`,
        ),
      );
  }
  return mistakes;
}

/** Settings that cannot work with each other. */
function clashes({ input, accounts, domains, hostName }: Estate): Mistake[] {
  const mistakes: Mistake[] = [];
  const smarthost = field(field(input, 'smarthost'), 'host');
  if (typeof smarthost === 'string') {
    if (normalDomain(smarthost) === hostName?.value) {
      mistakes.push({ path: 'smarthost.host', message: 'is this host itself: name another' });
    }
    for (const { path, name, parked, spf } of domains) {
      if (name !== undefined && !parked && spf.length === 0) {
        mistakes.push({
          path: `${path}.spf`,
          message: `is empty, but the smarthost sends for ${name}: put in its SPF mechanism, e.g. include:_spf.${smarthost.split('.').slice(-2).join('.')}`,
        });
      }
    }
  }
  const numberAt = (key: string, standard: number) => Number(field(input, key) ?? standard);
  const tag = numberAt('spamTagLevel', 2);
  const junk = numberAt('spamJunkLevel', 5);
  if (junk < tag) {
    mistakes.push({
      path: 'spamJunkLevel',
      message: `= ${junk} is below spamTagLevel, ${tag}: what is not marked is not treated as spam; raise it, or lower spamTagLevel`,
    });
  }
  if (field(input, 'virusAction') === 'drop' && !isTrue(field(input, 'antivirus'))) {
    mistakes.push({
      path: 'virusAction',
      message: 'does nothing without a scanner: set antivirus to true, or remove it',
    });
  }
  const messageSize = numberAt('messageSize', 35);
  for (const { path, quota } of [
    { path: 'quota', quota: field(input, 'quota') ?? 2000 },
    ...accounts.map((account) => ({ path: `${account.path}.quota`, quota: account.quota })),
  ]) {
    if (quota !== undefined && Number(quota) > 0 && Number(quota) < messageSize) {
      mistakes.push({
        path,
        message: `= ${Number(quota)} is less than one message may have (messageSize, ${messageSize}): raise it, or lower messageSize`,
      });
    }
  }
  const networks = list(field(input, 'adminNetworks')).filter((n) => typeof n === 'string');
  if (networks.length > 0 && !networks.some((network) => network.includes('.'))) {
    mistakes.push({
      path: 'adminNetworks',
      message:
        'has no IPv4 network, and Pulumi connects by IPv4: add that of the machine that runs it',
    });
  }
  return mistakes;
}

function backupMistakes({ input }: Estate): Mistake[] {
  const backup = field(input, 'backup');
  const repository = field(backup, 'repository');
  const mistakes: Mistake[] = [];
  if (typeof repository === 'string') {
    const overSsh = isOverSsh(repository);
    if (overSsh && field(backup, 'hostKey') === undefined) {
      mistakes.push({
        path: 'backup.hostKey',
        message:
          'is missing: write the host key of that server, as `ssh-keyscan -t ed25519 HOST` prints it and its owner confirms it',
      });
    }
    if (!overSsh && field(backup, 'hostKey') !== undefined) {
      mistakes.push({
        path: 'backup.hostKey',
        message: 'is for a repository that begins with sftp: only: remove it',
      });
    }
    if (`${repository}/`.startsWith('/srv/mailhost/')) {
      mistakes.push({
        path: 'backup.repository',
        message: 'lies on the volume that is to be saved: name another place',
      });
    }
  }
  if (field(input, 'restore') !== undefined && backup === undefined) {
    mistakes.push({
      path: 'restore',
      message: 'needs a backup to restore from: set backup, or remove it',
    });
  }
  return mistakes;
}
