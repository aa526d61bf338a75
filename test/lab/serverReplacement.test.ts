import { describe, expect } from 'vitest';
import { waitForMail } from '../../lab/mail';
import { addresses } from '../../lab/network';
import { proofs } from '../../lab/proof';
import { labResolver } from '../../lab/remote/resolver';
import { waitFor } from '../../lab/state';
import { flowing } from '../faults/flow';
import { backedUp, deleteAll, subjects, text } from './backedUp';
import { hostTest, type Host } from './hosts';
import { changes, step } from './testLab';

const it = hostTest({}, backedUp);

const server = async (host: Host) =>
  (await host.hetzner<{ servers: { id: number }[] }>('servers')).servers[0]!.id;

/** What others know the host by. */
const identity = async (host: Host) => {
  const resolve = labResolver(addresses.resolver.v4);
  const keys = ['example.org', 'example.net'].map((domain) =>
    resolve(`s1._domainkey.${domain}`, 'TXT'),
  );
  const { primary_ips } = await host.hetzner<{ primary_ips: { ip: string; dns_ptr: object }[] }>(
    'primary_ips',
  );
  return {
    addresses: primary_ips.map(({ ip, dns_ptr }) => [ip, dns_ptr]),
    keys: await Promise.all(keys),
    hostKey: host.shell('cat /etc/ssh/ssh_host_ed25519_key.pub').split(' ')[1],
  };
};

/** Anna's inbox without what the flow of mail brings. */
const inbox = async (host: Host, flow: string) =>
  (await subjects(host, 'INBOX')).filter((subject) => !subject.startsWith(`${flow} `));

describe('a new server', () => {
  it.for([
    [
      'another architecture',
      { serverType: 'cax11' },
      ['a server cannot change from x86 (cx23) to arm (cax11)'],
    ],
    [
      'what Hetzner does not have',
      { serverType: 'cx1', location: 'xyz1' },
      ['the server type cx1 is not known at Hetzner', 'the location xyz1 is not known at Hetzner'],
    ],
  ] as const)(
    'is refused where it cannot take the place of the present one, before anything is touched: %s',
    async ([, settings, words], { host }) => {
      const { status, output } = await host.preview(settings);
      expect(status).not.toBe(0);
      for (const each of words) expect(output).toContain(each);
    },
  );

  it('takes the place of one that runs, while mail comes in: nothing is lost', async ({
    freshHost: host,
  }) => {
    const before = await identity(host);
    const mail = await subjects(host, 'INBOX');
    const seen = await flowing(host, 'planned', async (flow) => {
      await flow.more(3);
      host.shell('smtpctl pause mda');
      await host.receive({ to: 'anna@example.org', subject: 'queued', text });
      const output = await host.up({ serverGeneration: '2' });
      expect(output).toContain('another server takes the place of this one');
      expect(output).not.toMatch(
        /(Rdns|PrimaryIp|Volume|DnsRecord|PrivateKey)::.* (replaced|deleted|updated)/,
      );
      await flow.more(3);
    });
    await waitForMail(host.login('anna@example.org'), 'queued');
    expect(await inbox(host, 'planned')).toEqual([...mail, 'queued'].sort());
    expect(await identity(host)).toEqual(before);
    console.log(`a server replaced: ${seen}`);
  });

  it('takes the place of one that is dead', async ({ freshHost: host }) => {
    const before = await identity(host);
    const seen = await flowing(host, 'dead', async (flow) => {
      await flow.more(3);
      await host.hetzner(`servers/${await server(host)}/actions/poweroff`, 'POST');
      await host.up({ serverGeneration: '2' });
      await flow.more(3);
      expect(host.shell('mailhost drift')).toBe('this host is as the plan has it\n');
    });
    expect(await identity(host)).toEqual(before);
    console.log(`a dead server replaced: ${seen}`);
  });

  it('gets its mail from a backup where the volume is lost, too', async ({ freshHost: host }) => {
    const anna = host.login('anna@example.org');
    const learned = () =>
      Number(
        host.shell(
          "sa-learn --dbpath /srv/mailhost/bayes/bayes --dump magic | awk '/ntokens/ {print $3}'",
        ),
      );
    const before = await identity(host);
    host.shell('mailhost backup');
    await deleteAll(host);
    host.shell('mailhost restore anna@example.org');
    await host.receive({ to: anna.user, subject: 'of the inbox, too', text });
    await waitForMail(anna, 'of the inbox, too');
    const mail = {
      inbox: await subjects(host, 'INBOX'),
      restored: await subjects(host, 'Restored'),
    };
    expect(mail.restored.length).toBeGreaterThan(0);
    let tokens = 0;
    const seen = await flowing(host, 'restored', async (flow) => {
      await step('the volume is lost, with one message in the queue', async () => {
        await flow.more(3);
        host.shell('smtpctl pause mda');
        await host.receive({ to: anna.user, subject: 'waited', text });
        tokens = learned();
        expect(tokens).toBeGreaterThan(0);
        // Nothing is taken any more, and the last backup is made.
        host.shell('systemctl stop opensmtpd; mailhost backup');
        await host.hetzner(`servers/${await server(host)}`, 'DELETE');
        const volume = async () =>
          (
            await host.hetzner<{
              volumes: { id: number; server: unknown; protection: { delete: boolean } }[];
            }>('volumes')
          ).volumes[0]!;
        await waitFor('the volume is free', async () => (await volume()).server === null);
        const { id } = await volume();
        await host.hetzner(`volumes/${id}/actions/change_protection`, 'POST', { delete: false });
        await waitFor('it is not protected', async () => !(await volume()).protection.delete);
        await host.hetzner(`volumes/${id}`, 'DELETE');
        const refresh = await host.stack.run(['refresh', '--yes', '--skip-preview']);
        expect(refresh.status, refresh.output).toBe(0);
      });
      await step('an up restores it', async () => {
        const output = await host.up({ restore: 'latest' });
        expect(output).toMatch(/restored: \d+ messages/);
        expect(changes(output)).toMatchObject({ created: expect.any(Number) as number });
        expect(await identity(host)).toEqual(before);
        expect(await inbox(host, 'restored')).toEqual(mail.inbox);
        expect(await subjects(host, 'Restored')).toEqual(mail.restored);
        // The check has taught it more.
        expect(learned()).toBeGreaterThanOrEqual(tokens);
      });
      await step('what waited in the queue is given back', async () => {
        const listed = host.shell('mailhost restore queue');
        const entries = [
          ...listed.matchAll(
            /^([0-9a-f]{8}) {2}from <erika@remote\.example> to anna@example\.org: (.*)$/gm,
          ),
        ];
        const [waited] = entries.filter(([, , subject]) => subject === 'waited');
        host.shell(`mailhost restore queue ${waited![1]}`);
        await waitForMail(anna, 'waited');
        for (const [, id] of entries.filter((entry) => entry !== waited))
          host.shell(`mailhost restore queue ${id}`);
      });
      await flow.more(3);
    });
    console.log(`restored from a backup: ${seen}`);

    for (const { title, run } of proofs(host.lab, host.outputs)) await step(title, run);
    const again = await host.stack.run(['preview', '--expect-no-changes']);
    expect(again.status, again.output).toBe(0);
    expect(again.output).toContain('restore (latest) fills an empty volume only');
  });
});
