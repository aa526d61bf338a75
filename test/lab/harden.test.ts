import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { wantedDaemons } from '../../components/daemons/catalogue';
import { serviceFiles } from '../../components/hostFiles/files';
import { secretSettings } from '../../components/settings/fields';
import { apiAccess } from '../../lab/apis';
import { hostRoot } from '../../lab/machines';
import { submit, waitForMail, waitForReceived, withImap } from '../../lab/mail';
import { addresses } from '../../lab/network';
import { selfSigned } from '../../lab/selfSigned';
import type { Result } from '../../lab/stack';
import { waitFor } from '../../lab/state';
import { exampleMail } from '../example';
import { Host, hostTest, type BareLab } from './hosts';
import { SecretSearch } from './secretSearch';
import { reachable, step, type Settings } from './testLab';

const bert = 'bert@example.net';

const smarthost = {
  'smarthost.host': 'smtp.remote.example',
  'smarthost.username': 'mailhost',
  'domains[0].spf[0]': 'ip4:192.0.2.1',
  'domains[1].spf[0]': 'ip4:192.0.2.1',
};
/** The web server has no repository, and says so at once: where nobody listens restic tries for a minute. */
const nowhere = 'rest:http://127.0.0.1/.well-known/acme-challenge/';

/** Of the smarthost that the hosts of most tests have. */
const smarthostPassword = `it's"the-same"/\\$&`;

/** A host that has all files with secrets in them. */
const it = hostTest({
  ...smarthost,
  'smarthost.password': { secret: smarthostPassword },
  'backup.repository': nowhere,
  'backup.password': { secret: 'backup-password' },
  'backup.environment.RESTIC_REST_PASSWORD': { secret: 'repository-password' },
  'domains[1].dkimGeneration': '2',
});

const random = (length: number) => randomBytes(length).toString('hex').slice(0, length);

/** What is planted, by the setting's path: a new value for every secret that the settings know, and what belongs to it. */
const fresh: Record<string, () => { secret: string; others?: Settings }> = {
  'accounts[0].passwordHash': () => ({ secret: `$6$${random(16)}$${random(86)}` }),
  'smarthost.password': () => ({ secret: `it's"${random(12)}"/\\$&` }),
  'backup.password': () => ({ secret: random(24) }),
  'backup.environment.RESTIC_REST_PASSWORD': () => ({ secret: random(24) }),
  'tls.privateKey': () => {
    const { key, cert } = selfSigned('mail.example.org');
    return { secret: key, others: { 'tls.chain': cert } };
  },
};

/** Sets secrets of a stack, and looks for them wherever they should not be. */
class Planting {
  /** All secrets that are known so far. */
  readonly known = new SecretSearch();
  /** Private keys are told by their form before they are known. */
  readonly search = new SecretSearch({ 'a private key': 'PRIVATE KEY-----' });
  /** Secrets that arguments or variables of a process had. */
  readonly shown = new Set<string>();
  readonly engineOutput: string[] = [];

  constructor(private readonly stack: BareLab['stack']) {}

  learn(secrets: Record<string, string>): void {
    this.known.add(secrets);
    this.search.add(secrets);
  }

  /** Runs the engine while all processes are watched. */
  async watched(...args: string[]): Promise<Result> {
    const end = this.search.watch();
    const result = await this.stack.run(args);
    for (const place of end()) this.shown.add(place);
    this.engineOutput.push(result.output);
    return result;
  }

  up(): Promise<Result> {
    return this.watched('up', '--yes', '--skip-preview', '--diff', '--show-full-output');
  }

  /** Sets a new value for each of these secrets, and other settings. */
  async plant(secrets: string[], others: Settings = {}): Promise<void> {
    const settings = { ...others };
    for (const path of secrets) {
      const { secret, others: belonging } = fresh[path]!();
      Object.assign(settings, belonging, { [path]: { secret } });
      // Of a key in PEM the line that no other key has.
      const told = secret.trim().split('\n').at(-2) ?? secret;
      this.learn({ [`${path} ${told.slice(0, 12)}…`]: told });
    }
    await this.stack.setAll(settings);
  }

