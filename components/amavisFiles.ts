import { fileAsItIs, filledFile, hostFile, serviceFiles, type HostFiles } from './files';
import { probeDomain, type MailSettings } from './mailSettings';
import { mailDomains } from './openSmtpdFiles';

/** amavis' configuration: scanning in, signing out. */
export function amavisFiles(mail: MailSettings): HostFiles {
  const selectors = Object.fromEntries(mail.domains.map(({ name, selector }) => [name, selector]));
  return {
    ...filledFile('/etc/amavis/conf.d/60-mailhost', {
      ...mail,
      localDomains: [...mailDomains(mail), probeDomain],
      probeDomain,
      sizeLimit: mail.messageSize + 1,
      passSpam: mail.spamAction === 'file',
      holdSpam: mail.spamAction === 'hold',
      spamFate: { file: 'filed into Junk', hold: 'held', drop: 'dropped' }[mail.spamAction],
      holdVirus: mail.virusAction === 'hold',
    }),
    ...fileAsItIs('/etc/tmpfiles.d/mailhost-quarantine.conf'),
    // The host program reads from it which keys must be published before they sign.
    '/etc/mailhost/dkim.json': hostFile(`${JSON.stringify(selectors, undefined, 2)}\n`),
    ...serviceFiles('amavis'),
  };
}

/** The key that signs, for each domain: amavis would sign with the first of several, so it gets no other. */
export function amavisSecrets(
  keys: { name: string; selector: string; privateKeyPem: string }[],
): HostFiles {
  return Object.fromEntries(
    keys.map(({ name, selector, privateKeyPem }) => [
      `/etc/amavis/dkim/${name}.${selector}.pem`,
      hostFile(privateKeyPem, '0640', 'root:amavis'),
    ]),
  );
}
