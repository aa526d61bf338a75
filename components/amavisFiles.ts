import { readHostFile, renderTemplate, type HostFiles } from './files';
import { probeDomain, type MailSettings } from './mailSettings';
import { mailDomains } from './openSmtpdFiles';

/** amavis' configuration: scanning in, signing out. */
export function amavisFiles(mail: MailSettings): HostFiles {
  const unit = '/etc/systemd/system/amavis.service.d/mailhost.conf';
  const file = (text: string) => ({ mode: '0644', owner: 'root:root', text });
  const selectors = Object.fromEntries(mail.domains.map(({ name, selector }) => [name, selector]));
  return {
    '/etc/amavis/conf.d/60-mailhost': file(
      renderTemplate('/etc/amavis/conf.d/60-mailhost', {
        ...mail,
        localDomains: [...mailDomains(mail), probeDomain],
      }),
    ),
    // The host program reads from it which keys must be published before they sign.
    '/etc/mailhost/dkim.json': file(`${JSON.stringify(selectors, undefined, 2)}\n`),
    [unit]: file(readHostFile(unit)),
  };
}

/** The key that signs, for each domain: amavis would sign with the first of several, so it gets no other. */
export function amavisSecrets(
  keys: { name: string; selector: string; privateKeyPem: string }[],
): HostFiles {
  return Object.fromEntries(
    keys.map(({ name, selector, privateKeyPem }) => [
      `/etc/amavis/dkim/${name}.${selector}.pem`,
      { mode: '0640', owner: 'root:amavis', text: privateKeyPem },
    ]),
  );
}