  /** Every private key in the state, each by a line in its middle: what leaks one leaks that. */
  async addKeys(): Promise<void> {
    const { output } = await this.stack.run(['stack', 'export', '--show-secrets']);
    const keys = new Set(
      output.match(/(?<=-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\\+n)).*?(?=\\+n-----END )/g),
    );
    expect(keys.size).toBeGreaterThan(8);
    for (const [i, key] of [...keys].entries()) {
      const lines = key.split(/\\+n/);
      this.learn({ [`key ${i}`]: lines[Math.floor(lines.length / 2)]! });
    }
  }
}

describe('secrets', () => {
  it('are all planted', () => {
    const paths = Object.keys(fresh).map((path) => path.replace(/\[\d+\]/g, ''));
    const isPlanted = (secret: string) => paths.some((path) => `${path}.`.startsWith(`${secret}.`));
    // A machine that exists has its own test, givenMachine.test.ts.
    expect(secretSettings.filter((secret) => !isPlanted(secret))).toEqual([
      'machine.sshPrivateKey',
    ]);
  });

  it('stay secret where each step of a push fails, and where it works again', async ({
    freshLab,
  }) => {
    const { lab, stack } = freshLab;
    const host = new Host(lab);
    const planting = new Planting(stack);
    const { known, search } = planting;
    interface Break {
      breaks: string;
      mends: string;
      /** What is said of it. */
      words: string;
    }
    /** All at once: after the first that fails, an `up` ends with what it has begun. */
    const fail = async (...all: Break[]) => {
      for (const { breaks } of all) host.shell(breaks);
      let unseen = all.map(({ words }) => words);
      while (unseen.length > 0) {
        const { status, output } = await planting.up();
        expect(status).not.toBe(0);
        const left = unseen.filter((words) => !output.includes(words));
        expect(left.length, output).toBeLessThan(unseen.length);
        unseen = left;
      }
      for (const { mends } of all) host.shell(mends);
    };
    /** A unit does not start, until the next push starts it. */
    const unstartable = (
      unit: string,
      push: string,
      text = '[Service]\\nExecStartPre=/bin/false\\n',
    ): Break => {
      const dropIn = `/run/systemd/system/${unit}.d`;
      return {
        breaks: `mkdir -p ${dropIn}; printf '${text}' >${dropIn}/break.conf; systemctl daemon-reload`,
        mends: `rm -r ${dropIn}; systemctl daemon-reload`,
        words: `${push} does not run with its new files`,
      };
    };
    const staged = '/var/lib/mailhost/staged';
    const chpasswd = '/usr/sbin/chpasswd';

    await step('the first up', async () => {
      // As docs/operating.md has it: else they would be variables of the engine.
      for (const [key, variable] of [
        ['hcloud:token', 'HCLOUD_TOKEN'],
        ['cloudflare:apiToken', 'CLOUDFLARE_API_TOKEN'],
      ] as const) {
        const token = apiAccess(lab)[variable];
        planting.learn({ [key]: token });
        await stack.set(key, token, '--secret');
        delete stack.env[variable];
      }
      await planting.plant(['accounts[0].passwordHash', 'smarthost.password', 'tls.privateKey'], {
        ...smarthost,
        'tls.issuer': 'provided',
        // Their hashes go another way, so this is where both begin.
        accountKind: 'system',
      });
      const { status, output } = await planting.up();
      expect(status, output).toBe(0);
      await planting.addKeys();
    });
    await step('nothing can be staged', async () => {
      await planting.plant(['backup.password', 'backup.environment.RESTIC_REST_PASSWORD'], {
        'backup.repository': nowhere,
      });
      await fail({
        breaks: `mv ${staged} ${staged}.away; touch ${staged}`,
        mends: `rm ${staged}; mv ${staged}.away ${staged}`,
        words: 'FileExistsError',
      });
    });
    await step('accounts, backup and certificate', async () => {
      await planting.plant([
        'accounts[0].passwordHash',
        'tls.privateKey',
        'backup.password',
        'backup.environment.RESTIC_REST_PASSWORD',
      ]);
      await fail(
        {
          breaks: `mount --bind /bin/false ${chpasswd}`,
          mends: `umount ${chpasswd}`,
          words: 'accounts does not run with its new files',
        },
        unstartable('mailhost-backup.timer', 'backup', '[Timer]\\nOnCalendar=\\n'),
        // It serves the certificate.
        unstartable('opensmtpd.service', 'tls'),
      );
    });
    await step('accounts of the other kind, and a DKIM key', async () => {
      await planting.plant(['accounts[0].passwordHash'], {
        accountKind: 'virtual',
        'confirm[0]': 'make accounts virtual',
        // Another key signs, and is pushed for that.
        'domains[1].dkimGeneration': '2',
      });
      await fail(
        unstartable('dovecot.service', 'dovecot'),
        unstartable('amavis.service', 'amavis'),
      );
    });
    await step('OpenSMTPD', async () => {
      await planting.plant(['accounts[0].passwordHash', 'smarthost.password']);
      await fail(unstartable('opensmtpd.service', 'opensmtpd'));
    });
    await step('the check', async () => {
      await planting.plant(['accounts[0].passwordHash']);
      await fail({
        breaks: 'systemctl stop metadata-guard',
        mends: 'systemctl start metadata-guard',
        words: 'service metadata-guard does not run',
      });
    });
    await step('it works again', async () => {
      await planting.plant(Object.keys(fresh));
      const { status, output } = await planting.watched('preview', '--diff', '--show-full-output');
      expect(status, output).toBe(0);
      host.shell('echo linux-image-6 >/run/reboot-required.pkgs');
      const last = await planting.up();
      expect(last.status, last.output).toBe(0);
      expect(last.output).toContain('WARNING: updates (linux-image-6) are in force');
      await planting.addKeys();
    });

    await step('nothing of the accounts of the other kind is left to nobody', () => {
      expect(tooOpen(host)).toBe('');
    });
    await step('they are in no output of the engine, and encrypted in all that it keeps', () => {
      expect(search.in(planting.engineOutput.join('\n'))).toEqual([]);
      const folders = ['pulumi', 'pulumi-home', 'log'].map((folder) => join(lab.dir, folder));
      expect(known.below(...folders)).toEqual([]);
    });
    await step(
      'they are in no arguments and in no environment but those that cannot be without',
      () => {
        // The engine gives the program its config so, and restic takes what a server asks for in no other way.
        const unavoidable = / in (?:PULUMI_CONFIG|RESTIC_REST_PASSWORD) of /;
        const shown = [...planting.shown];
        expect(shown.filter((place) => !unavoidable.test(place))).toEqual([]);
        expect(shown.length).toBeGreaterThan(0);
      },
    );
    await step(
      'they are in no journal, and on the host in files of root and of their readers alone',
      () => {
        expect(search.in(host.shell('journalctl --no-pager --output=export'))).toEqual([]);
        const root = hostRoot(lab);
        const folders = ['etc', 'home', 'opt', 'root', 'run', 'srv', 'tmp', 'usr', 'var'];
        const paths = known
          .below(...folders.map((folder) => join(root, folder)))
          .map((path) => path.slice(root.length));
        // cloud-init keeps the host key with the first boot's data; a folder of root's has what is staged, and what was before.
        const elsewhere = /\/cloud(-init)?\/|^\/var\/lib\/mailhost\//;
        expect(paths.filter((path) => !elsewhere.test(path))).toEqual([
          '/etc/amavis/dkim/example.net.s2.pem',
          '/etc/amavis/dkim/example.org.s1.pem',
          '/etc/dovecot/passwords',
          '/etc/mailhost/restic-secrets.env',
          '/etc/mailhost/restic.password',
          '/etc/smtpd/credentials',
          '/etc/smtpd/smarthost',
          '/etc/ssh/ssh_host_ed25519_key',
          '/etc/ssl/mailhost/privkey.pem',
          '/run/dovecot/dovecot.conf.binary',
        ]);
        for (const path of paths) {
          const asNobody = 'setpriv --reuid=nobody --regid=nogroup --clear-groups';
          expect(host.shell(`${asNobody} sh -c 'test -r ${path} && echo open || true'`), path).toBe(
            '',
          );
        }
      },
    );
  });
});

