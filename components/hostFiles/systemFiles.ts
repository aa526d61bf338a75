import { backup } from '../daemons/backup';
import { daemonPackages, wantedDaemons } from '../daemons/catalogue';
import type { MailSettings } from '../settings/mailSettings';
import { metadataGuard } from '../machineFiles';
import { fileAsItIs, hostFile, namesIn, textOfLines, type HostFiles } from './files';

/** Debian packages that no single daemon needs. */
const basePackages = [
  'logrotate',
  'unattended-upgrades',
  // Restarts what an update touches.
  'needrestart',
  // The host program asks the zones' own name servers.
  'python3-dnspython',
];

/** Debian packages of the mail host, in order; none is taken along only because another recommends it. */
export const packages = (mail: MailSettings): string[] =>
  [...basePackages, ...daemonPackages(mail)].sort();

/** Where the host program's modules lie on the host. */
const moduleFolders = ['', '/daemons', '/figures', '/imports', '/reports'].map(
  (folder) => `/usr/local/lib/mailhost${folder}`,
);

/** The program on the host that every push talks to, with what it knows of the daemons' specs. */
export function hostProgram(): HostFiles {
  const modules = moduleFolders.flatMap((folder) =>
    namesIn(folder)
      .filter((file) => /\.(py|json)$/.test(file))
      .map((file) => `${folder}/${file}`),
  );
  return Object.assign(
    fileAsItIs('/usr/local/sbin/mailhost', '0755'),
    ...modules.map((path) => fileAsItIs(path)),
  ) as HostFiles;
}

/**
 * What must be right before any package is installed: the names that Debian's packages read, users, mounts and folders,
 * the lists of packages and pushes, what is no drift, how packages are updated, and the administrators' SSH keys (sshd reads authorized_keys2
 * besides authorized_keys, which holds the stack's own).
 */
export function systemFiles(
  mail: MailSettings,
  {
    adminSshKeys,
    driftAccepted,
    standby = false,
  }: { adminSshKeys: string[]; driftAccepted: string[]; standby?: boolean },
): HostFiles {
  const { hostName, hasVolume } = mail;
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
    '/etc/mailhost/packages': file(packages(mail)),
    // The host stops what another brought.
    '/etc/mailhost/pushes': file(
      wantedDaemons(mail)
        .filter((spec) => !standby || spec !== backup)
        .map(({ name }) => name),
    ),
    '/etc/mailhost/drift-accepted': file(driftAccepted),
    ...fileAsItIs('/etc/apt/apt.conf.d/60mailhost'),
    ...fileAsItIs('/etc/needrestart/conf.d/mailhost.conf'),
    ...fileAsItIs(metadataGuard),
    ...fileAsItIs('/etc/systemd/system/mailhost-failures.service'),
    ...fileAsItIs('/etc/systemd/system/mailhost-failures.service.d/mailhost-failures.conf'),
    ...fileAsItIs('/etc/systemd/system/mailhost-failures.timer'),
    ...fileAsItIs('/etc/systemd/system/mailhost-daily.service'),
    ...fileAsItIs('/etc/systemd/system/mailhost-daily.timer'),
    ...fileAsItIs('/etc/systemd/system/mailhost-read-reports.service'),
    ...fileAsItIs('/etc/systemd/system/mailhost-reports.service'),
    ...fileAsItIs('/etc/systemd/system/mailhost-reports.timer'),
    ...fileAsItIs('/etc/systemd/system/mailhost-undo.service'),
    ...fileAsItIs('/etc/systemd/system/service.d/mailhost-failures.conf'),
    ...(hasVolume ? fileAsItIs('/etc/systemd/system/srv-mailhost.mount') : {}),
    ...fileAsItIs('/etc/systemd/system/var-spool-smtpd.mount'),
    ...fileAsItIs('/etc/sysusers.d/mailhost.conf'),
    ...fileAsItIs('/etc/tmpfiles.d/mailhost.conf'),
    ...fileAsItIs('/etc/needrestart/restart.d/amavis.service', '0755'),
    '/root/.ssh/authorized_keys2': file([...new Set(adminSshKeys)].sort(), '0600'),
  };
}
