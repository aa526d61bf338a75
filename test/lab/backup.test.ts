import { execFileSync } from 'node:child_process';
import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { backupServer } from '../../lab/backupServer';
import { hostRoot } from '../../lab/machines';
import { readMailbox, waitForMail, withImap } from '../../lab/mail';
import { waitFor } from '../../lab/state';
import {
  allSubjects,
  asRestored,
  backedUp,
  byTheCalendar,
  deleteAll,
  logOf,
  notLetIn,
  password,
  subjects,
  text,
} from './backedUp';
import { hostTest, type Host } from './hosts';
import { s3Gateway } from './s3Gateway';
import { step } from './testLab';

const it = hostTest({}, backedUp);

const restore = (host: Host, ...options: string[]) =>
  host.shell(`mailhost restore anna@example.org ${options.join(' ')}`);

const restic = (host: Host, ...words: string[]) =>
  host.shell(
    `PYTHONPATH=/usr/local/lib python3 -Bc 'import sys; from mailhost.restic import restic; print(restic(*sys.argv[1:])[1])' ${words.join(' ')}`,
  );

/** Gives a backup another time; of one day only the last one is kept. */
const moveTo = (host: Host, time: string, snapshot: string) =>
  restic(host, 'rewrite', '--forget', '--new-time', `'${time}'`, snapshot);

const snapshotIds = (host: Host) =>
  [...host.shell('mailhost snapshots').matchAll(/^\S+/gm)].map(([id]) => id);

const check = (host: Host) =>
  host.shell(`echo '{"hostName": "mail.example.org", "domains": []}' | mailhost check`);

