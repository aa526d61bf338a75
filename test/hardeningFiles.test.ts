import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openPorts } from '../components/daemons/catalogue';
import { dovecot } from '../components/daemons/dovecot';
import { fail2ban } from '../components/daemons/fail2ban';
import { figures } from '../components/daemons/figures';
import { serviceFiles } from '../components/hostFiles/files';
import { firewall } from '../components/daemons/firewall';
import { openSmtpd } from '../components/daemons/openSmtpd';
import { ssh } from '../components/daemons/ssh';
import { web } from '../components/daemons/web';
import { firewallRules } from '../components/machineFiles';
import { exampleMail, filesOf } from './example';

it.each([
  [true, 'selfSigned'],
  [false, 'selfSigned'],
  [false, 'acme'],
] as const)('opens the same ports as the cloud firewall: web %s, %s', (web, issuer) => {
  const mail = exampleMail({ web, tls: { issuer, acceptTerms: true } });
  const text = filesOf(firewall, mail)['/etc/nftables.conf']!.text;
  const cloud = firewallRules(['192.0.2.0/24'], openPorts(mail)).flatMap(({ port }) => port ?? []);
  const [, ports] = /^ *tcp dport \{ (.*) \} accept$/m.exec(text)!;
  expect(ports!.split(', ')).toEqual(cloud.sort((a, b) => Number(a) - Number(b)));
  expect(text.match(/ accept$/gm)).toHaveLength(5);
});

it('leads OpenSMTPD away from this host’s own port 25, to the listener that refuses', () => {
  const mail = exampleMail();
  const [, port] =
    /^ *meta skuid "opensmtpd" tcp dport 25 fib daddr type local redirect to :(\d+)$/m.exec(
      filesOf(firewall, mail)['/etc/nftables.conf']!.text,
    )!;
  const listeners = filesOf(openSmtpd, mail)['/etc/smtpd.conf']!.text.match(
    /^listen on \S+ port \d+ .* filter own$/gm,
  );
  expect(listeners!.map((listener) => listener.split(' ').slice(2, 5).join(' '))).toEqual([
    `127.0.0.1 port ${port}`,
    `::1 port ${port}`,
  ]);
});

describe('fail2ban', () => {
  const trusted = (networks: string[]) =>
    /^ignoreip = (.*)$/m.exec(
      filesOf(fail2ban, exampleMail(), { adminNetworks: networks })['/etc/fail2ban/jail.local']!
        .text,
    )![1];

  it('never shuts administrators out, and trusts nobody where all may use SSH', () => {
    expect(trusted(['192.0.2.0/24', '2001:db8::/32'])).toBe(
      '127.0.0.0/8 ::1 192.0.2.0/24 2001:db8::/32',
    );
    expect(trusted(['0.0.0.0/0', '::/0'])).toBe('127.0.0.0/8 ::1');
  });
});

describe('sshd', () => {
  const exempt = (networks: string[]) =>
    /^PerSourcePenaltyExemptList (.*)$/m.exec(
      filesOf(ssh, exampleMail(), { adminNetworks: networks })[
        '/etc/ssh/sshd_config.d/10-mailhost.conf'
      ]!.text,
    )?.[1];

  it('holds administrators back for nothing that one of them does wrong, unless they are everybody', () => {
    expect(exempt(['192.0.2.0/24', '2001:db8::/32'])).toBe('192.0.2.0/24,2001:db8::/32');
    expect(exempt(['0.0.0.0/0', '::/0'])).toBeUndefined();
  });
});

describe('metrics', () => {
  const locations = (metrics: boolean, networks: string[]) =>
    /location = \/metrics \{([^}]*)/.exec(
      filesOf(web, exampleMail({ metrics, adminNetworks: ['192.0.2.0/24'] }), {
        adminNetworks: networks,
      })['/etc/nginx/nginx.conf']!.text,
    )?.[1];

  it('are for administrators alone, and for nobody where all may use SSH', () => {
    expect(locations(true, ['192.0.2.0/24', '2001:db8::/32'])).toMatch(
      /^\s*allow 192\.0\.2\.0\/24;\s*allow 2001:db8::\/32;\s*deny all;/,
    );
    expect(locations(true, ['0.0.0.0/0', '::/0'])).toMatch(/^\s*deny all;/);
    expect(locations(false, ['192.0.2.0/24'])).toBeUndefined();
  });

  it('are left for nginx where it may read them, and only then', () => {
    const folders = '/etc/tmpfiles.d/mailhost-metrics.conf';
    const given = { adminNetworks: ['192.0.2.0/24'] };
    expect(filesOf(figures, exampleMail({ metrics: true, ...given }))[folders]!.text).toMatch(
      /^d \/run\/mailhost-metrics 2750 root www-data$/m,
    );
    expect(filesOf(figures, exampleMail())).not.toHaveProperty([folders]);
  });
});

