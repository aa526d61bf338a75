import {
  fileAsItIs,
  filledFile,
  hostFile,
  serviceFiles,
  textOfLines,
  type HostFiles,
} from '../hostFiles/files';
import { mailDomains, reportRoles, roles, type MailSettings } from '../settings/mailSettings';
import { domainOf, localPartOf } from '../settings/names';
import { scannerAddresses } from './amavis';
import { loginNames, userName } from './logins';
import { openSmtpdMeanings } from './openSmtpdMeanings';
import { probeAddress, probeDomain, reportsAddress } from './probe';
import {
  givenFiles,
  secretFiles,
  type DaemonSpec,
  type Given,
  type Plan,
  type Secrets,
} from './spec';
import { tlsCiphers } from './tls';

const credentialsTable = '/etc/smtpd/credentials';
const smarthostTable = '/etc/smtpd/smarthost';

/** OpenSMTPD: mail in, out, and between the others. */
export const openSmtpd = {
  name: 'opensmtpd',
  title: 'OpenSMTPD',
  effect:
    'restarts OpenSMTPD: open sessions get up to 15 s to end, and senders that come meanwhile try again',
  // The login at the smarthost is not among them: a route that has it keeps it (mta_on_secret in its mta.c).
  rereads: {
    files: [
      credentialsTable,
      '/etc/smtpd/domains',
      '/etc/smtpd/elsewhere',
      '/etc/smtpd/forwarded',
      '/etc/smtpd/identities',
      '/etc/smtpd/late',
      '/etc/smtpd/logins',
      '/etc/smtpd/onward',
      '/etc/smtpd/recipients',
      '/etc/smtpd/virtuals',
    ],
    effect: 'updates the tables of OpenSMTPD while it runs: no session ends',
    ifHidden:
      'updates the tables of OpenSMTPD while it runs, or restarts it if it is the password at the smarthost that changes',
  },
  unit: 'opensmtpd',
  packages: () => ['opensmtpd'],
  users: [
    { name: 'opensmtpd', id: 901, home: '/var/lib/opensmtpd/empty' },
    { name: 'opensmtpq', id: 902, home: '/var/lib/opensmtpd/empty' },
  ],
  ports: {
    smtp: {
      number: 25,
      protocol: 'SMTP',
      security: 'STARTTLS',
      purpose: 'mail',
      from: 'everyone',
    },
    submissions: {
      number: 465,
      protocol: 'SMTP',
      security: 'TLS',
      purpose: 'mail',
      from: 'everyone',
      isForClients: true,
    },
    submission: {
      number: 587,
      protocol: 'SMTP',
      security: 'STARTTLS',
      purpose: 'mail',
      from: 'everyone',
      isForClients: true,
    },
    // Each is a tag in its configuration.
    filtered: { number: 10025, protocol: 'SMTP', purpose: 'scanned mail', from: 'host' },
    signed: { number: 10027, protocol: 'SMTP', purpose: 'signed mail', from: 'host' },
    redirected: { number: 10029, protocol: 'SMTP', purpose: 'mail of Sieve scripts', from: 'host' },
    own: { number: 10030, protocol: 'SMTP', purpose: 'mail to itself', from: 'host' },
  },
  // While a route is down OpenSMTPD holds mail back, so its next hops come first.
  waitsFor: ['volume', 'tls', 'dovecot', 'amavis'],
  files: givenFiles(['smarthost'], files),
  secrets: secretFiles(
    (readable) =>
      readable['/etc/smtpd.conf']?.text.includes(smarthostTable)
        ? "the accounts' password hashes, or the login at the smarthost"
        : "the accounts' password hashes",
    ['credentials', 'smarthostLogin'],
    tablesWithSecrets,
    {
      accounts: credentialsTable,
      meanings: { [smarthostTable]: 'the host logs in at the smarthost with other credentials' },
    },
  ),
  meanings: openSmtpdMeanings,
} satisfies DaemonSpec;

const mebibyte = 1 << 20;

/** Octets that a message may grow by on its way through the host: Received, spam headers, signature. */
const roomForHeaders = 64 << 10;

const filters = '/usr/local/lib/mailhost/filters';

const table = (lines: string[], mode?: string, owner?: string) =>
  hostFile(textOfLines(lines), mode, owner);

/** The addresses of amavis at a port, which speaks no TLS. */
const relays = (port: number) =>
  table(scannerAddresses.map((address) => `smtp+notls://${address}:${port}`));

/** Domains of the names by which an alias leads to an address that another host has. */
const onwardDomain = 'onward.invalid';
const onwardName = (address: string): string => `${address}.${onwardDomain}`;