it('mail to others goes through the smarthost, with its login and by TLS', async ({ host }) => {
  const subject = `by a smarthost ${randomUUID()}`;
  await submit(host.login(bert), 465, {
    from: bert,
    to: 'erika@remote.example',
    subject,
    text: 'x',
  });
  expect(await waitForReceived(host.lab, subject)).toMatchObject({
    login: `mailhost:${smarthostPassword}`,
    tls: true,
    dkim: [{ result: 'pass', domain: 'example.net', selector: 's2' }],
  });
});

const answers = ({ lab, outputs }: Host, ports: number[], from?: string) =>
  reachable(lab, outputs.ipv4, ports, from);

describe('the firewall', () => {
  it('lets nothing else in, and not by itself alone', ({ host }) => {
    host.shell(
      'systemd-run --quiet --unit=listener python3 -m http.server 8080; until ss -ltn | grep -q :8080; do :; done',
    );
    // The router is behind the cloud firewall.
    expect(answers(host, [22, 25, 993, 8080], 'router')).toEqual([22, 25, 993]);
    host.shell('nft delete table inet mailhost');
    expect(answers(host, [8080], 'router')).toEqual([8080]);
    host.shell('systemctl reload nftables; systemctl stop listener');
    expect(answers(host, [8080], 'router')).toEqual([]);
  });

  it('is asked for by the check', ({ host }) => {
    host.shell('systemctl disable nftables');
    const output = host.shell(
      `echo '{"hostName": "mail.example.org", "domains": []}' | mailhost check 2>&1 || true; systemctl enable nftables`,
    );
    expect(output).toContain('service nftables would not start at boot');
  });
});

