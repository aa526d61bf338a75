import { describe, expect } from 'vitest';
import { acmeDirectory } from '../../lab/acme';
import { readMailbox, waitForMail } from '../../lab/mail';
import { hostName } from './certificate';
import { Host, hostTest } from './hosts';
import { changes } from './testLab';

const it = hostTest();
const anna = 'anna@example.org';

/** What the check prints, and its exit status in the last line. */
const check = (host: Host) =>
  host.shell(
    `echo '{"hostName": "${hostName}", "domains": [{"name": "example.org", "selector": "s1"}]}' | mailhost check 2>&1; echo "exit $?"`,
  );

/** What it warns of besides what the lab has not, and the age of a kept host. */
const findings = (output: string) =>
  output
    .split('\n')
    .filter((line) => line.startsWith('WARNING: '))
    .filter((line) => !/outbound port 25|mail is not backed up|Debian/.test(line));

const status = (host: Host) => host.shell('smtpctl show status');

const subjects = async (host: Host) =>
  (await readMailbox(host.login(anna))).map(({ subject }) => subject ?? '');

/** A command that sends from the host. */
const send = (subject: string, to = anna, from = '') =>
  `printf 'From: postmaster@example.org\\nTo: ${to}\\nSubject: ${subject}\\n\\nIt is five past nine.\\n' | sendmail -f '${from}' ${to}`;

/** What fails while a report is made is seen by the next one, by the timer. */
const reported =
  'until systemctl show --property SubState --value mailhost-failures | grep --quiet dead; do sleep 0.1; done';

/** What was printed, and the exit status. */
const exit = (host: Host, command: string) => host.shell(`{ ${command}; } 2>&1; echo "exit $?"`);

const restarts = {
  'a restart of amavis': 'mailhost restart amavis',
  'a restart of OpenSMTPD': 'mailhost restart opensmtpd',
  'a restart by systemd': 'systemctl restart opensmtpd',
};

/** Only that one stays paused by each of the commands. */
function staysPaused(host: Host, subsystem: string, commands: Record<string, string>): void {
  host.shell(`smtpctl pause ${subsystem}`);
  const paused = status(host);
  expect(paused.match(/paused/g)).toHaveLength(1);
  for (const [what, command] of Object.entries(commands)) {
    expect(exit(host, command), what).toMatch(/exit 0\n$/);
    expect(status(host), what).toBe(paused);
  }
}

describe('a host that is well', () => {
  it('has no finding', ({ host }) => {
    const output = check(host);
    expect(findings(output)).toEqual([]);
    expect(output).toMatch(/^services, .* spam probe and signatures are as they should be$/m);
  });
});

describe('what an operator has paused', () => {
  it.for(['mda', 'mta', 'smtp'])(
    'stays paused, and the check says so: %s',
    (subsystem, { host }) => {
      staysPaused(host, subsystem, restarts);
      const output = check(host);
      host.shell(`smtpctl resume ${subsystem}; mailhost restart opensmtpd`);
      expect(findings(output)).toEqual([
        expect.stringContaining(`until somebody runs: smtpctl resume ${subsystem}`),
      ]);
      expect(output).toMatch(/exit 0\n$/);
      expect(status(host)).not.toContain('paused');
    },
  );

  it('stays paused through an up that changes the daemon, which ends well and says so', async ({
    freshHost: host,
  }) => {
    host.shell('smtpctl pause mta');
    expect(changes(await host.up({ queueLifetime: '3d' })).updated).toBeGreaterThan(1);
    expect(status(host)).toMatch(/^MTA paused$/m);
    expect(host.outputs.openTasks).toContainEqual(expect.stringContaining('smtpctl resume mta'));
  });

  it('is also one message, or one route, and other mail flows', async ({ freshHost: host }) => {
    host.shell(
      `smtpctl pause mta
       ${send('held back')}
       smtpctl pause envelope $(smtpctl show queue | cut -d'|' -f1)
       smtpctl pause mta from 192.0.2.1 for remote.example
       smtpctl resume mta`,
    );
    for (const command of Object.values(restarts)) host.shell(command);
    host.shell(send('let go'));
    await waitForMail(host.login(anna), 'let go');
    expect(await subjects(host)).not.toContain('held back');
    expect(findings(check(host))).toEqual([
      expect.stringContaining('messages are paused: 1. To send them: smtpctl resume envelope all'),
      expect.stringContaining('smtpctl resume mta from 192.0.2.1 for remote.example'),
    ]);
    host.shell('smtpctl resume envelope all');
    await waitForMail(host.login(anna), 'held back');
  });
});

