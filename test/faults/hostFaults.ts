import { strict as assert } from 'node:assert';
import { onHost } from '../../lab/machines';
import { waitFor } from '../../lab/state';
import { fails, succeeds, whileUnderWay, type Bed, type Row } from './bed';
import { cutRows } from './cuts';
import { flowing } from './flow';
import { asItIs, onHostPython } from './host';
import { change, installation, isInForce, spare } from './work';

const [cutSsh, ...otherCuts] = cutRows;

/** Puts a small file system with room for nothing more in the place of a folder while it works. */
async function whileFull({ lab }: Bed, folder: string, work: () => Promise<string>) {
  onHost(
    lab,
    `set -e; rm -rf /run/copy; cp -a ${folder} /run/copy
     mount -t tmpfs -o size=256k,nr_inodes=200,mode=$(stat -c %a ${folder}) tmpfs ${folder}
     cp -a /run/copy/. ${folder}/
     dd if=/dev/zero of=${folder}/fill bs=4k status=none 2>/dev/null || true
     touch $(seq --format '${folder}/fill%g' 200) 2>/dev/null || true`,
  );
  try {
    return await work();
  } finally {
    onHost(lab, `umount --lazy ${folder}; rm -rf /run/copy`);
  }
}

const noRoom = (name: string, what: string, folder: string): Row => ({
  name,
  what,
  expected: 'the `up` fails, nothing is changed; the next one converges',
  run: async (bed) => {
    const wanted = await change(bed);
    const before = asItIs(bed.lab);
    const words = await whileFull(bed, folder, async () => {
      const seen = await fails(bed, /No space left on device/);
      assert.equal(asItIs(bed.lab).replace(/^fill\d*\n/gm, ''), before);
      return seen;
    });
    await succeeds(bed);
    isInForce(bed, wanted);
    return words;
  },
});

/** @returns how long it took */
async function takesAtLeast(seconds: number, work: () => Promise<unknown>): Promise<string> {
  const started = Date.now();
  await work();
  const taken = Math.round((Date.now() - started) / 1000);
  assert.ok(taken >= seconds, `it took ${taken} s only`);
  return `it took ${taken} s`;
}

/** Those that the tests run, too. */
export const quickFaults: Row[] = [
  cutSsh!,
  noRoom('no-room', 'no room for the files of a daemon', '/etc/smtpd'),
  {
    name: 'host-key',
    what: 'the host shows another host key',
    expected: 'the `up` fails before anything is written',
    run: async (bed) => {
      const wanted = await change(bed);
      const before = asItIs(bed.lab);
      const key = '/etc/ssh/ssh_host_ed25519_key';
      const logins = () =>
        onHost(bed.lab, "journalctl --unit ssh --output cat | grep -c '^Accepted' || true");
      const count = logins();
      onHost(
        bed.lab,
        `mv ${key} /root/kept; ssh-keygen -q -t ed25519 -N '' -f ${key}; systemctl restart ssh`,
      );
      let words: string;
      try {
        words = await fails(bed, /after \d+ failed attempts: .*/);
        assert.equal(asItIs(bed.lab), before);
        assert.equal(logins(), count);
      } finally {
        onHost(bed.lab, `mv /root/kept ${key}; systemctl restart ssh`);
      }
      await succeeds(bed);
      isInForce(bed, wanted);
      return words;
    },
  },
  {
    name: 'dpkg-half-way',
    what: 'dpkg was killed half-way: a package is unpacked, and what it needs is not there',
    expected: 'the `up` repairs and installs',
    run: (bed) =>
      installation.around(bed, async () => {
        const words = onHost(
          bed.lab,
          `set -e; cd /run; apt-get -qq download ${spare}; dpkg --unpack ${spare}_*.deb >/dev/null 2>&1; rm ${spare}_*.deb
           if apt-get check 2>&1; then exit 1; fi`,
        );
        assert.match(words, /Unmet dependencies/);
        await succeeds(bed);
        return 'unmet dependencies before it, none after it';
      }),
  },
];