describe('who tries passwords', () => {
  const ports = [22, 25, 80, 443, 465, 587, 993, 4190];
  const plain = Buffer.from('\0anna@example.org\0wrong').toString('base64');
  /** A conversation by TLS in shell: what is waited for, if anything, and what is said then, in turns. */
  const tls = (port: number, turns: string[], options = '') =>
    [
      `coproc S { exec openssl s_client -quiet -connect HOST:${port} ${options}; }`,
      'hear() { while read -r -u "${S[0]}" line; do [[ $line == "$1"* ]] && return; done; }',
      `say() { printf '%s\\r\\n' "$1" >&"\${S[1]}"; }`,
      ...turns.map((words, i) => (words ? `${i % 2 === 0 ? 'hear' : 'say'} '${words}'` : '')),
    ].join('\n');
  const attempts: Record<string, string> = {
    IMAP: tls(993, ['* OK', 'a LOGIN anna@example.org wrong', 'a NO']),
    submissions: tls(465, ['220 ', 'EHLO x', '250 ', `AUTH PLAIN ${plain}`, '535 ']),
    submission: tls(587, ['', 'EHLO x', '250 ', `AUTH PLAIN ${plain}`, '535 '], '-starttls smtp'),
    ManageSieve: tls(4190, ['OK', `AUTHENTICATE "PLAIN" "${plain}"`, 'NO'], '-starttls sieve'),
    SSH: 'ssh -o ConnectTimeout=10 -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null guest@HOST',
  };

  it.for(Object.keys(attempts))(
    'is shut out of all ports until let in again: %s',
    async (service, { host }) => {
      const jail = service === 'SSH' ? 'sshd' : 'mailhost';
      const remote = addresses.remote.v4;
      const fail2ban = (...args: string[]) => host.shell(`fail2ban-client ${args.join(' ')}`);
      const attempt = () =>
        once(
          spawn(
            'ip',
            [
              ...['netns', 'exec', 'remote', 'bash', '-c'],
              attempts[service]!.replaceAll('HOST', host.outputs.ipv4),
            ],
            { stdio: 'ignore' },
          ),
          'exit',
        );
      const failed = () => failedIn(host, jail);
      const most = Number(fail2ban('get', jail, 'maxretry'));
      const before = failed();
      expect(answers(host, ports)).toEqual(ports);
      if (service === 'SSH') {
        // For a while sshd itself takes no further connection of who has failed, or came and went to see whether the port is open.
        fail2ban('set', jail, 'maxretry', '1');
        // One that the ban cuts off goes on until it is let in again.
        let trying: Promise<unknown> | undefined;
        await waitFor('sshd takes the attempt, and it is counted', () => {
          trying ??= attempt().finally(() => (trying = undefined));
          return failed() > before || fail2ban('status', jail).includes(remote);
        });
      } else {
        for (let i = 1; i < most; i++) void attempt();
        await waitFor('all but the last attempt are counted', () => failed() >= before + most - 1);
        expect(answers(host, [993])).toEqual([993]);
        void attempt();
      }
      await waitFor(`${remote} is shut out`, () => answers(host, [993]).length === 0);
      expect(answers(host, ports)).toEqual([]);
      expect(fail2ban('status', jail)).toContain(remote);
      // Another client is not.
      expect(answers(host, [993], 'router')).toEqual([993]);
      fail2ban('unban', remote);
      fail2ban('set', jail, 'maxretry', `${most}`);
      expect(answers(host, ports)).toEqual(ports);
    },
  );
});

