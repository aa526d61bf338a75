import { readHostFile, renderTemplate, type HostFiles } from './files';
import type { MailSettings } from './mailSettings';

const takenAsIs = ['/etc/default/spamd', '/etc/systemd/system/spamd.service.d/mailhost.conf'];

/** SpamAssassin's rules, which amavis reads, and its daemon, which learns. */
export function spamAssassinFiles(mail: MailSettings): HostFiles {
  const file = (text: string) => ({ mode: '0644', owner: 'root:root', text });
  return {
    '/etc/spamassassin/local.cf': file(renderTemplate('/etc/spamassassin/local.cf', mail)),
    ...Object.fromEntries(takenAsIs.map((path) => [path, file(readHostFile(path))])),
  };
}
