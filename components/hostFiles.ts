import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readHostFile, type HostFiles } from './files';
import { packages } from './packages';

/** Where the host program's modules lie on the host. */
const library = '/usr/local/lib/mailhost';

/** The program on the host that every push talks to. */
export function hostProgram(): HostFiles {
  const modules = readdirSync(join(__dirname, '..', 'files', library))
    .filter((file) => file.endsWith('.py'))
    .sort();
  return {
    '/usr/local/sbin/mailhost': program('0755', '/usr/local/sbin/mailhost'),
    ...Object.fromEntries(
      modules.map((file) => [`${library}/${file}`, program('0644', `${library}/${file}`)]),
    ),
  };
}

function program(mode: string, path: string) {
  return { mode, owner: 'root:root', text: readHostFile(path) };
}

/**
 * What must be right before any package is installed: the names that Debian's packages read, the list of packages, and
 * the administrators' SSH keys (sshd reads authorized_keys2 besides authorized_keys, which holds the stack's own).
 */
export function systemFiles(hostName: string, adminSshKeys: string[]): HostFiles {
  const file = (mode: string, lines: string[]) => ({
    mode,
    owner: 'root:root',
    text: lines.map((line) => `${line}\n`).join(''),
  });
  const shortName = hostName.split('.')[0]!;
  return {
    '/etc/hostname': file('0644', [hostName]),
    '/etc/hosts': file('0644', [
      '127.0.0.1 localhost',
      `127.0.1.1 ${hostName} ${shortName}`,
      '::1 localhost ip6-localhost ip6-loopback',
    ]),
    '/etc/mailname': file('0644', [hostName]),
    '/etc/mailhost/packages': file('0644', [...packages].sort()),
    '/root/.ssh/authorized_keys2': file('0600', [...adminSshKeys].sort()),
  };
}
