import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileAsItIs, hostFile, textOfLines, type HostFiles } from './files';
import { packages } from './packages';

/** Where the host program's modules lie on the host. */
const library = '/usr/local/lib/mailhost';

/** The program on the host that every push talks to. */
export function hostProgram(): HostFiles {
  const modules = readdirSync(join(__dirname, '..', 'files', library))
    .filter((file) => file.endsWith('.py'))
    .sort();
  return Object.assign(
    fileAsItIs('/usr/local/sbin/mailhost', '0755'),
    ...modules.map((file) => fileAsItIs(`${library}/${file}`)),
  ) as HostFiles;
}

/**
 * What must be right before any package is installed: the names that Debian's packages read, the list of packages, and
 * the administrators' SSH keys (sshd reads authorized_keys2 besides authorized_keys, which holds the stack's own).
 */
export function systemFiles(hostName: string, adminSshKeys: string[]): HostFiles {
  const file = (lines: string[], mode?: string) => hostFile(textOfLines(lines), mode);
  const shortName = hostName.split('.')[0]!;
  return {
    '/etc/hostname': file([hostName]),
    '/etc/hosts': file([
      '127.0.0.1 localhost',
      `127.0.1.1 ${hostName} ${shortName}`,
      '::1 localhost ip6-localhost ip6-loopback',
    ]),
    '/etc/mailname': file([hostName]),
    '/etc/mailhost/packages': file([...packages].sort()),
    '/root/.ssh/authorized_keys2': file([...adminSshKeys].sort(), '0600'),
  };
}