describe('a backup', () => {
  const locks = (host: Host) => readdirSync(join(backupServer(host.lab).folder, 'mail/locks'));
  /** Has restic take so long over one kind of work that it does not end by itself. */
  const slowDown = (host: Host, work: string) =>
    host.shell(
      `cat >/usr/local/bin/restic <<'E'
#!/bin/sh
case " $* " in *" ${work} "*)
  touch /run/restic-waits
  until [ -e /run/restic-goes ]; do sleep 0.1; done
  set -- --no-cache --limit-download 1 --limit-upload 1 "$@"
esac
exec /usr/bin/restic "$@"
E
       chmod +x /usr/local/bin/restic`,
    );
  const isUnderWay = async (host: Host, work: string) => {
    await waitFor(`restic begins to ${work}`, () => host.shell('ls /run').includes('restic-waits'));
    host.shell('touch /run/restic-goes');
    // What takes longest here lasts for some seconds only.
    await waitFor(`restic is in the middle of ${work}`, () => locks(host).length > 0);
  };

  it('does not keep a host from working whose key its server does not let in, and says which it is', ({
    host,
  }) => {
    const { nextSteps } = host.outputs;
    const [, key] = notLetIn.exec(nextSteps) ?? [];
    expect(key, nextSteps).toBeDefined();
    // It is the one that was let in then.
    expect(host.shell('mailhost backup 2>&1 && mailhost snapshots')).toMatch(/^[0-9a-f]{8} {2}/m);
  });

  it('is made each night, and when it is asked for', ({ freshHost: host }) => {
    byTheCalendar(host);
    expect(
      host.shell('systemctl show --value --property TimersCalendar mailhost-backup.timer'),
    ).toContain('OnCalendar=*-*-* 03:00:00');
    expect(host.shell('systemctl is-active mailhost-backup.timer')).toBe('active\n');
    host.shell('systemctl start mailhost-backup');
    expect(check(host)).not.toContain('back');
    expect(host.shell('mailhost snapshots')).toMatch(/^[0-9a-f]{8} {2}\d{4}-\d\d-\d\d .* MB\n$/);
  });

  it('gives back a message, a folder and a mailbox, and nothing twice', async ({
    freshHost: host,
  }) => {
    const anna = host.login('anna@example.org');
    const restoreAll = (options = '') => host.shell(`mailhost restore all ${options} 2>&1`);
    host.shell('mailhost backup');
    await step('a message and a folder', async () => {
      const [id] = (await readMailbox(anna)).flatMap(({ subject, messageId }) =>
        subject === 'of the inbox' ? [messageId!] : [],
      );
      for (const [mailbox, subject] of [
        ['INBOX', 'of the inbox'],
        ['Archive', 'of a folder'],
      ] as const) {
        await withImap(anna, async (client) => {
          await client.mailboxOpen(mailbox);
          await client.messageDelete({ subject });
        });
      }
      expect(await subjects(host, 'INBOX')).toContain('that stays');
      expect(restore(host, '--message-id', `'${id}'`)).toContain('1 messages, in Restored');
      expect(await subjects(host, 'Restored')).toEqual(['of the inbox']);
      expect(restore(host, '--folder', 'Archive')).toContain('1 messages');
      expect(await subjects(host, 'Restored/Archive')).toEqual(['of a folder']);
      for (const what of ['anna@example.org', 'all'])
        expect(host.shell(`mailhost restore ${what}`)).toContain(
          'anna@example.org: nothing is missing',
        );
    });
    await step('all', async () => {
      await deleteAll(host);
      expect(() => restoreAll('--snapshot 00000000')).toThrow();
      expect(restoreAll()).toMatch(/^anna@example\.org: \d+ messages, in Restored/m);
      const all = await allSubjects(host);
      expect(all.Restored).toEqual(expect.arrayContaining(['of the inbox', 'that stays']));
      expect(all['Restored/Archive']).toEqual(['of a folder']);
    });
    await step('a Sieve script', () => {
      const scripts = () => host.shell('doveadm sieve list -u anna@example.org');
      const active = scripts();
      expect(active).toMatch(/own.*ACTIVE/);
      host.shell('doveadm sieve delete -a -u anna@example.org own');
      expect(scripts()).not.toContain('own');
      restore(host);
      expect(scripts()).toBe(active);
    });
    expect(() => host.shell('mailhost restore carl@example.org 2>&1')).toThrow();
    expect(host.shell('mailhost restore volume')).toContain('WARNING: nothing was restored');
  });

  it('gives back what only an older one has', async ({ freshHost: host }) => {
    host.shell('mailhost backup');
    const before = await allSubjects(host);
    await deleteAll(host);
    moveTo(host, '2020-01-30 03:10:00', 'latest');
    host.shell('mailhost backup');
    const [older, ...newer] = snapshotIds(host);
    expect(newer).toHaveLength(1);
    expect(restore(host)).toContain('nothing is missing');
    // As if the clock had been ahead when it was made.
    moveTo(host, '2099-01-30 03:10:00', older!);
    expect(restore(host)).toContain('nothing is missing');
    moveTo(host, '2020-01-30 03:10:00', snapshotIds(host).at(-1)!);
    expect(restore(host, '--snapshot', snapshotIds(host)[0]!)).toContain(' messages, in Restored');
    expect(await allSubjects(host)).toEqual(asRestored(before));
  });

  it('gives back all, and nothing twice, after a restore that was killed', async ({
    freshHost: host,
  }) => {
    host.shell('mailhost backup');
    const before = await allSubjects(host);
    const [snapshot] = snapshotIds(host);
    await deleteAll(host);
    await step('killed after the first message', async () => {
      const killed = `cd /usr/local/lib && python3 -Bc '
import os, signal, sys
from mailhost import command_line, restore
put_back = restore.put_back
def put_back_and_die(*arguments):
    put_back(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
restore.put_back = put_back_and_die
sys.argv = ["mailhost", "restore", "anna@example.org", "--snapshot", "${snapshot}"]
command_line.main()'`;
      expect(() => host.shell(killed)).toThrow();
      expect(Object.values(await allSubjects(host)).flat()).toHaveLength(1);
    });
    await step('killed while restic works', async () => {
      slowDown(host, 'restore');
      // As from a shell: what it has started is not killed with it.
      host.shell(
        `systemd-run --quiet --unit restoring --property KillMode=process mailhost restore anna@example.org --snapshot ${snapshot}`,
      );
      await isUnderWay(host, 'restore');
      host.shell(
        'systemctl kill --kill-whom main --signal KILL restoring; rm /usr/local/bin/restic',
      );
    });
    restore(host, '--snapshot', snapshot!);
    // The inbox has a report of the unit that was killed.
    expect(await allSubjects(host)).toMatchObject(asRestored(before));
    expect(host.shell('pgrep restic || true')).toBe('');
  });

  it.for(['backup', 'forget'])(
    'is made the next night, too, where all was killed in the middle of this: %s',
    async (work, { freshHost: host }) => {
      host.shell('mailhost backup');
      moveTo(host, '2020-01-30 03:10:00', 'latest');
      slowDown(host, work);
      host.shell('systemctl start --no-block mailhost-backup');
      await isUnderWay(host, work);
      host.shell('systemctl kill --signal KILL mailhost-backup; rm /usr/local/bin/restic');
      await waitFor('it has ended', () =>
        host.shell('systemctl is-active mailhost-backup || true').startsWith('failed'),
      );
      expect(locks(host)).toHaveLength(1);
      host.shell('systemctl start mailhost-backup');
      expect(locks(host)).toEqual([]);
      expect(snapshotIds(host)).toHaveLength(2);
    },
  );

  it('has every message, also of those that move while it is made', ({ freshHost: host }) => {
    host.shell(
      `cat >/run/move.py <<'E'
import itertools, os, pathlib, time
folders = pathlib.Path("/srv/mailhost/mail/example.net/bert/mail/Folders")
places = [folders / folder / ".maildir" / part for folder in ("INBOX", "tmp", "Zoo/cur") for part in ("cur", "new")]
for place in places: place.mkdir(parents=True, exist_ok=True)
names = [f"1.moving{i}.host" for i in range(400)]
for name in names: (places[0] / name).write_text("x")
print("ready", flush=True)
for now, then in itertools.pairwise(itertools.cycle(places)):
    for name in names:
        os.link(now / name, then / name)
        os.unlink(now / name)
        time.sleep(0.001)
E
       systemd-run --quiet --unit move python3 /run/move.py
       until journalctl --unit move --output cat | grep -q ready; do :; done
       mailhost backup; systemctl stop move`,
    );
    const listed = restic(host, 'ls', 'latest');
    const moving = [...listed.matchAll(/1\.moving\d+\.host/g)].map(([found]) => found);
    expect(new Set(moving).size).toBe(400);
    expect(moving).toHaveLength(400);
  });

  it('shows its password and the mail to nobody', ({ freshHost: host }) => {
    const commandLines = host.shell(
      `while test ! -e /run/watched; do cat /proc/[0-9]*/cmdline; done 2>/dev/null | tr '\\0' '\\n' | sort -u >/run/seen &
       mailhost backup >&2; touch /run/watched; wait; cat /run/seen`,
    );
    expect(commandLines).toContain('restic');
    expect(commandLines).not.toContain(password);
    const places = {
      log: logOf(host),
      state: host.stack.state(),
      journal: host.shell('journalctl --no-pager'),
    };
    for (const [place, found] of Object.entries(places))
      expect(found, place).not.toContain(password);
    const readable = host.shell(
      `find / -xdev -type f -perm -o=r -size -1M -not -path '/proc/*' -not -path '/sys/*' -print0 |
         xargs -0 grep --files-with-matches ${password} || true`,
    );
    expect(readable).toBe('');
    const { folder } = backupServer(host.lab);
    const found = execFileSync('sh', ['-c', `grep -rlE '${password}|${text}' ${folder} || true`]);
    expect(String(found)).toBe('');
    expect(
      String(execFileSync('find', [folder, '-type', 'f', '-name', '????*'])).length,
    ).toBeGreaterThan(0);
  });

  it('fails aloud, once a day', async ({ freshHost: host }) => {
    const moved = '/etc/mailhost/restic.password';
    host.shell(
      `mailhost backup; cp -p ${moved} /run; echo wrong >${moved}
       mailhost backup 2>/run/words; mailhost backup; mv /run/restic.password ${moved}; grep 'wrong password' /run/words`,
    );
    const subject = 'the backup of this host failed';
    await waitForMail(host.login('anna@example.org'), subject);
    expect(check(host)).toContain('WARNING: mail is not backed up: restic unlock failed');
    host.shell(
      `mailhost backup; sed -i 's/"last": "20../"last": "1999/' /var/lib/mailhost/backup.json`,
    );
    expect(check(host)).toMatch(/WARNING: the last backup is of 1999/);
    await host.queueIsEmpty();
    expect((await subjects(host, 'INBOX')).filter((found) => found === subject)).toHaveLength(1);
  });

  it('goes to no server that has another host key', ({ host }) => {
    const file = '/etc/mailhost/restic.known_hosts';
    const words = host.shell(
      `cp -p ${file} /run
       sed -i "s|ssh-ed25519 .*|$(cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)|" ${file}
       mailhost backup 2>&1 || true; mv /run/restic.known_hosts ${file}`,
    );
    expect(words).toContain('Host key verification failed');
  });
});

