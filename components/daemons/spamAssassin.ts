import { fileAsItIs, filledFile, serviceFiles } from '../hostFiles/files';
import type { DaemonSpec } from './spec';

/** SpamAssassin's rules, which amavis reads, and its daemon, which learns. */
export const spamAssassin: DaemonSpec = {
  name: 'spamassassin',
  title: 'SpamAssassin',
  effect: 'restarts spamd and amavis; mail waits in the queue until amavis answers',
  together: {
    with: 'amavis',
    effect: 'restarts spamd once and amavis twice; mail waits in the queue until amavis answers',
  },
  meanings: [
    {
      path: '/etc/spamassassin/local.cf',
      says: (before, after) => {
        const [old, next] = [before, after].map((text) => /^score DMARC_REJECT /m.test(text));
        if (old === next) return [];
        return [
          next
            ? 'treats mail as spam if it fails DMARC and its domain asks to reject such mail'
            : 'no longer treats mail as spam because it fails DMARC',
        ];
      },
    },
  ],
  unit: 'spamd',
  packageUsers: ['debian-spamd'],
  timers: ['spamassassin-maintenance.timer'],
  packages: () => [
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
  ],
  users: [{ name: 'debian-spamd', id: 906, home: '/var/lib/spamassassin' }],
  waitsFor: ['resolver'],
  files: ({ mail }) => ({
    ...filledFile('/etc/spamassassin/local.cf', {
      ...mail,
      dmarcScore: mail.spamJunkLevel + 2,
    }),
    ...fileAsItIs('/etc/spamassassin/sa-update-hooks.d/amavisd-new', '0755'),
    ...fileAsItIs('/etc/systemd/system/spamassassin-maintenance.service.d/mailhost.conf'),
    ...fileAsItIs('/etc/default/spamd'),
    ...fileAsItIs('/usr/local/lib/mailhost/scan/Bounds.pm'),
    ...serviceFiles('spamd'),
  }),
};
