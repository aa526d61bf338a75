import { type Credential, type MailSettings } from '../settings/mailSettings';
import { localPartOf } from '../settings/names';
import { hostFile, textOfLines, type HostFiles } from './files';

const names = '/etc/mailhost/system-users';

/** The system users that are accounts: the host program creates those that are missing and locks those that are gone. */
export function accountFiles(mail: MailSettings): HostFiles {
  const lines = mail.accounts.map(({ address }) => localPartOf(address));
  return { [names]: hostFile(textOfLines(lines)) };
}

/** As chpasswd(8) reads it. */
export function accountSecrets(accounts: Credential[]): HostFiles {
  const lines = accounts.map(
    ({ address, passwordHash }) => `${localPartOf(address)}:${passwordHash}`,
  );
  return { [`${names}.shadow`]: hostFile(textOfLines(lines), '0600') };
}
