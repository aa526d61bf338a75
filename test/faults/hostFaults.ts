import { strict as assert } from 'node:assert';
import { Machines, onHost } from '../../lab/machines';
import { loginOf } from '../../lab/proof';
import type { StackOutputs } from '../../lab/stack';
import { waitFor, type Lab } from '../../lab/state';
import type { TestStack } from '../lab/testLab';
import { Flow } from './flow';
import { asItIs, onHostPython } from './host';

/** A mail host that stands, to be ill-treated. */
export interface Bed {
  lab: Lab;
  stack: TestStack;
  outputs: StackOutputs;
}

export interface HostFault {
  what: string;
  /** What has to be seen; `run` fails where it is not. */
  expected: string;
  run: (bed: Bed) => Promise<string>;
}

let count = 0;
/** Another alias, which the tables of OpenSMTPD alone carry; gives the words to look for. */
async function change({ stack }: Bed): Promise<string> {
  const address = `fault${++count}@example.org`;
  await stack.set('mailhost:aliases[0].address', address, '--path');
  await stack.set('mailhost:aliases[0].recipients[0]', 'anna@example.org', '--path');
  return address;
}
const isInForce = ({ lab }: Bed, wanted: string) =>
  assert.ok(onHost(lab, 'cat /etc/smtpd/recipients').includes(wanted), `${wanted} is not in force`);

async function succeeds({ stack }: Bed): Promise<string> {
  const { status, output } = await stack.up();
  assert.equal(status, 0, output);
  return output;
}

async function fails({ stack }: Bed, words: RegExp): Promise<string> {
  const { status, output } = await stack.up();
  assert.notEqual(status, 0, 'the up succeeded');
  assert.match(output, words);
  return words.exec(output)![0];
}

/** Keeps every command of the host program waiting, so that there is one under way. */
const hold = ({ lab }: Bed) =>
  onHost(
    lab,
    'systemd-run --quiet --unit hold flock /run/mailhost.lock sleep 600; while flock --nonblock /run/mailhost.lock true; do :; done',
  );
const release = ({ lab }: Bed) => onHost(lab, 'systemctl stop hold 2>/dev/null || true');
const underWay = ({ lab }: Bed) =>
  waitFor('a command is under way on the host', () => {
    try {
      return onHost(lab, 'pgrep -f "^/usr/bin/python3.*mailhost activate"') !== '';
    } catch {
      return false;
    }
  });
const answers = ({ lab }: Bed) =>
  waitFor(
    'the host answers again',
    () => {
      try {
        return onHost(
          lab,
          `echo '{"hostName": "mail.example.org", "domains": []}' | mailhost check`,
        );
      } catch {
        return false;
      }
    },
    300,
  );

/** Puts a small file system, full to the last octet, in the place of a folder while it works. */
async function whileFull({ lab }: Bed, folder: string, work: () => Promise<string>) {
  onHost(
    lab,
    `set -e; rm -rf /run/copy; cp -a ${folder} /run/copy
     mount -t tmpfs -o size=256k,mode=$(stat -c %a ${folder}) tmpfs ${folder}
     cp -a /run/copy/. ${folder}/
     dd if=/dev/zero of=${folder}/fill bs=4k status=none 2>/dev/null || true`,
  );
  try {
    return await work();
  } finally {
    onHost(lab, `umount --lazy ${folder}; rm -rf /run/copy`);
  }
}

/** Has the next `up` install a package again. */
async function withoutPackage(bed: Bed, work: () => Promise<string>): Promise<string> {
  onHost(bed.lab, 'dpkg --remove libmail-spf-perl 2>&1');
  await bed.stack.set('mailhost:drift', 'mend');
  const seen = await work();
  assert.match(
    onHost(bed.lab, 'dpkg-query --show -f "${Status}" libmail-spf-perl'),
    /ok installed/,
  );
  await bed.stack.unset('mailhost:drift');
  await succeeds(bed);
  return seen;
}

