import { describe, expect } from 'vitest';
import { submit, waitForReceived } from '../../lab/mail';
import { waitFor } from '../../lab/state';
import { hostTest, type Host } from './hosts';
import { changes, step, zoneOf } from './testLab';

const it = hostTest();
const domain = 'example.com';
const carol = `carol@${domain}`;
const prepared = {
  'domains[2].name': domain,
  'domains[2].delivery': 'elsewhere',
  'accounts[2].address': carol,
  'accounts[2].passwordHash': { secret: `$6$labsaltcarol$${'a'.repeat(86)}` },
  'aliases[0].address': 'team@example.net',
  'aliases[0].recipients[0]': carol,
};

const oldRecords = [
  { type: 'MX', name: domain, content: 'mx.remote.example', priority: 5, ttl: 3600 },
  { type: 'MX', name: domain, content: 'mx2.remote.example', priority: 10, ttl: 3600 },
  {
    type: 'TXT',
    name: domain,
    content: '"v=spf1 a:mx.remote.example -all"',
    ttl: 1,
    comment: 'ours',
  },
  { type: 'TXT', name: domain, content: '"site-verification=1"', ttl: 300 },
  { type: 'TXT', name: `_dmarc.${domain}`, content: '"v=DMARC1; p=none"', ttl: 3600 },
  { type: 'A', name: `autoconfig.${domain}`, content: '198.51.100.7', ttl: 300 },
  {
    ...{ type: 'SRV', name: `_imaps._tcp.${domain}`, ttl: 300 },
    data: { priority: 0, weight: 1, port: 993, target: 'imap.remote.example' },
  },
];

interface Listed {
  type: string;
  name: string;
  content: string;
  priority?: number;
  ttl: number;
  modified_on: string;
}