describe('the table of limits', () => {
  const table = readFileSync(join(__dirname, '..', 'docs', 'limits.md'), 'utf8');
  const row = (words: string) => table.split('\n').find((line) => line.includes(words));
  const mail = exampleMail();
  const jails = filesOf(fail2ban)['/etc/fail2ban/jail.local']!.text.split('\n[');
  const jail = (name: string) => jails.find((text) => text.startsWith(`${name}]`))!;

  it.each([
    [
      'mail_max_userip_connections',
      filesOf(dovecot, mail)['/etc/dovecot/dovecot.conf']!.text,
      /^mail_max_userip_connections = (.*)$/m,
    ],
    [
      'smtp limit max-mails',
      filesOf(openSmtpd, mail)['/etc/smtpd.conf']!.text,
      /^smtp limit max-mails (.*)$/m,
    ],
    [
      'worker_connections',
      filesOf(web, mail)['/etc/nginx/nginx.conf']!.text,
      /worker_connections (.*);/,
    ],
    [
      'MaxStartups',
      filesOf(ssh)['/etc/ssh/sshd_config.d/10-mailhost.conf']!.text,
      /^MaxStartups (\d+):/m,
    ],
    ['address without a login', jails[0]!, /^maxretry = (.*)$/m],
    ['address with a login', jail('mailhost-known'), /^maxretry = (.*)$/m],
    [
      'messagesPerHour',
      `${mail.messagesPerHour}, ${mail.recipientsPerDay}, ${mail.newRecipientsPerDay}`,
      /(.*)/,
    ],
  ])('has the value of %s', (words, text, pattern) => {
    const [, value] = pattern.exec(text)!;
    expect(row(words)).toMatch(new RegExp(`\\| ${value}[ ,]`));
  });
});

it('gives each daemon the restrictions of all, before its own, which may take one back', () => {
  const units = join(__dirname, '..', 'files', 'etc', 'systemd', 'system');
  const daemons = readdirSync(units)
    .filter((folder) => folder.endsWith('.service.d'))
    .map((folder) => folder.replace('.service.d', ''));
  for (const daemon of daemons) {
    // Debian's own unit has them; the other is the host program.
    if (['spamassassin-maintenance', 'mailhost-failures'].includes(daemon)) continue;
    const paths = Object.keys(serviceFiles(daemon));
    expect(paths).toEqual([...paths].sort());
    const own = readFileSync(join(units, `${daemon}.service.d`, 'mailhost.conf'), 'utf8');
    // Else it could write nowhere, or the drop-in forgot it.
    expect(own, daemon).toMatch(/^ReadWritePaths=/m);
  }
});

/** Settings of systemd.exec(5) whose values add up over a unit and its drop-ins, unless an empty one comes between. */
const addingUp = [
  'CapabilityBoundingSet',
  'ReadWritePaths',
  'RestrictAddressFamilies',
  'SystemCallArchitectures',
  'SystemCallFilter',
];

it('lets no list of restrictions add to what the unit of Debian allows', () => {
  const files = serviceFiles('dovecot');
  const [shared, own] = Object.values(files).map(({ text }) => text.split('\n'));
  for (const setting of addingUp)
    expect(shared!.filter((line) => line.startsWith(`${setting}=`))[0], setting).toBe(
      `${setting}=`,
    );
  const lists = own!.flatMap(
    (line) => /^([A-Z]\w+)=(?:CAP_|@|~|AF_|\/\w+ \/)/.exec(line)?.[1] ?? [],
  );
  expect(addingUp).toEqual(expect.arrayContaining(lists));
});
