import { fileAsItIs, filledFile, hostFile, type HostFiles } from './files';
import type { MailSettings } from './mailSettings';

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
    ...fileAsItIs('/etc/systemd/system/nginx.service.d/mailhost.conf'),
    ...filledFile(`${root}/mail/config-v1.1.xml`, values),
    ...filledFile(`${root}/autodiscover/autodiscover.xml`, values),
    // No domain announces it in DNS. Until one does, nobody asks for it, and this one promises nothing.
    [`${root}/.well-known/mta-sts.txt`]: hostFile(
      mtaStsPolicy({ mode: 'none', mx: [mail.hostName], maxAge: 86400 }),
    ),
  };
}

/** What other mail systems are told about TLS to a domain's MX. */
interface MtaStsPolicy {
  /** Whether a failure of TLS stops the mail, is only reported, or is nobody's business. */
  mode: 'enforce' | 'testing' | 'none';
  /** Exactly the domain's MX. */
  mx: string[];
  /** Seconds for which the policy may be kept. */
  maxAge: number;
}

/** A policy's text (RFC 8461, section 3.2). */
export function mtaStsPolicy({ mode, mx, maxAge }: MtaStsPolicy): string {
  const lines = [
    'version: STSv1',
    `mode: ${mode}`,
    ...mx.map((host) => `mx: ${host}`),
    `max_age: ${maxAge}`,
  ];
  return lines.map((line) => `${line}\r\n`).join('');
}
