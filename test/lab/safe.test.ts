import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { apiAccess } from '../../lab/apis';
import { onHost } from '../../lab/machines';
import { selfSigned } from '../../lab/selfSigned';
import { pulumiProcesses, waitFor, type Lab } from '../../lab/state';
import { done, killAt, type Row } from '../faults/bed';
import { brokenFiles } from '../faults/brokenFiles';
import { cloudFaults, holdings, settles, underFaults } from '../faults/cloud';
import { asItIs, pushChanged } from '../faults/host';
import { quickFaults } from '../faults/hostFaults';
import { killedMachine } from '../faults/kills';
import { changes, endLab, reachable, startLab, TestStack } from './testLab';

const name = 'safe';
let lab: Lab;
let stack: TestStack;

beforeAll(async () => {
  lab = startLab(name);
  stack = new TestStack(lab);
  await stack.select();
});
afterAll(() => endLab(name));

/** Asks Hetzner's API, as a person does. */
async function hetzner(method: string, path: string, body?: object) {
  const { HCLOUD_ENDPOINT: base, HCLOUD_TOKEN: token } = apiAccess(lab);
  const response = await fetch(`${base}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const text = await response.text();
  return JSON.parse(text || '{}') as { firewall?: { id: number }; servers?: { id: number }[] };
}

async function show(fault: Row): Promise<void> {
  console.log(`${fault.expected}: ${await fault.run({ lab, stack })}`);
}

/** What `mailhost drift` finds, with its exit status. */
const drift = () => onHost(lab, 'mailhost drift 2>&1; echo "status $?"');

describe('a deployment that is disturbed', () => {
  it('takes over nothing of another, and says so before anything is touched', async () => {
    const foreign = await hetzner('POST', '/firewalls', { name: 'mail.example.org' });
    const { status, output } = await stack.up();
    expect(status).not.toBe(0);
    expect(output).toContain(
      'Hetzner has a firewall mail.example.org that this stack did not make',
    );
    expect(output).not.toMatch(/at .*\.ts:\d+/);
    await hetzner('DELETE', `/firewalls/${foreign.firewall!.id}`);
  });

  it('takes over what the clouds made without its knowledge, and makes nothing twice', async () => {
    const faults = cloudFaults.made.filter(({ method }) => method === 'POST');
    await underFaults(lab, faults, () => stack.up());
    // Killed once more, in the middle of the work on the host.
    expect(await killAt(stack, [done('Command mail-tls-secrets')])).toBeDefined();
    const [address] = onHost(lab, 'hostname --all-ip-addresses').split(' ');
    expect(reachable(lab, address!, [22, 25, 465, 587, 993])).toEqual([22]);
    await settles({ lab, stack });
    const counts = [...(await holdings(lab))]
      .slice(0, 5)
      .map(([kind, items]) => [kind, items.length]);
    expect(counts).toEqual([
      ['ssh_keys', 1],
      ['primary_ips', 2],
      ['firewalls', 1],
      ['volumes', 1],
      ['servers', 1],
    ]);
  });

  it.each(quickFaults)('survives this: $what', async (fault) => {
    await show(fault);
  });
});

describe('a push that a daemon cannot run with', () => {
  // One that its own check finds, and one that only shows when it starts.
  const chosen: [string, string][] = [
    ['opensmtpd', 'a line that is no directive'],
    ['opensmtpd', 'a port that Dovecot has'],
    ['dovecot', 'a brace that is not closed'],
    ['dovecot', 'a service without its program'],
    ['amavis', 'a line that is no Perl'],
    ['amavis', 'a user that does not exist'],
    ['spamassassin', 'an expression that does not close'],
    ['spamassassin', 'an option of spamd that does not exist'],
    ['firewall', 'a table that is not closed'],
    ['ssh', 'a keyword that does not exist'],
    ['resolver', 'an address that no link has'],
    ['fail2ban', 'a jail without a filter'],
    ['web', 'a directive that does not exist'],
  ];
  const words: Record<string, RegExp> = {
    'a line that is no directive':
      /`smtpd -n` refuses the new files[^]*smtpd\.conf:\d+: syntax error/,
    'a port that Dovecot has': /opensmtpd does not run[^]*Address already in use/,
    'a brace that is not closed': /`doveconf -n` refuses the new files[^]*dovecot\.conf/,
    'a service without its program': /dovecot does not run[^]*\/nonexistent\/lmtp/,
    'a line that is no Perl': /`amavisd test-config` refuses the new files[^]*syntax error/,
    'a user that does not exist': /`amavisd test-config` refuses the new files[^]*nobody-at-all/,
    'an expression that does not close': /`spamassassin --lint` refuses the new files[^]*BROKEN/,
    'an option of spamd that does not exist':
      /spamassassin does not run[^]*(no-such-option|status=64\/USAGE)/,
    'a table that is not closed': /`nft --check.*` refuses the new files[^]*syntax error/,
    'a keyword that does not exist': /`sshd -t` refuses the new files[^]*NoSuchKeyword/,
    'an address that no link has': /resolver does not run[^]*192\.0\.2\.77/,
    'a jail without a filter': /`fail2ban-client --test` refuses the new files[^]*nonesuch/,
    'a directive that does not exist': /refuses the new files[^]*no_such_directive/,
  };

  it.each(chosen)('of %s, with %s, leaves all as it was and tells why', async (push, what) => {
    const broken = brokenFiles[push]!.find((one) => one.what === what)!;
    const before = asItIs(lab);
    await expect(pushChanged(lab, push, [broken])).rejects.toThrow(words[what]);
    expect(asItIs(lab)).toBe(before);
  });
});

it('a certificate that no client would take leaves all as it was, and no daemon restarts', async () => {
  const seen = () => [
    asItIs(lab),
    onHost(lab, 'systemctl show --value --property MainPID opensmtpd dovecot nginx'),
  ];
  const before = seen();
  const put = (file: string, text: string) => ({
    path: `/etc/ssl/mailhost/${file}.pem`,
    text,
    instead: true as const,
  });
  const [other, foreign] = ['mail.example.org', 'other.example'].map(selfSigned);
  for (const [changes, words] of [
    [[put('privkey', other!.key)], /does not belong to the certificate/],
    [
      [put('fullchain', foreign!.cert), put('privkey', foreign!.key)],
      /certificate is not for mail\.example\.org/,
    ],
    [[put('fullchain', 'no certificate\n')], /damaged/],
  ] as const) {
    await expect(pushChanged(lab, 'tls', [...changes])).rejects.toThrow(words);
    expect(seen()).toEqual(before);
  }
});

describe('a configuration that was good', () => {
  it('is gone back to by one command, until the plan changes that daemon again', async () => {
    await stack.set('mailhost:spamTagLevel', '4');
    expect((await stack.up()).status).toBe(0);
    const listed = onHost(lab, 'mailhost history spamassassin');
    expect(listed).toMatch(
      /0 {2}\S+ \S+ {2}in force\n {2}1 .* differs in \/etc\/spamassassin\/local\.cf/,
    );
    expect(
      onHost(lab, 'stat -c %a /var/lib/mailhost/history /var/lib/mailhost/history/*/*').split('\n'),
    ).not.toContain('644');
    const back = onHost(lab, 'mailhost rollback spamassassin');
    expect(back).toMatch(/the next `pulumi up` that changes spamassassin brings the plan's/i);
    expect(onHost(lab, 'grep ^required_score /etc/spamassassin/local.cf')).not.toBe(
      'required_score 4\n',
    );
    expect(drift()).toMatch(
      /not the plan's configuration is in force[^]*local\.cf has another text[^]*status 1/,
    );
    await stack.set('mailhost:spamTagLevel', '3.5');
    expect((await stack.up()).status).toBe(0);
    expect(onHost(lab, 'grep ^required_score /etc/spamassassin/local.cf')).toBe(
      'required_score 3.5\n',
    );
    expect(drift()).toBe('this host is as the plan has it\nstatus 0\n');
    expect(() => onHost(lab, 'mailhost rollback spamassassin 9 2>/dev/null')).toThrow();
  });

  it('is kept five times, and no more', async () => {
    for (let i = 0; i < 7; i++) {
      await pushChanged(lab, 'web', [{ path: '/etc/nginx/nginx.conf', text: `# ${i}\n` }]);
    }
    expect(onHost(lab, 'ls /var/lib/mailhost/history/web | wc -l')).toBe('6\n');
    onHost(lab, 'mailhost rollback web 5');
    expect(onHost(lab, 'tail -1 /etc/nginx/nginx.conf')).toBe('# 1\n');
  });
});

