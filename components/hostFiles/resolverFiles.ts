import type { MailSettings } from '../settings/mailSettings';
import { fileAsItIs, filledFile, serviceFiles, type HostFiles } from './files';

/** unbound's configuration, and what keeps DHCP clients from writing over /etc/resolv.conf. */
export function resolverFiles({ ipv6 }: MailSettings): HostFiles {
  return {
    ...filledFile('/etc/unbound/unbound.conf.d/mailhost.conf', { ipv6 }),
    ...serviceFiles('unbound'),
    ...fileAsItIs('/etc/dhcp/dhclient-enter-hooks.d/mailhost'),
    ...fileAsItIs('/etc/dhcpcd.enter-hook'),
  };
}
