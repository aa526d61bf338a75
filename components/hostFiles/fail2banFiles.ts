import { fileAsItIs, filledFile, serviceFiles, type HostFiles } from './files';

/**
 * fail2ban, which shuts out who tries passwords.
 *
 * @param adminNetworks are never shut out, unless that would be everybody
 */
export const fail2banFiles = (adminNetworks: string[]): HostFiles => ({
  ...filledFile('/etc/fail2ban/jail.local', {
    trusted: adminNetworks.filter((network) => !network.endsWith('/0')),
  }),
  ...fileAsItIs('/etc/fail2ban/fail2ban.local'),
  ...fileAsItIs('/etc/fail2ban/filter.d/mailhost.conf'),
  ...serviceFiles('fail2ban'),
});
