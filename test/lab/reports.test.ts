import { describe, expect } from 'vitest';
import { readMailbox, waitForMail } from '../../lab/mail';
import { waitFor } from '../../lab/state';
import { hostTest, type Host } from './hosts';
import { step } from './testLab';

const it = hostTest();

const day = 86_400;
const yesterday = Math.floor(Date.now() / 1000 / day) * day - day;
const home = '/srv/mailhost/home/mailhost-reports';

/** An aggregate report of the remote mail system: messages of an address that fail, and what the receiver checked. */
const aggregate = (id: string, source: string, results: string, domain = 'example.org') =>
  `<?xml version="1.0"?>
<feedback><report_metadata><org_name>remote</org_name><email>dmarc@remote.example</email><report_id>${id}</report_id>
<date_range><begin>${yesterday}</begin><end>${yesterday + day - 1}</end></date_range></report_metadata>
<policy_published><domain>${domain}</domain><p>reject</p></policy_published>
<record><row><source_ip>${source}</source_ip><count>40</count><policy_evaluated><disposition>reject</disposition>
<dkim>fail</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>${domain}</header_from></identifiers>
<auth_results>${results}</auth_results></record></feedback>`;

const date = (seconds: number) => new Date(seconds * 1000).toISOString();
const tlsReport = JSON.stringify({
  'organization-name': 'remote',
  'date-range': { 'start-datetime': date(yesterday), 'end-datetime': date(yesterday + day - 1) },
  'report-id': 'tls-1',
  policies: [
    {
      policy: { 'policy-type': 'sts', 'policy-domain': 'example.org' },
      summary: { 'total-successful-session-count': 90, 'total-failure-session-count': 10 },
      'failure-details': [{ 'result-type': 'certificate-expired', 'failed-session-count': 10 }],
    },
  ],
});

const waiting = (host: Host) =>
  host.shell(`find ${home}/mail -path '*/new/*' -o -path '*/cur/*' | wc -l`).trim();

/** What the doctor of the host names of those that reports lead to. */
const found = (host: Host) =>
  (
    JSON.parse(
      host.shell(
        `echo '{"hostName": "mail.example.org", "domains": []}' | mailhost doctor 2>/run/error || cat /run/error`,
      ),
    ) as { code: string; evidence: string }[]
  )
    .filter(({ code }) => /^(?:dmarc|tls)-/.test(code))
    .map(({ code, evidence }) => `${code} ${evidence}`);

describe('reports on mail in the name of a domain', () => {
  it('are read by a user that sees nothing else, if their sender signed them, and become findings and a daily mail', async ({
    freshHost: host,
  }) => {
    const { ipv4 } = host.outputs;
    const report = (to: string, text: string, unsigned = false) =>
      host.receive({ to: `${to}@example.org`, subject: 'Report', text, unsigned });

    await step('the first daily mail', async () => {
      host.shell('systemctl start mailhost-daily');
      const isDaily = ({ subject }: { subject?: string }) => subject?.includes(': findings: ');
      const text = await waitFor(
        'the daily mail',
        async () => (await readMailbox(host.login('anna@example.org'))).find(isDaily)?.text,
      );
      expect(text).toMatch(/- backup-absent: the setting backup is not set\n/);
    });

    await step('reports', async () => {
      const spf = (domain: string, result: string) =>
        `<spf><domain>${domain}</domain><result>${result}</result></spf>`;
      await report('dmarc-reports', aggregate('1', ipv4, spf('example.org', 'softfail')));
      await report('dmarc-reports', aggregate('2', '198.51.100.7', spf('bulk.example', 'pass')));
      await report('dmarc-reports', aggregate('3', '198.51.100.9', spf('example.org', 'fail')));
      await report('tls-reports', tlsReport);
      // Refused: nobody vouches for it, and another's domain.
      await report('dmarc-reports', aggregate('4', ipv4, ''), true);
      await report('dmarc-reports', aggregate('5', ipv4, '', 'other.example'));
      await waitFor('all are delivered', () => waiting(host) === '6');
      host.shell('systemctl start mailhost-reports');
      expect(waiting(host)).toBe('0');
      expect(host.shell(`ls ${home}/refused | wc -l`).trim()).toBe('2');
      const log = host.shell('journalctl --unit mailhost-read-reports --output cat');
      expect(log).toMatch(/is refused: no valid signature of remote.example is on it, but none/);
      expect(log).toMatch(/is refused: it is about other.example/);
    });

    await step('findings', () => {
      expect(found(host)).toEqual([
        `dmarc-own-failed example.org: 40 messages of this host failed at remote.example: DKIM none, SPF softfail of example.org`,
        'dmarc-unknown-sender example.org: 40 messages of bulk.example (at 198.51.100.7), reported by remote.example: DKIM none, SPF pass of bulk.example',
        'tls-failed example.org, policy sts: certificate-expired in 10 of 100 sessions, reported by remote.example',
      ]);
    });

    await step('the figures', () => {
      const sums = (table: string) =>
        host.shell(
          `python3 -c 'import sqlite3; [print(*row[1:]) for row in sqlite3.connect("/srv/mailhost/figures/figures.sqlite").execute("SELECT * FROM ${table}")]'`,
        );
      expect(sums('dmarc').trim().split('\n').sort()).toEqual([
        'example.org remote.example other reject fail fail 80',
        'example.org remote.example own reject fail fail 40',
      ]);
      expect(sums('tls')).toContain('certificate-expired 10');
    });

    await step('what the reader sees', () => {
      const sees = host.shell(
        `mkdir -p /run/systemd/system/mailhost-read-reports.service.d
         printf '[Service]\\nExecStart=\\nExecStart=/bin/sh -c "ls -A /srv/mailhost /srv/mailhost/home; python3 -c \\\\"import socket; socket.socket()\\\\" || echo no network; id -un"\\n' >/run/systemd/system/mailhost-read-reports.service.d/look.conf
         systemctl daemon-reload; systemctl start mailhost-reports
         journalctl --unit mailhost-read-reports --output cat --invocation 0
         rm -r /run/systemd/system/mailhost-read-reports.service.d; systemctl daemon-reload`,
      );
      expect(sees).toMatch(/\/srv\/mailhost:\nhome\n/);
      expect(sees).toMatch(/\/srv\/mailhost\/home:\nmailhost-reports\n/);
      expect(sees).toMatch(/no network\nmailhost-reports\n/);
    });

    await step(
      'the daily mail has what is new alone, and there is none where nothing is',
      async () => {
        host.shell('systemctl start mailhost-daily');
        const anna = host.login('anna@example.org');
        const { text } = await waitForMail(anna, 'mail.example.org: findings: 3 new');
        const [fresh = '', lasting = ''] = text!.split('Still found');
        expect(fresh).toMatch(/dmarc-own-failed: [^]*dmarc-unknown-sender: [^]*tls-failed: /);
        expect(fresh).not.toContain('backup-absent');
        expect(lasting).toContain('backup-absent');
        host.shell('systemctl start mailhost-daily');
        await host.queueIsEmpty();
        const subjects = (await readMailbox(anna)).map(({ subject }) => subject);
        expect(subjects.filter((subject) => subject?.includes('findings'))).toHaveLength(2);
      },
    );
  });
});
