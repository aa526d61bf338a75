import { execFile, execFileSync } from 'node:child_process';
import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backupServer } from '../../lab/backupServer';
import { hostRoot, onHost } from '../../lab/machines';
import { moveMail, readMailbox, sendFromRemote, waitForMail, withImap } from '../../lab/mail';
import { useScript } from '../../lab/manageSieve';
import { addresses } from '../../lab/network';
import { loginOf, proofs } from '../../lab/proof';
import { labResolver } from '../../lab/remote/resolver';
import type { StackOutputs } from '../../lab/stack';
import { waitFor, type Lab } from '../../lab/state';
import { changes, endLab, startLab, TestStack } from './testLab';

const name = 'backup';
const erika = 'erika@remote.example';
const password = 'marker-of-the-repository';
const text = 'marker-in-a-message';
let lab: Lab;
let stack: TestStack;
let outputs: StackOutputs;
let log = '';

const up = async () => {
  const { status, output } = await stack.up();
  expect(status, output).toBe(0);
  log += output;
  return output;
};
const anna = () => loginOf(outputs, 'anna@example.org');
const bert = () => loginOf(outputs, 'bert@example.net');
const send = async (subject: string) => {
  await sendFromRemote(lab, { from: erika, to: 'anna@example.org', subject, text });
  await waitForMail(anna(), subject);
};
const subjects = async (mailbox: string) =>
  (await readMailbox(anna(), mailbox)).map(({ subject }) => subject ?? '').sort();

