import * as pulumi from '@pulumi/pulumi';
import { MailHost } from './components/mailHost';
import { readSettings } from './settings';

const settings = readSettings();
const host = new MailHost('mail', settings);

export const ipv4 = host.ipv4;
export const ipv6 = host.ipv6;
/** What to fill in at a mail client. */
export const mailClient = {
  incoming: { protocol: 'IMAP', host: settings.hostName, port: 993, security: 'TLS' },
  outgoing: { protocol: 'SMTP', host: settings.hostName, port: 465, security: 'TLS' },
  sieve: { host: settings.hostName, port: 4190, security: 'STARTTLS' },
  userName: settings.accountKind === 'virtual' ? 'the whole mail address' : 'the part before the @',
};
/** Mail clients have to trust this CA. */
export const caCertPem = host.caCertPem;
/** `pulumi stack output sshPrivateKey --show-secrets` gets an administrator back in. */
export const sshPrivateKey = pulumi.secret(host.sshPrivateKey);
