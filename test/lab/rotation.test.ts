import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { authenticate } from 'mailauth';
import { describe, expect } from 'vitest';
import { submit, waitForReceived } from '../../lab/mail';
import { addresses, inNamespace } from '../../lab/network';
import { received, type ReceivedMessage } from '../../lab/remote/mailbox';
import { labResolver } from '../../lab/remote/resolver';
import { processes, waitFor, type Lab } from '../../lab/state';
import { erika, hostTest, type Host } from './hosts';
import { changes, passDsOn, step, zoneOf } from './testLab';

const it = hostTest({
  queueLifetime: '60s',
  dkimRetention: '120s',
  messagesPerHour: '100000',
  recipientsPerDay: '100000',
});

const setGeneration = (generation: number) => ({ dkimGeneration: `${generation}` });

interface Calendar {
  signs: string;
  next: string;
  retired?: Record<string, string>;
}
const calendar = ({ outputs }: Host) =>
  (outputs as unknown as { dkimCalendar: Record<string, Calendar> }).dkimCalendar['example.org']!;

async function changesNothing(host: Host): Promise<void> {
  expect(Object.keys(changes(await host.up()))).toEqual(['unchanged']);
}

/** Waits until the next rotation removes a key that has signed. */
async function mayGo(host: Host, selector: string): Promise<void> {
  const time = Date.parse(calendar(host).retired![selector]!);
  await sleep(Math.max(0, time - Date.now()) + 1);
}

/** What the verifier's resolver says, and then remembers. */
const ask = (selector: string, domain = 'example.org') =>
  labResolver(addresses.resolver.v4)(`${selector}._domainkey.${domain}`, 'TXT').then(
    (texts) => (texts as string[][]).map((strings) => strings.join('')),
    (error: { code?: string }) => error.code,
  );

const keysInState = ({ stack }: Host) =>
  stack
    .resources()
    .filter(({ urn }) => urn.includes('Dkim$tls:'))
    .map(({ urn, id }) => `${urn.split('::').at(-1)} ${id}`)
    .sort();

/** Does `what` to a state that is imported again after it, as it was before but for what is done to the file. */
async function withExport(
  { lab, stack }: Host,
  what: (file: string) => void | Promise<void>,
): Promise<void> {
  const file = join(lab.dir, 'exported.json');
  const exported = await stack.run(['stack', 'export', '--file', file]);
  expect(exported.status, exported.output).toBe(0);
  await what(file);
  const imported = await stack.run(['stack', 'import', '--file', file]);
  expect(imported.status, imported.output).toBe(0);
}

/** Makes an exported state one whose keys were made by a plugin `tls` of another version. */
function asOfAnotherPlugin(file: string): void {
  const state = JSON.parse(readFileSync(file, 'utf8')) as {
    deployment: { resources: { urn: string; inputs: { version: string }; outputs: object }[] };
  };
  const plugin = /providers:tls::default_[\d_]+/;
  const provider = state.deployment.resources.find(({ urn }) => plugin.test(urn))!;
  const version = provider.inputs.version.replace(/\d+$/, (patch) => `${Number(patch) + 1}`);
  provider.inputs.version = version;
  provider.outputs = provider.inputs;
  const named = `providers:tls::default_${version.replaceAll('.', '_')}`;
  writeFileSync(file, JSON.stringify(state).replaceAll(new RegExp(plugin, 'g'), named));
}

const verdictOf = ({ dkim, dmarc }: ReceivedMessage) => {
  const signatures = dkim.filter(({ result }) => result !== 'none');
  const results = signatures.map(({ result, selector }) => `${result} ${selector}`).join();
  return `${results || 'unsigned'}, dmarc ${dmarc}`;
};

/** Lets the authoritative servers answer half of the time only, in turns of a quarter of a second, or not at all. */
class SlowDns {
  silent = false;
  private stopped = false;
  private readonly pid: number;
  private readonly turns: NodeJS.Timeout;