/** How many failed logins a jail has counted. */
const failedIn = (host: Host, jail: string): number =>
  Number(/Total failed:\t(\d+)/.exec(host.shell(`fail2ban-client status ${jail}`))![1]);

/** The addresses that fail2ban takes from lines of the journal, by its filter for mail clients. */
function blamed(host: Host, ...lines: string[]): string[] {
  const quoted = lines.map((line) => `mail dovecot[1]: ${line}\n`).join('');
  const output = host.shell(
    `printf '%s' '${quoted}' >/run/lines; fail2ban-regex --out ip /run/lines mailhost`,
  );
  return output.split('\n').filter(Boolean);
}

it('fail2ban counts failed logins of system users, and lets nobody put the blame on others', ({
  host,
}) => {
  const pam = (user: string) =>
    `auth-worker(${user},192.0.2.1)<10008><x2CGKiBh7JoKWAMB>: request [4]: pam: pam_authenticate() failed: Authentication failure (Password mismatch?)`;
  const table = (user: string) =>
    `auth(${user},192.0.2.1,sasl:plain)<x/+GKiBh7JoKWAMB>: passwd-file: unknown user`;
  const victim = '192.0.2.99';
  const names = [
    'anna@example.org',
    `a,${victim},sasl:plain`,
    `a,${victim},sasl:plain)<x>: passwd-file: unknown user`,
    `a,${victim})<1><x>: request [1]: pam: pam_authenticate() failed: a`,
  ];
  const lines = names.flatMap((user) => [pam(user), table(user)]);
  expect(blamed(host, ...lines)).toEqual(lines.map(() => '192.0.2.1'));
  expect(blamed(host, 'auth(mailhost-probe): passwd-file: unknown user')).toEqual([]);
});

it('fail2ban counts no login that succeeds', async ({ host }) => {
  // The jail that also counts what comes from where somebody has logged in.
  const failed = () => failedIn(host, 'mailhost-known');
  const before = failed();
  const anna = host.login('anna@example.org');
  for (let i = 0; i < 3; i++) await withImap(anna, (imap) => imap.noop());
  // It reads one after another: what fails last is counted last.
  await expect(withImap({ ...anna, password: 'wrong' }, (imap) => imap.noop())).rejects.toThrow();
  await waitFor('the wrong password is counted', () => failed() > before);
  expect(failed()).toBe(before + 1);
});

describe('SSH', () => {
  it('lets in root alone, by key, and forwards nothing', ({ host }) => {
    const settings = host.shell('sshd -T').split('\n');
    for (const line of [
      'allowusers root',
      'permitrootlogin without-password',
      'passwordauthentication no',
      'kbdinteractiveauthentication no',
      'disableforwarding yes',
      'hostkeyalgorithms ssh-ed25519',
    ])
      expect(settings).toContain(line);
    expect(settings.filter((line) => line.startsWith('hostkey '))).toHaveLength(1);
    const algorithms = settings.filter((line) => /^(ciphers|macs|kexalgorithms) /.test(line));
    expect(algorithms).toHaveLength(3);
    expect(algorithms.join()).not.toMatch(/sha1|cbc|ctr|umac|nistp|diffie-hellman/);
  });
});

