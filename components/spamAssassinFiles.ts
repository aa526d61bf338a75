import { fileAsItIs, filledFile, type HostFiles } from './files';
import type { MailSettings } from './mailSettings';

/** SpamAssassin's rules, which amavis reads, and its daemon, which learns. */
export function spamAssassinFiles(mail: MailSettings): HostFiles {
  return {
    ...filledFile('/etc/spamassassin/local.cf', mail),
    ...fileAsItIs('/etc/default/spamd'),
    ...fileAsItIs('/etc/systemd/system/spamd.service.d/mailhost.conf'),
  };
}
