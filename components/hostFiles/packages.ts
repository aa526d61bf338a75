import type { MailSettings } from '../settings/mailSettings';

/** Debian packages of the mail host; none is taken along only because another recommends it. */
export const packages = (mail: MailSettings): string[] => [
  'unbound',
  // The root's name servers and its key, from which unbound starts.
  'dns-root-data',
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
  // Rule updates are signed.
  'gpg',
  'gpg-agent',
  'logrotate',
  'nftables',
  'fail2ban',
  'unattended-upgrades',
  // Restarts what an update touches.
  'needrestart',
  'openssl',
  // The host program asks the zones' own name servers, and reads certificates.
  'python3-dnspython',
  'python3-cryptography',
  ...(mail.tls.issuer === 'acme' ? ['certbot'] : []),
  ...(mail.antivirus ? ['clamav-daemon', 'clamav-freshclam'] : []),
  ...(mail.web ? ['nginx'] : []),
  ...(mail.backup ? ['restic', 'openssh-client'] : []),
];
