import {
  fileAsItIs,
  filledFile,
  hostFile,
  serviceFiles,
  textOfLines,
  type HostFiles,
} from '../hostFiles/files';
import type { MailSettings } from '../settings/mailSettings';
import { plural, some } from '../review/terminal';
import { domainOf, localPartOf } from '../settings/names';
import { loginNames, userName } from './logins';
import { entriesOf, valueMeaning } from './meaning';
import { probeAddress, reportsAddress, reportsUser } from './probe';
import { secretFiles, type DaemonSpec, type Plan, type Secrets } from './spec';
import { tlsCiphers } from './tls';

const passwords = '/etc/dovecot/passwords';

/** Dovecot: mailboxes, with IMAP and ManageSieve to mail clients and LMTP to OpenSMTPD. */
export const dovecot = {
  name: 'dovecot',
  title: 'Dovecot',
  effect:
    'restarts Dovecot: mail clients connect again, and mail waits in the queue until it answers',
  rereads: {
    files: ['/etc/dovecot/logins', passwords, '/etc/dovecot/users'],
    effect:
      'updates the accounts of Dovecot while it runs: only sessions of accounts that are removed or get another password end',
  },
  unit: 'dovecot',
  packageUsers: ['dovecot', 'dovenull'],
  packages: () => [
    'dovecot-core',
    'dovecot-imapd',
    'dovecot-lmtpd',
    'dovecot-managesieved',
    'dovecot-sieve',
  ],
  users: [
    { name: 'vmail', id: 5000, home: '/srv/mailhost/mail' },
    { name: 'dovecot', id: 904, home: '/usr/lib/dovecot' },
    { name: 'dovenull', id: 905, home: '/nonexistent' },
  ],
  ports: {
    imaps: {
      number: 993,
      protocol: 'IMAP',
      security: 'TLS',
      purpose: 'mail',
      from: 'everyone',
      isForClients: true,
    },
    sieve: {
      number: 4190,
      protocol: 'ManageSieve',
      security: 'STARTTLS',
      purpose: 'mail',
      from: 'everyone',
      isForClients: true,
    },
  },
  waitsFor: ['volume', 'tls', 'accounts'],
  files,
  secrets: secretFiles("the accounts' password hashes", ['credentials'], passwordFile, {
    accounts: passwords,
  }),
  meanings: [
    valueMeaning(
      '/etc/dovecot/dovecot.conf',
      /^postmaster_address = (\S+)$/m,
      (before, after) =>
        `mail for root and for the role addresses goes to ${after} instead of ${before}`,
    ),
    { path: '/etc/dovecot/users', says: quotaMeaning },
  ],
} satisfies DaemonSpec;

/** DEL: never part of a folder's name as it is stored, in modified UTF-7 (RFC 3501, section 5.1.3). */
const storageEscape = '\x7f';

function files({ mail, ports }: Plan): HostFiles {
  const virtual = mail.accountKind === 'virtual';
  const filesSpam = mail.spamAction === 'file';
  return {
    ...filledFile('/etc/dovecot/dovecot.conf', {
      ...mail,
      ports,
      tlsCiphers,
      virtual,
      filesSpam,
      storageEscape,
    }),
    '/etc/dovecot/users': hostFile(textOfLines(virtual ? virtualUsers(mail) : systemUsers(mail))),
    '/etc/dovecot/own-users': hostFile(textOfLines([reportsLine(mail)])),
    [loginsFile]: hostFile(textOfLines(loginLines(mail))),
    ...fileAsItIs('/etc/dovecot/sieve/learn-ham.sieve'),
    ...fileAsItIs('/etc/dovecot/sieve/learn-spam.sieve'),
    ...serviceFiles('dovecot'),
    ...(filesSpam ? fileAsItIs('/etc/dovecot/sieve/junk.sieve') : {}),
    ...filledFile('/usr/local/lib/mailhost/quota-warning', mail, '0755'),
    ...fileAsItIs('/usr/local/lib/mailhost/learn/learn', '0755'),
  };
}

const loginsFile = '/etc/dovecot/logins';

/** The user names of the accounts by the texts of the files that it has: each has a line beside those of its other names. */
export const accountsIn = (texts: (path: string) => string | undefined): string[] =>
  [...(texts(loginsFile) ?? '').matchAll(/^([^:\n]+):.*\buser=(\S+)/gm)]
    .filter(([, name, user]) => name === user)
    .map(([, name]) => name!);

/** passwd-file(5) that gives each name the user name that it stands for, an account's own its own. */
function loginLines(mail: MailSettings): string[] {
  const own = mail.accounts.map(({ address }) => userName(mail, address));
  return [...own.map((user) => [user, user] as const), ...loginNames(mail)].map(
    ([name, user]) => `${name}:::::::user=${user} noauthenticate`,
  );
}

/** Password hashes of virtual accounts; system users have theirs in /etc/shadow. */
function passwordFile({ mail }: Plan, { credentials }: Pick<Secrets, 'credentials'>): HostFiles {
  if (mail.accountKind === 'system') return {};
  const lines = credentials.map(({ address, passwordHash }) => `${address}:{CRYPT}${passwordHash}`);
  return { [passwords]: hostFile(textOfLines(lines), '0640', 'root:dovecot') };
}

/** passwd-file(5): home and quota alone differ from one user to the next. */
function virtualUsers(mail: MailSettings): string[] {
  const home = (address: string) =>
    `/srv/mailhost/mail/${domainOf(address)}/${localPartOf(address)}`;
  return [
    ...mail.accounts.map(
      ({ address, quota }) => `${address}:::::${home(address)}${quotaField(quota)}`,
    ),
    `${probeAddress}:::::${home(probeAddress)}`,
  ];
}

/** Its limit bounds what strangers can fill the volume with while nothing reads it. */
const reportsLine = (mail: MailSettings) =>
  `${userName(mail, reportsAddress)}::${reportsUser.id}:${reportsUser.id}::${reportsUser.home}${quotaField(256)}`;

/** Only who has a quota: all else is in /etc/passwd. */
function systemUsers(mail: MailSettings): string[] {
  return mail.accounts
    .filter(({ quota }) => quota > 0)
    .map(({ address, quota }) => `${localPartOf(address)}:::::${quotaField(quota)}`);
}

/** Behind the empty field of the shell; none for no limit. */
const quotaField = (quota: number) => (quota > 0 ? `::userdb_quota_storage_size=${quota}M` : '');

/** Mailboxes that exist before and after, by their limits. */
function quotaMeaning(before: string, after: string): string[] {
  const limit = /^([^:\s]+):.*?(?:quota_storage_size=(\d+)M)?$/gm;
  const groups = new Map<string, string[]>();
  for (const [account, old, next] of entriesOf(limit, before, after).changed) {
    const size = (value: string) => (value === '' ? 'no limit' : `${value} MB`);
    const is = `${size(next)} instead of ${size(old)}${next === '' ? '' : '; mail for a full mailbox waits in the queue'}`;
    groups.set(is, [...(groups.get(is) ?? []), account]);
  }
  return [...groups].map(
    ([is, accounts]) =>
      `gives ${accounts.length > 5 ? plural(accounts.length, 'mailbox', 'mailboxes') : `the mailbox${accounts.length > 1 ? 'es' : ''} of ${some(accounts)}`} ${is}`,
  );
}