  constructor(lab: Lab) {
    this.pid = processes(lab, 'knot')[0]!.pid;
    this.turns = setInterval(() => {
      this.stopped = this.silent || !this.stopped;
      this.signal(this.stopped ? 'SIGSTOP' : 'SIGCONT');
    }, 250);
  }

  private signal(signal: NodeJS.Signals): void {
    try {
      process.kill(this.pid, signal);
    } catch {
      // The lab has ended, as that of a test which took too long.
      clearInterval(this.turns);
    }
  }

  end(): void {
    clearInterval(this.turns);
    this.signal('SIGCONT');
  }
}

/** Mail to the remote system at a steady rate. */
class Flow {
  private sent = 0;
  private ended = false;
  private readonly sending: Promise<void>;

  constructor(private readonly host: Host) {
    this.sending = this.send();
    // Its error is that of `end`.
    this.sending.catch(() => undefined);
  }

  private async send(): Promise<void> {
    const logins = [this.host.login('anna@example.org'), this.host.login('bert@example.net')];
    while (!this.ended) {
      const login = logins[this.sent % logins.length]!;
      const message = { from: login.user, to: erika, subject: `flow ${this.sent}`, text: '' };
      try {
        await submit(login, 465, message);
        this.sent++;
      } catch (error) {
        // OpenSMTPD restarts before it has said a word, and a mail client tries again.
        const { command } = error as { command?: string };
        if (command !== 'CONN' || !/ECONN(REFUSED|RESET)/.test(String(error))) throw error;
      }
      await sleep(500);
    }
  }

  async end(): Promise<void> {
    this.ended = true;
    await this.sending;
  }

  /** The verdict on each message, once all that were sent so far have come. */
  private async verdicts(): Promise<string[]> {
    const count = this.sent;
    const arrived = () =>
      received(this.host.lab.dir).flatMap((message) => {
        const [, number] = /^Subject: flow (\d+)\r?$/m.exec(message.raw) ?? [];
        return number !== undefined && Number(number) < count ? [{ number, message }] : [];
      });
    const all = await waitFor(`${count} messages arrive`, () => {
      const found = arrived();
      return new Set(found.map(({ number }) => number)).size === count ? found : undefined;
    });
    expect(all).toHaveLength(count);
    return all.map(({ message }) => verdictOf(message));
  }

  /** Every message has come once, signed, and verified where it arrived; by these keys among others. */
  async expectAllVerified(selectors: string[]): Promise<void> {
    const counts: Record<string, number> = {};
    for (const verdict of await this.verdicts()) counts[verdict] = (counts[verdict] ?? 0) + 1;
    console.log(JSON.stringify(counts));
    const passes = Object.keys(counts).map((v) => /^pass (s\d+), dmarc pass$/.exec(v)?.[1] ?? v);
    expect(passes.filter((verdict) => !/^s\d+$/.test(verdict))).toEqual([]);
    expect(passes).toEqual(expect.arrayContaining(selectors));
  }
}

/** Works while mail flows and DNS is slow. */
async function whileMailFlows(
  host: Host,
  work: (flow: Flow, dns: SlowDns) => Promise<void>,
): Promise<void> {
  const dns = new SlowDns(host.lab);
  const flow = new Flow(host);
  try {
    await waitForReceived(host.lab, 'flow 0');
    await work(flow, dns);
    await flow.end();
  } finally {
    await flow.end().catch(() => undefined);
    dns.end();
  }
}

