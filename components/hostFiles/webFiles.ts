import { createHash } from 'node:crypto';
import { clientNames } from '../dns/dnsRecords';
import { mtaStsPolicy } from '../dns/mtaSts';
import type { MailSettings } from '../settings/mailSettings';
import {
  fileAsItIs,
  filledFile,
  hostFile,
  renderTemplate,
  serviceFiles,
  type HostFiles,
} from './files';
import { tlsCiphers } from './tlsFiles';

const root = '/usr/local/share/mailhost/web';

/** nginx, and what it serves: how to set up a mail client, and the domains' policy for TLS between mail systems. */
export function webFiles(mail: MailSettings): HostFiles {
  const virtual = mail.accountKind === 'virtual';
  const acme = mail.tls.issuer === 'acme';
  const values = {
    hostName: mail.hostName,
    virtual,
    tlsCiphers,
    // A variable of Thunderbird's, which fills it in.
    userName: virtual ? '%EMAILADDRESS%' : '%EMAILLOCALPART%',
  };
  return {
    ...filledFile('/etc/nginx/nginx.conf', { ...values, acme }),
    ...filledFile('/etc/nginx/pages.conf', values),
    ...(acme ? sites(mail) : {}),
    ...serviceFiles('nginx'),
    ...filledFile(`${root}/mail/config-v1.1.xml`, values),
    ...filledFile(`${root}/autodiscover/autodiscover.xml`, values),
    ...fileAsItIs(`${root}/autodiscover/error.xml`),
    // The host signs it with its certificate.
    ...filledFile('/usr/local/share/mailhost/apple.mobileconfig', {
      ...values,
      profileId: uuidOf(`profile of ${mail.hostName}`),
      mailId: uuidOf(`mail of ${mail.hostName}`),
    }),
    [`${root}/.well-known/mta-sts.txt`]: hostFile(mtaStsPolicy(mail.mtaSts, [mail.hostName])),
  };
}

/** Always the same of a name, so that a profile that is installed again takes the place of the one before (RFC 9562, 5.8). */
function uuidOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`.toUpperCase();
}

/** The names of each domain, with a certificate of their own. */
const sites = ({ domains }: MailSettings): HostFiles =>
  Object.fromEntries(
    domains.map(({ name: domain }) => [
      `/etc/nginx/sites/${domain}.conf`,
      hostFile(renderTemplate('/etc/nginx/sites.conf', { domain, names: clientNames(domain) })),
    ]),
  );