describe('what is not as the plan has it', () => {
  it('is told file by file, with packages, units, ports and users, and no secret', () => {
    onHost(
      lab,
      `chmod 0644 /etc/dovecot/passwords; chown daemon /etc/smtpd/domains; rm /etc/mailname
       echo '# mine' >>/etc/amavis/conf.d/60-mailhost; echo '1;' >/etc/amavis/conf.d/99-mine
       echo '1;' >>/etc/amavis/conf.d/50-user
       dpkg --remove libmail-spf-perl; systemctl disable --now nginx; useradd --create-home stranger --shell /bin/bash
       nft insert rule inet mailhost input tcp dport 8080 accept
       systemd-run --quiet --unit stray python3 -m http.server 8080
       until ss --listening --tcp --numeric | grep -q :8080; do :; done`,
    );
    const found = drift();
    for (const words of [
      'dovecot: /etc/dovecot/passwords has mode 0644, not 0640',
      'opensmtpd: /etc/smtpd/domains belongs to daemon:root, not root:root',
      'system: /etc/mailname is missing',
      'amavis: /etc/amavis/conf.d/60-mailhost has another text',
      'amavis: /etc/amavis/conf.d/99-mine is read too',
      '/etc/amavis/conf.d/50-user is not as its package has it',
      'the package libmail-spf-perl is not installed',
      'service nginx does not run',
      'service nginx would not start at boot',
      'the kernel has other rules than /etc/nftables.conf',
      'nothing listens on port 443',
      'something listens on port 8080',
      'the user stranger can log in',
    ]) {
      expect(found).toContain(words);
    }
    expect(found).not.toContain('$6$');
    const secrets = onHost(lab, 'cut -d: -f2 /etc/dovecot/passwords').trim().split('\n');
    expect(secrets.filter((secret) => found.includes(secret))).toEqual([]);
  });

  it('ends an up before anything is pushed, where that is asked for, and is mended where that is', async () => {
    // What is not the plan's is for a person to take away.
    onHost(
      lab,
      `systemctl stop stray; userdel --remove stranger 2>/dev/null; rm /etc/amavis/conf.d/99-mine
       sed -i '$ d' /etc/amavis/conf.d/50-user`,
    );
    // As where the power failed while the first packages came.
    onHost(
      lab,
      `cd /usr/local/lib/mailhost && python3 -B -c 'import json, prepare
packages = prepare.package_states()
del packages["needrestart"]
prepare.INSTALLING.write_text(json.dumps({"boot": "an earlier one", "packages": packages}))'
       for file in /usr/sbin/needrestart /etc/needrestart/needrestart.conf; do : >$file; done`,
    );
    const before = asItIs(lab);
    await stack.set('mailhost:drift', 'stop');
    await stack.set('mailhost:spamTagLevel', '2.5');
    const stopped = await stack.up();
    expect(stopped.status).not.toBe(0);
    expect(stopped.output).toContain('dovecot: /etc/dovecot/passwords has mode 0644, not 0640');
    expect(asItIs(lab)).toBe(before);

    await stack.set('mailhost:drift', 'mend');
    const { status, output } = await stack.up();
    expect(status, output).toBe(0);
    expect(drift()).toBe('this host is as the plan has it\nstatus 0\n');
    onHost(lab, 'test -s /etc/needrestart/needrestart.conf && test -s /usr/sbin/needrestart');
    await stack.set('mailhost:drift', 'stop');
    const good = await stack.up();
    expect(good.status, good.output).toBe(0);

    onHost(lab, 'useradd --create-home stranger --shell /bin/bash');
    const stranger = "the user stranger can log in, and is not the plan's";
    expect((await stack.up()).output).toContain(stranger);
    await stack.set('mailhost:driftAccepted[0]', stranger, '--path');
    const accepted = await stack.up();
    expect(accepted.status, accepted.output).toBe(0);
    expect(drift()).toBe('this host is as the plan has it\nstatus 0\n');
    await stack.unset('mailhost:driftAccepted');
    expect((await stack.up()).status).not.toBe(0);
    onHost(lab, 'userdel --remove stranger 2>/dev/null');
    await stack.unset('mailhost:drift');
    expect((await stack.up()).status).toBe(0);
    const again = await stack.up();
    expect(Object.keys(changes(again.output))).toEqual(['unchanged']);
  });

  const level = () =>
    /sa_tag2_level_deflt = (.+);/.exec(onHost(lab, 'cat /etc/amavis/conf.d/60-mailhost'))![1]!;
  const isUnderWay = () => onHost(lab, 'pgrep -f "mailhost [a]ctivate amavis" || true') !== '';

  async function isTakenBack(before: string): Promise<void> {
    await stack.set('mailhost:spamTagLevel', before);
    const { status, output } = await stack.up();
    expect(status, output).toBe(0);
    expect(level()).toBe(before);
    expect(drift()).toBe('this host is as the plan has it\nstatus 0\n');
    const again = await stack.up();
    expect(Object.keys(changes(again.output))).toEqual(['unchanged']);
  }

  it('does not keep a change whose connection was cut, and that is then taken back', async () => {
    const before = level();
    await stack.set('mailhost:spamTagLevel', '2.7');
    let cut: Promise<unknown> | undefined;
    const { status: failed } = await stack.up((text) => {
      if (text.includes('mail-amavis updating'))
        cut ??= waitFor('amavis gets its files', isUnderWay).then(() =>
          onHost(lab, 'pkill -KILL -f "^sshd-session: root@notty"'),
        );
    });
    expect(cut).toBeDefined();
    await cut;
    expect(failed).not.toBe(0);
    await waitFor('the push ends', () => !isUnderWay());
    await isTakenBack(before);
  });

  const programs = () =>
    pulumiProcesses(stack.env.PULUMI_HOME!).filter(({ command }) =>
      command.includes('@pulumi/pulumi/cmd/run/index.js'),
    );

  it('does not keep a change of an up that was killed, and that is then taken back', async () => {
    const before = level();
    await stack.set('mailhost:spamTagLevel', '2.8');
    let killed: Promise<void> | undefined;
    await stack.up((text, kill) => {
      if (text.includes('mail-amavis updating'))
        killed ??= waitFor('amavis gets its files', isUnderWay).then(kill);
    });
    expect(killed).toBeDefined();
    await killed;
    await stack.run(['cancel', '--yes']);
    // Pulumi's plugin goes on to the end of the push, and the state does not have it.
    await waitFor('the push ends', () => !isUnderWay());
    expect(level()).toBe('2.8');
    await waitFor('the program ends with its engine', () => programs().length === 0);
    await isTakenBack(before);
  });
});

describe('a machine that is killed', () => {
  it('has every message that it acknowledged', async () => {
    await show(killedMachine(2));
  });

  it('needs not be there for the end, nor be known to Hetzner', async () => {
    const { servers } = await hetzner('GET', '/servers');
    await hetzner('DELETE', `/servers/${servers![0]!.id}`);
    await waitFor('the server is gone', async () => {
      const { servers: left } = await hetzner('GET', '/servers');
      return left!.length === 0;
    });
    const { status, output } = await stack.run(['destroy', '--yes', '--skip-preview']);
    expect(status, output).toBe(0);
    expect([...(await holdings(lab)).values()].flat()).toEqual([]);
  });
});