/** Those that the tests run, too. */
export const quickFaults: HostFault[] = [
  {
    what: 'the SSH connection is cut in mid-command',
    expected: 'the `up` fails, the next one converges',
    run: async (bed) => {
      const wanted = await change(bed);
      hold(bed);
      const cut = fails(bed, /Connection lost before the process exited|remote command exited/);
      await underWay(bed);
      onHost(bed.lab, 'kill -KILL $(pgrep sshd-session)');
      const words = await cut;
      release(bed);
      await succeeds(bed);
      isInForce(bed, wanted);
      return words;
    },
  },
  {
    what: 'no room for the files of a daemon',
    expected: 'the `up` fails, nothing is changed; the next one converges',
    run: async (bed) => {
      const wanted = await change(bed);
      const before = asItIs(bed.lab);
      const words = await whileFull(bed, '/etc/smtpd', async () => {
        const seen = await fails(bed, /No space left on device/);
        assert.equal(asItIs(bed.lab), before);
        return seen;
      });
      await succeeds(bed);
      isInForce(bed, wanted);
      return words;
    },
  },
  {
    what: 'the host shows another host key',
    expected: 'the `up` fails before anything is written',
    run: async (bed) => {
      const wanted = await change(bed);
      const before = asItIs(bed.lab);
      const key = '/etc/ssh/ssh_host_ed25519_key';
      onHost(
        bed.lab,
        `mv ${key} /root/kept; ssh-keygen -q -t ed25519 -N '' -f ${key}; systemctl restart ssh`,
      );
      const logins = () =>
        onHost(bed.lab, "journalctl --unit ssh --output cat | grep -c '^Accepted' || true");
      const count = logins();
      const words = await fails(bed, /after \d+ failed attempts: .*/);
      assert.equal(asItIs(bed.lab), before);
      assert.equal(logins(), count);
      onHost(bed.lab, `mv /root/kept ${key}; systemctl restart ssh`);
      await succeeds(bed);
      isInForce(bed, wanted);
      return words;
    },
  },
];