/** Files that others may write to, or that belong to nobody. */
const tooOpen = (host: Host): string => {
  const all = 'find / /srv/mailhost /run /dev/shm -xdev';
  return host.shell(
    `${all} ! -type l ! -type c ! -type s -perm -o+w ! -perm -1777 -print
     find /etc /usr -xdev ! -type l -perm /g+w ! -group root -print
     ${all} \\( -nouser -o -nogroup \\) -print`,
  );
};

describe('permissions', () => {
  it('let nobody write to what others read', ({ host }) => {
    expect(tooOpen(host)).toBe('');
  });

  it('of what was pushed are those of the push, and in folders that root alone writes to', ({
    host,
  }) => {
    const script = `import glob, json, os, stat
for manifest in glob.glob("/var/lib/mailhost/manifest/*.json"):
    for path, file in json.load(open(manifest)).items():
        mode = os.stat(path).st_mode
        if stat.S_IMODE(mode) != int(file["mode"], 8) or mode & 0o022: print(path, oct(mode))
        while path != "/":
            path = os.path.dirname(path)
            folder = os.stat(path)
            if folder.st_uid != 0 or folder.st_mode & 0o022: print(path, oct(folder.st_mode))`;
    expect(host.shell(`python3 -c '${script}'`)).toBe('');
  });

  it('give a program the rights of another user where Debian needs it, and nowhere else', ({
    host,
  }) => {
    const programs = host.shell('find / -xdev -type f -perm /6000 -printf "%04m %u:%g %p\\n"');
    expect(programs.trim().split('\n').sort()).toEqual([
      '2755 root:_ssh /usr/bin/ssh-agent',
      '2755 root:crontab /usr/bin/crontab',
      '2755 root:mail /usr/libexec/opensmtpd/mail.local',
      '2755 root:opensmtpq /usr/sbin/smtpctl',
      '2755 root:shadow /usr/bin/chage',
      '2755 root:shadow /usr/bin/expiry',
      '2755 root:shadow /usr/sbin/unix_chkpwd',
      '4754 root:messagebus /usr/lib/dbus-1.0/dbus-daemon-launch-helper',
      '4755 root:root /usr/bin/chfn',
      '4755 root:root /usr/bin/chsh',
      '4755 root:root /usr/bin/gpasswd',
      '4755 root:root /usr/bin/mount',
      '4755 root:root /usr/bin/newgrp',
      '4755 root:root /usr/bin/passwd',
      '4755 root:root /usr/bin/su',
      '4755 root:root /usr/bin/umount',
      '4755 root:root /usr/lib/openssh/ssh-keysign',
    ]);
  });
});

it('the metadata service answers root alone: it has the host key', ({ host }) => {
  const ask = (user: string) =>
    host.shell(
      `runuser -u ${user} -- python3 -c 'import urllib.request; print(urllib.request.urlopen("http://169.254.169.254/hetzner/v1/metadata/hostname", timeout=10).status)' 2>&1 || true`,
    );
  expect(ask('root')).toBe('200\n');
  for (const user of ['amavis', 'opensmtpd', 'nobody']) expect(ask(user)).toContain('URLError');
});

/** The words of a list in the drop-ins of a unit, in which an empty value removes all before it. */
const listOf = (setting: string, unit: string): string[] =>
  Object.values(serviceFiles(unit))
    .flatMap(({ text }) => [...text.matchAll(new RegExp(`^${setting}=(.*)$`, 'gm'))])
    .reduce<string[]>((list, [, words]) => (words ? [...list, ...words.split(' ')] : []), []);

