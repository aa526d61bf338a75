import type { ParsedMail } from 'mailparser';
import { describe, expect } from 'vitest';
import { moveMail, submit, waitForMail, waitForReceived } from '../../lab/mail';
import { erika, hostTest } from './hosts';

const it = hostTest();

const signers = (message: ParsedMail) =>
  message.headerLines
    .filter(({ key }) => key === 'dkim-signature')
    .map(({ line }) => / d=([^;]+);/.exec(line)?.[1]);

describe('a mail host', () => {
  it.for([
    ['Anna+news@EXAMPLE.org', 'anna@example.org'],
    ['info@example.org', 'anna@example.org'],
    ['postmaster@example.net', 'anna@example.org'],
    ['abuse@mail.example.org', 'anna@example.org'],
    ['bert@example.net', 'bert@example.net'],
  ] as const)(
    'takes mail for its addresses, whatever their case and tag: %s',
    async ([to, user], { host }) => {
      for (const ipv6 of [false, true]) {
        const subject = `to ${to}${ipv6 ? ' by IPv6' : ''}`;
        await host.receive({ to, subject, ipv6 });
        await waitForMail(host.login(user), subject);
      }
      await host.queueIsEmpty();
    },
  );

  it.for([
    'nobody@example.org',
    'anna@example.net',
    'root@example.org',
    'mailhost-probe@mailhost-probe.invalid',
  ])('refuses mail for unknown addresses at once: %s', async (to, { host }) => {
    const attempt = host.receive({ to: 'anna@example.org', envelopeTo: to, subject: 'x' });
    await expect(attempt).rejects.toThrow('550');
    expect(host.shell('smtpctl show queue')).toBe('');
  });

  it('tells a user at once of an own address that nobody has', async ({ host }) => {
    const message = { from: 'anna@example.org', subject: 'x', text: 'x' };
    for (const to of ['berd@example.net', 'nobody@mail.example.org']) {
      await expect(submit(host.login('anna@example.org'), 465, { ...message, to })).rejects.toThrow(
        `550 5.1.1 nobody here has the address ${to}: check how it is spelled`,
      );
    }
    expect(host.shell('smtpctl show queue')).toBe('');
  });

  it('signs for who has logged in', async ({ host }) => {
    const bert = host.login('bert@example.net');
    const subject = 'to a colleague';
    const message = { from: 'info@example.org', to: bert.user, subject, text: 'x' };
    await submit(host.login('anna@example.org'), 587, message);
    expect(signers(await waitForMail(bert, subject))).toEqual(['example.org']);
  });

  it('refuses what somebody who has logged in sends as somebody else', async ({ host }) => {
    const anna = host.login('anna@example.org');
    const asBert = { from: 'bert@example.net', to: erika, subject: 'not mine', text: 'x' };
    await expect(submit(anna, 465, asBert)).rejects.toThrow('the envelope sender is bert@');
    const alsoAsBert = { ...asBert, envelope: anna.user };
    await expect(submit(anna, 465, alsoAsBert)).rejects.toThrow('From is bert@example.net');
  });

  it('never signs for a stranger', async ({ host }) => {
    const bert = host.login('bert@example.net');
    const subject = 'forged';
    await host.receive({ from: 'anna@example.org', envelopeFrom: erika, to: bert.user, subject });
    expect(signers(await waitForMail(bert, subject, 'Junk'))).not.toContain('example.org');
  });

  it.for([465, 587] as const)(
    'completes and signs what a client sends without Date and Message-ID, on port %i',
    async (port, { host }) => {
      const anna = host.login('anna@example.org');
      const subject = `bare ${port}`;
      const raw = `From: ${anna.user}\r\nTo: ${erika}\r\nSubject: ${subject}\r\n\r\nx\r\n`;
      await submit(anna, port, { from: anna.user, to: erika, subject, raw });
      const message = await waitForReceived(host.lab, subject);
      expect(message.raw).toMatch(/^Date: /m);
      expect(message.raw).toMatch(/^Message-ID: /im);
      expect([message.dkim.map(({ result }) => result), message.dmarc]).toEqual([['pass'], 'pass']);
    },
  );

  it('brings its own messages to the postmaster', async ({ host }) => {
    host.shell('printf "Subject: from cron\\n\\nx\\n" | sendmail root');
    await waitForMail(host.login('anna@example.org'), 'from cron');
  });

  it('learns from what a user puts into Junk and takes out of it', async ({ host }) => {
    const login = host.login('bert@example.net');
    const count = (kind: 'spam' | 'ham') =>
      Number(
        host.shell(
          `sa-learn --dbpath /srv/mailhost/bayes/bayes --dump magic 2>/dev/null | awk '/data: n${kind}$/ {print $3}'`,
        ),
      );
    const text = 'A message that is long enough to have some words to learn from.';
    await host.receive({ to: login.user, subject: 'learn', text });
    await waitForMail(login, 'learn');
    const spam = count('spam');
    await moveMail(login, 'learn', 'INBOX', 'Junk');
    expect(count('spam')).toBe(spam + 1);
    const ham = count('ham');
    await moveMail(login, 'learn', 'Junk', 'INBOX');
    expect(count('ham')).toBe(ham + 1);
    expect(host.shell('stat --format %U /srv/mailhost/bayes/bayes_toks')).toBe('amavis\n');
  });

  it('deletes what an account has left, and no account', async ({ host }) => {
    const folder = '/srv/mailhost/mail/example.org';
    await host.receive({ to: 'anna@example.org', subject: 'to stay' });
    await waitForMail(host.login('anna@example.org'), 'to stay');
    host.shell(`mkdir -p ${folder}/gone/mail`);
    expect(host.shell('mailhost purge gone@example.org')).toContain('deleted');
    expect(host.shell(`ls ${folder}`)).not.toContain('gone');
    for (const address of ['anna@example.org', 'gone@example.org', '../../x@example.org']) {
      expect(() => host.shell(`mailhost purge '${address}' 2>/dev/null`), address).toThrow();
    }
    expect(host.shell(`ls ${folder}`)).toContain('anna');
  });
});
