import { hostFile, textOfLines } from '../hostFiles/files';
import { localPartOf } from '../settings/names';
import { secretFiles, type DaemonSpec } from './spec';

const names = '/etc/mailhost/system-users';
const shadow = `${names}.shadow`;

/** The system users that are accounts: the host program creates those that are missing and locks those that are gone. */
export const accounts: DaemonSpec = {
  name: 'accounts',
  title: 'System users',
  effect: 'changes system users',
  isQuiet: true,
  comes: 'makes each account a system user of the host',
  goes: 'accounts are no longer system users of the host',
  isWanted: ({ accountKind }) => accountKind === 'system',
  waitsFor: ['volume'],
  files: ({ mail }) => ({
    [names]: hostFile(textOfLines(mail.accounts.map(({ address }) => localPartOf(address)))),
  }),
  // As chpasswd(8) reads it.
  secrets: secretFiles(
    "the accounts' password hashes",
    ['credentials'],
    (_plan, { credentials }) => {
      const lines = credentials.map(
        ({ address, passwordHash }) => `${localPartOf(address)}:${passwordHash}`,
      );
      return { [shadow]: hostFile(textOfLines(lines), '0600') };
    },
    { accounts: shadow },
  ),
};
