import type { MailSettings } from '../settings/mailSettings';
import { fileAsItIs, filledFile, serviceFiles, type HostFiles } from './files';

/** SpamAssassin's rules, which amavis reads, and its daemon, which learns. */
export function spamAssassinFiles(mail: MailSettings): HostFiles {
  return {
    ...filledFile('/etc/spamassassin/local.cf', {
      ...mail,
      dmarcScore: mail.spamJunkLevel + 2,
    }),
    ...fileAsItIs('/etc/spamassassin/sa-update-hooks.d/amavisd-new', '0755'),
    ...fileAsItIs('/etc/systemd/system/spamassassin-maintenance.service.d/mailhost.conf'),
    ...fileAsItIs('/etc/default/spamd'),
    ...fileAsItIs('/usr/local/lib/mailhost/scan/Bounds.pm'),
    ...serviceFiles('spamd'),
  };
}