describe('DKIM keys', () => {
  it('do not jump', async ({ host }) => {
    const { status, output } = await host.preview(setGeneration(3));
    expect(status, output).not.toBe(0);
    expect(output).toContain('would jump from generation 1 to 3');
  });

  it('are revoked by one setting', async ({ host }) => {
    const { status, output } = await host.preview({ 'dkimCompromised[0]': '2' }, '--diff');
    expect(status, output).toBe(0);
    expect(output).toMatch(/"v=DKIM1; p=\\?"/);
  });

  it('are not made anew where the state is moved, the plugin is another version, or domains stand in another order', async ({
    freshHost: host,
  }) => {
    const before = keysInState(host);
    await withExport(host, asOfAnotherPlugin);
    const file = host.stack.configFile!;
    const text = readFileSync(file, 'utf8');
    writeFileSync(
      file,
      text.replace(
        /- name: example.org\n(\s+)- name: example.net/,
        '- name: example.net\n$1- name: example.org',
      ),
    );
    expect(readFileSync(file, 'utf8')).not.toBe(text);
    await changesNothing(host);
    expect(keysInState(host)).toEqual(before);
  });

  it('cannot be made anew by force', async ({ freshHost: host }) => {
    const path = 'mailhost:index:MailHost$mailhost:index:Dkim$tls:index/privateKey:PrivateKey';
    const urn = `urn:pulumi:dev::mailhost::${path}::mail-example.org-s1`;
    const before = keysInState(host);
    const forced = await host.stack.run(['up', '--yes', '--skip-preview', '--replace', urn]);
    expect(forced.status, forced.output).not.toBe(0);
    expect(forced.output).toContain('s1 of example.org would be made anew');
    expect(keysInState(host)).toEqual(before);
    await changesNothing(host);
    await host.up({ protect: 'true' });
    const { status, output } = await host.preview({}, '--replace', urn);
    expect(status, output).not.toBe(0);
    expect(output).toContain('protect');
  });
});