/** Those that the campaign alone runs. */
export const slowFaults: HostFault[] = [
  {
    what: 'a second `up` while one is under way',
    expected: 'the second is refused, the first is not disturbed',
    run: async (bed) => {
      const wanted = await change(bed);
      hold(bed);
      const first = succeeds(bed);
      await underWay(bed);
      const words = await fails(bed, /the stack is currently locked/);
      release(bed);
      await first;
      isInForce(bed, wanted);
      return words;
    },
  },
  {
    what: 'no room to keep the files from before',
    expected: 'the `up` fails, nothing is changed; the next one converges',
    run: async (bed) => {
      const wanted = await change(bed);
      const before = asItIs(bed.lab);
      const words = await whileFull(bed, '/var/lib/mailhost/backup', async () => {
        const seen = await fails(bed, /No space left on device/);
        assert.equal(asItIs(bed.lab).replace('fill\n', ''), before);
        return seen;
      });
      await succeeds(bed);
      isInForce(bed, wanted);
      return words;
    },
  },
  {
    what: 'the host is rebooted during an `up`',
    expected: 'the next `up` converges',
    run: async (bed) => {
      const wanted = await change(bed);
      hold(bed);
      const cut = bed.stack.up();
      await underWay(bed);
      onHost(bed.lab, 'systemctl reboot');
      const { status } = await cut;
      await answers(bed);
      await succeeds(bed);
      isInForce(bed, wanted);
      return `the first ended with status ${status}`;
    },
  },
  {
    what: 'SSH comes up 90 s late',
    expected: 'the `up` waits, and succeeds',
    run: async (bed) => {
      await bed.stack.set('mailhost:drift', 'stop');
      onHost(
        bed.lab,
        'systemctl stop ssh.socket ssh 2>/dev/null; systemd-run --quiet --on-active=90 systemctl start ssh',
      );
      const started = Date.now();
      await succeeds(bed);
      const seconds = Math.round((Date.now() - started) / 1000);
      assert.ok(seconds >= 85, `it took ${seconds} s only`);
      await bed.stack.unset('mailhost:drift');
      await succeeds(bed);
      return `it took ${seconds} s`;
    },
  },
  {
    what: 'a firewall that shuts Pulumi out',
    expected: 'the `up` fails with host, port and step; mended, it succeeds',
    run: async (bed) => {
      await bed.stack.set('mailhost:adminNetworks[0]', '192.0.2.0/24', '--path');
      await succeeds(bed);
      const wanted = await change(bed);
      const words = await fails(bed, /after 10 failed attempts: dial tcp [\d.]+:22: i\/o timeout/);
      await bed.stack.unset('mailhost:adminNetworks');
      await succeeds(bed);
      isInForce(bed, wanted);
      return words;
    },
  },
  {
    what: 'another program holds the locks of dpkg for two minutes',
    expected: 'the `up` waits, and succeeds',
    run: (bed) =>
      withoutPackage(bed, async () => {
        onHost(
          bed.lab,
          `systemd-run --quiet python3 -c 'import fcntl, time; f = open("/var/lib/dpkg/lock-frontend", "a"); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(120)'`,
        );
        const started = Date.now();
        await succeeds(bed);
        const seconds = Math.round((Date.now() - started) / 1000);
        assert.ok(seconds >= 110, `it took ${seconds} s only`);
        return `it took ${seconds} s`;
      }),
  },
  {
    what: 'dpkg was killed half-way',
    expected: 'the `up` repairs and installs',
    run: (bed) =>
      withoutPackage(bed, async () => {
        onHost(
          bed.lab,
          'set -e; cd /run; apt-get -qq download libmail-spf-perl; dpkg --unpack libmail-spf-perl*.deb 2>&1; rm libmail-spf-perl*.deb',
        );
        await succeeds(bed);
        return 'configured';
      }),
  },
  {
    what: "apt's mirror is down",
    expected: "the `up` fails with apt's words; the next one converges",
    run: (bed) =>
      withoutPackage(bed, async () => {
        onHost(
          bed.lab,
          `echo 'Acquire::http::Proxy "http://127.0.0.1:9";' >/etc/apt/apt.conf.d/99dead; apt-get clean`,
        );
        const words = await fails(
          bed,
          /(Failed to fetch|Could not connect|Unable to connect)[^\n]*/,
        );
        onHost(bed.lab, 'rm /etc/apt/apt.conf.d/99dead');
        await succeeds(bed);
        return words;
      }),
  },
  {
    what: 'the volume is full while mail comes in',
    expected: 'what was acknowledged arrives, none is lost',
    run: async (bed) => {
      const flow = new Flow(bed.lab, 'full');
      await flow.more(3);
      onHost(
        bed.lab,
        'fallocate --length $(df --output=avail --block-size=1 /srv/mailhost | tail -1) /srv/mailhost/fill || true; dd if=/dev/zero of=/srv/mailhost/fill2 bs=4k status=none 2>/dev/null || true',
      );
      await waitFor('mail is refused', () => flow.refused > 2, 300);
      onHost(bed.lab, 'rm /srv/mailhost/fill /srv/mailhost/fill2');
      await flow.more(3);
      await flow.stop();
      const twice = await flow.arrived(loginOf(bed.outputs, 'anna@example.org'));
      return `${flow.taken.length} taken, ${flow.refused} refused, 0 lost, ${twice} twice`;
    },
  },
  ...['-3y', '+3y'].map((offset) => ({
    what: `the clock of the host program is wrong by ${offset}`,
    expected: 'it converges, and goes back to the right configuration',
    run: (bed: Bed) => {
      const text = onHostPython(
        bed.lab,
        `
import glob, json, os, subprocess
subprocess.run(["apt-get", "-qq", "install", "faketime"], check=True, capture_output=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
path = "/etc/spamassassin/local.cf"
entry = sorted(glob.glob("/var/lib/mailhost/history/spamassassin/*.json"))[-1]
files = json.load(open(entry))
before = files[path]["text"]
files[path]["text"] += "# ${offset}\\n"
def mailhost(*words, stdin=""):
    return subprocess.run(["faketime", "-f", "${offset}", "mailhost", *words], input=stdin, text=True, check=True, capture_output=True).stdout
print(mailhost("activate", "spamassassin", stdin=json.dumps(files)))
assert open(path).read().endswith("# ${offset}\\n")
mailhost("rollback", "spamassassin")
assert open(path).read() == before
files[path]["text"] = before
mailhost("activate", "spamassassin", stdin=json.dumps(files))
print(mailhost("drift"))
`,
      );
      return Promise.resolve(text.trim().split('\n').at(-1)!);
    },
  })),
];

/** Kills the machine itself under a flow of mail; the page cache stays, so this is no power cut. */
export async function killMachine({ lab, outputs }: Bed, times: number): Promise<string> {
  const machines = new Machines(lab);
  const [id] = machines.ids();
  const flow = new Flow(lab, 'machine');
  for (let i = 0; i < times; i++) {
    await flow.more(3);
    await machines.powerOff(id!);
    await machines.powerOn(id!);
  }
  await flow.more(3);
  await flow.stop();
  const twice = await flow.arrived(loginOf(outputs, 'anna@example.org'));
  return `${flow.taken.length} acknowledged, 0 lost, ${twice} twice`;
}
