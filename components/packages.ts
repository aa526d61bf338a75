import type { MailSettings } from './mailSettings';

/** Debian packages of the mail host; none is taken along only because another recommends it. */
export const packages = (mail: MailSettings): string[] => [
  'opensmtpd',
  'dovecot-core',
  'dovecot-imapd',
  'dovecot-lmtpd',
  'dovecot-managesieved',
  'dovecot-sieve',
  'amavisd-new',
  'spamassassin',
  'spamc',
  'spamd',
  // SpamAssassin leaves SPF, DKIM and DMARC out in silence where these are missing.
  'libmail-spf-perl',
  'libmail-dkim-perl',
  'libmail-dmarc-perl',
  'logrotate',
  'openssl',
  // The host program asks the zones' own name servers.
  'python3-dnspython',
  ...(mail.web ? ['nginx'] : []),
];
