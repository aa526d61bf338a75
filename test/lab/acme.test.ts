import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { acmeDirectory, acmeRoot, startAcme, stopAcme } from '../../lab/acme';
import { Machines, onHost } from '../../lab/machines';
import { readMailbox, submit, waitForMail, withImap, type Login } from '../../lab/mail';
import { namespaceOf } from '../../lab/network';
import { passwords } from '../../lab/proof';
import type { StackOutputs } from '../../lab/stack';
import { waitFor, type Lab } from '../../lab/state';
import { changes, endLab, startLab, TestStack } from './testLab';

const name = 'acme';
const hostName = 'mail.example.org';
/** Set for the long form, which takes about half an hour. */
const long = process.env.MAILHOST_LONG !== undefined;
const renewals = long ? 30 : 5;
let lab: Lab;
let stack: TestStack;
let outputs: StackOutputs;
let root: string;

const run = promisify(execFile);
const hex = /^[0-9A-F]+$/;

/** Ports with what makes them speak TLS. */
const ports = [[25, 'smtp'], [465], [587, 'smtp'], [993], [4190, 'sieve'], [443]] as const;

/**
 * The serial number that a port serves from outside.
 *
 * @throws Error where a client that trusts the CA would not go on: with `refused`, where it came to no certificate at all
 */
async function serial(port: number, protocol?: string, served = hostName): Promise<string> {
  const starttls = protocol ? ['-starttls', protocol] : [];
  const client = run(
    'openssl',
    [
      ...['s_client', '-connect', `${outputs.ipv4}:${port}`, ...starttls, '-servername', served],
      ...['-verify_hostname', served, '-CAfile', root, '-verify_return_error'],
    ],
    { timeout: 30_000 },
  );
  client.child.stdin!.end();
  const { stdout, stderr } = await client.catch(
    (error: unknown) => error as { stdout: string; stderr: string },
  );
  const [pem] = /-----BEGIN CERTIFICATE-----[^]+?-----END CERTIFICATE-----/.exec(stdout) ?? [];
  const [wrong] = /verify error:.*/.exec(stdout + stderr) ?? [];
  if (wrong !== undefined) throw new Error(`port ${port}: certificate: ${wrong}`);
  if (pem === undefined)
    throw Object.assign(new Error(`port ${port}: ${stderr}`), { code: 'ECONNREFUSED' });
  return new X509Certificate(pem).serialNumber;
}

const serials = async () => [
  ...new Set(await Promise.all(ports.map(([port, protocol]) => serial(port, protocol)))),
];

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
  await startAcme(lab, { refused: ['mta-sts.example.net'] });
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
    expect(outputs.nextSteps).not.toContain('to trust');
    expect(outputs.nextSteps).toMatch(
      /example\.net has no certificate of the CA yet, and is served with the stack's own: .*mta-sts\.example\.net/,
    );
    expect(changes(await up())).toEqual({ unchanged: expect.any(Number) as number });
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

  it('meet what testssl.sh asks of every port', async () => {
    // One port of each daemon more closely: the others of it have the same settings.
    const options = (port: number) => {
      if (long) return [];
      return [25, 993, 443].includes(port)
        ? ['--protocols', '--std', ...(port === 993 ? ['--server-defaults'] : [])]
        : ['--protocols'];
    };
    const services = join(lab.dir, 'services/root');
    const findings = await Promise.all(
      ports.map(async ([port, protocol]) => {
        const file = `tmp/testssl-${port}.json`;
        await run(
          'ip',
          [
            ...['netns', 'exec', namespaceOf(lab, 'remote'), 'chroot', services, 'testssl'],
            ...['--quiet', '--warnings', 'off', '--nodns', 'none', '--ip', outputs.ipv4],
            ...[
              '--jsonfile',
              `/${file}`,
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
          .filter(({ severity }) => ['MEDIUM', 'HIGH', 'CRITICAL', 'FATAL'].includes(severity))
          .filter(({ id }) => !(id.split(' ')[0]! in accepted))
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
    expect(renew(hostName)).toMatch(/its renewal fails: .*No space left on device/);
    expect(await serials()).toEqual(before);
    expect(onHost(lab, `find ${folder} -name '*-new'`)).toBe('');
    onHost(lab, `rm ${folder}/full /srv/mailhost/acme/state.json`);
    const output = renew();
    // No other one is asked for.
    expect(output).not.toContain('the CA has issued');
    expect(await serials()).not.toEqual(before);
    onHost(lab, `cp -a ${folder}/. /run/kept && umount ${folder} && cp -a /run/kept/. ${folder}`);
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
    onHost(
      lab,
      'rm -r /run/systemd/system/mailhost-renew.timer.d && systemctl daemon-reload && systemctl restart mailhost-renew.timer',
    );
  });

  it('change under the mail that flows, and nobody loses any', async () => {
    await anotherCa(600);
    let flows = true;
    /** What clients met, by what it was. */
    const met: Record<string, number> = { ok: 0 };
    const count = (what: string) => (met[what] = (met[what] ?? 0) + 1);
    const sent: string[] = [];
    /** A client that tries again where the connection did not come about. */
    const client = async (work: () => Promise<unknown>) => {
      for (; flows; await sleep(300)) {
        try {
          await work();
          count('ok');
        } catch (error) {
          const { code, message } = error as NodeJS.ErrnoException;
          const temporary = [
            'ECONNREFUSED',
            'ECONNRESET',
            'ESOCKET',
            'ECONNECTION',
            'NoConnection',
          ];
          const isCertificate = /certificate|self-signed|issuer|altname|expired/i.test(message);
          count(
            temporary.includes(code ?? '') && !isCertificate ? 'retried' : `${code} ${message}`,
          );
        }
      }
    };
    const submission = (port: 465 | 587) => async () => {
      const subject = `flow ${port} ${sent.length}`;
      await submit(login(), port, {
        ...{ from: 'anna@example.org', to: 'bert@example.net', subject, text: 'x' },
      });
      sent.push(subject);
    };
    const clients = [
      client(submission(465)),
      client(submission(587)),
      client(() => withImap(login(), (imap) => imap.noop())),
      ...ports
        .filter(([port]) => [25, 4190, 443].includes(port))
        .map(([port, protocol]) => client(() => serial(port, protocol))),
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
    await Promise.all(clients);
    process.stdout.write(
      `${renewals} renewals, each served everywhere after ${times.map((t) => t.toFixed(1)).join(', ')} s; clients met ${JSON.stringify(met)}\n`,
    );
    expect(Object.keys(met).filter((what) => !['ok', 'retried'].includes(what))).toEqual([]);
    expect(sent.length).toBeGreaterThan(renewals);
    const bert = { ...login(), user: 'bert@example.net', password: passwords['bert@example.net'] };
    await waitForMail(bert, sent.at(-1)!);
    await waitFor('the queue is empty', () => onHost(lab, 'smtpctl show queue') === '');
    const received = (await readMailbox(bert)).map(({ subject }) => subject);
    expect([...new Set(received)].sort()).toEqual(sent.sort());
    // A client that is cut off before it hears that its message was taken sends it again.
    expect(received.length - sent.length).toBeLessThanOrEqual(met.retried ?? 0);
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
const accepted: Record<string, string> = {
  cert_chain_of_trust: "the lab's CA is no public one",
  cert_trust: "the lab's CA is no public one",
  cert_revocation: "the lab's CA publishes no list; Let's Encrypt does, and has no OCSP since 2025",
  overall_grade: 'T, because the CA is no public one',
};
