import { fileAsItIs, filledFile, serviceFiles } from '../hostFiles/files';
import { valueMeaning } from './meaning';
import { givenFiles, type DaemonSpec } from './spec';

/** Networks of administrators, unless they are everybody's. */
export const trustedNetworks = (adminNetworks: string[]): string[] =>
  adminNetworks.filter((network) => !network.endsWith('/0'));

/** fail2ban, which shuts out who tries passwords. */
export const fail2ban: DaemonSpec = {
  name: 'fail2ban',
  title: 'fail2ban',
  effect: 'restarts fail2ban',
  isQuiet: true,
  meanings: [
    valueMeaning(
      '/etc/fail2ban/jail.local',
      /^ignoreip = (.+)$/m,
      (_before, after) => `fail2ban never blocks ${after.split(' ').join(', ')}`,
    ),
  ],
  unit: 'fail2ban',
  packages: () => ['fail2ban'],
  waitsFor: [],
  files: givenFiles(['adminNetworks'], (_plan, { adminNetworks }) => ({
    // Never shut out.
    ...filledFile('/etc/fail2ban/jail.local', { trusted: trustedNetworks(adminNetworks) }),
    ...fileAsItIs('/etc/fail2ban/fail2ban.local'),
    ...fileAsItIs('/etc/fail2ban/filter.d/mailhost.conf'),
    ...fileAsItIs('/etc/fail2ban/filter.d/mailhost-logins.conf'),
    ...fileAsItIs('/etc/fail2ban/action.d/mailhost-known.conf'),
    ...serviceFiles('fail2ban'),
  })),
};
