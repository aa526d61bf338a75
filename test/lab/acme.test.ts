import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as secure, getCACertificates, setDefaultCACertificates } from 'node:tls';
import { promisify } from 'node:util';
import { getPolicy, validateMx } from 'mailauth/lib/mta-sts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { acmeDirectory, acmeRoot, startAcme, stopAcme } from '../../lab/acme';
import { Machines, onHost } from '../../lab/machines';
import {
  readMailbox,
  sendFromRemote,
  submit,
  waitForMail,
  withImap,
  type Login,
} from '../../lab/mail';
import { addresses } from '../../lab/network';
import { passwords } from '../../lab/proof';
import { labResolver } from '../../lab/remote/resolver';
import type { StackOutputs } from '../../lab/stack';
import { waitFor, type Lab } from '../../lab/state';
import { hex, hostName, ports, serialAt, serialsAt } from './certificate';
import { changes, endLab, startLab, TestStack } from './testLab';

const name = 'acme';
/** Set for the long form, which takes about half an hour. */
const long = process.env.MAILHOST_LONG !== undefined;
const renewals = long ? 30 : 5;
const timeout = long ? 3_600_000 : 900_000;
let lab: Lab;
let stack: TestStack;
let outputs: StackOutputs;
let root: string;

const run = promisify(execFile);

const server = () => ({ address: outputs.ipv4, ca: root });
const serial = (port: number, protocol?: string, served?: string) =>
  serialAt(server(), port, protocol, served);
const serials = () => serialsAt(server());

