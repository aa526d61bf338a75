import { setTimeout as sleep } from 'node:timers/promises';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { ImapFlow } from 'imapflow';
import { describe, expect } from 'vitest';
import { Probe, services } from '../../bench/probe';
import { acmeDirectory, acmeRoot, startAcme } from '../../lab/acme';
import { setFaults } from '../../lab/cloud/faults';
import { waitForMail, type Login } from '../../lab/mail';
import { addresses } from '../../lab/network';
import { labResolver } from '../../lab/remote/resolver';
import { waitFor } from '../../lab/state';
import { flowing } from '../faults/flow';
import { backedUp } from './backedUp';
import { hostTest, type Host } from './hosts';
import { reachable, step } from './testLab';

const it = hostTest({}, backedUp);

/** What else a server has to take over, besides mail and a backup. */
const more = {
  'tls.issuer': 'acme',
  'tls.directory': acmeDirectory,
  'tls.acceptTerms': 'true',
  accountKind: 'system',
  'confirm[0]': 'make accounts system',
};

interface Server {
  id: number;
  name: string;
  status: string;
  server_type: { name: string };
  public_net: { ipv4?: { ip: string } };
}

const servers = async (host: Host) =>
  (await host.hetzner<{ servers: Server[] }>('servers')).servers;

/** The server that has the address of the host. */
const serving = async (host: Host) =>
  (await servers(host)).find(({ public_net }) => public_net.ipv4?.ip === host.outputs.ipv4)!.name;

/** What others know the host by. */
const identity = async (host: Host) => {
  const resolve = labResolver(addresses.resolver.v4);
  const { primary_ips } = await host.hetzner<{
    primary_ips: { name: string; ip: string; dns_ptr: object }[];
  }>('primary_ips');
  return {
    addresses: primary_ips
      .filter(({ name }) => name.startsWith('mail.'))
      .map(({ ip, dns_ptr }) => [ip, dns_ptr]),
    keys: await Promise.all(
      ['example.org', 'example.net'].map((domain) => resolve(`s1._domainkey.${domain}`, 'TXT')),
    ),
    hostKey: host.shell('cat /etc/ssh/ssh_host_ed25519_key.pub').split(' ')[1],
    certificate: host.shell('cat /etc/ssl/mailhost/fullchain.pem'),
    users: host.shell('stat --format %u /srv/mailhost/home/anna 2>&1; id --user anna 2>&1 || true'),
  };
};

/** Takes the place of a mail client that waits for mail, and comes again when it was cut off. */
function idling(login: Login) {
  let ended = false;
  let cuts = 0;
  const run = (async () => {
    while (!ended) {
      const client = new ImapFlow({
        host: login.host,
        port: 993,
        secure: true,
        auth: { user: login.user, pass: login.password },
        tls: { rejectUnauthorized: false },
        logger: false,
      });
      client.on('error', () => undefined);
      const closed = new Promise<void>((resolve) => client.on('close', () => resolve()));
      try {
        await client.connect();
        await client.mailboxOpen('INBOX');
        void client.idle().catch(() => undefined);
        if (ended) break;
        await Promise.race([closed, waitFor('the client is told to end', () => ended)]);
        if (!ended) cuts++;
      } catch {
        // The host does not answer at the moment, and may say so at once.
        await sleep(200);
      } finally {
        client.close();
      }
    }
  })();
  return async () => {
    ended = true;
    await run;
    return cuts;
  };
}

/** Does something while mail comes in and clients connect; says what they saw of it. */
async function watched(host: Host, title: string, work: () => Promise<unknown>): Promise<void> {
  const login = host.login('anna@example.org');
  const probes = {
    SMTP: new Probe(login.host, services.SMTP),
    IMAP: new Probe(login.host, services.IMAP),
  };
  const endIdle = idling(login);
  let begin = 0;
  let end = 0;
  let cuts: number;
  let seen: string;
  try {
    seen = await flowing(host, title, async (flow) => {
      await flow.more(3);
      begin = Date.now();
      await work();
      end = Date.now();
      await flow.more(3);
      await waitFor('SMTP and IMAP answer', () =>
        Object.values(probes).every((probe) => probe.hasAnswered(end)),
      );
    });
  } finally {
    for (const probe of Object.values(probes)) await probe.stop();
    cuts = await endIdle();
  }
  const waits = Object.entries(probes).map(
    ([name, probe]) => `${probe.longestWait(begin, end)} s without ${name}`,
  );
  console.log(`${title}: ${waits.join(', ')}, ${seen}, IDLE cut off ${cuts} times`);
  expect(seen).toContain('0 lost, 0 delivered twice');
}

