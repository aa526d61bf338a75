import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as secure, getCACertificates, setDefaultCACertificates } from 'node:tls';
import { promisify } from 'node:util';
import { getPolicy, validateMx } from 'mailauth/lib/mta-sts';
import { describe, expect } from 'vitest';
import { acmeDirectory, acmeRoot, startAcme, stopAcme } from '../../lab/acme';
import { Machines } from '../../lab/machines';
import { readMailbox, submit, waitForMail, withImap, type Login } from '../../lab/mail';
import { addresses } from '../../lab/network';
import type { passwords } from '../../lab/proof';
import { labResolver } from '../../lab/remote/resolver';
import { waitFor } from '../../lab/state';
import { hex, hostName, ports, serialAt, serialsAt, type TlsServer } from './certificate';
import { Host, hostTest } from './hosts';
import { changes, step } from './testLab';

const settings = {
  'tls.issuer': 'acme',
  'tls.directory': acmeDirectory,
  'tls.acceptTerms': 'true',
  // For the mail that flows.
  messagesPerHour: '100000',
  recipientsPerDay: '100000',
};
const it = hostTest(settings);

/** Set for the long form, which takes about half an hour. */
const long = process.env.MAILHOST_LONG !== undefined;
const renewals = long ? 30 : 5;
const timeout = (long ? 6 : 1) * 3_600_000;

const run = promisify(execFile);

/** File with the root of the CA, which is another one each time that the CA starts. */
const rootOf = ({ lab }: Host) => join(lab.dir, 'acme-root.pem');

const trustRoot = async (host: Host) => writeFileSync(rootOf(host), await acmeRoot(host.lab));

const server = (host: Host): TlsServer => ({ address: host.outputs.ipv4, ca: rootOf(host) });
const serial = (host: Host, port: number, protocol?: string, served?: string) =>
  serialAt(server(host), port, protocol, served);
const serials = (host: Host) => serialsAt(server(host));

/** As the timer does it. */
const renew = (host: Host, ...certificates: string[]) =>
  host.shell(`mailhost renew ${certificates.join(' ')}`);

/** As an operator who asks for a certificate and is told by the exit status that it was not served. */
const failedRenewal = (host: Host, certificate: string) =>
  host.shell(`! mailhost renew ${certificate} 2>&1`);

const forgetAccount = (host: Host) => host.shell('rm -r /srv/mailhost/acme/accounts');

/**
 * Makes the host serve a certificate of the CA that runs now on all ports, for its own name.
 *
 * The CA that a kept host has its certificates of is gone, and with it the root that they lead to.
 */
async function certify(host: Host): Promise<void> {
  forgetAccount(host);
  expect(renew(host, hostName)).toContain('the CA has issued');
  await trustRoot(host);
}

/** As `certify`, once for the host that tests share. */
const certified = async (host: Host) => {
  if (!existsSync(rootOf(host))) await certify(host);
};

/** From a CA whose certificates are good for so many seconds. */
async function anotherCa(host: Host, lifetime: number): Promise<void> {
  await startAcme(host.lab, { lifetime });
  await certify(host);
}

/** The start of a session, up to where TLS stands with a certificate for the host. */
async function handshake(at: TlsServer, port: number, protocol?: string): Promise<void> {
  const socket = connect({ host: at.address, port });
  try {
    await until(socket, once(socket, 'connect'));
    if (protocol === 'smtp') {
      await answer(socket, /^220 /m);
      socket.write('EHLO client.example\r\n');
      await answer(socket, /^250 /m);
      socket.write('STARTTLS\r\n');
      await answer(socket, /^220 /m);
    } else if (protocol === 'sieve') {
      await answer(socket, /^OK/m);
      socket.write('STARTTLS\r\n');
      await answer(socket, /^OK/m);
    }
    const secured = secure({ socket, servername: hostName, ca: readFileSync(at.ca) });
    await once(secured, 'secureConnect');
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    // Refused, or reset before the server has said a word; Node's own words for one that was closed name no system call.
    // That is what one meets on 465 that OpenSMTPD takes just before it restarts; the other daemons there only reload.
    const noConnection =
      ['ECONNREFUSED', 'ECONNRESET'].includes(code!) &&
      (syscall !== undefined || port === 465) &&
      socket.bytesRead === 0;
    throw noConnection ? new Error('no connection', { cause: error }) : error;
  } finally {
    socket.destroy();
  }
}