/** Its configuration, tables and filters. */
function files({ mail, ports }: Plan, { smarthost }: Pick<Given, 'smarthost'>): HostFiles {
  const elsewhere = mail.domains.filter((domain) => domain.elsewhere).map(({ name }) => name);
  const { targets: aliases, onward } = leadOnward(aliasTargets(mail), elsewhere);
  const forwarded = mail.domains.filter((domain) => domain.forwarded).map(({ name }) => name);
  const maxSize = mail.messageSize * mebibyte;
  return {
    ...filledFile('/etc/smtpd.conf', {
      ...mail,
      tlsCiphers,
      addresses: mail.ipv6 ? ['0.0.0.0', '::'] : ['0.0.0.0'],
      loopback: mail.ipv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1'],
      maxSize,
      maxMessageSize: maxSize + roomForHeaders,
      ports,
      probeDomain,
      route: route(smarthost, mail.ipv6),
      scannerAddresses,
      smarthost: smarthost !== undefined,
      virtual: mail.accountKind === 'virtual',
      elsewhere: elsewhere.length > 0,
      forwarded: forwarded.length > 0,
      // A star would end at the first dot.
      onwardDomains: `[.]${onwardDomain.replace('.', '[.]')}$`,
    }),
    ...(elsewhere.length > 0
      ? {
          '/etc/smtpd/elsewhere': table(elsewhere),
          '/etc/smtpd/onward': table(
            onward.map((address) => `${onwardName(address)} ${escaped(address)}`),
          ),
        }
      : {}),
    ...(forwarded.length > 0
      ? {
          '/etc/smtpd/forwarded': table(forwarded),
          '/etc/smtpd/late': table(lateLines(mail, [...aliases.keys()], forwarded)),
        }
      : {}),
    '/etc/smtpd/domains': table([...mailDomains(mail), probeDomain]),
    '/etc/smtpd/recipients': table([...aliases.keys()].filter((a) => a.includes('@'))),
    '/etc/smtpd/virtuals': table(
      mapLines(mail, [...aliases, [probeAddress, account], [reportsAddress, account]]),
    ),
    '/etc/smtpd/identities': table(
      mail.accounts.map(
        ({ address, aliases: own, sendAs }) =>
          `${userName(mail, address)} ${[...new Set([address, ...own, ...sendAs])].join(',')}`,
      ),
    ),
    '/etc/smtpd/scanners': relays(ports.scan!),
    '/etc/smtpd/signers': relays(ports.sign!),
    '/etc/smtpd/logins': table([...loginNames(mail)].map((pair) => pair.join(' '))),
    ...fileAsItIs('/usr/libexec/opensmtpd/table-accounts', '0755'),
    ...fileAsItIs(`${filters}/inbound`, '0755'),
    ...fileAsItIs(`${filters}/submission`, '0755'),
    ...fileAsItIs(`${filters}/own`, '0755'),
    ...fileAsItIs(`${filters}/header.py`),
    ...fileAsItIs(`${filters}/limits.py`),
    ...fileAsItIs(`${filters}/pipelining.py`),
    ...fileAsItIs(`${filters}/logins.py`),
    ...fileAsItIs(`${filters}/protocol.py`),
    ...fileAsItIs(`${filters}/tables.py`),
    ...fileAsItIs(`${filters}/targets.py`),
    ...fileAsItIs('/usr/libexec/opensmtpd/table-scanner', '0755'),
    ...serviceFiles('opensmtpd'),
  };
}

/** Password hashes by user name, and the login at the smarthost; OpenSMTPD reads them after it has given up root. */
function tablesWithSecrets(
  { mail }: Plan,
  { credentials, smarthostLogin }: Pick<Secrets, 'credentials' | 'smarthostLogin'>,
): HostFiles {
  const secret = (lines: string[]) => table(lines, '0640', 'root:opensmtpd');
  return {
    [credentialsTable]: secret(
      credentials.map(({ address, passwordHash }) => `${userName(mail, address)} ${passwordHash}`),
    ),
    ...(smarthostLogin === undefined
      ? {}
      : { [smarthostTable]: secret([`login ${smarthostLogin}`]) }),
  };
}

/** How mail leaves, where it does not go straight to its recipients by either family. */
function route(smarthost: Given['smarthost'], ipv6: boolean): string {
  const protocol = smarthost?.port === 465 ? 'smtps' : 'smtp+tls';
  return [
    // Its certificate has to be right: it gets a password.
    smarthost
      ? ` host ${protocol}://login@${smarthost.host}:${smarthost.port} auth <smarthost> tls`
      : '',
    ipv6 ? '' : ' src 0.0.0.0',
  ].join('');
}