describe('a repository', () => {
  const variable = (name: string, secret: string) => ({
    [`backup.environment.${name}`]: { secret },
  });
  const isBackedUp = (host: Host) =>
    expect(host.shell('mailhost backup && mailhost snapshots')).toMatch(/snapshot [0-9a-f]{8}: /);

  it('is a server by HTTP, too, with the login that it asks for', async ({ freshHost: host }) => {
    const marker = 'marker-of-the-server';
    host.shell(
      `apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq --yes install restic-rest-server >/dev/null
       doveadm pw -s BLF-CRYPT -p ${marker} | sed 's/^{BLF-CRYPT}/mail:/' >/run/htpasswd
       systemd-run --quiet --unit rest restic-rest-server --listen 127.0.0.1:8000 --path /root/rest --htpasswd-file /run/htpasswd`,
    );
    await host.stack.unset('mailhost:backup.hostKey');
    const output = await host.up({
      'backup.repository': 'rest:http://127.0.0.1:8000/',
      ...variable('RESTIC_REST_USERNAME', 'mail'),
      ...variable('RESTIC_REST_PASSWORD', marker),
    });
    expect(host.outputs.nextSteps).not.toContain('mail is not backed up');
    isBackedUp(host);
    expect(host.shell('ls /root/rest/snapshots | wc -l')).toBe('1\n');
    expect(output + host.stack.state()).not.toContain(marker);
  });

  it.runIf(process.env.MAILHOST_LONG)(
    'is a bucket of S3, too, with its key',
    async ({ freshHost: host }) => {
      const marker = 'marker-of-the-bucket';
      cpSync(s3Gateway, join(hostRoot(host.lab), 'usr/local/bin/versitygw'));
      host.shell(
        `mkdir -p /root/s3/mail
       systemd-run --quiet --unit s3 versitygw --access lab --secret ${marker} --port 127.0.0.1:7070 posix --sidecar /root /root/s3`,
      );
      await waitFor('the gateway listens', () => host.shell('ss -Hltn sport = :7070') !== '');
      await host.stack.unset('mailhost:backup.hostKey');
      const refused = await host.up({
        'backup.repository': 's3:http://127.0.0.1:7070/mail',
        ...variable('AWS_ACCESS_KEY_ID', 'lab'),
        ...variable('AWS_SECRET_ACCESS_KEY', 'another'),
      });
      expect(refused).toMatch(/mail is not backed up: .*signature/i);
      const output = await host.up(variable('AWS_SECRET_ACCESS_KEY', marker));
      // What the engine prints has the old words, too: as those that go.
      expect(host.outputs.nextSteps).not.toContain('mail is not backed up');
      isBackedUp(host);
      expect(host.shell('ls /root/s3/mail/snapshots | wc -l')).toBe('1\n');
      expect(output + host.stack.state()).not.toContain(marker);
    },
  );

  it('is a path where something is mounted, too, and keeps what it is told to', async ({
    freshHost: host,
  }) => {
    host.shell('mkdir -p /mnt/backup; mount -t tmpfs tmpfs /mnt/backup');
    await host.stack.unset('mailhost:backup.hostKey');
    await host.up({
      'backup.repository': '/mnt/backup',
      'backup.keepDaily': '2',
      'backup.keepWeekly': '0',
      'backup.keepMonthly': '3',
    });
    expect(host.outputs.nextSteps).not.toContain('mail is not backed up');
    const days = ['2020-01-30', '2020-01-31', '2020-02-01', '2020-02-02', '2020-03-03'];
    host.shell(
      `cd /usr/local/lib && python3 -Bc '
import pathlib, sys
from mailhost.backup import COPY
from mailhost.restic import restic, settings
COPY.mkdir()
for day in sys.argv[1:]:
    restic("backup", "--host", settings()["RESTIC_HOST"], "--time", day + " 03:10:00", str(COPY))
COPY.rmdir()' ${days.join(' ')}`,
    );
    const kept = () => [...host.shell('mailhost snapshots').matchAll(/ (\d{4}-\d\d-\d\d) /g)];
    expect(kept().map(([, day]) => day)).toEqual(days);
    host.shell('mailhost backup');
    const today = host.shell('date +%F').trim();
    expect(kept().map(([, day]) => day)).toEqual(['2020-02-02', '2020-03-03', today]);
  });

  it('goes with its setting, and leaves nothing behind', async ({ freshHost: host }) => {
    await host.stack.unset('mailhost:backup');
    await host.up();
    const left = host.shell(
      'ls /etc/mailhost /etc/systemd/system; systemctl is-active mailhost-backup.timer || true',
    );
    expect(left).not.toMatch(/restic|backup/);
    expect(left).toMatch(/inactive\n$/);
    expect(host.outputs.nextSteps).toContain(
      'mail is not backed up: the setting backup says where to',
    );
  });
});
