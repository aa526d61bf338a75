import { readHostFile, renderTemplate, type HostFile, type HostFiles } from './files';
import { localPartOf, probeAddress, type Credential, type MailSettings } from './mailSettings';

const file = (text: string, mode = '0644', owner = 'root:root'): HostFile => ({
  mode,
  owner,
  text,
});

const takenAsIs = [
  '/etc/dovecot/sieve/learn-ham.sieve',
  '/etc/dovecot/sieve/learn-spam.sieve',
  '/etc/logrotate.d/mailhost-dovecot',
  '/etc/systemd/system/dovecot.service.d/mailhost.conf',
];
const junk = '/etc/dovecot/sieve/junk.sieve';
/** Score from which mail is filed into Junk; what is tagged below it stays in the inbox, with its headers. */
const junkLevel = 5;
const learn = '/usr/local/lib/mailhost/learn/learn';

/** Dovecot's configuration, with the list of virtual users where accounts are such. */
export function dovecotFiles(mail: MailSettings): HostFiles {
  const virtual = mail.accountKind === 'virtual';
  const text = renderTemplate('/etc/dovecot/dovecot.conf', { ...mail, virtual });
  return {
    '/etc/dovecot/dovecot.conf': file(text),
    ...(virtual ? { '/etc/dovecot/users': file(users(mail)) } : {}),
    ...Object.fromEntries(takenAsIs.map((path) => [path, file(readHostFile(path))])),
    // amavis writes one star for each point of the score.
    [junk]: file(
      renderTemplate(junk, {
        stars: '*'.repeat(Math.max(junkLevel, Math.ceil(mail.spamTagLevel))),
      }),
    ),
    [learn]: file(readHostFile(learn), '0755'),
  };
}

/** Password hashes of virtual accounts; system users have theirs in /etc/shadow. */
export function dovecotSecrets(mail: MailSettings, accounts: Credential[]): HostFiles {
  if (mail.accountKind === 'system') return {};
  const lines = accounts.map(({ address, passwordHash }) => `${address}:{CRYPT}${passwordHash}\n`);
  return { '/etc/dovecot/passwords': file(lines.join(''), '0640', 'root:dovecot') };
}

/** passwd-file(5): only the home, the last field that is needed, differs from one user to the next. */
function users(mail: MailSettings): string {
  const addresses = [...mail.accounts.map(({ address }) => address), probeAddress];
  return addresses
    .map((address) => {
      const [domain, name] = [address.slice(address.lastIndexOf('@') + 1), localPartOf(address)];
      return `${address}:::::/srv/mailhost/mail/${domain}/${name}\n`;
    })
    .join('');
}