const account = Symbol('account');

/** Where mail for an address goes: to the account of that address, or on to others. */
type Target = string[] | typeof account;

/** Every address, and `@domain` for the rest of a domain, with where its mail goes. */
function aliasTargets(mail: MailSettings): Map<string, Target> {
  const targets = new Map<string, Target>();
  for (const { address, aliases } of mail.accounts) {
    targets.set(address, account);
    for (const alias of aliases) targets.set(alias, [address]);
  }
  for (const { address, recipients } of mail.aliases) targets.set(address, recipients);
  for (const domain of mailDomains(mail)) {
    for (const role of roles) {
      const address = `${role}@${domain}`;
      const reader = reportRoles.includes(role) ? reportsAddress : mail.postmaster;
      if (!targets.has(address)) targets.set(address, [reader]);
    }
  }
  for (const { name, catchAll } of mail.domains) {
    if (catchAll !== undefined) targets.set(`@${name}`, [catchAll]);
  }
  // Messages of cron and the daemons; from this host alone, because `recipients` names whole addresses.
  targets.set('root', [mail.postmaster]);
  return targets;
}

/**
 * Has aliases lead to addresses that another host has by names of their own, unless they are addresses of such a domain
 * themselves: what arrives for that is delivered here.
 *
 * @returns those addresses, too
 */
function leadOnward(
  targets: Map<string, Target>,
  elsewhere: string[],
): { targets: Map<string, Target>; onward: string[] } {
  const onward = new Set<string>();
  const isElsewhere = (address: string) => elsewhere.includes(domainOf(address));
  const lead = (to: string) => {
    if (!isElsewhere(to)) return to;
    onward.add(to);
    return onwardName(to);
  };
  const led = [...targets].map(
    ([address, to]) =>
      [address, to === account || isElsewhere(address) ? to : to.map(lead)] as const,
  );
  return { targets: new Map(led), onward: [...onward].sort() };
}

/**
 * Has each address of a domain that has moved away lead to a name at this host's own, and that lead back to it: so the message
 * leaves with a sender at the host's name (SRS), which has to be at the domain of the recipient that OpenSMTPD was given.
 */
function lateLines(mail: MailSettings, addresses: string[], forwarded: string[]): string[] {
  const nameOf = (address: string) =>
    `late=${localPartOf(address)}=${domainOf(address)}@${mail.hostName}`;
  const isForwarded = (address: string) => forwarded.includes(domainOf(address));
  return addresses.filter(isForwarded).flatMap((address) => {
    if (!address.startsWith('@'))
      return [`${address} ${escaped(nameOf(address))}`, `${nameOf(address)} ${escaped(address)}`];
    // Whom the other host has is not known, but for the one who gets the rest.
    const catchAll = mail.domains.find(({ name }) => name === domainOf(address))!.catchAll!;
    return [`${address} ${escaped(isForwarded(catchAll) ? nameOf(catchAll) : catchAll)}`];
  });
}

/** Octets of the targets of one entry: OpenSMTPD has room for a line of 2048 (expand_line() of 7.6). */
const longestTargets = 2047;

/** Entries of a table of aliases. Where the targets of one are too long, they are in further entries, which it names. */
function mapLines(mail: MailSettings, targets: (readonly [string, Target])[]): string[] {
  const further: string[] = [];
  const inParts = (addresses: string[]) => {
    const parts = partsOf(addresses.map(escaped));
    if (parts.length === 1) return parts[0]!;
    return parts
      .map((part) => {
        // No local part of a client's begins with a dot, so mail to everybody in the list is all that there is.
        const name = `.${further.length + 1}`;
        further.push(`${name} ${part}`);
        return name;
      })
      .join(',');
  };
  const lines = targets.map(([address, target]) => {
    const user = mail.accountKind === 'virtual' ? 'vmail' : localPartOf(address);
    return `${address} ${target === account ? user : inParts(target)}`;
  });
  return [...lines, ...further];
}

/** OpenSMTPD takes an apostrophe for the begin or end of a quotation. */
const escaped = (address: string): string => address.replaceAll("'", "\\'");

function partsOf(addresses: string[]): string[] {
  const parts: string[] = [];
  for (const address of addresses) {
    const longer = `${parts.at(-1)},${address}`;
    if (parts.length > 0 && longer.length <= longestTargets) parts[parts.length - 1] = longer;
    else parts.push(address);
  }
  return parts;
}