describe('DKIM keys, while mail flows, DNS is slow and verifiers remember that a selector was not there', () => {
  it('rotate three times and back, and every message is verified where it arrives', async ({
    freshHost: host,
  }) => {
    await whileMailFlows(host, async (flow) => {
      const rotate = async (next: number) => {
        await host.up(setGeneration(next));
        expect(calendar(host).signs).toBe(`s${next}`);
      };
      /** Published by the `up` that follows: who asks too early goes on believing that there is none. */
      const isNotThere = async (selector: string) =>
        expect(await ask(selector), selector).toBe('ENOTFOUND');
      await step('to the second', async () => {
        await isNotThere('s3');
        await rotate(2);
      });
      await step('what the first has signed is verified still', async () => {
        const before = received(host.lab.dir)
          .filter(({ dkim }) => dkim[0]?.selector === 's1')
          .at(-1)!;
        const { dkim } = await authenticate(Buffer.from(before.raw, 'latin1'), {
          ip: before.client,
          helo: 'mail.example.org',
          sender: before.from,
          resolver: labResolver(addresses.resolver.v4),
        });
        expect(dkim.results.map(({ status }) => status.result)).toEqual(['pass']);
      });
      await step('to the third', async () => {
        await isNotThere('s4');
        await rotate(3);
      });
      await step(
        'to the fourth, once the last signature of the second is no longer valid',
        async () => {
          await isNotThere('s5');
          await mayGo(host, 's2');
          await rotate(4);
        },
      );
      await step('back to the third', () => rotate(3));
      await step('all are verified', () => flow.expectAllVerified(['s1', 's2', 's3', 's4']));
      await step('the second is gone', () =>
        expect(keysInState(host).join()).not.toContain('-s2 '),
      );
      await step('the first is there: what it signed was to be valid for longer', async () => {
        expect(keysInState(host).join()).toContain('-s1 ');
        expect(await ask('s1')).toHaveLength(1);
      });
      await step('they are in DNS as they are on the host', async () => {
        for (const domain of ['example.org', 'example.net']) {
          const path = `/etc/amavis/dkim/${domain}.s3.pem`;
          const key = host.shell(`openssl rsa -in ${path} -pubout -outform DER 2>&- | base64 -w0`);
          expect(await ask('s3', domain)).toEqual([`v=DKIM1; k=rsa; p=${key}`]);
          expect(host.shell(`ls /etc/amavis/dkim/${domain}.*`)).toBe(`${path}\n`);
        }
      });
      await step('the host knows since when', () => {
        const evidence = JSON.parse(host.shell('cat /srv/mailhost/dkim.json')) as Record<
          string,
          Record<string, { until?: number; from?: number }>
        >;
        const signing = Object.entries(evidence['example.org']!).filter(
          ([, { from, until }]) => from !== undefined && until === undefined,
        );
        expect(signing.map(([selector]) => selector)).toEqual(['s3']);
      });
    });
  });

  interface Kill {
    at: string;
    /** What the engine says then. */
    words: RegExp;
    /** From what words on no DNS server answers until then. */
    silence?: RegExp;
    /** The generation that signs before. */
    from?: number;
  }
  const kills: Kill[] = [
    { at: 'the host gets the key', words: /mail-amavis-secrets updating/ },
    { at: 'a record is made', words: /\/dkim-s\d+ creating/ },
    { at: 'the host switches', words: /mail-amavis updating/ },
    { at: 'a key is made', words: /-s\d+ creating/ },
    { at: 'a record was made', words: /\/dkim-s\d+ created/ },
    { at: 'the host has the key', words: /mail-amavis-secrets updated/ },
    {
      at: 'the host waits for DNS',
      words: /waiting for example/,
      silence: /mail-amavis updating/,
    },
    { at: 'the host has switched', words: /amavis: \/etc/ },
    { at: 'the host is checked', words: /mail-check updating/ },
    { at: 'an old record goes', words: /\/dkim-s\d+ deleting/, from: 3 },
  ];
  const tried = process.env.MAILHOST_FAULTS === undefined ? kills.slice(0, 3) : kills;
  it.for(tried)(
    'converge after an `up` that was killed as $at',
    async ({ words, silence, from = 1 }, { freshHost: host }) => {
      await whileMailFlows(host, async (flow, dns) => {
        for (let generation = 2; generation <= from; generation++)
          await host.up(setGeneration(generation));
        if (from > 1) await mayGo(host, `s${from - 1}`);
        await host.stack.setAll(setGeneration(from + 1));
        let killed = false;
        let seen = '';
        await host.stack.up((text, kill) => {
          seen += text;
          if (killed) return;
          dns.silent = silence?.test(seen) ?? false;
          if (!words.test(seen)) return;
          killed = true;
          dns.silent = false;
          kill();
        });
        expect(killed, seen).toBe(true);
        await host.stack.run(['cancel', '--yes']);
        await host.up();
        await changesNothing(host);
        await flow.expectAllVerified([`s${from + 1}`]);
      });
    },
  );

  it('do not switch to one whose record was removed by hand until it has been out again', async ({
    freshHost: host,
  }) => {
    await whileMailFlows(host, async (flow) => {
      const zone = await zoneOf(host.lab, 'example.org');
      await zone.delete(await zone.find('s2._domainkey.example.org'));
      const { status, output } = await host.preview(setGeneration(2));
      expect(status, output).not.toBe(0);
      expect(output.replace(/\s+/g, ' ')).toContain(
        's2._domainkey.example.org is to sign from now on, but its record was removed by hand',
      );
      expect(await ask('s2')).toBe('ENOTFOUND');
      await host.up({}, '--refresh');
      await waitFor('verifiers forget that it was not there', async () =>
        Array.isArray(await ask('s2')),
      );
      await host.up(setGeneration(2));
      await flow.expectAllVerified(['s2']);
    });
  });

  it('of a domain that is not delegated yet hold up no other, and sign as soon as it is', async ({
    freshHost: host,
  }) => {
    const file = '/etc/unbound/unbound.conf.d/not-delegated.conf';
    host.shell(
      `printf 'server:\\n  local-zone: "example.com." refuse\\n' >${file}; systemctl restart unbound`,
    );
    await whileMailFlows(host, async (flow) => {
      await host.up({
        'domains[2].name': 'example.com',
        'accounts[0].aliases[1]': 'anna@example.com',
      });
      const verdict = async (subject: string) => {
        const message = { from: 'anna@example.com', to: erika, subject, text: '' };
        await submit(host.login('anna@example.org'), 465, message);
        return verdictOf(await waitForReceived(host.lab, subject));
      };
      expect(host.outputs.nextSteps).toContain(
        'example.com sends unsigned until all name servers of its zone',
      );
      expect(await verdict('before')).toMatch(/^unsigned, /);
      host.shell('systemctl is-active mailhost-sign.timer; systemctl start mailhost-sign.service');
      expect(await verdict('still before')).toMatch(/^unsigned, /);

      host.shell(`rm ${file}; systemctl restart unbound`);
      // A look that the timer has begun before, or that the resolver was not ready for, sees nothing new.
      await waitFor('example.com signs', () => {
        host.shell('systemctl start mailhost-sign.service');
        return !host.shell('ls /srv/mailhost/unsigned').includes('example.com');
      });
      expect(await verdict('after')).toBe('pass s1, dmarc pass');
      await flow.expectAllVerified(['s1']);
    });
  });
});