const noChanges = async (host: Host) => {
  const { status, output } = await host.stack.run(['preview', '--expect-no-changes']);
  expect(status, output).toBe(0);
};

describe('a standby server', () => {
  it('is prepared, takes over, gives back and takes over again, and nothing is lost', async ({
    freshHost: host,
    onTestFinished,
  }) => {
    await startAcme(host.lab);
    await host.up(more);
    const usual = getCACertificates('default');
    onTestFinished(() => setDefaultCACertificates(usual));
    setDefaultCACertificates([...usual, await acmeRoot(host.lab)]);
    const before = await identity(host);
    expect(new Set(before.users.trim().split('\n')).size).toBe(1);
    const [first] = await servers(host);
    const standby = () => host.outputs.standbyServer!;

    await step('prepare', async () => {
      await watched(host, 'prepared', () => host.up({ standbyServer: 'true', serverType: 'cx33' }));
      expect(standby()).toMatchObject({ generation: 2, state: 'prepared' });
      expect((await servers(host)).map((server) => server.server_type.name)).toEqual([
        'cx23',
        'cx33',
      ]);
      expect(standby().proof).toContain('spam probe and signatures are as they should be');
      expect(reachable(host.lab, standby().ipv4, [22, 25, 443, 993])).toEqual([22]);
      expect(await serving(host)).toBe(first!.name);
      await noChanges(host);
    });
    await step('a jump is refused', async () => {
      const { status, output } = await host.preview({ serverGeneration: '3' });
      expect(status).not.toBe(0);
      expect(output).toContain('set it to one of these');
    });
    await step('switch', async () => {
      host.shell('smtpctl pause mda');
      await host.receive({ to: 'anna@example.org', subject: 'queued' });
      host.shell('smtpctl resume mda');
      await watched(host, 'switched', () => host.up({ serverGeneration: '2' }));
      await waitForMail(host.login('anna@example.org'), 'queued');
      expect(await serving(host)).toBe(`second-${first!.name}`);
      expect(await identity(host)).toEqual(before);
      host.shell('mailhost backup');
      expect(standby()).toMatchObject({ generation: 1, state: 'idle' });
      await noChanges(host);
    });
    await step('back', async () => {
      await watched(host, 'back', () => host.up({ serverGeneration: '1' }));
      expect(await serving(host)).toBe(first!.name);
      expect(await identity(host)).toEqual(before);
      expect(standby()).toMatchObject({ generation: 2, state: 'prepared' });
      await noChanges(host);
    });
    await step('switch again, and remove', async () => {
      await watched(host, 'again', () => host.up({ serverGeneration: '2' }));
      await watched(host, 'removed', () => host.up({ standbyServer: 'false' }));
      expect((await servers(host)).map(({ name }) => name)).toEqual([`second-${first!.name}`]);
      expect(await identity(host)).toEqual(before);
      expect(host.shell('mailhost drift')).toBe('this host is as the plan has it\n');
      await noChanges(host);
    });
  });

  it('that cannot be made leaves the host as it is', async ({ freshHost: host }) => {
    await watched(host, 'no room', async () => {
      setFaults(host.lab, [
        { api: 'hcloud', method: 'POST', path: '/servers', done: false, status: 412, times: 1 },
      ]);
      await expect(host.up({ standbyServer: 'true' })).rejects.toThrow(
        'The server that serves is not touched',
      );
    });
    await host.up({ standbyServer: 'false' });
    await noChanges(host);
  });

  it('goes back and on after a switch that failed half-way, and nothing is lost', async ({
    freshHost: host,
  }) => {
    const fails = (path: string, after = 0) => {
      setFaults(host.lab, [
        { api: 'hcloud', method: 'POST', path, done: false, status: 500, times: 1, after },
      ]);
      return expect(host.up({ serverGeneration: '2' })).rejects.toThrow('server_error');
    };
    const before = await identity(host);
    await host.up({ standbyServer: 'true' });
    await step('back, with the volume at no server', async () => {
      await watched(host, 'went back', async () => {
        await fails('/volumes/\\d+/actions/attach');
        const { output } = await host.preview({ standbyServer: 'false', serverGeneration: '1' });
        expect(output).toContain('was begun and has not ended');
        await host.up({ serverGeneration: '1' });
      });
      expect(await identity(host)).toEqual(before);
      await noChanges(host);
    });
    await step('on, with an address at no server', async () => {
      await watched(host, 'went on', async () => {
        // After both addresses of the old server, the first of the new one.
        await fails('/primary_ips/\\d+/actions/assign', 2);
        const { output } = await host.preview({ serverGeneration: '1' });
        expect(output).toContain('which goes on');
        await host.up();
      });
      expect(await identity(host)).toEqual(before);
      await noChanges(host);
    });
  });
});
