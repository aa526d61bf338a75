import { describe, expect } from 'vitest';
import { selfSigned } from '../../lab/selfSigned';
import { brokenFiles } from '../faults/brokenFiles';
import { asItIs, pushChanged } from '../faults/host';
import { hostTest } from './hosts';

const it = hostTest();

describe('a push that a daemon cannot run with', () => {
  // One that its own check finds, and one that only shows when it starts.
  const chosen: [push: string, what: string, words: RegExp][] = [
    [
      'opensmtpd',
      'a line that is no directive',
      /`smtpd -n` refuses the new files[^]*smtpd\.conf:\d+: syntax error/,
    ],
    ['opensmtpd', 'a port that Dovecot has', /opensmtpd does not run[^]*Address already in use/],
    [
      'dovecot',
      'a brace that is not closed',
      /`doveconf -n` refuses the new files[^]*dovecot\.conf/,
    ],
    ['dovecot', 'a service without its program', /dovecot does not run[^]*\/nonexistent\/lmtp/],
    [
      'amavis',
      'a line that is no Perl',
      /`amavisd test-config` refuses the new files[^]*syntax error/,
    ],
    [
      'amavis',
      'a user that does not exist',
      /`amavisd test-config` refuses the new files[^]*nobody-at-all/,
    ],
    [
      'spamassassin',
      'an expression that does not close',
      /`spamassassin --lint` refuses the new files[^]*BROKEN/,
    ],
    [
      'spamassassin',
      'an option of spamd that does not exist',
      /spamassassin does not run[^]*(no-such-option|status=64\/USAGE)/,
    ],
    [
      'firewall',
      'a table that is not closed',
      /`nft --check.*` refuses the new files[^]*syntax error/,
    ],
    ['ssh', 'a keyword that does not exist', /`sshd -t` refuses the new files[^]*NoSuchKeyword/],
    ['resolver', 'an address that no link has', /resolver does not run[^]*192\.0\.2\.77/],
    [
      'fail2ban',
      'a jail without a filter',
      /`fail2ban-client --test` refuses the new files[^]*nonesuch/,
    ],
    ['web', 'a directive that does not exist', /refuses the new files[^]*no_such_directive/],
  ];

  it.for(chosen)(
    'of %s, with %s, leaves all as it was and tells why',
    async ([push, what, words], { host: { lab } }) => {
      const broken = brokenFiles[push]!.find((one) => one.what === what)!;
      const before = asItIs(lab);
      await expect(pushChanged(lab, push, [broken])).rejects.toThrow(words);
      expect(asItIs(lab)).toBe(before);
    },
  );
});

describe('a certificate that no client would take', () => {
  const put = (file: string, text: string) => ({
    path: `/etc/ssl/mailhost/${file}.pem`,
    text,
    instead: true as const,
  });
  const [other, foreign] = ['mail.example.org', 'other.example'].map(selfSigned);

  it.for([
    ['its key is another', [put('privkey', other!.key)], /does not belong to the certificate/],
    [
      'it is for another name',
      [put('fullchain', foreign!.cert), put('privkey', foreign!.key)],
      /certificate is not for mail\.example\.org/,
    ],
    ['it is damaged', [put('fullchain', 'no certificate\n')], /damaged/],
  ] as const)(
    'leaves all as it was, and no daemon restarts: %s',
    async ([, changes, words], { host }) => {
      const seen = () => [
        asItIs(host.lab),
        host.shell('systemctl show --value --property MainPID opensmtpd dovecot nginx'),
      ];
      const before = seen();
      await expect(pushChanged(host.lab, 'tls', [...changes])).rejects.toThrow(words);
      expect(seen()).toEqual(before);
    },
  );
});

describe('a configuration that was good', () => {
  it('is kept five times, and no more', async ({ freshHost: host }) => {
    for (let i = 0; i < 7; i++) {
      await pushChanged(host.lab, 'web', [{ path: '/etc/nginx/nginx.conf', text: `# ${i}\n` }]);
    }
    expect(host.shell('ls /var/lib/mailhost/history/web | wc -l')).toBe('6\n');
    host.shell('mailhost rollback web 5');
    expect(host.shell('tail -1 /etc/nginx/nginx.conf')).toBe('# 1\n');
  });
});