it('no service of the mail host is exposed, or may do what only the unit of Debian allows', ({
  host,
}) => {
  const exposed = JSON.parse(host.shell('systemd-analyze security --json=short')) as {
    unit: string;
    exposure: string;
  }[];
  const own = ['amavis', 'dovecot', 'fail2ban', 'nginx', 'opensmtpd', 'spamd', 'unbound'];
  const figures = exposed.filter(({ unit }) => own.includes(unit.replace('.service', '')));
  expect(figures).toHaveLength(own.length);
  expect(figures.filter(({ exposure }) => Number(exposure) > 3)).toEqual([]);

  /** What is in force, by unit. */
  const inForce = (setting: string): Record<string, string[]> => {
    const values = host.shell(`systemctl show --value --property ${setting} ${own.join(' ')}`);
    // An empty line stands between two units, and for a list that is empty.
    const lists = values
      .split('\n')
      .filter((_, i) => i % 2 === 0)
      .map((line) => line.split(' ').filter(Boolean));
    return Object.fromEntries(own.map((unit, i) => [unit, lists[i]!.sort()]));
  };
  const planned = (setting: string, as: (word: string) => string = (word) => word) =>
    Object.fromEntries(own.map((unit) => [unit, listOf(setting, unit).map(as).sort()]));
  for (const setting of ['ReadWritePaths', 'RestrictAddressFamilies', 'SystemCallArchitectures'])
    expect(inForce(setting), setting).toEqual(planned(setting));
  const capabilities = 'CapabilityBoundingSet';
  expect(inForce(capabilities)).toEqual(planned(capabilities, (word) => word.toLowerCase()));
  // systemd shows groups of calls as their members: the same for all, and what a unit has besides.
  const calls = inForce('SystemCallFilter');
  const ofGroup = calls.unbound!;
  expect(listOf('SystemCallFilter', 'unbound')).toEqual(['@system-service']);
  for (const unit of own)
    expect(calls[unit], unit).toEqual(
      [...new Set([...ofGroup, ...listOf('SystemCallFilter', unit).slice(1)])].sort(),
    );
});

describe('an update', () => {
  it('keeps the configuration of the mail host, and tells the postmaster', ({ host }) => {
    const config = host.shell('apt-config dump');
    for (const line of [
      'APT::Periodic::Unattended-Upgrade "1";',
      'DPkg::Options:: "--force-confold";',
      'Unattended-Upgrade::Mail "root";',
    ])
      expect(config).toContain(line);
    expect(host.shell('unattended-upgrade --dry-run --verbose 2>&1')).toContain(
      'label=Debian-Security',
    );
  });

  it('restarts what runs with the old files, and mail goes on', async ({ freshHost: host }) => {
    // Of the others no process stays.
    const units = wantedDaemons(exampleMail()).flatMap(({ unit }) =>
      unit === undefined || unit === 'nftables' || unit.endsWith('.timer') ? [] : [unit],
    );
    const mains = () => host.shell(`systemctl show --value -p MainPID ${units.join(' ')}`);
    const before = mains().split(/\s+/);
    host.shell(
      'cd /usr/lib/*-linux-gnu; cp --preserve libc.so.6 new; mv new libc.so.6; DEBIAN_FRONTEND=noninteractive needrestart',
    );
    await waitFor('all have restarted', () => {
      const now = mains().split(/\s+/);
      return now.every((pid, i) => pid === '' || (pid !== '0' && pid !== before[i]));
    });
    const subject = `after an update ${randomUUID()}`;
    await waitFor('mail is taken', () => answers(host, [25]).length === 1);
    await host.receive({ to: bert, subject });
    await waitForMail(host.login(bert), subject);
  });
});

it('SSH is open to the networks that are stated, and to no other', async ({ freshHost: host }) => {
  const { outside, remote } = addresses;
  const byIpv6 = () => reachable(host.lab, host.outputs.ipv6, [22, 25]);
  expect([answers(host, [22, 25]), byIpv6()]).toEqual([
    [22, 25],
    [22, 25],
  ]);
  const push = async (networks: string[]) => {
    await host.up(
      Object.fromEntries(networks.map((network, i) => [`adminNetworks[${i}]`, network])),
    );
  };
  await push([`${outside.v4}/32`]);
  expect([answers(host, [22, 25]), byIpv6()]).toEqual([[25], [25]]);
  await push([`${outside.v4}/32`, `${remote.v6}/128`]);
  expect([answers(host, [22, 25]), byIpv6()]).toEqual([[25], [22, 25]]);
});