async function answer(socket: Socket, last: RegExp): Promise<void> {
  for (let text = ''; !last.test(text);) {
    const [chunk] = (await until(socket, once(socket, 'data'))) as [Buffer];
    text += chunk.toString();
    if (/^(4|5)\d\d[ -]|^(NO|BYE)\b/m.test(text)) throw new Error(text);
  }
}

const until = <T>(socket: Socket, event: Promise<T>): Promise<T> =>
  Promise.race([
    event,
    once(socket, 'close').then(() => Promise.reject(new Error('closed by the server'))),
  ]);

/** SHA-256 of the public key that the host serves, and those that TLSA records name. */
async function servedAndAnnounced(host: Host): Promise<[string, string[]]> {
  const served = host.shell(
    'openssl x509 -in /etc/ssl/mailhost/fullchain.pem -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum',
  );
  const records = await ask<{ data: ArrayBuffer }>(`_25._tcp.${hostName}`, 'TLSA');
  return [served.slice(0, 64), records.map(({ data }) => Buffer.from(data).toString('hex'))];
}

const ask = <T>(of: string, type: string) =>
  labResolver(addresses.resolver.v4)(of, type) as Promise<T[]>;

const login = (host: Host, user: keyof typeof passwords = 'anna@example.org'): Login => ({
  ...host.login(user),
  ca: readFileSync(rootOf(host), 'utf8'),
});

