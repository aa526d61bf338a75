import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { parseFigures, type Figures } from '../../cli/report/figures';
import { submit, waitForMail, waitForReceived } from '../../lab/mail';
import { addresses } from '../../lab/network';
import { project } from '../../lab/sources';
import { hostTest, type Host } from './hosts';
import { step } from './testLab';

/** This machine, from where clients and Pulumi connect. */
const here = addresses.outside.v4;
const it = hostTest({ metrics: 'true', 'adminNetworks[0]': `${here}/32` });

const gtube = 'XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X';

function figuresOf(host: Host): Figures {
  host.shell('systemctl start mailhost-figures.service');
  return parseFigures(host.shell('mailhost figures'));
}

/** Counts of the year, by domain and outcome. */
const counts = ({ days }: Figures, of: 'mail' | 'logins' = 'mail') =>
  Object.fromEntries(
    days[of].map(({ name, outcome, numbers }) => [
      `${name} ${outcome}`,
      numbers.reduce((sum, number) => sum + number, 0),
    ]),
  );

const difference = (before: Record<string, number>, after: Record<string, number>) =>
  Object.fromEntries(
    Object.entries(after).flatMap(([key, count]) => {
      const more = count - (before[key] ?? 0);
      return more === 0 ? [] : [[key, more]];
    }),
  );

describe('the figures', () => {
  it('count what is sent, and are shown on a page and to Prometheus', async ({ host }) => {
    const { ipv4, caCertPem } = host.outputs;
    const before = figuresOf(host);

    const anna = host.login('anna@example.org');
    const bert = host.login('bert@example.net');
    await step('mail of each kind', async () => {
      await host.receive({ to: 'anna@example.org', subject: 'first' });
      await host.receive({ to: 'bert@example.net', subject: 'second' });
      await host.receive({ to: 'anna@example.org', subject: 'junk', text: gtube });
      await expect(
        host.receive({ to: 'anna@example.org', envelopeTo: 'nobody@example.org', subject: 'x' }),
      ).rejects.toThrow('550');
      const message = { from: 'anna@example.org', text: 'x' };
      await submit(anna, 587, { ...message, to: 'erika@remote.example', subject: 'out' });
      await submit(anna, 465, { ...message, to: 'bert@example.net', subject: 'inside' });
      await expect(
        submit({ ...anna, password: 'wrong' }, 465, { ...message, to: bert.user, subject: 'x' }),
      ).rejects.toThrow();
      for (const subject of ['second', 'inside']) await waitForMail(bert, subject);
      await waitForMail(anna, 'first');
      await waitForReceived(host.lab, 'out');
      await host.queueIsEmpty();
    });

    const after = figuresOf(host);
    await step('counts', () => {
      expect(difference(counts(before), counts(after))).toEqual({
        'example.org in': 1,
        'example.net in': 1,
        'example.org junk': 1,
        'example.org refused': 1,
        'example.org out': 1,
        'example.net internal': 1,
      });
      expect(difference(counts(before, 'logins'), counts(after, 'logins'))).toMatchObject({
        'submission ok': 2,
        'submission failed': 1,
      });
      expect(after.accounts.map(({ name }) => name).sort()).toEqual([anna.user, bert.user]);
      expect(after.days.durations.map(({ what }) => what)).toEqual(['in', 'out', 'scan']);
      expect(after.calendar.map(({ what }) => what)).toContain('certificate ends');
    });

    await step('no name of others is kept', () => {
      const found = host.shell(
        `grep -aciE 'remote|erika|10\\.88' /srv/mailhost/figures/figures.sqlite || true`,
      );
      expect(found.trim()).toBe('0');
    });

    await step('the endpoint', () => {
      const url = 'https://mail.example.org/metrics';
      const ask = (from: string[]) =>
        spawnSync(
          from[0]!,
          [
            ...from.slice(1),
            'curl',
            '--silent',
            '--insecure',
            '--resolve',
            `mail.example.org:443:${ipv4}`,
            '--write-out',
            '\n%{http_code}',
            url,
          ],
          { encoding: 'utf8' },
        ).stdout;
      expect(caCertPem).toBeDefined();
      const page = ask(['env']);
      expect(page).toMatch(/\n200$/);
      expect(page).toContain('mailhost_mail_recipients_total{domain="example.org",outcome="in"}');
      expect(ask(['ip', 'netns', 'exec', 'remote'])).toMatch(/\n403$/);
    });

    await step('the page', () => {
      const folder = mkdtempSync(join(tmpdir(), 'report-'));
      const file = join(folder, 'report.html');
      const words = ['report', '--resolver', addresses.resolver.v4, '--output', file];
      const { status, stderr } = spawnSync(
        process.execPath,
        ['--import', 'tsx', join(project, 'cli/main.ts'), ...words],
        { cwd: project, env: host.stack.env, encoding: 'utf8' },
      );
      expect(stderr).toBe('');
      expect(status).toBe(0);
      expect(statSync(file).mode & 0o777).toBe(0o600);
      const page = readFileSync(file, 'utf8');
      rmSync(folder, { recursive: true });
      expect(page).toContain('anna@example.org');
      expect(page).toContain('<path class="stack s0"');
    });

    await step('as the unit runs', () => {
      expect(host.shell('systemctl show --value --property Result mailhost-figures')).toContain(
        'success',
      );
      expect(host.shell('systemctl is-active mailhost-figures.timer')).toContain('active');
      expect(host.shell('stat -c %U:%G:%a /run/mailhost-metrics/metrics').trim()).toBe(
        'root:www-data:640',
      );
    });
  });
});
