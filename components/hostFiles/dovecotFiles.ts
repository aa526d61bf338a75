import { probeAddress, type Credential, type MailSettings } from '../settings/mailSettings';
import { domainOf, localPartOf } from '../settings/names';
import {
  fileAsItIs,
  filledFile,
  hostFile,
  serviceFiles,
  textOfLines,
  type HostFiles,
} from './files';
import { loginNames, userName } from './logins';
import { tlsCiphers } from './tlsFiles';

/** DEL: never part of a folder's name as it is stored, in modified UTF-7 (RFC 3501, section 5.1.3). */
const storageEscape = '\x7f';

/** Dovecot's configuration, with the list of users. */
export function dovecotFiles(mail: MailSettings): HostFiles {
  const virtual = mail.accountKind === 'virtual';
  const filesSpam = mail.spamAction === 'file';
  return {
    ...filledFile('/etc/dovecot/dovecot.conf', {
      ...mail,
      tlsCiphers,
      virtual,
      filesSpam,
      storageEscape,
    }),
    '/etc/dovecot/users': hostFile(textOfLines(virtual ? virtualUsers(mail) : systemUsers(mail))),
    '/etc/dovecot/logins': hostFile(textOfLines(loginLines(mail))),
    ...fileAsItIs('/etc/dovecot/sieve/learn-ham.sieve'),
    ...fileAsItIs('/etc/dovecot/sieve/learn-spam.sieve'),
    ...serviceFiles('dovecot'),
    ...(filesSpam ? fileAsItIs('/etc/dovecot/sieve/junk.sieve') : {}),
    ...filledFile('/usr/local/lib/mailhost/quota-warning', mail, '0755'),
    ...fileAsItIs('/usr/local/lib/mailhost/learn/learn', '0755'),
  };
}

/** passwd-file(5) that gives each name the user name that it stands for, an account's own its own. */
function loginLines(mail: MailSettings): string[] {
  const own = mail.accounts.map(({ address }) => userName(mail, address));
  return [...own.map((user) => [user, user] as const), ...loginNames(mail)].map(
    ([name, user]) => `${name}:::::::user=${user} noauthenticate`,
  );
}

/** Password hashes of virtual accounts; system users have theirs in /etc/shadow. */
export function dovecotSecrets(mail: MailSettings, accounts: Credential[]): HostFiles {
  if (mail.accountKind === 'system') return {};
  const lines = accounts.map(({ address, passwordHash }) => `${address}:{CRYPT}${passwordHash}`);
  return { '/etc/dovecot/passwords': hostFile(textOfLines(lines), '0640', 'root:dovecot') };
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

/** Only who has a quota: all else is in /etc/passwd. */
function systemUsers(mail: MailSettings): string[] {
  return mail.accounts
    .filter(({ quota }) => quota > 0)
    .map(({ address, quota }) => `${localPartOf(address)}:::::${quotaField(quota)}`);
}

/** Behind the empty field of the shell; none for no limit. */
const quotaField = (quota: number) => (quota > 0 ? `::userdb_quota_storage_size=${quota}M` : '');