describe('certificates of a public CA', () => {
  it('are there after the first up, on every port, but for a domain that the CA refuses', async ({
    freshLab,
  }) => {
    const host = new Host(freshLab.lab);
    // It takes its time, too.
    await startAcme(host.lab, { refused: ['mta-sts.example.net'], delay: 3 });
    await host.up(settings);
    await trustRoot(host);
    expect(await serials(host)).toEqual([expect.stringMatching(hex)]);
    for (const label of ['autoconfig', 'autodiscover', 'mta-sts']) {
      expect(await serial(host, 443, undefined, `${label}.example.org`)).toMatch(hex);
    }
    const account = host.shell('find /srv/mailhost/acme/accounts -name regr.json -exec cat {} +');
    const { uri } = JSON.parse(account) as { uri: string };
    const issuers = await ask<{ issue?: string }>(hostName, 'CAA');
    expect(issuers.map(({ issue = '' }) => issue).join('\n')).toContain(
      `; accounturi=${uri}; validationmethods=http-01`,
    );
    expect(host.outputs.nextSteps).not.toMatch(/to trust|CAA/);
    expect(host.outputs.nextSteps).toMatch(
      /example\.net has no certificate of the CA yet, and is served with the stack's own: .*mta-sts\.example\.net/,
    );
    expect(changes(await host.up())).toEqual({ unchanged: expect.any(Number) as number });
    // CAA and the policy's id among them; that a zone waits for its DS record at the parent is another thing.
    const refreshed = await host.stack.run(['preview', '--refresh']);
    expect(refreshed.status, refreshed.output).toBe(0);
    expect(refreshed.output).not.toMatch(/DnsRecord .*\[diff/);
  });

  it('stay as they are where the CA has lost the account, and come again with a new one', async ({
    freshHost: host,
  }) => {
    await certify(host);
    const before = await serials(host);
    await startAcme(host.lab);
    expect(failedRenewal(host, 'example.net')).toMatch(/example\.net .*[Aa]ccount .*not found/);
    expect(await serials(host)).toEqual(before);
    forgetAccount(host);
    renew(host, hostName, 'example.org', 'example.net');
    await trustRoot(host);
    expect(await serials(host)).toEqual([expect.stringMatching(hex)]);
    expect(await serial(host, 443, undefined, 'mta-sts.example.net')).toMatch(hex);
    expect(host.shell('mailhost renew')).toBe('');
  });

  it('are asked for only where all names lead here', ({ host }) => {
    const own = 'unbound-control local_data';
    host.shell(`${own} autodiscover.example.net A 192.0.2.1`);
    expect(failedRenewal(host, 'example.net')).toContain(
      'autodiscover.example.net has the address 192.0.2.1, which is not this host',
    );
    host.shell(`${own}_remove autodiscover.example.net`);
    expect(host.shell('mailhost renew')).toBe('');
  });

  it('let other systems have the policy for TLS', async ({ host }) => {
    await certified(host);
    expect(renew(host, 'example.org')).toContain('the CA has issued');
    const usual = getCACertificates('default');
    setDefaultCACertificates([...usual, readFileSync(rootOf(host), 'utf8')]);
    const resolver = labResolver(addresses.resolver.v4);
    const found = await getPolicy('example.org', undefined, { resolver, strict: true });
    setDefaultCACertificates(usual);
    expect(found).toMatchObject({ status: 'found', policy: { mode: 'testing' } });
    expect(validateMx(hostName, found.policy).valid).toBe(true);
    expect(validateMx('mail.remote.example', found.policy).valid).toBe(false);
  });

  it('meet what testssl.sh asks of every port', async ({ host }) => {
    await certified(host);
    // One port of each daemon more closely: the others of it have the same settings.
    const options = (port: number) => {
      if (long) return [];
      return [25, 993, 443].includes(port)
        ? ['--protocols', '--std', ...(port === 993 ? ['--server-defaults'] : [])]
        : ['--protocols'];
    };
    const services = join(host.lab.dir, 'services/root');
    writeFileSync(join(services, 'tmp/acme-root.pem'), readFileSync(rootOf(host)));
    const findings = await Promise.all(
      ports.map(async ([port, protocol]) => {
        const file = `tmp/testssl-${port}.json`;
        rmSync(join(services, file), { force: true });
        await run(
          'ip',
          [
            ...['netns', 'exec', 'remote', 'chroot', services, 'testssl'],
            ...['--quiet', '--warnings', 'off', '--nodns', 'none', '--ip', host.outputs.ipv4],
            ...[
              '--jsonfile',
              `/${file}`,
              ...['--add-ca', '/tmp/acme-root.pem'],
              ...options(port),
              ...(protocol ? ['--starttls', protocol] : []),
            ],
            `${hostName}:${port}`,
          ],
          { maxBuffer: 64 << 20 },
          // Its exit status counts findings.
        ).catch(() => undefined);
        const found = JSON.parse(readFileSync(join(services, file), 'utf8')) as Finding[];
        // It has looked.
        expect(found.find(({ id }) => id === 'TLS1_3')?.severity).toBe('OK');
        return found
          .filter(({ severity }) => !['DEBUG', 'INFO', 'OK', 'LOW'].includes(severity))
          .filter(({ id }) => !accepted.some((one) => one.ports.includes(port) && one.id === id))
          .map(({ id, severity, finding }) => `${port} ${severity} ${id}: ${finding}`);
      }),
    );
    expect(findings.flat()).toEqual([]);
  });

  it('stay as they are where the answer to the CA is wrong', async ({ host }) => {
    await certified(host);
    const before = await serials(host);
    host.shell(
      "sed -i 's|root /var/www/html;|root /var/www/none;|' /etc/nginx/nginx.conf && systemctl reload nginx",
    );
    const output = failedRenewal(host, hostName);
    host.shell(
      "sed -i 's|root /var/www/none;|root /var/www/html;|' /etc/nginx/nginx.conf && systemctl reload nginx",
    );
    expect(output).toMatch(
      /WARNING: the certificate of mail\.example\.org ends on .*, and its renewal fails: .*unauthorized/,
    );
    expect(await serials(host)).toEqual(before);
    expect(renew(host, hostName)).toContain('the CA has issued');
  });

  it('stay as they are where the clock of the host is wrong', async ({ host }) => {
    await certified(host);
    const before = await serials(host);
    const output = host.shell(
      `mkdir /run/faketime; cd /run/faketime; apt-get download --quiet libfaketime >/dev/null 2>&1; dpkg --extract *.deb .
       LD_PRELOAD=$(echo $PWD/usr/lib/*/faketime/libfaketime.so.1) FAKETIME=-3d mailhost renew ${hostName}; rm -r /run/faketime`,
    );
    expect(output).toMatch(/its renewal fails: .*(not yet valid|clock)/);
    expect(await serials(host)).toEqual(before);
    expect(renew(host, hostName)).toContain('the CA has issued');
  });

  it('stay as they are where the disk is full, and are served once there is room', async ({
    host,
  }) => {
    await certified(host);
    const before = await serials(host);
    const folder = '/etc/ssl/mailhost';
    host.shell(
      `cp -a ${folder} /run/kept && mount -t tmpfs -o size=128k lab ${folder} && cp -a /run/kept/. ${folder} &&
       { dd if=/dev/zero of=${folder}/full bs=4k 2>/dev/null || true; }`,
    );
    const full = failedRenewal(host, hostName);
    const halfWritten = host.shell(`find ${folder} -name '*-new'`);
    host.shell(`umount ${folder} && rm -r /run/kept /srv/mailhost/acme/state.json`);
    expect(full).toMatch(/its renewal fails: .*No space left on device/);
    expect(halfWritten).toBe('');
    expect(await serials(host)).toEqual(before);
    const output = renew(host);
    // No other one is asked for.
    expect(output).not.toContain('the CA has issued');
    expect(await serials(host)).not.toEqual(before);
  });

  it('stay as they are where the CA is down, and the postmaster is told, once', async ({
    freshHost: host,
  }) => {
    await certify(host);
    const before = await serials(host);
    await stopAcme(host.lab);
    expect(failedRenewal(host, hostName)).toMatch(
      /its renewal fails: .*(refused|Errno 111|Connection)/,
    );
    // As if it had been so for two days.
    const edit = `import json; p = "/srv/mailhost/acme/state.json"; s = json.load(open(p))
for e in s.values(): e["since"] -= 2 * 86400
json.dump(s, open(p, "w"))`;
    host.shell(`python3 -c '${edit}'`);
    renew(host);
    renew(host);
    expect(await serials(host)).toEqual(before);
    const subject = `Certificates of ${hostName}`;
    const notice = await waitForMail(login(host), subject);
    expect(notice.text).toMatch(/its renewal fails/);
    await host.queueIsEmpty();
    const notices = (await readMailbox(login(host))).filter((mail) => mail.subject === subject);
    expect(notices).toHaveLength(1);
  });

  it('are renewed by the timer', async ({ freshHost: host }) => {
    await anotherCa(host, 60);
    const [key] = await servedAndAnnounced(host);
    // The next certificate is by another root, and does not run out while it is looked at.
    await startAcme(host.lab);
    forgetAccount(host);
    await trustRoot(host);
    host.shell(
      `mkdir -p /run/systemd/system/mailhost-renew.timer.d
       printf '[Timer]\\nOnCalendar=\\nOnCalendar=*:*:0/2\\nRandomizedDelaySec=0\\nAccuracySec=100ms\\n' >/run/systemd/system/mailhost-renew.timer.d/often.conf
       systemctl daemon-reload && systemctl restart mailhost-renew.timer`,
    );
    // In the moment of a restart a port refuses.
    await waitFor('all ports serve the next certificate', () =>
      serials(host).then(
        (served) => served.length === 1,
        () => false,
      ),
    );
    expect(await servedAndAnnounced(host)).toEqual([key, expect.arrayContaining([key])]);
  });

  it(
    'change under the mail that flows, and nobody loses any',
    { timeout },
    async ({ freshHost: host }) => {
      await anotherCa(host, 86400);
      let flows = true;
      /** How often clients came through, and how often the port refused them or was closed before they were served. */
      const met: Record<string, { ok: number; retried: number }> = {};
      const failed: string[] = [];
      /** A client that tries again where `temporary` says so of what it met. */
      const client = async (name: string, temporary: RegExp, work: () => Promise<unknown>) => {
        const count = (met[name] = { ok: 0, retried: 0 });
        for (; flows; await sleep(300)) {
          try {
            await work();
            count.ok++;
          } catch (error) {
            const { code, message, command } = error as Error & { code?: string; command?: string };
            const words = [code, command, message].join(' ');
            if (temporary.test(words)) count.retried++;
            else failed.push(`${name}: ${words}`);
          }
        }
      };
      // The session that one was let in to may be ended: who sends mail sends it again. A handshake may not fail.
      const cutOff =
        /^(?!.*(certificate|self-signed|issuer|altname|expired|ETLS|STARTTLS)).*(ECONNREFUSED|ECONNRESET|ESOCKET|ECONNECTION|closed)/i;
      const at = server(host);
      const [anna, bert] = [login(host), login(host, 'bert@example.net')];
      const delivered = () =>
        Number(host.shell(`doveadm mailbox status -u ${bert.user} messages INBOX | cut -d= -f2`));
      const sent: string[] = [];
      let waiting = 0;
      const counted = (async () => {
        for (; flows; await sleep(1000)) {
          try {
            waiting = sent.length - delivered();
          } catch {
            // Dovecot is being restarted.
          }
        }
      })();
      /** However slow the machine is: what waits in the end is what it scans in a minute or two. */
      const room = async () => {
        while (flows && waiting >= 100) await sleep(300);
      };
      const sender =
        (port: number, send: (subject: string) => Promise<unknown>): (() => Promise<void>) =>
        async () => {
          await room();
          const subject = `flow ${port} ${sent.length}`;
          await send(subject);
          sent.push(subject);
        };
      const message = { to: 'bert@example.net', text: 'The minutes of the meeting on Monday.' };
      const submission = (port: 465 | 587) =>
        sender(port, (subject) =>
          submit(anna, port, { ...message, from: 'anna@example.org', subject }),
        );
      const clients = [
        client('mail by 465', cutOff, submission(465)),
        client('mail by 587', cutOff, submission(587)),
        client(
          'mail by 25',
          cutOff,
          sender(25, (subject) =>
            host.receive({ ...message, from: 'carol@remote.example', subject }),
          ),
        ),
        client('mailbox', /Unexpected close|NoConnection|ECONNRE/, () =>
          withImap(anna, (imap) => imap.noop()),
        ),
        ...ports.map(([port, protocol]) =>
          client(`handshake on ${port}`, /no connection/, () => handshake(at, port, protocol)),
        ),
      ];
      const times: number[] = [];
      const machines = new Machines(host.lab);
      for (let i = 0; i < renewals; i++) {
        const before = await serials(host);
        const start = Date.now();
        const [command, ...words] = machines.command(machines.ids()[0]!, [
          'mailhost',
          'renew',
          hostName,
        ]);
        const { stdout } = await run(command!, words);
        times.push((Date.now() - start) / 1000);
        expect(stdout).toContain('the CA has issued');
        const after = await serials(host);
        expect(after).toHaveLength(1);
        expect(after).not.toEqual(before);
      }
      flows = false;
      await Promise.all([...clients, counted]);
      process.stdout.write(
        `${renewals} renewals, each served everywhere after ${times.map((t) => t.toFixed(1)).join(', ')} s; clients met ${JSON.stringify(met)}; ${sent.length} messages\n`,
      );
      expect(failed).toEqual([]);
      for (const [client, { ok }] of Object.entries(met)) expect(ok, client).toBeGreaterThan(0);
      expect(sent.length).toBeGreaterThan(renewals);
      await waitFor(`${sent.length} messages are in the mailbox, and none in the queue`, () => {
        const queue = host.shell('smtpctl show queue');
        // What met a daemon that was just restarting would be tried again minutes later.
        if (queue !== '' && !queue.includes('|inflight|')) host.shell('smtpctl schedule all');
        return queue === '' && delivered() >= sent.length;
      });
      expect(host.shell('journalctl --unit opensmtpd --output cat | grep PermFail || true')).toBe(
        '',
      );
      const received = (await readMailbox(bert)).map(({ subject }) => subject);
      expect([...new Set(received)].sort()).toEqual(sent.sort());
      // A client that is cut off before it hears that its message was taken sends it again.
      const retried = Object.values(met).map((count) => count.retried);
      expect(received.length - sent.length).toBeLessThanOrEqual(retried.reduce((a, b) => a + b));
    },
  );

  it('are for keys that TLSA records name, also where the CA is down for two rotations', async ({
    freshHost: host,
  }) => {
    await anotherCa(host, 86400);
    const before = await serials(host);
    const [key, announced] = await servedAndAnnounced(host);
    await step('the first rotation, with the CA down', async () => {
      await stopAcme(host.lab);
      expect(await host.up({ tlsGeneration: '2' })).toMatch(/its renewal fails/);
      expect(await serials(host)).toEqual(before);
    });
    await step('the second one would be one too many', async () => {
      await host.stack.setAll({ tlsGeneration: '3' });
      const { status, output } = await host.stack.up();
      expect(status).not.toBe(0);
      expect(output).toContain('removes the TLSA record of the key that is still served');
      expect(await serials(host)).toEqual(before);
      expect((await servedAndAnnounced(host))[1]).toContain(key);
    });
    await step('the CA is back', async () => {
      await host.up({ tlsGeneration: '2' });
      await anotherCa(host, 86400);
      const [next] = await servedAndAnnounced(host);
      expect(announced.filter((other) => other !== key)).toEqual([next]);
      expect(await serials(host)).toEqual([expect.stringMatching(hex)]);
    });
  });

  it('come for a domain that is added, while all others stay', async ({ freshHost: host }) => {
    await certify(host);
    const others = () =>
      host.shell('cd /etc/ssl/mailhost; sha256sum *.pem example.org/* example.net/*');
    const before = others();
    await host.up({
      'domains[2].name': 'example.com',
      'accounts[0].aliases[1]': 'anna@example.com',
    });
    expect(await serial(host, 443, undefined, 'mta-sts.example.com')).toMatch(hex);
    expect(others()).toBe(before);
  });

  it('give way to those of another issuer by an ordinary change', async ({ freshHost: host }) => {
    await host.up({ 'tls.issuer': 'selfSigned', 'confirm[0]': 'drop MTA-STS' });
    writeFileSync(rootOf(host), host.outputs.caCertPem);
    expect(await serials(host)).toEqual([expect.stringMatching(hex)]);
    expect(host.shell('find /etc/ssl/mailhost /etc/nginx/sites -type f | sort')).toBe(
      '/etc/ssl/mailhost/fullchain.pem\n/etc/ssl/mailhost/privkey.pem\n',
    );
  });
});

interface Finding {
  id: string;
  severity: string;
  finding: string;
}

/** What testssl.sh finds and is left so. */
const accepted: { id: string; ports: number[]; reason: string }[] = [
  {
    id: 'engine_problem',
    ports: ports.map(([port]) => port),
    reason: 'the OpenSSL that asks has no GOST, and nothing here speaks it',
  },
  {
    id: 'overall_grade',
    ports: [25, 587, 4190],
    reason:
      'T on every port with STARTTLS, because the client has to insist on TLS; mail clients find 465 and 993',
  },
  {
    id: 'sessionresumption_ticket',
    ports: ports.map(([port]) => port),
    reason:
      'nginx gives no session to resume, the ticket of the others comes after the handshake, when testssl.sh may be gone; it cannot read the empty file',
  },
  {
    id: 'cert_revocation',
    ports: ports.map(([port]) => port),
    reason: "the lab's CA publishes no list; Let's Encrypt does, and has no OCSP since 2025",
  },
];
