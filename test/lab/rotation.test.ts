import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { authenticate } from 'mailauth';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { onHost } from '../../lab/machines';
import { submit, waitForReceived } from '../../lab/mail';
import { addresses, inNamespace } from '../../lab/network';
import { loginOf } from '../../lab/proof';
import { received, type ReceivedMessage } from '../../lab/remote/mailbox';
import { labResolver } from '../../lab/remote/resolver';
import { processes, waitFor, type Lab } from '../../lab/state';
import { changes, endLab, passDsOn, startLab, TestStack, zoneOf } from './testLab';

const name = 'rotation';
const erika = 'erika@remote.example';
const domains = ['example.org', 'example.net'];
let lab: Lab;
let stack: TestStack;
let generation = 1;

const up = async (...options: string[]) => {
  const { status, output } = await stack.run(['up', '--yes', '--skip-preview', ...options]);
  expect(status, output).toBe(0);
  return output;
};
const setGeneration = (next: number) => stack.set('mailhost:dkimGeneration', `${next}`);
const calendar = () =>
  (stack.outputs() as unknown as { dkimCalendar: Record<string, Calendar> }).dkimCalendar[
    'example.org'
  ]!;
interface Calendar {
  signs: string;
  next: string;
  retired?: Record<string, string>;
}
/** Does `what` to a state that is imported again after it, as it was before but for what is done to the file. */
async function withExport(what: (file: string) => void | Promise<void>): Promise<void> {
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
/** What the verifier's resolver says, and then remembers. */
const ask = (selector: string, domain = 'example.org') =>
  labResolver(addresses.resolver.v4)(`${selector}._domainkey.${domain}`, 'TXT').then(
    (texts) => (texts as string[][]).map((strings) => strings.join('')),
    (error: { code?: string }) => error.code,
  );
const keysInState = () =>
  stack
    .resources()
    .filter(({ urn }) => urn.includes('Dkim$tls:'))
    .map(({ urn, id }) => `${urn.split('::').at(-1)} ${id}`)
    .sort();

let sent = 0;
let flowing = false;
let flow: Promise<void>;
const subjectOf = (i: number) => `flow ${i}`;
const senders = ['anna@example.org', 'bert@example.net'] as const;

/** Mail to the remote system at a steady rate. */
async function startFlow(): Promise<void> {
  const outputs = stack.outputs();
  flowing = true;
  flow = (async () => {
    while (flowing) {
      const login = loginOf(outputs, senders[sent % senders.length]!);
      const message = { from: login.user, to: erika, subject: subjectOf(sent), text: '' };
      try {
        await submit(login, 465, message);
        sent++;
      } catch (error) {
        // OpenSMTPD restarts before it has said a word, and a mail client tries again.
        const { command } = error as { command?: string };
        if (command !== 'CONN' || !/ECONN(REFUSED|RESET)/.test(String(error))) throw error;
      }
      await sleep(500);
    }
  })();
  await waitForReceived(lab, subjectOf(0));
}
const verdictOf = ({ dkim, dmarc }: ReceivedMessage) => {
  const signatures = dkim.filter(({ result }) => result !== 'none');
  const results = signatures.map(({ result, selector }) => `${result} ${selector}`).join();
  return `${results || 'unsigned'}, dmarc ${dmarc}`;
};
/** The verdict on each message of the flow, once all that were sent so far have come. */
async function verdicts(): Promise<string[]> {
  const count = sent;
  const arrived = () =>
    received(lab.dir).flatMap((message) => {
      const [, number] = /^Subject: flow (\d+)\r?$/m.exec(message.raw) ?? [];
      return number !== undefined && Number(number) < count ? [{ number, message }] : [];
    });
  const all = await waitFor(
    `${count} messages arrive`,
    () => {
      const found = arrived();
      return new Set(found.map(({ number }) => number)).size === count ? found : undefined;
    },
    600,
  );
  expect(all).toHaveLength(count);
  return all.map(({ message }) => verdictOf(message));
}
/** Every message of the flow has come once, signed, and verified where it arrived. */
async function expectAllVerified(selectors: string[]): Promise<void> {
  const counts: Record<string, number> = {};
  for (const verdict of await verdicts()) counts[verdict] = (counts[verdict] ?? 0) + 1;
  console.log(JSON.stringify(counts));
  const passes = Object.keys(counts).map((v) => /^pass (s\d+), dmarc pass$/.exec(v)?.[1] ?? v);
  expect(passes.filter((verdict) => !/^s\d+$/.test(verdict))).toEqual([]);
  expect(passes).toEqual(expect.arrayContaining(selectors));
}

beforeAll(async () => {
  lab = startLab(name);
  stack = new TestStack(lab);
  await stack.select();
  await stack.set('mailhost:queueLifetime', '60s');
  await stack.set('mailhost:dkimRetention', '120s');
  for (const limit of ['messagesPerHour', 'recipientsPerDay'])
    await stack.set(`mailhost:${limit}`, '100000');
  await up();
  passDsOn(name, 'example.org');
  slowDns();
  await startFlow();
});
afterAll(async () => {
  flowing = false;
  await flow;
  endLab(name);
});

let silentDns = false;

/** Lets the authoritative servers answer half of the time only, in turns of a quarter of a second, or not at all. */
function slowDns(): void {
  const { pid } = processes(lab, 'knot')[0]!;
  let stopped = false;
  setInterval(() => {
    stopped = silentDns || !stopped;
    try {
      process.kill(pid, stopped ? 'SIGSTOP' : 'SIGCONT');
    } catch {
      // The lab has ended.
    }
  }, 250).unref();
}

/** The SHA-256 of the key that the host serves to other mail systems, and of those that they may expect. */
async function servedAndPublished(): Promise<[string, string[]]> {
  const served = onHost(
    lab,
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
function isVerified(domain: string): boolean {
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

describe('DKIM keys, while mail flows, DNS is slow and verifiers remember that a selector was not there', () => {
  it('rotate three times and back, and every message is verified where it arrives', async () => {
    for (const next of [2, 3, 4, 3]) {
      // Published by this very `up`: who asks too early goes on believing that there is none.
      if (next !== 3 || generation === 2)
        expect(await ask(`s${next + 1}`), `s${next + 1}`).toBe('ENOTFOUND');
      const mayGo = calendar().retired?.[`s${next - 3}`];
      if (mayGo !== undefined) await sleep(Math.max(0, Date.parse(mayGo) - Date.now()));
      await setGeneration(next);
      await up();
      generation = next;
      expect(calendar().signs).toBe(`s${next}`);
      if (next !== 2) continue;
      const before = received(lab.dir)
        .filter(({ dkim }) => dkim[0]?.selector === 's1')
        .at(-1)!;
      const { dkim } = await authenticate(Buffer.from(before.raw, 'latin1'), {
        ip: before.client,
        helo: 'mail.example.org',
        sender: before.from,
        resolver: labResolver(addresses.resolver.v4),
      });
      expect(dkim.results.map(({ status }) => status.result)).toEqual(['pass']);
    }
    await expectAllVerified(['s1', 's2', 's3', 's4']);
    // The first key is gone, once its last signature was no longer valid; none that signed since.
    expect(keysInState().join()).not.toContain('-s1 ');
    expect(await ask('s2')).toHaveLength(1);
  });

  it('are in DNS as they are on the host, and the host knows since when', async () => {
    for (const domain of domains) {
      const selector = `s${generation}`;
      const path = `/etc/amavis/dkim/${domain}.${selector}.pem`;
      const key = onHost(lab, `openssl rsa -in ${path} -pubout -outform DER 2>&- | base64 -w0`);
      expect(await ask(selector, domain)).toEqual([`v=DKIM1; k=rsa; p=${key}`]);
      expect(onHost(lab, `ls /etc/amavis/dkim/${domain}.*`)).toBe(`${path}\n`);
    }
    const evidence = JSON.parse(onHost(lab, 'cat /srv/mailhost/dkim.json')) as Record<
      string,
      Record<string, { until?: number; from?: number }>
    >;
    const signing = Object.entries(evidence['example.org']!).filter(
      ([, { from, until }]) => from !== undefined && until === undefined,
    );
    expect(signing.map(([selector]) => selector)).toEqual([`s${generation}`]);
  });

  /** What the engine says at the moment at which it is killed, and from what words on no DNS server answers until then. */
  const points: [string, RegExp, RegExp?][] = [
    ['the host gets the key', /mail-amavis-secrets updating/],
    ['a record is made', /\/dkim-s\d+ creating/],
    ['the host switches', /mail-amavis updating/],
    ['a key is made', /-s\d+ creating/],
    ['a record was made', /\/dkim-s\d+ created/],
    ['the host has the key', /mail-amavis-secrets updated/],
    ['the host waits for DNS', /waiting for example/, /mail-amavis updating/],
    ['the host has switched', /amavis: \/etc/],
    ['the host is checked', /mail-check updating/],
    ['an old record goes', /\/dkim-s\d+ deleting/],
  ];
  const tried = process.env.MAILHOST_FAULTS === undefined ? points.slice(0, 3) : points;
  it.each(tried)('converge after an `up` that was killed as %s', async (_, words, silence) => {
    await setGeneration(++generation);
    let killed = false;
    let seen = '';
    await stack.up((text, kill) => {
      seen += text;
      if (killed) return;
      silentDns = silence?.test(seen) ?? false;
      if (!words.test(seen)) return;
      killed = true;
      silentDns = false;
      kill();
    });
    expect(killed, seen).toBe(true);
    await stack.run(['cancel', '--yes']);
    await up();
    expect(Object.keys(changes(await up()))).toEqual(['unchanged']);
    await expectAllVerified([`s${generation}`]);
  });

  it('do not jump, nor switch to one whose record was removed by hand until it has been out again', async () => {
    const zone = await zoneOf(lab, 'example.org');
    const next = `s${generation + 1}`;
    await setGeneration(generation + 2);
    const jump = await stack.run(['preview']);
    expect(jump.status, jump.output).not.toBe(0);
    expect(jump.output).toContain(`would jump from generation ${generation} to ${generation + 2}`);
    await zone.delete(await zone.find(`${next}._domainkey.example.org`));
    await setGeneration(generation + 1);
    const { status, output } = await stack.run(['preview']);
    expect(status, output).not.toBe(0);
    expect(output.replace(/\s+/g, ' ')).toContain(
      `${next}._domainkey.example.org is to sign from now on, but its record was removed by hand`,
    );
    expect(await ask(next)).toBe('ENOTFOUND');
    await setGeneration(generation);
    const mended = await stack.run(['up', '--yes', '--skip-preview', '--refresh']);
    expect(mended.status, mended.output).toBe(0);
    await waitFor(
      'verifiers forget that it was not there',
      async () => Array.isArray(await ask(next)),
      120,
    );
    await setGeneration(++generation);
    await up();
    await expectAllVerified([next]);
  });

  it('are revoked by one setting', async () => {
    await stack.set('mailhost:dkimCompromised[0]', `${generation + 1}`, '--path');
    const { status, output } = await stack.run(['preview', '--diff']);
    expect(status, output).toBe(0);
    expect(output).toMatch(/"v=DKIM1; p=\\?"/);
    await stack.unset('mailhost:dkimCompromised');
  });

  it('are not made anew where the state is moved, the plugin is another version, or domains stand in another order', async () => {
    const before = keysInState();
    await withExport(asOfAnotherPlugin);
    const text = readFileSync(stack.configFile!, 'utf8');
    writeFileSync(
      stack.configFile!,
      text.replace(
        /- name: example.org\n(\s+)- name: example.net/,
        '- name: example.net\n$1- name: example.org',
      ),
    );
    expect(readFileSync(stack.configFile!, 'utf8')).not.toBe(text);
    expect(Object.keys(changes(await up()))).toEqual(['unchanged']);
    expect(keysInState()).toEqual(before);
  });

  it('of a domain that is not delegated yet hold up no other, and sign as soon as it is', async () => {
    const file = '/etc/unbound/unbound.conf.d/not-delegated.conf';
    onHost(
      lab,
      `printf 'server:\\n  local-zone: "example.com." refuse\\n' >${file}; systemctl restart unbound`,
    );
    await stack.set('mailhost:domains[2].name', 'example.com', '--path');
    await stack.set('mailhost:accounts[0].aliases[1]', 'anna@example.com', '--path');
    await up();
    const login = loginOf(stack.outputs(), 'anna@example.org');
    const verdict = async (subject: string) => {
      await submit(login, 465, { from: 'anna@example.com', to: erika, subject, text: '' });
      return verdictOf(await waitForReceived(lab, subject));
    };
    const tasks = () => stack.outputs().nextSteps;
    expect(tasks()).toContain('example.com sends unsigned until all name servers of its zone');
    expect(await verdict('before')).toMatch(/^unsigned, /);
    onHost(lab, 'systemctl is-active mailhost-sign.timer; systemctl start mailhost-sign.service');
    expect(await verdict('still before')).toMatch(/^unsigned, /);

    onHost(lab, `rm ${file}; systemctl restart unbound`);
    // A look that the timer has begun before, or that the resolver was not ready for, sees nothing new.
    await waitFor('example.com signs', () => {
      onHost(lab, 'systemctl start mailhost-sign.service');
      return !onHost(lab, 'ls /srv/mailhost/unsigned').includes('example.com');
    });
    expect(await verdict('after')).toBe(`pass s${generation}, dmarc pass`);
    await expectAllVerified([`s${generation}`]);
  });

  it('cannot be made anew by force', async () => {
    const path = 'mailhost:index:MailHost$mailhost:index:Dkim$tls:index/privateKey:PrivateKey';
    const urn = `urn:pulumi:dev::mailhost::${path}::mail-example.org-s${generation}`;
    await withExport(async () => {
      for (const options of [['--replace', urn], []]) {
        const forced = await stack.run(['up', '--yes', '--skip-preview', ...options]);
        expect(forced.status, forced.output).not.toBe(0);
        expect(forced.output).toContain(`s${generation} of example.org was made anew`);
      }
    });
    expect(Object.keys(changes(await up()))).toEqual(['unchanged']);
    await stack.set('mailhost:protect', 'true');
    await up();
    const { status, output } = await stack.run(['preview', '--replace', urn]);
    expect(status, output).not.toBe(0);
    expect(output).toContain('protect');
  });
});

it('the TLS key is rotated to one that others have been told of', async () => {
  const [before, publishedBefore] = await servedAndPublished();
  expect(publishedBefore).toHaveLength(2);
  expect(publishedBefore).toContain(before);
  // What its resolver has from before the DS record it forgets in time.
  await waitFor('a sender goes by the TLSA records', () => isVerified('example.org'), 400);
  // Nobody may go by those of a host that an unsigned zone names (RFC 7672, section 2.2.1).
  expect(isVerified('example.net')).toBe(false);
  await stack.set('mailhost:tlsGeneration', '2');
  await up();
  expect(isVerified('example.org')).toBe(true);
  const [after, published] = await servedAndPublished();
  expect(after).toBe(publishedBefore.find((key) => key !== before));
  expect(published).toEqual(expect.arrayContaining([before, after]));
  await expectAllVerified([]);
});
