import { fileAsItIs, filledFile, hostFile, textOfLines, type HostFiles } from './files';
import { probeAddress, type Credential, type MailSettings } from './mailSettings';
import { domainOf, localPartOf } from './names';

/** Score from which mail is filed into Junk; what is tagged below it stays in the inbox, with its headers. */
const junkLevel = 5;

/** Dovecot's configuration, with the list of virtual users where accounts are such. */
export function dovecotFiles(mail: MailSettings): HostFiles {
  const virtual = mail.accountKind === 'virtual';
  return {
    ...filledFile('/etc/dovecot/dovecot.conf', { ...mail, virtual }),
    ...(virtual ? { '/etc/dovecot/users': hostFile(users(mail)) } : {}),
    ...fileAsItIs('/etc/dovecot/sieve/learn-ham.sieve'),
    ...fileAsItIs('/etc/dovecot/sieve/learn-spam.sieve'),
    ...fileAsItIs('/etc/logrotate.d/mailhost-dovecot'),
    ...fileAsItIs('/etc/systemd/system/dovecot.service.d/mailhost.conf'),
    // amavis writes one star for each point of the score.
    ...filledFile('/etc/dovecot/sieve/junk.sieve', {
      stars: '*'.repeat(Math.max(junkLevel, Math.ceil(mail.spamTagLevel))),
    }),
    ...fileAsItIs('/usr/local/lib/mailhost/learn/learn', '0755'),
  };
}

/** Password hashes of virtual accounts; system users have theirs in /etc/shadow. */
export function dovecotSecrets(mail: MailSettings, accounts: Credential[]): HostFiles {
  if (mail.accountKind === 'system') return {};
  const lines = accounts.map(({ address, passwordHash }) => `${address}:{CRYPT}${passwordHash}`);
  return { '/etc/dovecot/passwords': hostFile(textOfLines(lines), '0640', 'root:dovecot') };
}

/** passwd-file(5): only the home, the last field that is needed, differs from one user to the next. */
function users(mail: MailSettings): string {
  const addresses = [...mail.accounts.map(({ address }) => address), probeAddress];
  const home = (address: string) => `${domainOf(address)}/${localPartOf(address)}`;
  return textOfLines(
    addresses.map((address) => `${address}:::::/srv/mailhost/mail/${home(address)}`),
  );
}