interface Api {
  servers: { id: number }[];
  volumes: { id: number }[];
  primary_ips: { ip: string; dns_ptr: object }[];
}
const api = async <K extends keyof Api>(path: string, method = 'GET', body?: object) => {
  const response = await fetch(`${stack.env.HCLOUD_ENDPOINT}/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${stack.env.HCLOUD_TOKEN}`,
      'content-type': 'application/json',
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  expect(response.ok, path).toBe(true);
  return (response.status === 204 ? {} : await response.json()) as Pick<Api, K>;
};
const onlyServer = async () => (await api<'servers'>('servers')).servers[0]!.id;

/** What others know the host by. */
const identity = async () => {
  const resolve = labResolver(addresses.resolver.v4);
  const keys = ['example.org', 'example.net'].map((domain) =>
    resolve(`s1._domainkey.${domain}`, 'TXT'),
  );
  const { primary_ips } = await api<'primary_ips'>('primary_ips');
  return {
    addresses: primary_ips.map(({ ip, dns_ptr }) => [ip, dns_ptr]),
    keys: await Promise.all(keys),
    hostKey: onHost(lab, 'cat /etc/ssh/ssh_host_ed25519_key.pub').split(' ')[1],
  };
};

/** Mail from the remote system, which tries each message until it is taken. */
class Flow {
  readonly taken: { subject: string; at: number }[] = [];
  refusals = 0;
  private ended = false;
  private readonly sending: Promise<void>;

  constructor(private readonly prefix: string) {
    this.sending = this.send();
  }

  private async send(): Promise<void> {
    for (let i = 0; !this.ended;) {
      const subject = `${this.prefix} ${i}`;
      const message = { from: erika, to: 'bert@example.net', subject, text };
      await sendFromRemote(lab, message).then(
        () => {
          this.taken.push({ subject, at: Date.now() });
          i++;
        },
        () => {
          this.refusals++;
          return sleep(200);
        },
      );
    }
  }

  more(count: number) {
    const enough = this.taken.length + count;
    return waitFor(`${count} messages are taken`, () => this.taken.length >= enough, 300);
  }

  /** @returns what has become of all that was taken */
  async end() {
    this.ended = true;
    await this.sending;
    const found = await waitFor('what was taken is delivered', async () => {
      onHost(lab, 'smtpctl schedule all >/dev/null || true');
      const all = (await readMailbox(bert())).map(({ subject }) => subject ?? '');
      return this.taken.every(({ subject }) => all.includes(subject)) ? all : undefined;
    });
    const own = found.filter((subject) => subject.startsWith(`${this.prefix} `));
    const times = this.taken.map(({ at }) => at);
    const gap = Math.max(...times.slice(1).map((at, i) => at - times[i]!));
    return {
      taken: this.taken.length,
      twice: own.length - new Set(own).size,
      seconds: Math.round(gap / 1000),
    };
  }
}

beforeAll(async () => {
  lab = startLab(name);
  stack = new TestStack(lab);
  await stack.select();
  const { repository, hostKey } = backupServer(lab);
  await stack.set('mailhost:protect', 'true');
  await stack.set('mailhost:backup.repository', repository, '--path');
  await stack.set('mailhost:backup.hostKey', hostKey, '--path');
  await stack.set('mailhost:backup.password', password, '--path', '--secret');
  await up();
  outputs = stack.outputs();
});
afterAll(() => endLab(name));

describe('a backup', () => {
  const restore = (...options: string[]) =>
    onHost(lab, `mailhost restore anna@example.org ${options.join(' ')}`);
  const restic = (...words: string[]) =>
    onHost(
      lab,
      `PYTHONPATH=/usr/local/lib/mailhost python3 -Bc 'import sys; from backup import restic; print(restic(*sys.argv[1:])[1])' ${words.join(' ')}`,
    );
  const mailboxes = ['INBOX', 'Restored', 'Restored/Archive'];
  const allSubjects = async () => {
    const found: string[][] = [];
    for (const mailbox of mailboxes) found.push(await subjects(mailbox));
    return found;
  };
  const deleteAll = () =>
    withImap(anna(), async (client) => {
      for (const mailbox of mailboxes) {
        await client.mailboxOpen(mailbox);
        await client.messageDelete('1:*');
      }
    });
  const snapshotIds = () =>
    [...onHost(lab, 'mailhost snapshots').matchAll(/^\S+/gm)].map(([id]) => id);
  const locks = () => readdirSync(join(backupServer(lab).folder, 'mail/locks'));
  /** Has restic take so long over one kind of work that it does not end by itself. */
  const slowDown = (work: string) =>
    onHost(
      lab,
      `cat >/usr/local/bin/restic <<'E'
#!/bin/sh
case " $* " in *" ${work} "*) set -- --no-cache --limit-download 1 --limit-upload 1 "$@" ;; esac
exec /usr/bin/restic "$@"
E
       chmod +x /usr/local/bin/restic`,
    );
  const isUnderWay = (work: string) =>
    waitFor(
      `restic is in the middle of ${work}`,
      () =>
        onHost(lab, `pgrep --full '^/usr/bin/restic .* ${work} ' || true`) !== '' &&
        locks().length > 0,
    );

  it('does not keep a host from working whose key its server does not let in, and says which it is', () => {
    const task = /mail is not backed up: .*Permission denied.*let this key in: (ssh-ed25519 \S+)/;
    const [, key] = task.exec(outputs.nextSteps) ?? [];
    expect(key, outputs.nextSteps).toBeDefined();
    backupServer(lab).letIn(key!);
  });

  it('is made each night, and when it is asked for', async () => {
    await send('of the inbox');
    await send('of a folder');
    await send('that stays');
    await moveMail(anna(), 'of a folder', 'INBOX', 'Archive');
    await useScript(anna(), 'keep;');
    expect(
      onHost(lab, 'systemctl show --value --property TimersCalendar mailhost-backup.timer'),
    ).toContain('OnCalendar=*-*-* 03:00:00');
    onHost(lab, 'systemctl start mailhost-backup');
    const check = onHost(
      lab,
      `echo '{"hostName": "mail.example.org", "domains": []}' | mailhost check`,
    );
    expect(check).not.toContain('back');
    expect(onHost(lab, 'mailhost snapshots')).toMatch(/^[0-9a-f]{8} {2}\d{4}-\d\d-\d\d .* MB\n$/);
  });

  it('gives back a message, a folder and a mailbox, and nothing twice', async () => {
    const [id] = (await readMailbox(anna())).flatMap(({ subject, messageId }) =>
      subject === 'of the inbox' ? [messageId!] : [],
    );
    for (const [mailbox, subject] of [
      ['INBOX', 'of the inbox'],
      ['Archive', 'of a folder'],
    ] as const) {
      await withImap(anna(), async (client) => {
        await client.mailboxOpen(mailbox);
        await client.messageDelete({ subject });
      });
    }
    expect(await subjects('INBOX')).toContain('that stays');
    const restoreAll = (options = '') => onHost(lab, `mailhost restore all ${options} 2>&1`);
    expect(restore('--message-id', `'${id}'`)).toContain('1 messages, in Restored');
    expect(await subjects('Restored')).toEqual(['of the inbox']);
    expect(restore('--folder', 'Archive')).toContain('1 messages');
    expect(await subjects('Restored/Archive')).toEqual(['of a folder']);
    for (const what of ['anna@example.org', 'all'])
      expect(onHost(lab, `mailhost restore ${what}`)).toContain(
        'anna@example.org: nothing is missing',
      );
    await deleteAll();
    expect(() => restoreAll('--snapshot 00000000')).toThrow();
    expect(restoreAll()).toMatch(/^anna@example\.org: \d+ messages, in Restored/m);
    expect(await subjects('Restored')).toEqual(
      expect.arrayContaining(['of the inbox', 'that stays']),
    );
    expect(await subjects('Restored/Archive')).toEqual(['of a folder']);
    const scripts = () => onHost(lab, 'doveadm sieve list -u anna@example.org');
    const active = scripts();
    expect(active).toMatch(/own.*ACTIVE/);
    onHost(lab, 'doveadm sieve delete -a -u anna@example.org own');
    expect(scripts()).not.toContain('own');
    restore();
    expect(scripts()).toBe(active);
    expect(() => onHost(lab, 'mailhost restore carl@example.org 2>&1')).toThrow();
    expect(onHost(lab, 'mailhost restore volume')).toContain('WARNING: nothing was restored');
  });

  it('gives back what only an older one has', async () => {
    const before = await allSubjects();
    await deleteAll();
    const moveTo = (time: string, snapshot: string) =>
      restic('rewrite', '--forget', '--new-time', `'${time}'`, snapshot);
    // Of one day only the last one is kept.
    moveTo('2020-01-30 03:10:00', 'latest');
    onHost(lab, 'mailhost backup');
    const [older, ...newer] = snapshotIds();
    expect(newer).toHaveLength(1);
    expect(restore()).toContain('nothing is missing');
    // As if the clock had been ahead when it was made.
    moveTo('2099-01-30 03:10:00', older!);
    expect(restore()).toContain('nothing is missing');
    moveTo('2020-01-30 03:10:00', snapshotIds().at(-1)!);
    expect(restore('--snapshot', snapshotIds()[0]!)).toContain(' messages, in Restored');
    expect(await allSubjects()).toEqual(before);
  });

  it('gives back all, and nothing twice, after a restore that was killed', async () => {
    const before = await allSubjects();
    const [older] = snapshotIds();
    await deleteAll();
    const killed = `cd /usr/local/lib/mailhost && python3 -Bc '
import os, signal, sys
import commands, restore
put_back = restore.put_back
def put_back_and_die(*arguments):
    put_back(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
restore.put_back = put_back_and_die
sys.argv = ["mailhost", "restore", "anna@example.org", "--snapshot", "${older}"]
commands.main()'`;
    expect(() => onHost(lab, killed)).toThrow();
    expect((await allSubjects()).flat()).toHaveLength(1);

    slowDown('restore');
    // As from a shell: what it has started is not killed with it.
    onHost(
      lab,
      `systemd-run --quiet --unit restoring --property KillMode=process mailhost restore anna@example.org --snapshot ${older}`,
    );
    await isUnderWay('restore');
    onHost(
      lab,
      'systemctl kill --kill-whom main --signal KILL restoring; rm /usr/local/bin/restic',
    );
    restore('--snapshot', older!);
    expect(await allSubjects()).toEqual(before);
    expect(onHost(lab, 'pgrep restic || true')).toBe('');
  });

  it.each(['backup', 'forget'])(
    'is made the next night, too, where all was killed in the middle of this: %s',
    async (work) => {
      slowDown(work);
      onHost(lab, 'systemctl start --no-block mailhost-backup');
      await isUnderWay(work);
      onHost(lab, 'systemctl kill --signal KILL mailhost-backup; rm /usr/local/bin/restic');
      await waitFor('it has ended', () =>
        onHost(lab, 'systemctl is-active mailhost-backup || true').startsWith('failed'),
      );
      expect(locks()).toHaveLength(1);
      onHost(lab, 'systemctl start mailhost-backup');
      expect(locks()).toEqual([]);
      expect(snapshotIds()).toHaveLength(2);
    },
  );

  it('has every message, also of those that move while it is made', () => {
    onHost(
      lab,
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
       mailhost backup; systemctl stop move; rm -r /srv/mailhost/mail/example.net`,
    );
    const listed = restic('ls', 'latest');
    const moving = [...listed.matchAll(/1\.moving\d+\.host/g)].map(([found]) => found);
    expect(new Set(moving).size).toBe(400);
    expect(moving).toHaveLength(400);
  });

  it('shows its password and the mail to nobody', () => {
    const commandLines = onHost(
      lab,
      `while test ! -e /run/watched; do cat /proc/[0-9]*/cmdline; done 2>/dev/null | tr '\\0' '\\n' | sort -u >/run/seen &
       mailhost backup >&2; touch /run/watched; wait; cat /run/seen`,
    );
    expect(commandLines).toContain('restic');
    expect(commandLines).not.toContain(password);
    const places = { log, state: stack.state(), journal: onHost(lab, 'journalctl --no-pager') };
    for (const [place, found] of Object.entries(places))
      expect(found, place).not.toContain(password);
    const readable = onHost(
      lab,
      `find / -xdev -type f -perm -o=r -size -1M -not -path '/proc/*' -not -path '/sys/*' -print0 |
         xargs -0 grep --files-with-matches ${password} || true`,
    );
    expect(readable).toBe('');
    const { folder } = backupServer(lab);
    const found = execFileSync('sh', ['-c', `grep -rlE '${password}|${text}' ${folder} || true`]);
    expect(String(found)).toBe('');
    expect(
      String(execFileSync('find', [folder, '-type', 'f', '-name', '????*'])).length,
    ).toBeGreaterThan(0);
  });

  it('fails aloud, once a day', async () => {
    const moved = '/etc/mailhost/restic.password';
    onHost(
      lab,
      `cp -p ${moved} /run; echo wrong >${moved}
       mailhost backup 2>/run/words; mailhost backup; mv /run/restic.password ${moved}; grep 'wrong password' /run/words`,
    );
    const subject = 'the backup of this host failed';
    await waitForMail(anna(), subject);
    const check = `echo '{"hostName": "mail.example.org", "domains": []}' | mailhost check`;
    expect(onHost(lab, check)).toContain('WARNING: mail is not backed up: restic unlock failed');
    onHost(
      lab,
      `mailhost backup; sed -i 's/"last": "20../"last": "1999/' /var/lib/mailhost/backup.json`,
    );
    expect(onHost(lab, check)).toMatch(/WARNING: the last backup is of 1999/);
    expect((await subjects('INBOX')).filter((found) => found === subject)).toHaveLength(1);
  });

  it('goes to no server that has another host key', () => {
    const file = '/etc/mailhost/restic.known_hosts';
    const words = onHost(
      lab,
      `cp -p ${file} /run
       sed -i "s|ssh-ed25519 .*|$(cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)|" ${file}
       mailhost backup 2>&1 || true; mv /run/restic.known_hosts ${file}`,
    );
    expect(words).toContain('Host key verification failed');
  });
});

describe('a new server', () => {
  it('is refused where it cannot take the place of the present one, before anything is touched', async () => {
    await stack.set('mailhost:serverType', 'cax11');
    const arm = await stack.run(['preview']);
    await stack.set('mailhost:serverType', 'cx1');
    await stack.set('mailhost:location', 'xyz1');
    const unknown = await stack.run(['preview']);
    await stack.unset('mailhost:serverType');
    await stack.unset('mailhost:location');
    expect([arm.status, unknown.status]).not.toContain(0);
    expect(arm.output).toContain('a server cannot change from x86 (cx23) to arm (cax11)');
    expect(unknown.output).toContain('the server type cx1 is not known at Hetzner');
    expect(unknown.output).toContain('the location xyz1 is not known at Hetzner');
  });

  it('takes the place of one that runs, while mail comes in: nothing is lost', async () => {
    const before = await identity();
    const mail = await subjects('INBOX');
    const flow = new Flow('planned');
    await flow.more(3);
    onHost(lab, 'smtpctl pause mda');
    await sendFromRemote(lab, { from: erika, to: 'anna@example.org', subject: 'queued', text });
    await stack.set('mailhost:serverGeneration', '2');
    const output = await up();
    expect(output).toContain('another server takes the place of this one');
    expect(output).not.toMatch(
      /(Rdns|PrimaryIp|Volume|DnsRecord|PrivateKey)::.* (replaced|deleted|updated)/,
    );
    await flow.more(3);
    const { taken, twice, seconds } = await flow.end();
    await waitForMail(anna(), 'queued');
    expect(await subjects('INBOX')).toEqual([...mail, 'queued'].sort());
    expect(await identity()).toEqual(before);
    console.log(
      `a server replaced: ${taken} taken, 0 lost, ${twice} twice; no mail was taken for ${seconds} s, refused ${flow.refusals} times`,
    );
  });

  it('takes the place of one that is dead', async () => {
    const before = await identity();
    const flow = new Flow('dead');
    await flow.more(3);
    await api(`servers/${await onlyServer()}/actions/poweroff`, 'POST');
    await stack.set('mailhost:serverGeneration', '3');
    await up();
    await flow.more(3);
    expect(onHost(lab, 'mailhost drift')).toBe('this host is as the plan has it\n');
    const { taken, twice, seconds } = await flow.end();
    expect(await identity()).toEqual(before);
    console.log(`a dead server replaced: ${taken} taken, 0 lost, ${twice} twice; ${seconds} s`);
  });

  it('gets its mail from a backup where the volume is lost, too', async () => {
    const before = await identity();
    const mail = { inbox: await subjects('INBOX'), restored: await subjects('Restored') };
    const flow = new Flow('restored');
    await flow.more(3);
    // One that waits in the queue; then nothing is taken any more, and the last backup is made.
    onHost(lab, 'smtpctl pause mda');
    await sendFromRemote(lab, { from: erika, to: 'anna@example.org', subject: 'waited', text });
    const learned = () =>
      Number(
        onHost(
          lab,
          "sa-learn --dbpath /srv/mailhost/bayes/bayes --dump magic | awk '/ntokens/ {print $3}'",
        ),
      );
    const tokens = learned();
    expect(tokens).toBeGreaterThan(0);
    onHost(lab, 'systemctl stop opensmtpd; mailhost backup');
    const server = await onlyServer();
    await api(`servers/${server}`, 'DELETE');
    const [volume] = (await api<'volumes'>('volumes')).volumes;
    await waitFor('the volume is free', async () => {
      const { volumes } = await api<'volumes'>('volumes');
      return (volumes as unknown as { server: unknown }[])[0]!.server === null;
    });
    await api(`volumes/${volume!.id}/actions/change_protection`, 'POST', { delete: false });
    await sleep(500);
    await api(`volumes/${volume!.id}`, 'DELETE');
    const refresh = await stack.run(['refresh', '--yes', '--skip-preview']);
    expect(refresh.status, refresh.output).toBe(0);

    await stack.set('mailhost:restore', 'latest');
    const output = await up();
    expect(output).toMatch(/restored: \d+ messages/);
    expect(changes(output)).toMatchObject({ created: expect.any(Number) as number });
    const present = await identity();
    expect(present).toEqual(before);
    expect(await subjects('INBOX')).toEqual(mail.inbox);
    expect(await subjects('Restored')).toEqual(mail.restored);
    // The check has taught it more.
    expect(learned()).toBeGreaterThanOrEqual(tokens);

    const listed = onHost(lab, 'mailhost restore queue');
    const waited =
      /^([0-9a-f]{8}) {2}from <erika@remote\.example> to anna@example\.org: waited$/m.exec(listed);
    onHost(lab, `mailhost restore queue ${waited![1]}`);
    await waitForMail(anna(), 'waited');
    await flow.more(3);
    // What waited in the queue with it.
    for (const [, id] of listed.matchAll(/^([0-9a-f]{8}) {2}.* to bert@/gm))
      onHost(lab, `mailhost restore queue ${id}`);
    const { taken, twice, seconds } = await flow.end();
    console.log(`restored from a backup: ${taken} taken, 0 lost, ${twice} twice; ${seconds} s`);

    for (const { title, run } of proofs(lab, outputs)) {
      await run().catch((error: unknown) => {
        throw new Error(title, { cause: error });
      });
    }
    const again = await stack.run(['preview', '--expect-no-changes']);
    expect(again.status, again.output).toBe(0);
    expect(again.output).toContain('restore (latest) fills an empty volume only');
    await stack.unset('mailhost:restore');
  });
});

it('goes to a server by HTTP, too, with the login that it asks for', async () => {
  onHost(
    lab,
    `apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq --yes install restic-rest-server >/dev/null
     doveadm pw -s BLF-CRYPT -p marker-of-the-server | sed 's/^{BLF-CRYPT}/mail:/' >/run/htpasswd
     systemd-run --quiet --unit rest restic-rest-server --listen 127.0.0.1:8000 --path /root/rest --htpasswd-file /run/htpasswd`,
  );
  await stack.unset('mailhost:backup.hostKey');
  await stack.set('mailhost:backup.repository', 'rest:http://127.0.0.1:8000/', '--path');
  await stack.set('mailhost:backup.environment.RESTIC_REST_USERNAME', 'mail', '--path', '--secret');
  await stack.set(
    'mailhost:backup.environment.RESTIC_REST_PASSWORD',
    'marker-of-the-server',
    '--path',
    '--secret',
  );
  await stack.set('mailhost:protect', 'false');
  const output = await up();
  expect(output).not.toContain('mail is not backed up');
  expect(onHost(lab, 'mailhost backup && mailhost snapshots')).toMatch(/snapshot [0-9a-f]{8}: /);
  expect(onHost(lab, 'ls /root/rest/snapshots | wc -l')).toBe('1\n');
  expect(output + stack.state()).not.toContain('marker-of-the-server');
});

/** The gateway keeps the bucket in files, and checks signatures as S3 does. It takes about a minute to build. */
it.runIf(process.env.MAILHOST_LONG)('goes to S3, too, with its key', async () => {
  const built = join(lab.dir, 'versitygw');
  const package_ = 'github.com/versity/versitygw/cmd/versitygw@v1.8.0';
  await promisify(execFile)('go', ['install', package_], {
    env: { ...process.env, GOBIN: built, CGO_ENABLED: '0' },
  });
  cpSync(join(built, 'versitygw'), join(hostRoot(lab), 'usr/local/bin/versitygw'));
  onHost(
    lab,
    `mkdir -p /root/s3/mail
     systemd-run --quiet --unit s3 versitygw --access lab --secret marker-of-the-bucket --port 127.0.0.1:7070 posix --sidecar /root /root/s3`,
  );
  await waitFor('the gateway listens', () => onHost(lab, 'ss -Hltn sport = :7070') !== '');
  await stack.unset('mailhost:backup.hostKey');
  await stack.set('mailhost:backup.repository', 's3:http://127.0.0.1:7070/mail', '--path');
  await stack.unset('mailhost:backup.environment');
  const variable = (name: string, value: string) =>
    stack.set(`mailhost:backup.environment.${name}`, value, '--path', '--secret');
  await variable('AWS_ACCESS_KEY_ID', 'lab');
  await variable('AWS_SECRET_ACCESS_KEY', 'another');
  expect(await up()).toMatch(/mail is not backed up: .*signature/i);
  await variable('AWS_SECRET_ACCESS_KEY', 'marker-of-the-bucket');
  const output = await up();
  // The output has the old words, too: as those that go.
  expect(stack.outputs().nextSteps).not.toContain('mail is not backed up');
  expect(onHost(lab, 'mailhost backup && mailhost snapshots')).toMatch(/snapshot [0-9a-f]{8}: /);
  expect(onHost(lab, 'ls /root/s3/mail/snapshots | wc -l')).toBe('1\n');
  expect(output + stack.state()).not.toContain('marker-of-the-bucket');
});

it('goes to a path where something is mounted, too, and keeps what it is told to', async () => {
  onHost(lab, 'mkdir -p /mnt/backup; mount -t tmpfs tmpfs /mnt/backup');
  await stack.unset('mailhost:backup.environment');
  for (const [key, value] of Object.entries({
    repository: '/mnt/backup',
    keepDaily: '2',
    keepWeekly: '0',
    keepMonthly: '3',
  })) {
    await stack.set(`mailhost:backup.${key}`, value, '--path');
  }
  expect(await up()).not.toContain('mail is not backed up');
  const days = ['2020-01-30', '2020-01-31', '2020-02-01', '2020-02-02', '2020-03-03'];
  onHost(
    lab,
    `cd /usr/local/lib/mailhost && python3 -Bc '
import pathlib, sys
from backup import COPY, restic, settings
COPY.mkdir()
for day in sys.argv[1:]:
    restic("backup", "--host", settings()["RESTIC_HOST"], "--time", day + " 03:10:00", str(COPY))
COPY.rmdir()' ${days.join(' ')}`,
  );
  const kept = () => [...onHost(lab, 'mailhost snapshots').matchAll(/ (\d{4}-\d\d-\d\d) /g)];
  expect(kept().map(([, day]) => day)).toEqual(days);
  onHost(lab, 'mailhost backup');
  const today = onHost(lab, 'date +%F').trim();
  expect(kept().map(([, day]) => day)).toEqual(['2020-02-02', '2020-03-03', today]);
});

it('stops with its setting, and leaves nothing behind', async () => {
  await stack.unset('mailhost:backup');
  await up();
  const left = onHost(
    lab,
    'ls /etc/mailhost /etc/systemd/system; systemctl is-active mailhost-backup.timer || true',
  );
  expect(left).not.toMatch(/restic|backup/);
  expect(left).toMatch(/inactive\n$/);
  expect(stack.outputs().nextSteps).toContain(
    'mail is not backed up: the setting backup says where to',
  );
});