/** Those that the campaign alone runs. */
export const slowFaults: Row[] = [
  ...otherCuts,
  noRoom('no-room-before', 'no room to keep the files from before', '/var/lib/mailhost/backup'),
  {
    name: 'two-ups',
    what: 'a second `up` while one is under way',
    expected: 'the second is refused, the first is not disturbed',
    run: async (bed) => {
      const wanted = await change(bed);
      // The first has to wait, so that there is one under way.
      onHost(
        bed.lab,
        'systemd-run --quiet --unit hold flock /run/mailhost.lock sleep infinity; while flock --nonblock /run/mailhost.lock true; do :; done',
      );
      const release = () => onHost(bed.lab, 'systemctl stop hold 2>/dev/null || true');
      const waits = "pgrep -f '^/usr/bin/python3 .*mailhost activate' >/dev/null";
      try {
        const second = async () => {
          await whileUnderWay(bed, waits, 'true');
          const seen = await fails(bed, /the stack is currently locked/);
          release();
          return seen;
        };
        const [words] = await Promise.all([second(), succeeds(bed)]);
        isInForce(bed, wanted);
        return words;
      } finally {
        release();
      }
    },
  },
  {
    name: 'late-ssh',
    what: 'SSH comes up 90 s late',
    expected: 'the `up` waits, and succeeds',
    run: async (bed) => {
      await bed.stack.set('mailhost:drift', 'stop');
      onHost(
        bed.lab,
        'systemctl stop ssh.socket ssh 2>/dev/null; systemd-run --quiet --on-active=90 systemctl start ssh',
      );
      const seen = await takesAtLeast(85, () => succeeds(bed));
      await bed.stack.unset('mailhost:drift');
      await succeeds(bed);
      return seen;
    },
  },
  {
    name: 'shut-out',
    what: 'a firewall that shuts Pulumi out',
    expected: 'the `up` fails with host, port and step; mended, it succeeds',
    run: async (bed) => {
      await bed.stack.set('mailhost:adminNetworks[0]', '192.0.2.0/24', '--path');
      const wanted = await change(bed);
      const words = await fails(
        bed,
        /mail-\w+ \*\*updating failed.*after 10 failed attempts: dial tcp [\d.]+:22: i\/o timeout/,
      );
      await bed.stack.unset('mailhost:adminNetworks');
      await succeeds(bed);
      isInForce(bed, wanted);
      return words;
    },
  },
  {
    name: 'dpkg-locked',
    what: 'another program holds the locks of dpkg for two minutes',
    expected: 'the `up` waits, and succeeds',
    run: (bed) =>
      installation.around(bed, () => {
        onHost(
          bed.lab,
          `systemd-run --quiet python3 -c 'import fcntl, time; f = open("/var/lib/dpkg/lock-frontend", "a"); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(120)'`,
        );
        return takesAtLeast(110, () => succeeds(bed));
      }),
  },
  {
    name: 'no-mirror',
    what: "apt's mirror is down",
    expected: "the `up` fails with apt's words; the next one converges",
    run: (bed) =>
      installation.around(bed, async () => {
        const file = '/etc/apt/apt.conf.d/99dead';
        onHost(
          bed.lab,
          `echo 'Acquire::http::Proxy "http://127.0.0.1:9";' >${file}; apt-get clean`,
        );
        try {
          return await fails(bed, /(Failed to fetch|Could not connect|Unable to connect)[^\n]*/);
        } finally {
          onHost(bed.lab, `rm ${file}`);
        }
      }),
  },
  {
    name: 'no-room-packages',
    what: 'no room for the packages that apt gets',
    expected: "the `up` fails with apt's words; the next one converges",
    run: (bed) =>
      installation.around(bed, () => {
        onHost(bed.lab, 'apt-get clean');
        return whileFull(bed, '/var/cache/apt/archives', () =>
          fails(bed, /(free space|No space left)[^\n]*/),
        );
      }),
  },
  {
    name: 'full-volume',
    what: 'the volume is full while mail comes in',
    expected: '0 messages lost',
    run: (bed) =>
      flowing(bed, 'full', async (flow) => {
        await flow.more(3);
        const fill = '/srv/mailhost/fill';
        onHost(
          bed.lab,
          `fallocate --length $(df --output=avail --block-size=1 /srv/mailhost | tail -1) ${fill} || true; dd if=/dev/zero of=${fill}2 bs=4k status=none 2>/dev/null || true`,
        );
        try {
          await waitFor('mail is refused', () => flow.refused > 2);
        } finally {
          onHost(bed.lab, `rm -f ${fill} ${fill}2`);
        }
        await flow.more(3);
      }),
  },
  ...['-3y', '+3y'].map((offset): Row => ({
    name: `clock${offset}`,
    what: `the clock of the host program is wrong by ${offset}`,
    expected: 'it converges, and goes back to the right configuration',
    run: async ({ lab }) => {
      const text = await onHostPython(
        lab,
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
      return text.trim().split('\n').at(-1)!;
    },
  })),
];
