import { fileAsItIs, filledFile, hostFile, textOfLines, type HostFiles } from './files';
import { probeAddress, probeDomain, type Credential, type MailSettings } from './mailSettings';
import { localPartOf } from './names';

/** RFC 2142: what every domain has to answer; `root` is for the host's own messages. */
const roles = ['abuse', 'hostmaster', 'postmaster'];

const table = (lines: string[], mode?: string, owner?: string) =>
  hostFile(textOfLines(lines), mode, owner);

/** OpenSMTPD's configuration and tables. */
export function openSmtpdFiles(mail: MailSettings): HostFiles {
  const aliases = aliasTargets(mail);
  return {
    ...filledFile('/etc/smtpd.conf', {
      hostName: mail.hostName,
      probeDomain,
      virtual: mail.accountKind === 'virtual',
    }),
    '/etc/smtpd/domains': table([...mailDomains(mail), probeDomain]),
    '/etc/smtpd/recipients': table([...aliases.keys()].filter((a) => a.includes('@'))),
    '/etc/smtpd/virtuals': table([...aliases, [probeAddress, account] as const].map(mapLine(mail))),
    '/etc/smtpd/identities': table(
      mail.accounts.map(
        ({ address, aliases: own }) => `${userName(mail, address)} ${[address, ...own].join(',')}`,
      ),
    ),
    ...fileAsItIs('/etc/systemd/system/opensmtpd.service.d/mailhost.conf'),
  };
}

/** Password hashes by user name; OpenSMTPD reads them again after it has given up root. */
export function openSmtpdSecrets(mail: MailSettings, accounts: Credential[]): HostFiles {
  const lines = accounts.map(
    ({ address, passwordHash }) => `${userName(mail, address)} ${passwordHash}`,
  );
  return { '/etc/smtpd/credentials': table(lines, '0640', 'root:opensmtpd') };
}

/** The domains that mail is taken in for: the hosted ones, and the host's own name. */
export function mailDomains(mail: MailSettings): string[] {
  return [...new Set([...mail.domains.map(({ name }) => name), mail.hostName])];
}

/** What a user logs in with. */
function userName(mail: MailSettings, address: string): string {
  return mail.accountKind === 'virtual' ? address : localPartOf(address);
}

const account = Symbol('account');

/** Every address, and where its mail goes: to an account of that address, or on to another address. */
function aliasTargets(mail: MailSettings): Map<string, string | typeof account> {
  const targets = new Map<string, string | typeof account>();
  for (const { address, aliases } of mail.accounts) {
    targets.set(address, account);
    for (const alias of aliases) targets.set(alias, address);
  }
  for (const domain of mailDomains(mail)) {
    for (const role of roles) {
      const address = `${role}@${domain}`;
      if (!targets.has(address)) targets.set(address, mail.postmaster);
    }
  }
  // Messages of cron and the daemons; from this host alone, because `recipients` names whole addresses.
  targets.set('root', mail.postmaster);
  return targets;
}

const mapLine =
  (mail: MailSettings) =>
  ([address, target]: readonly [string, string | typeof account]) => {
    const user = mail.accountKind === 'virtual' ? 'vmail' : localPartOf(address);
    return `${address} ${target === account ? user : target}`;
  };
