import { filledFile, hostFile, serviceFiles, type HostFiles } from './files';
import type { MailSettings } from './mailSettings';
import { mtaStsPolicy } from './mtaSts';

const root = '/usr/local/share/mailhost/web';

/** nginx, and what it serves: how to set up a mail client, and the domains' policy for TLS between mail systems. */
export function webFiles(mail: MailSettings): HostFiles {
  const virtual = mail.accountKind === 'virtual';
  const values = {
    hostName: mail.hostName,
    virtual,
    // A variable of Thunderbird's, which fills it in.
    userName: virtual ? '%EMAILADDRESS%' : '%EMAILLOCALPART%',
  };
  return {
    ...filledFile('/etc/nginx/nginx.conf', values),
    ...serviceFiles('nginx'),
    ...filledFile(`${root}/mail/config-v1.1.xml`, values),
    ...filledFile(`${root}/autodiscover/autodiscover.xml`, values),
    [`${root}/.well-known/mta-sts.txt`]: hostFile(mtaStsPolicy(mail.mtaSts, [mail.hostName])),
  };
}