describe('the TLS key', () => {
  /** The SHA-256 of the key that the host serves to other mail systems, and of those that they may expect. */
  async function servedAndPublished(host: Host): Promise<[string, string[]]> {
    const served = host.shell(
      `openssl s_client -starttls smtp -connect 127.0.0.1:25 </dev/null 2>/dev/null |
        openssl x509 -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum`,
    );
    const records = (await labResolver(addresses.resolver.v4)(
      '_25._tcp.mail.example.org',
      'TLSA',
    )) as unknown as { certUsage: number; selector: number; match: number; data: ArrayBuffer }[];
    for (const { certUsage, selector, match } of records)
      expect([certUsage, selector, match]).toEqual([3, 1, 1]);
    return [served.slice(0, 64), records.map(({ data }) => Buffer.from(data).toString('hex'))];
  }

  /** Whether a sender delivers that takes no key but one of a TLSA record (RFC 7672). */
  function isVerified({ lab }: Host, domain: string): boolean {
    const root = join(lab.dir, 'services/root');
    const resolver = join(lab.dir, 'resolv.conf');
    writeFileSync(resolver, `nameserver ${addresses.resolver.v4}\n`);
    return inNamespace(
      'remote',
      'sh',
      '-c',
      // The mount is this command's alone.
      `mount --bind ${resolver} ${root}/etc/resolv.conf &&
        exec chroot ${root} posttls-finger -c -l dane-only -L summary ${domain} 2>&1 || true`,
    ).includes('Verified TLS connection established to mail.example.org');
  }

  it('is rotated to one that others have been told of', async ({ freshHost: host }) => {
    passDsOn(host.lab.name, 'example.org');
    await whileMailFlows(host, async (flow) => {
      const [before, publishedBefore] = await servedAndPublished(host);
      expect(publishedBefore).toHaveLength(2);
      expect(publishedBefore).toContain(before);
      // What its resolver has from before the DS record it forgets in time.
      await waitFor('a sender goes by the TLSA records', () => isVerified(host, 'example.org'));
      // Nobody may go by those of a host that an unsigned zone names (RFC 7672, section 2.2.1).
      expect(isVerified(host, 'example.net')).toBe(false);
      await host.up({ tlsGeneration: '2' });
      expect(isVerified(host, 'example.org')).toBe(true);
      const [after, published] = await servedAndPublished(host);
      expect(after).toBe(publishedBefore.find((key) => key !== before));
      expect(published).toEqual(expect.arrayContaining([before, after]));
      await flow.expectAllVerified([]);
    });
  });
});
