import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fail2banFiles } from '../components/hostFiles/fail2banFiles';
import { serviceFiles } from '../components/hostFiles/files';
import { openSmtpdFiles } from '../components/hostFiles/openSmtpdFiles';
import { firewallFiles } from '../components/hostFiles/firewallFiles';
import { firewallRules } from '../components/machineFiles';
import { secretSettings } from '../components/settings/settings';
import { exampleMail } from './example';

it.each([
  [true, 'selfSigned'],
  [false, 'selfSigned'],
  [false, 'acme'],
] as const)('opens the same ports as the cloud firewall: web %s, %s', (web, issuer) => {
  const mail = exampleMail({ web, tls: { issuer, acceptTerms: true } });
  const text = firewallFiles(mail)['/etc/nftables.conf']!.text;
  const cloud = firewallRules(['192.0.2.0/24'], mail).flatMap(({ port }) => port ?? []);
  const [, ports] = /^ *tcp dport \{ (.*) \} accept$/m.exec(text)!;
  expect(ports!.split(', ')).toEqual(cloud.sort((a, b) => Number(a) - Number(b)));
  expect(text.match(/ accept$/gm)).toHaveLength(5);
});

it('leads OpenSMTPD away from this host’s own port 25, to the listener that refuses', () => {
  const mail = exampleMail();
  const [, port] =
    /^ *meta skuid "opensmtpd" tcp dport 25 fib daddr type local redirect to :(\d+)$/m.exec(
      firewallFiles(mail)['/etc/nftables.conf']!.text,
    )!;
  const listeners = openSmtpdFiles(mail)['/etc/smtpd.conf']!.text.match(
    /^listen on \S+ port \d+ .* filter own$/gm,
  );
  expect(listeners!.map((listener) => listener.split(' ').slice(2, 5).join(' '))).toEqual([
    `127.0.0.1 port ${port}`,
    `::1 port ${port}`,
  ]);
});

describe('fail2ban', () => {
  const trusted = (networks: string[]) =>
    /^ignoreip = (.*)$/m.exec(fail2banFiles(networks)['/etc/fail2ban/jail.local']!.text)![1];

  it('never shuts administrators out, and trusts nobody where all may use SSH', () => {
    expect(trusted(['192.0.2.0/24', '2001:db8::/32'])).toBe(
      '127.0.0.0/8 ::1 192.0.2.0/24 2001:db8::/32',
    );
    expect(trusted(['0.0.0.0/0', '::/0'])).toBe('127.0.0.0/8 ::1');
  });
});

it('gives each daemon the restrictions of all, before its own, which may take one back', () => {
  const units = join(__dirname, '..', 'files', 'etc', 'systemd', 'system');
  const daemons = readdirSync(units)
    .filter((folder) => folder.endsWith('.service.d'))
    .map((folder) => folder.replace('.service.d', ''));
  for (const daemon of daemons) {
    // Debian's own unit has them.
    if (daemon === 'spamassassin-maintenance') continue;
    const paths = Object.keys(serviceFiles(daemon));
    expect(paths).toEqual([...paths].sort());
    const own = readFileSync(join(units, `${daemon}.service.d`, 'mailhost.conf'), 'utf8');
    // Else it could write nowhere, or the drop-in forgot it.
    expect(own, daemon).toMatch(/^ReadWritePaths=/m);
  }
});

it('knows the settings that are secrets', () => {
  expect(secretSettings).toEqual([
    'accounts.passwordHash',
    'smarthost.password',
    'tls.privateKey',
    'backup.password',
    'backup.environment',
  ]);
});
