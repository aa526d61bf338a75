import { fileAsItIs, filledFile, serviceFiles, type HostFiles } from './files';

/** Networks of administrators, unless they are everybody's. */
export const trustedNetworks = (adminNetworks: string[]): string[] =>
  adminNetworks.filter((network) => !network.endsWith('/0'));

/**
 * fail2ban, which shuts out who tries passwords.
 *
 * @param adminNetworks are never shut out, unless that would be everybody
 */
export const fail2banFiles = (adminNetworks: string[]): HostFiles => ({
  ...filledFile('/etc/fail2ban/jail.local', {
    trusted: trustedNetworks(adminNetworks),
  }),
  ...fileAsItIs('/etc/fail2ban/fail2ban.local'),
  ...fileAsItIs('/etc/fail2ban/filter.d/mailhost.conf'),
  ...fileAsItIs('/etc/fail2ban/filter.d/mailhost-logins.conf'),
  ...fileAsItIs('/etc/fail2ban/action.d/mailhost-known.conf'),
  ...serviceFiles('fail2ban'),
});