/** The start of a session, up to where TLS stands with a certificate for the host. */
async function handshake(port: number, protocol?: string): Promise<void> {
  const socket = connect({ host: outputs.ipv4, port });
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
    const secured = secure({ socket, servername: hostName, ca: readFileSync(root) });
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
async function servedAndAnnounced(): Promise<[string, string[]]> {
  const served = onHost(
    lab,
    'openssl x509 -in /etc/ssl/mailhost/fullchain.pem -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum',
  );
  const records = await ask<{ data: ArrayBuffer }>(`_25._tcp.${hostName}`, 'TLSA');
  return [served.slice(0, 64), records.map(({ data }) => Buffer.from(data).toString('hex'))];
}

const ask = <T>(of: string, type: string) =>
  labResolver(addresses.resolver.v4)(of, type) as Promise<T[]>;

/** As the timer does it. */
const renew = (...certificates: string[]) =>
  onHost(lab, `mailhost renew ${certificates.join(' ')}`);

const trustRoot = async () => {
  root = join(lab.dir, 'acme-root.pem');
  writeFileSync(root, await acmeRoot(lab));
};

const login = (): Login => ({
  host: outputs.ipv4,
  hostName,
  ca: readFileSync(root, 'utf8'),
  user: 'anna@example.org',
  password: passwords['anna@example.org'],
});

const up = async () => {
  const { status, output } = await stack.up();
  expect(status, output).toBe(0);
  return output;
};

/** From a CA whose certificates are good for so many seconds. */
const anotherCa = async (lifetime: number) => {
  await startAcme(lab, { lifetime });
  onHost(lab, 'rm -r /srv/mailhost/acme/accounts');
  renew(hostName);
  await trustRoot();
};

beforeAll(async () => {
  lab = startLab(name);
  stack = new TestStack(lab);
  await stack.select();
  await stack.set('mailhost:tls.issuer', 'acme', '--path');
  await stack.set('mailhost:tls.directory', acmeDirectory, '--path');
  await stack.set('mailhost:tls.acceptTerms', 'true', '--path');
  // For the mail that flows.
  await stack.set('mailhost:messagesPerHour', '100000');
  await stack.set('mailhost:recipientsPerDay', '100000');
  // It takes its time, too.
  await startAcme(lab, { refused: ['mta-sts.example.net'], delay: 3 });
});
afterAll(() => endLab(name));

describe('certificates of a public CA', () => {
  it('are there after the first up, on every port, but for a domain that the CA refuses', async () => {
    await up();
    outputs = stack.outputs();
    await trustRoot();
    expect(await serials()).toEqual([expect.stringMatching(hex)]);
    for (const label of ['autoconfig', 'autodiscover', 'mta-sts']) {
      expect(await serial(443, undefined, `${label}.example.org`)).toMatch(hex);
    }
    const account = onHost(lab, 'find /srv/mailhost/acme/accounts -name regr.json -exec cat {} +');
    const { uri } = JSON.parse(account) as { uri: string };
    const issuers = await ask<{ issue?: string }>(hostName, 'CAA');
    expect(issuers.map(({ issue = '' }) => issue).join('\n')).toContain(
      `; accounturi=${uri}; validationmethods=http-01`,
    );
    expect(outputs.nextSteps).not.toMatch(/to trust|CAA/);
    expect(outputs.nextSteps).toMatch(
      /example\.net has no certificate of the CA yet, and is served with the stack's own: .*mta-sts\.example\.net/,
    );
    expect(changes(await up())).toEqual({ unchanged: expect.any(Number) as number });
    // CAA and the policy's id among them; that a zone waits for its DS record at the parent is another thing.
    const refreshed = await stack.run(['preview', '--refresh']);
    expect(refreshed.status, refreshed.output).toBe(0);
    expect(refreshed.output).not.toMatch(/DnsRecord .*\[diff/);
  });

  it('stay as they are where the CA has lost the account, and come again with a new one', async () => {
    const before = await serials();
    await startAcme(lab);
    expect(renew('example.net')).toMatch(/example\.net .*[Aa]ccount .*not found/);
    expect(await serials()).toEqual(before);
    onHost(lab, 'rm -r /srv/mailhost/acme/accounts');
    renew(hostName, 'example.org', 'example.net');
    await trustRoot();
    expect(await serials()).toEqual([expect.stringMatching(hex)]);
    expect(await serial(443, undefined, 'mta-sts.example.net')).toMatch(hex);
    expect(onHost(lab, 'mailhost renew')).toBe('');
  });

  it('are asked for only where all names lead here', () => {
    const own = 'unbound-control local_data';
    onHost(lab, `${own} autodiscover.example.net A 192.0.2.1`);
    expect(renew('example.net')).toContain(
      'autodiscover.example.net has the address 192.0.2.1, which is not this host',
    );
    onHost(lab, `${own}_remove autodiscover.example.net`);
    expect(onHost(lab, 'mailhost renew')).toBe('');
  });

  it('let other systems have the policy for TLS', async () => {
    setDefaultCACertificates([...getCACertificates('default'), readFileSync(root, 'utf8')]);
    const resolver = labResolver(addresses.resolver.v4);
    const found = await getPolicy('example.org', undefined, { resolver, strict: true });
    expect(found).toMatchObject({ status: 'found', policy: { mode: 'testing' } });
    expect(validateMx(hostName, found.policy).valid).toBe(true);
    expect(validateMx('mail.remote.example', found.policy).valid).toBe(false);
  });

  it('meet what testssl.sh asks of every port', async () => {
    // One port of each daemon more closely: the others of it have the same settings.
    const options = (port: number) => {
      if (long) return [];
      return [25, 993, 443].includes(port)
        ? ['--protocols', '--std', ...(port === 993 ? ['--server-defaults'] : [])]
        : ['--protocols'];
    };
    const services = join(lab.dir, 'services/root');
    writeFileSync(join(services, 'tmp/acme-root.pem'), readFileSync(root));
    const findings = await Promise.all(
      ports.map(async ([port, protocol]) => {
        const file = `tmp/testssl-${port}.json`;
        rmSync(join(services, file), { force: true });
        await run(
          'ip',
          [
            ...['netns', 'exec', 'remote', 'chroot', services, 'testssl'],
            ...['--quiet', '--warnings', 'off', '--nodns', 'none', '--ip', outputs.ipv4],
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

  it('stay as they are where the answer to the CA is wrong', async () => {
    const before = await serials();
    onHost(
      lab,
      "sed -i 's|root /var/www/html;|root /var/www/none;|' /etc/nginx/nginx.conf && systemctl reload nginx",
    );
    const output = renew(hostName);
    onHost(
      lab,
      "sed -i 's|root /var/www/none;|root /var/www/html;|' /etc/nginx/nginx.conf && systemctl reload nginx",
    );
    expect(output).toMatch(
      /WARNING: the certificate of mail\.example\.org ends on .*, and its renewal fails: .*unauthorized/,
    );
    expect(await serials()).toEqual(before);
  });

  it('stay as they are where the clock of the host is wrong', async () => {
    const before = await serials();
    onHost(
      lab,
      'apt-get install --yes --quiet --no-install-recommends libfaketime >/dev/null 2>&1',
    );
    const output = onHost(
      lab,
      `LD_PRELOAD=/usr/lib/$(uname -m)-linux-gnu/faketime/libfaketime.so.1 FAKETIME=-3d mailhost renew ${hostName}`,
    );
    expect(output).toMatch(/its renewal fails: .*(not yet valid|clock)/);
    expect(await serials()).toEqual(before);
  });

  it('stay as they are where the disk is full, and are served once there is room', async () => {
    const before = await serials();
    const folder = '/etc/ssl/mailhost';
    onHost(
      lab,
      `cp -a ${folder} /run/kept && mount -t tmpfs -o size=128k lab ${folder} && cp -a /run/kept/. ${folder} &&
       { dd if=/dev/zero of=${folder}/full bs=4k 2>/dev/null || true; }`,
    );
    const full = renew(hostName);
    const halfWritten = onHost(lab, `find ${folder} -name '*-new'`);
    onHost(lab, `umount ${folder} && rm -r /run/kept /srv/mailhost/acme/state.json`);
    expect(full).toMatch(/its renewal fails: .*No space left on device/);
    expect(halfWritten).toBe('');
    expect(await serials()).toEqual(before);
    const output = renew();
    // No other one is asked for.
    expect(output).not.toContain('the CA has issued');
    expect(await serials()).not.toEqual(before);
  });

  it('stay as they are where the CA is down, and the postmaster is told, once', async () => {
    const before = await serials();
    await stopAcme(lab);
    expect(renew(hostName)).toMatch(/its renewal fails: .*(refused|Errno 111|Connection)/);
    // As if it had been so for two days.
    const edit = `import json; p = "/srv/mailhost/acme/state.json"; s = json.load(open(p))
for e in s.values(): e["since"] -= 2 * 86400
json.dump(s, open(p, "w"))`;
    onHost(lab, `python3 -c '${edit}'`);
    renew();
    renew();
    expect(await serials()).toEqual(before);
    const subject = `Certificates of ${hostName}`;
    const notice = await waitForMail(login(), subject);
    expect(notice.text).toMatch(/its renewal fails/);
    await waitFor('the queue is empty', () => onHost(lab, 'smtpctl show queue') === '');
    const notices = (await readMailbox(login())).filter((mail) => mail.subject === subject);
    expect(notices).toHaveLength(1);
  });

  it('are renewed by the timer', async () => {
    await anotherCa(45);
    const [before] = await serials();
    const [key] = await servedAndAnnounced();
    onHost(
      lab,
      `mkdir -p /run/systemd/system/mailhost-renew.timer.d
       printf '[Timer]\\nOnCalendar=\\nOnCalendar=*:*:0/2\\nRandomizedDelaySec=0\\nAccuracySec=100ms\\n' >/run/systemd/system/mailhost-renew.timer.d/often.conf
       systemctl daemon-reload && systemctl restart mailhost-renew.timer`,
    );
    await waitFor('the next certificate is served', async () => {
      // In the moment of a restart a port refuses.
      const [now, ...others] = await serials().catch(() => [before]);
      return others.length === 0 && now !== before;
    });
    expect(await servedAndAnnounced()).toEqual([key, expect.arrayContaining([key])]);
    onHost(
      lab,
      'rm -r /run/systemd/system/mailhost-renew.timer.d && systemctl daemon-reload && systemctl restart mailhost-renew.timer',
    );
  });

  it('change under the mail that flows, and nobody loses any', { timeout }, async () => {
    await anotherCa(600);
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
    const bert = { ...login(), user: 'bert@example.net', password: passwords['bert@example.net'] };
    const delivered = () =>
      Number(onHost(lab, `doveadm mailbox status -u ${bert.user} messages INBOX | cut -d= -f2`));
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
        submit(login(), port, { ...message, from: 'anna@example.org', subject }),
      );
    const clients = [
      client('mail by 465', cutOff, submission(465)),
      client('mail by 587', cutOff, submission(587)),
      client(
        'mail by 25',
        cutOff,
        sender(25, (subject) =>
          sendFromRemote(lab, { ...message, from: 'carol@remote.example', subject }),
        ),
      ),
      client('mailbox', /Unexpected close|NoConnection|ECONNRE/, () =>
        withImap(login(), (imap) => imap.noop()),
      ),
      ...ports.map(([port, protocol]) =>
        client(`handshake on ${port}`, /no connection/, () => handshake(port, protocol)),
      ),
    ];
    const times: number[] = [];
    const host = new Machines(lab);
    for (let i = 0; i < renewals; i++) {
      const before = await serials();
      const start = Date.now();
      const [command, ...words] = host.command(host.ids()[0]!, ['mailhost', 'renew', hostName]);
      const { stdout } = await run(command!, words);
      times.push((Date.now() - start) / 1000);
      expect(stdout).toContain('the CA has issued');
      const after = await serials();
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
    await waitFor(
      `${sent.length} messages are in the mailbox, and none in the queue`,
      () => {
        const queue = onHost(lab, 'smtpctl show queue');
        // What met a daemon that was just restarting would be tried again minutes later.
        if (queue !== '' && !queue.includes('|inflight|')) onHost(lab, 'smtpctl schedule all');
        return queue === '' && delivered() >= sent.length;
      },
      300,
    );
    expect(onHost(lab, 'journalctl --unit opensmtpd --output cat | grep PermFail || true')).toBe(
      '',
    );
    const received = (await readMailbox(bert)).map(({ subject }) => subject);
    expect([...new Set(received)].sort()).toEqual(sent.sort());
    // A client that is cut off before it hears that its message was taken sends it again.
    const retried = Object.values(met).map((count) => count.retried);
    expect(received.length - sent.length).toBeLessThanOrEqual(retried.reduce((a, b) => a + b));
  });

  it('are for keys that TLSA records name, also where the CA is down for two rotations', async () => {
    await anotherCa(86400);
    const before = await serials();
    const [key, announced] = await servedAndAnnounced();
    await stopAcme(lab);
    await stack.set('mailhost:tlsGeneration', '2');
    expect(await up()).toMatch(/its renewal fails/);
    expect(await serials()).toEqual(before);
    await stack.set('mailhost:tlsGeneration', '3');
    const { status, output } = await stack.up();
    expect(status).not.toBe(0);
    expect(output).toContain('removes the TLSA record of the key that is still served');
    expect(await serials()).toEqual(before);
    expect((await servedAndAnnounced())[1]).toContain(key);

    await stack.set('mailhost:tlsGeneration', '2');
    await up();
    await anotherCa(86400);
    const [next] = await servedAndAnnounced();
    expect(announced.filter((other) => other !== key)).toEqual([next]);
    expect(await serials()).toEqual([expect.stringMatching(hex)]);
  });

  it('come for a domain that is added, while all others stay', async () => {
    const others = () =>
      onHost(lab, 'cd /etc/ssl/mailhost; sha256sum *.pem example.org/* example.net/*');
    const before = others();
    await stack.set('mailhost:domains[2].name', 'example.com', '--path');
    await stack.set('mailhost:accounts[0].aliases[1]', 'anna@example.com', '--path');
    await up();
    expect(await serial(443, undefined, 'mta-sts.example.com')).toMatch(hex);
    expect(others()).toBe(before);
  });

  it('give way to those of another issuer by an ordinary change', async () => {
    await stack.set('mailhost:tls.issuer', 'selfSigned', '--path');
    await stack.set('mailhost:confirm[0]', 'drop MTA-STS', '--path');
    await up();
    outputs = stack.outputs();
    writeFileSync(root, outputs.caCertPem);
    expect(await serials()).toEqual([expect.stringMatching(hex)]);
    expect(onHost(lab, 'find /etc/ssl/mailhost /etc/nginx/sites -type f | sort')).toBe(
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