describe('a domain that moves here', () => {
  it('is prepared, has its records replaced by one plan, and put back by another', async ({
    freshHost: host,
  }) => {
    const { lab } = host;
    const zone = await zoneOf(lab, domain);
    for (const record of oldRecords) await zone.create(record);
    const listed = async () => (await zone.list()) as Listed[];
    const theirs = ({ name, type }: Listed) => !name.includes('_domainkey') && type !== 'NS';
    const inUse = async () =>
      (await listed())
        .filter(theirs)
        .map(
          ({ type, name, content, priority, ttl }) =>
            `${name} ${type} ${priority} ${content} ${ttl}`,
        )
        .sort();
    const before = await inUse();
    const untouched = async () =>
      (await listed())
        .filter(theirs)
        .map((one) => one.modified_on)
        .sort();
    const times = await untouched();
    const client = host.login('anna@example.org');
    const send = (to: string, subject: string) =>
      submit(client, 465, { from: 'anna@example.org', to, subject });
    // Whoever knows the host already does not ask for the MX.
    const arrives = (subject: string) =>
      host.receive({ to: 'anna@example.org', envelopeTo: carol, subject });
    const outputs = () => host.outputs as Host['outputs'] & { moves: Record<string, Move> };

    await step('prepared', async () => {
      await host.up(prepared);
      expect(await untouched()).toEqual(times);
      expect(outputs().moves[domain]).toMatchObject({
        delivery: 'elsewhere',
        changes: expect.arrayContaining([
          `${domain} MX: 5 mx.remote.example., 10 mx2.remote.example. -> 10 mail.example.org.`,
        ]) as string[],
      });
      expect(outputs().openTasks.join('\n')).toContain(
        'to "v=spf1 a:mail.example.org a:mx.remote.example -all"',
      );
      const again = await host.preview({});
      expect(Object.keys(changes(again.output)), again.output).toEqual(['unchanged']);
    });

    await step('mail while it is prepared', async () => {
      await send(carol, 'to the old host');
      await send('team@example.net', 'by an alias');
      await send(`nobody-here@${domain}`, 'whom only the old host has');
      await host.receive({ to: 'team@example.net', subject: 'from outside by an alias' });
      await arrives('early');
      for (const subject of [
        'to the old host',
        'by an alias',
        'whom only the old host has',
        'from outside by an alias',
      ])
        await waitForReceived(lab, subject);
      const forwarded = await waitForReceived(lab, 'from outside by an alias');
      expect(forwarded.to).toEqual([carol]);
      expect(forwarded.from).toMatch(/^SRS0=.*@example\.net$/i);
      expect(forwarded.spf).toBe('pass');
      await inMailbox(host, 'early');
      expect(mailbox(host)).toEqual(['early']);
    });

    await step('switched', async () => {
      const switched = { 'domains[2].delivery': 'here' };
      const refused = await host.preview(switched);
      expect(refused.status).not.toBe(0);
      expect(refused.output).toContain(`${carol} (never)`);
      const confirmed = { 'confirm[0]': `switch ${domain} as it is copied` };
      const output = await host.up({ ...switched, ...confirmed });
      expect(output).not.toContain('errored');
      const now = await inUse();
      expect(now.filter((line) => line.includes(' MX '))).toEqual([
        `${domain} MX 10 mail.example.org 300`,
      ]);
      expect(now).toContain(`${domain} TXT undefined "v=spf1 mx -all" 300`);
      expect(now).toContain(`${domain} TXT undefined "site-verification=1" 300`);
      expect(now.filter((line) => line.includes('remote.example'))).toEqual([]);
      expect(outputs().moves[domain]!.mxRememberedUntil).toMatch(/^\d{4}-/);
      await host.receive({ to: carol, subject: 'by the MX' });
      await send(carol, 'from here');
      await inMailbox(host, 'by the MX');
      await inMailbox(host, 'from here');
    });

    await step('back', async () => {
      await host.up({ 'domains[2].delivery': 'elsewhere' });
      expect(await inUse()).toEqual(before);
      const again = await host.preview({});
      expect(Object.keys(changes(again.output)), again.output).toEqual(['unchanged']);
    });

    await step('sent on after it moved away', async () => {
      const output = await host.up({ 'domains[2].delivery': 'forward' });
      expect(output).not.toContain('errored');
      expect(await inUse()).toEqual(before);
      expect(outputs().openTasks.join('\n')).toContain('is sent on to mx.remote.example');
      const there = mailbox(host);
      await arrives('sent on');
      await host.receive({ to: carol, envelopeTo: `postmaster@${domain}`, subject: 'to a role' });
      for (const [subject, to] of [
        ['sent on', carol],
        ['to a role', `postmaster@${domain}`],
      ] as const) {
        const received = await waitForReceived(lab, subject);
        expect(received.to).toEqual([to]);
        expect(received.from).toMatch(/^SRS0=.*@mail\.example\.org$/i);
        expect(received.spf).toBe('pass');
      }
      const nobody = { to: carol, envelopeTo: `nobody@${domain}`, subject: 'to nobody' };
      await expect(host.receive(nobody)).rejects.toThrow(/550/);
      await send(carol, 'of a login');
      expect((await waitForReceived(lab, 'of a login')).from).toBe('anna@example.org');
      expect(mailbox(host)).toEqual(there);
      const again = await host.preview({});
      expect(Object.keys(changes(again.output)), again.output).toEqual(['unchanged']);
    });

    await step('removed', async () => {
      for (const path of ['domains[2]', 'accounts[2]', 'aliases[0]'])
        await host.stack.unset(`mailhost:${path}`);
      await host.up({ 'confirm[0]': `remove ${domain}` });
      expect(await inUse()).toEqual(before);
    });
  });
});

interface Move {
  delivery: string;
  changes: string[];
  mxRememberedUntil?: string;
}

/** Subjects of what lies in the mailbox. */
const mailbox = (host: Host): string[] =>
  host
    .shell(`grep -rhm1 ^Subject: /srv/mailhost/mail/${domain}/carol || true`)
    .split('\n')
    .filter(Boolean)
    .map((line) => line.replace('Subject: ', '').trim())
    .sort();

const inMailbox = (host: Host, subject: string) =>
  waitFor(`"${subject}" in the mailbox`, () => mailbox(host).includes(subject));
