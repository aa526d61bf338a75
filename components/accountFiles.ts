import type { HostFiles } from './files';
import { localPartOf, type Credential, type MailSettings } from './mailSettings';

const names = '/etc/mailhost/system-users';

/** The system users that are accounts: the host program creates those that are missing and locks those that are gone. */
export function accountFiles(mail: MailSettings): HostFiles {
  const text = mail.accounts.map(({ address }) => `${localPartOf(address)}\n`).join('');
  return { [names]: { mode: '0644', owner: 'root:root', text } };
}

/** As chpasswd(8) reads it. */
export function accountSecrets(accounts: Credential[]): HostFiles {
  const lines = accounts.map(
    ({ address, passwordHash }) => `${localPartOf(address)}:${passwordHash}\n`,
  );
  return { [`${names}.shadow`]: { mode: '0600', owner: 'root:root', text: lines.join('') } };
}