describe('what fails', () => {
  it('is named by the check and mailed once, also where nothing can be mailed at first', async ({
    freshHost: host,
  }) => {
    const unit = 'spamassassin-maintenance.service';
    // No updates are in the lab; twice, as on two days.
    host.shell(
      `smtpctl pause smtp
       for day in 1 2; do
         systemctl start ${unit} || true
         ${reported}
       done`,
    );
    host.shell('systemctl start mailhost-failures');
    expect(host.shell('journalctl --unit mailhost-failures --output cat')).toContain(
      `the postmaster cannot be told that ${unit} failed, and will be later`,
    );
    host.shell('smtpctl resume smtp; systemctl start mailhost-failures');
    await waitForMail(host.login(anna), `${unit} failed on ${hostName}`);
    host.shell(`systemctl start ${unit} || true; systemctl start mailhost-failures`);
    const output = check(host);
    expect(findings(output)).toEqual([
      expect.stringMatching(`${unit} failed on .*, 3 times since .*channel failed.*journalctl`),
    ]);
    expect(output).toMatch(/exit 0\n$/);
    expect((await subjects(host)).filter((subject) => subject.includes(unit))).toHaveLength(1);
    host.shell(`systemctl reset-failed ${unit}`);
    expect(findings(check(host))).toEqual([]);
  });

  it.for(['logrotate.service', 'mailhost-sign.service'])(
    'is mailed for a unit of any kind, as it fails: %s',
    async (unit, { host }) => {
      const folder = `/run/systemd/system/${unit}.d`;
      host.shell(
        `${reported}; mkdir ${folder}; printf '[Service]\\nExecStartPre=/bin/false\\n' >${folder}/fails.conf; systemctl daemon-reload
         systemctl start ${unit} || true; rm -r ${folder}; systemctl daemon-reload`,
      );
      await waitForMail(host.login(anna), `${unit} failed on ${hostName}`);
      host.shell(`systemctl start ${unit}`);
      expect(findings(check(host))).toEqual([
        expect.stringMatching(`${unit} failed on .* and runs well again`),
      ]);
      expect(findings(check(host))).toEqual([]);
    },
  );

  it('is told of a queue that Dovecot refuses, with its words, and of no mail that waits for a dead domain', ({
    freshHost: host,
  }) => {
    const mailbox = '/srv/mailhost/mail/example.org/anna';
    const output = host.shell(
      `${send('first')}
       until [ -d ${mailbox} ] && [ -z "$(smtpctl show queue)" ]; do sleep 0.1; done
       chmod 000 ${mailbox}
       for i in 1 2 3; do ${send('waits')}; done
       ${send('dead', 'a@bogus.example', anna)}
       until [ "$(smtpctl show queue | grep -c 'LMTP server error')" = 3 ]; do sleep 0.1; done
       until smtpctl show queue | grep -q 'bogus.example.*MX lookup'; do sleep 0.1; done
       echo '{"hostName": "${hostName}", "domains": []}' | mailhost check 2>&1; echo "exit $?"`,
    );
    expect(findings(output)).toEqual([
      expect.stringMatching(
        /3 messages wait for Dovecot since .*: mail.lmtp: LMTP server error: 451/,
      ),
    ]);
    expect(output).toMatch(/^1 message waits for bogus.example since .*MX lookup/m);
    expect(output).toMatch(/exit 0\n$/);
  });
});

describe('a renewal', () => {
  it('leaves what is paused, and fails where the new certificate is not served', async ({
    freshLab,
  }) => {
    await freshLab.up({
      'tls.issuer': 'acme',
      'tls.directory': acmeDirectory,
      'tls.acceptTerms': 'true',
    });
    const host = new Host(freshLab.lab);
    const renew = `mailhost renew ${hostName}`;
    for (const subsystem of ['mda', 'mta', 'smtp']) {
      staysPaused(host, subsystem, { 'a renewal': renew });
      host.shell(`smtpctl resume ${subsystem}`);
    }
    const folder = '/run/systemd/system/dovecot.service.d';
    const output = host.shell(
      `mkdir ${folder}; printf '[Service]\\nExecReload=\\nExecReload=/bin/false\\n' >${folder}/fails.conf; systemctl daemon-reload
       ${renew} 2>&1; echo "exit $?"
       rm -r ${folder}; systemctl daemon-reload`,
    );
    expect(output).toContain(
      `not renewed, the certificates from before are still served:\n- ${hostName}: `,
    );
    expect(output).toMatch(/exit 1\n$/);
    expect(findings(check(host))).toEqual([expect.stringContaining('and its renewal fails')]);
    expect(exit(host, renew)).toMatch(/exit 0\n$/);
    expect(findings(check(host))).toEqual([]);
  });
});
