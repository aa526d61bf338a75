import { describe, expect } from 'vitest';
import { pulumiProcesses, waitFor } from '../../lab/state';
import { asItIs } from '../faults/host';
import { hostTest, type Host } from './hosts';
import { changes, step } from './testLab';

const it = hostTest();

/** What `mailhost drift` finds, with its exit status. */
const drift = (host: Host) => host.shell('mailhost drift 2>&1; echo "status $?"');
const none = 'this host is as the plan has it\nstatus 0\n';

async function changesNothing(host: Host): Promise<void> {
  expect(Object.keys(changes(await host.up()))).toEqual(['unchanged']);
}

it('a configuration that was good is gone back to by one command, until the plan changes that daemon again', async ({
  freshHost: host,
}) => {
  const score = () => host.shell('grep ^required_score /etc/spamassassin/local.cf');
  await host.up({ spamTagLevel: '4' });
  const listed = host.shell('mailhost history spamassassin');
  expect(listed).toMatch(
    /0 {2}\S+ \S+ {2}in force\n {2}1 .* differs in \/etc\/spamassassin\/local\.cf/,
  );
  expect(
    host.shell('stat -c %a /var/lib/mailhost/history /var/lib/mailhost/history/*/*').split('\n'),
  ).not.toContain('644');
  await step('rolled back', () => {
    const back = host.shell('mailhost rollback spamassassin');
    expect(back).toMatch(/the next `pulumi up` that changes spamassassin brings the plan's/i);
    expect(score()).not.toBe('required_score 4\n');
    expect(drift(host)).toMatch(
      /not the plan's configuration is in force[^]*local\.cf has another text[^]*status 1/,
    );
  });
  await step('changed by the plan', async () => {
    await host.up({ spamTagLevel: '3.5' });
    expect(score()).toBe('required_score 3.5\n');
    expect(drift(host)).toBe(none);
  });
  expect(() => host.shell('mailhost rollback spamassassin 9 2>/dev/null')).toThrow();
});

describe('what is not as the plan has it', () => {
  /** What an `up` can put right. */
  const disarrange = (host: Host) =>
    host.shell(
      `chmod 0644 /etc/dovecot/passwords; chown daemon /etc/smtpd/domains; rm /etc/mailname
       echo '# mine' >>/etc/amavis/conf.d/60-mailhost
       dpkg --remove libmail-spf-perl; systemctl disable --now nginx
       nft insert rule inet mailhost input tcp dport 8080 accept`,
    );

  it('is told file by file, with packages, units, ports and users, and no secret', ({
    freshHost: host,
  }) => {
    disarrange(host);
    host.shell(
      `echo '1;' >/etc/amavis/conf.d/99-mine; echo '1;' >>/etc/amavis/conf.d/50-user
       useradd --create-home stranger --shell /bin/bash
       systemd-run --quiet --unit stray python3 -m http.server 8080
       until ss --listening --tcp --numeric | grep -q :8080; do :; done`,
    );
    const found = drift(host);
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
    const secrets = host.shell('cut -d: -f2 /etc/dovecot/passwords').trim().split('\n');
    expect(secrets.filter((secret) => found.includes(secret))).toEqual([]);
  });

  it('ends an up before anything is pushed, where that is asked for, and is mended where that is', async ({
    freshHost: host,
  }) => {
    disarrange(host);
    // As where the power failed while the first packages came.
    host.shell(
      `cd /usr/local/lib && python3 -B -c 'import json
from mailhost import prepare
packages = prepare.package_states()
del packages["needrestart"]
prepare.INSTALLING.write_text(json.dumps({"boot": "an earlier one", "packages": packages}))'
       for file in /usr/sbin/needrestart /etc/needrestart/needrestart.conf; do : >$file; done`,
    );
    await step('stopped', async () => {
      const before = asItIs(host.lab);
      await host.stack.setAll({ drift: 'stop', spamTagLevel: '2.5' });
      const { status, output } = await host.stack.up();
      expect(status).not.toBe(0);
      expect(output).toContain('dovecot: /etc/dovecot/passwords has mode 0644, not 0640');
      expect(asItIs(host.lab)).toBe(before);
    });
    await step('mended', async () => {
      await host.up({ drift: 'mend' });
      expect(drift(host)).toBe(none);
      host.shell('test -s /etc/needrestart/needrestart.conf && test -s /usr/sbin/needrestart');
    });
    await step('nothing to stop any more', () => host.up({ drift: 'stop' }));
  });

  it('ends no up where it was accepted, until that is taken back', async ({ freshHost: host }) => {
    const stranger = "the user stranger can log in, and is not the plan's";
    host.shell('useradd --create-home stranger --shell /bin/bash');
    await step('accepted', async () => {
      await host.up({ drift: 'stop', 'driftAccepted[0]': stranger });
      expect(drift(host)).toBe(none);
    });
    await step('no longer accepted', async () => {
      await host.stack.unset('mailhost:driftAccepted');
      const { status, output } = await host.stack.up();
      expect(status).not.toBe(0);
      expect(output).toContain(stranger);
    });
    await step('removed', async () => {
      host.shell('userdel --remove stranger 2>/dev/null');
      await host.stack.unset('mailhost:drift');
      await host.up();
      await changesNothing(host);
    });
  });
});

describe('an up that is cut off', () => {
  const level = (host: Host) =>
    /sa_tag2_level_deflt = (.+);/.exec(host.shell('cat /etc/amavis/conf.d/60-mailhost'))![1]!;
  const isUnderWay = (host: Host) =>
    host.shell('pgrep -f "mailhost [a]ctivate amavis" || true') !== '';

  /** Disturbs an `up` that changes `spamTagLevel` while the host puts that in force. */
  async function whileItIsPut(host: Host, disturb: (kill: () => void) => void): Promise<number> {
    await host.stack.setAll({ spamTagLevel: '2.8' });
    let disturbed: Promise<void> | undefined;
    const { status } = await host.stack.up((text, kill) => {
      if (text.includes('mail-amavis updating'))
        disturbed ??= waitFor('amavis gets its files', () => isUnderWay(host)).then(() =>
          disturb(kill),
        );
    });
    expect(disturbed).toBeDefined();
    await disturbed;
    return status;
  }

  async function isTakenBack(host: Host, before: string): Promise<void> {
    await host.up({ spamTagLevel: before });
    expect(level(host)).toBe(before);
    expect(drift(host)).toBe(none);
    await changesNothing(host);
  }

  it('does not keep a change whose connection was cut, and that is then taken back', async ({
    freshHost: host,
  }) => {
    const before = level(host);
    const status = await whileItIsPut(host, () =>
      host.shell('pkill -KILL -f "^sshd-session: root@notty"'),
    );
    expect(status).not.toBe(0);
    await waitFor('the push ends', () => !isUnderWay(host));
    await isTakenBack(host, before);
  });

  it('does not keep a change of an up that was killed, and that is then taken back', async ({
    freshHost: host,
  }) => {
    const programs = () =>
      pulumiProcesses(host.stack.env.PULUMI_HOME!).filter(({ command }) =>
        command.includes('@pulumi/pulumi/cmd/run/index.js'),
      );
    const before = level(host);
    await whileItIsPut(host, (kill) => kill());
    await host.stack.run(['cancel', '--yes']);
    // Pulumi's plugin goes on to the end of the push, and the state does not have it.
    await waitFor('the push ends', () => !isUnderWay(host));
    expect(level(host)).toBe('2.8');
    await waitFor('the program ends with its engine', () => programs().length === 0);
    await isTakenBack(host, before);
  });
});
