import { spawn, spawnSync } from 'node:child_process';
import { connect } from 'node:tls';
import type { ImapFlow } from 'imapflow';
import { describe, expect } from 'vitest';
import {
  imapClient,
  readMailbox,
  submit,
  trust,
  waitForMail,
  waitForReceived,
  withImap,
  type Login,
} from '../../lab/mail';
import { authenticate, ManageSieve, useScript } from '../../lab/manageSieve';
import { addresses } from '../../lab/network';
import { waitFor } from '../../lab/state';
import { backedUp } from './backedUp';
import { erika, hostTest, type Host } from './hosts';
import { holdsMail } from './testLab';

const it = hostTest({}, backedUp);

const annaOf = (host: Host) => host.login('anna@example.org');
const bertOf = (host: Host) => host.login('bert@example.net');

const message = (subject: string) => `From: ${erika}\r\nSubject: ${subject}\r\n\r\nx\r\n`;

/** All that a mail client sees of a mailbox and may have kept. */
const seen = (login: Login) =>
  withImap(login, async (client) => {
    const folders = await client.list({ statusQuery: { uidValidity: true, uidNext: true } });
    const found: Record<string, unknown> = {};
    for (const { path, subscribed, flags, status } of folders.sort((a, b) =>
      a.path < b.path ? -1 : 1,
    )) {
      if (!holdsMail({ flags })) continue;
      await client.mailboxOpen(path, { readOnly: true });
      const messages: unknown[] = [];
      for await (const { uid, flags: set, envelope } of client.fetch('1:*', {
        flags: true,
        envelope: true,
      })) {
        messages.push([
          uid,
          [...(set ?? [])].filter((flag) => flag !== '\\Recent').sort(),
          envelope?.subject,
        ]);
      }
      found[path] = {
        subscribed,
        uidValidity: `${status?.uidValidity}`,
        uidNext: status?.uidNext,
        messages,
      };
    }
    return found;
  });

/** Pushes Dovecot's files as they are, with another layout or with what else a change of its configuration says. */
function push(host: Host, change: string, options = ''): string {
  const script = `import json, re, sys
files = {p: {"mode": f["mode"], "owner": f["owner"], "text": open(p, newline="").read()} for p, f in json.load(open("/var/lib/mailhost/manifest/dovecot.json")).items()}
own = files["/etc/dovecot/dovecot.conf"]
lines = "mailbox_list_layout = fs\\nmail_inbox_path =\\nmailbox_root_directory_name = Folders\\nmailbox_directory_name = .maildir\\nmailbox_directory_name_legacy = no\\nmailbox_list_storage_escape_char = \\x7f\\n"
old = own["text"].replace(lines, "")
new = old.replace("mail_path = ~/mail\\n", "mail_path = ~/mail\\n" + lines)
own["text"] = ${change}
print(json.dumps(files))`;
  return host.shell(
    `cat >/run/push.py <<'E'\n${script}\nE\npython3 /run/push.py >/run/files.json; ${options} mailhost activate dovecot </run/files.json 2>&1 || true`,
  );
}
const toOldLayout = (host: Host) =>
  expect(push(host, 'old')).toMatch(/^dovecot: \/etc\/dovecot\/dovecot.conf$/m);
const toNewLayout = (host: Host) => expect(push(host, 'new')).toMatch(/^dovecot: (\/etc|nothing)/m);
const oldFolder = '/srv/mailhost/mail/example.org/anna/mail/.Archive.2024';

describe('a folder', () => {
  const names = [
    ...[
      'v1.2',
      'Dr. Jones',
      'Archive/2.0',
      '.hidden',
      'trailing.',
      'a..b',
      '...',
      '.',
      '..',
      'x/../y',
    ],
    ...[
      '~home',
      'a/~b',
      '100% done',
      '%41',
      'per%cent%',
      'R&D',
      '&',
      'a\\b',
      'qu"ote',
      "it's",
      'star*',
    ],
    ...[
      'new',
      'cur',
      'tmp/cur',
      '.maildir',
      'x/.maildir/y',
      'Folders',
      'dbox-Mails',
      'subscriptions',
    ],
    ...[
      ' lead',
      'trail ',
      '😀.😀',
      'Кирилл.ица',
      'ü.ü',
      'INBOX/x.y',
      'inbox.1',
      '[Gmail]/All Mail',
      '#news',
    ],
    ...['z'.repeat(255), 'я'.repeat(90), Array(30).fill('a part that is long').join('/')],
  ];

  it.for(names)('may be called %s', (path, { host }) =>
    withImap(annaOf(host), async (client) => {
      const listed = async () =>
        (await client.list()).find((folder) => folder.path === path)?.subscribed;
      await client.mailboxCreate(path);
      await client.mailboxSubscribe(path);
      await client.append(path, message('in it'));
      expect(await listed()).toBe(true);
      expect(await client.status(path, { messages: true })).toMatchObject({ messages: 1 });
      await client.mailboxRename(path, 'renamed.1');
      await client.mailboxRename('renamed.1', path);
      expect(await client.status(path, { messages: true })).toMatchObject({ messages: 1 });
      await client.mailboxUnsubscribe(path);
      await client.mailboxDelete(path);
      expect(await listed()).toBeUndefined();
    }),
  );

  it('of such a name takes what Sieve files into it, and counts to the quota', async ({ host }) => {
    const bert = bertOf(host);
    await useScript(bert, 'require ["fileinto", "mailbox"];\nfileinto :create "v1.2/Dr. Jones";\n');
    await host.receive({ to: bert.user, subject: 'filed' });
    await waitFor('the folder is made', async () =>
      (await withImap(bert, (client) => client.list())).some(
        ({ path }) => path === 'v1.2/Dr. Jones',
      ),
    );
    await waitForMail(bert, 'filed', 'v1.2/Dr. Jones');
    await useScript(bert, '');
    const used = () =>
      withImap(bert, async (client) => {
        const quota = await client.getQuota('INBOX');
        return (quota && quota.storage?.usage) || 0;
      });
    const before = await used();
    await withImap(bert, (client) => client.append('v1.2/Dr. Jones', message('x'.repeat(100_000))));
    expect((await used()) - before).toBeGreaterThan(90_000);
  });
});

describe('mailboxes of the layout before', () => {
  const names = [
    'Archive/2024',
    'a/b/c',
    'Kiew &Киев',
    '100% sure',
    'new',
    'INBOX/child',
    'e/~f',
    ' x ',
  ];

  /** With messages in each folder, of which one is gone and one has flags. */
  const fill = (login: Login) =>
    withImap(login, async (client) => {
      for (const path of names) {
        await client.mailboxCreate(path);
        if (path !== 'a/b/c') await client.mailboxSubscribe(path);
      }
      for (const path of ['INBOX', ...names]) {
        for (const i of [1, 2, 3]) await client.append(path, message(`${path} ${i}`));
        await client.mailboxOpen(path);
        await client.messageDelete('1');
        await client.messageFlagsAdd('2', ['\\Seen', '\\Flagged', '$Label1']);
      }
    });
  const empty = (login: Login) =>
    withImap(login, async (client) => {
      await client.mailboxOpen('INBOX');
      await client.messageDelete('1:*');
      for (const { path } of (await client.list()).reverse()) {
        await client.mailboxUnsubscribe(path);
        if (path !== 'INBOX') await client.mailboxDelete(path).catch(() => undefined);
      }
    });

  /** Gives Anna just these folders, made in the layout before or in another; tells her login, and what she sees. */
  const start = async (host: Host, toLayout = toOldLayout) => {
    const anna = annaOf(host);
    await empty(anna);
    toLayout(host);
    await fill(anna);
    return { anna, before: await seen(anna) };
  };

  it('are converted by a push, with UIDs, flags and subscriptions, and back by a rollback', async ({
    host,
  }) => {
    const { anna, before } = await start(host);
    await expect(withImap(anna, (client) => client.mailboxCreate('v1.2'))).rejects.toThrow();
    expect(Object.keys(before)).toEqual(expect.arrayContaining(names));
    toNewLayout(host);
    expect(await seen(anna)).toEqual(before);
    await host.receive({ to: anna.user, subject: 'after it' });
    await waitForMail(anna, 'after it');
    const after = await seen(anna);
    expect(host.shell('mailhost rollback dovecot')).toContain('has the configuration of');
    expect(host.shell(`ls -d ${oldFolder}`)).toBe(`${oldFolder}\n`);
    expect(await seen(anna)).toEqual(after);
    toNewLayout(host);
    expect(await seen(anna)).toEqual(after);
  });

  it('are as they were where Dovecot does not start with the new one', async ({ host }) => {
    const { anna, before } = await start(host);
    const output = push(host, 'new.replace("port = 4190", "port = 25")');
    expect(output).toContain('the files from before are back, and so is the daemon');
    expect(host.shell(`ls -d ${oldFolder}`)).toBe(`${oldFolder}\n`);
    expect(await seen(anna)).toEqual(before);
    toNewLayout(host);
    expect(await seen(anna)).toEqual(before);
  });

  it.for(['undo', 'activate dovecot </run/files.json'])(
    'are whole where the push is killed half-way, after mailhost %s',
    async (next, { host }) => {
      const { anna, before } = await start(host);
      host.shell(
        `mkdir -p /run/killed; cat >/run/killed/sitecustomize.py <<'E'
import os, pathlib, sys
real, left = pathlib.Path.rename, [12]
def rename(path, target):
    left[0] -= 1
    if left[0] < 0: os._exit(9)
    return real(path, target)
if "activate" in sys.argv or any("mailhost" in word for word in sys.orig_argv): pathlib.Path.rename = rename
E`,
      );
      push(host, 'new', 'PYTHONPATH=/run/killed');
      const mail = '/srv/mailhost/mail/example.org/anna/mail';
      expect(host.shell(`ls -A ${mail}`)).toMatch(/^\.[^]*^Folders$/m);
      const output = host.shell(`mailhost ${next}; systemctl start dovecot`);
      expect(output).toMatch(
        next === 'undo' ? /its files from before are back/ : /^dovecot: \/etc/m,
      );
      expect(host.shell(`[ -d ${oldFolder} ] && echo old || echo new`)).toBe(
        next === 'undo' ? 'old\n' : 'new\n',
      );
      expect(await seen(anna)).toEqual(before);
      toNewLayout(host);
      expect(await seen(anna)).toEqual(before);
    },
  );

  it.for([
    ['before', toOldLayout, []],
    ['after', toNewLayout, ['v1.2/Dr. Jones', 'tmp']],
  ] as const)(
    'come back from a backup of either time, folder by folder: %s',
    async ([, toLayout, more], { host }) => {
      const { anna } = await start(host, toLayout);
      await withImap(anna, async (client) => {
        for (const path of more) {
          await client.mailboxCreate(path);
          await client.append(path, message(path));
        }
      });
      const paths = [...names, ...more];
      host.shell('mailhost backup');
      toNewLayout(host);
      await empty(anna);
      const inFolder = async (path: string) =>
        (await readMailbox(anna, path)).map(({ subject }) => subject);
      const restored = host.shell(`mailhost restore ${anna.user} --folder 'Kiew &Киев'`);
      expect(restored).toContain('2 messages, in Restored');
      expect(await inFolder('Restored/Kiew &Киев')).toEqual(['Kiew &Киев 2', 'Kiew &Киев 3']);
      host.shell(`mailhost restore ${anna.user}`);
      expect(await inFolder('Restored')).toEqual(['INBOX 2', 'INBOX 3']);
      for (const path of paths) expect(await inFolder(`Restored/${path}`)).not.toEqual([]);
      const folders = await withImap(anna, (client) => client.list());
      for (const path of paths) {
        expect(folders.find((folder) => folder.path === `Restored/${path}`)?.subscribed, path).toBe(
          true,
        );
      }
      expect(host.shell(`mailhost restore ${anna.user}`)).toContain('nothing is missing');
    },
  );
});

/** What SASL PLAIN is answered by IMAP, `OK`, `NO`. */
function imapPlain(login: Login, response: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: login.host, port: 993, ...trust(login) });
    let text = '';
    socket.setEncoding('utf8').on('error', reject);
    socket.on('data', (chunk: string) => {
      if (text === '')
        socket.write(`a AUTHENTICATE PLAIN ${Buffer.from(response).toString('base64')}\r\n`);
      text += chunk;
      const answer = /^a (OK|NO|BAD)/m.exec(text)?.[1];
      if (answer) {
        socket.end();
        resolve(answer);
      }
    });
  });
}

describe('an account', () => {
  it.for([
    ...['anna@example.org', 'ANNA@Example.ORG', 'info@example.org', 'Info+x@example.org'],
    ...['anna+news@example.org', 'anna', 'info', 'anna+x', ' anna@example.org '],
  ])('logs in to every service as "%s", and is the same', async (user, { host }) => {
    const anna = annaOf(host);
    const login = { ...anna, user };
    const subject = `by ${user.trim()}`;
    await withImap(anna, (client) => client.append('Drafts', message(subject)));
    const drafts = await readMailbox(login, 'Drafts');
    expect(drafts.map((draft) => draft.subject)).toContain(subject);
    const { client } = await ManageSieve.connect(login.host);
    await client.startTls(login);
    await client.must(authenticate(login));
    client.end();
    for (const [port, from] of [
      [465, 'anna@example.org'],
      [587, 'info@example.org'],
    ] as const) {
      await submit(login, port, {
        from,
        to: erika,
        subject: `${subject} ${port}`.replace('+', '-'),
      });
      await waitForReceived(host.lab, `${subject} ${port}`.replace('+', '-'));
      await expect(
        submit(login, port, { from: 'bert@example.net', to: erika, subject: 'forged' }),
      ).rejects.toThrow(/no address of anna@example\.org/);
    }
  });

  it.for(['postmaster@example.org', 'anna@example.net', 'anna@wrong.example', 'nobody', '+x', '@'])(
    'is not %s',
    async (user, { host }) => {
      const anna = annaOf(host);
      const login = { ...anna, user };
      await expect(readMailbox(login)).rejects.toThrow('Authentication failed');
      await expect(
        submit(login, 465, { from: anna.user, to: erika, subject: 'none' }),
      ).rejects.toThrow(/535/);
    },
  );

  it('may name itself as the one that it acts for, and nobody else', async ({ host }) => {
    const anna = annaOf(host);
    const { user, password } = anna;
    expect(await imapPlain(anna, `\0${user}\0${password}`)).toBe('OK');
    expect(await imapPlain(anna, `${user}\0${user}\0${password}`)).toBe('OK');
    expect(await imapPlain(anna, `bert@example.net\0${user}\0${password}`)).toBe('NO');
  });

  it('ends no daemon by a name with a line feed', async ({ host }) => {
    const anna = annaOf(host);
    const name = 'x\ntable|0.1|1|credentials|lookup|credentials|00000000|anna@example.org';
    const restarts = () => host.shell('systemctl show --value --property NRestarts opensmtpd');
    const before = restarts();
    for (let i = 0; i < 3; i++) {
      await expect(
        submit({ ...anna, user: name }, 465, { from: anna.user, to: erika, subject: 'none' }),
      ).rejects.toThrow(/535/);
    }
    await submit(anna, 465, { from: anna.user, to: erika, subject: 'after the line feed' });
    await waitForReceived(host.lab, 'after the line feed');
    expect(restarts()).toBe(before);
  });
});

describe('people behind one address', () => {
  const connection = async (login: Login) => {
    const client = imapClient(login);
    await client.connect();
    return client;
  };

  it('have 50 connections each, and all together more than a hundred', async ({ host }) => {
    const clients: ImapFlow[] = [];
    try {
      for (const login of [annaOf(host), bertOf(host)]) {
        for (let i = 0; i < 50; i++) clients.push(await connection(login));
        await expect(connection(login)).rejects.toMatchObject({ serverResponseCode: 'LIMIT' });
      }
      const other = { ...annaOf(host), host: host.outputs.ipv6 };
      for (let i = 0; i < 10; i++) clients.push(await connection(other));
    } finally {
      await Promise.all(clients.map((client) => client.logout()));
    }
  });

  it('are not shut out for one of them who has an old password, as a stranger is', async ({
    host,
  }) => {
    const anna = annaOf(host);
    const fail2ban = (...words: string[]) => host.shell(`fail2ban-client ${words.join(' ')}`);
    const { remote } = addresses;
    const failed = (jail: string) =>
      Number(/Total failed:\t(\d+)/.exec(fail2ban('status', jail))![1]);
    const most = Number(fail2ban('get', 'mailhost', 'maxretry'));
    await readMailbox(anna);
    await waitFor('the address is known', () =>
      fail2ban('status', 'mailhost-logins').match(/list:\t\S/),
    );
    const before = failed('mailhost-known');
    const old = { ...bertOf(host), password: 'old' };
    await Promise.all(
      Array.from({ length: 2 * most }, () => readMailbox(old).catch(() => undefined)),
    );
    await waitFor('each attempt is counted', () => failed('mailhost-known') >= before + 2 * most);
    await readMailbox(anna);

    const attempts = `for i in $(seq ${most}); do printf 'a LOGIN anna@example.org wrong\\r\\nb LOGOUT\\r\\n' | openssl s_client -quiet -connect ${host.outputs.ipv4}:993 & done; wait`;
    const command = ['netns', 'exec', 'remote', 'bash', '-c', attempts];
    const stranger = spawn('ip', command, { stdio: 'ignore', detached: true });
    await waitFor('the stranger is shut out', () =>
      fail2ban('status', 'mailhost').includes(remote.v4),
    );
    // Those that were cut off would go on.
    spawnSync('kill', ['--', `-${stranger.pid}`]);
    fail2ban('unban', remote.v4);
    await readMailbox(anna);
  });
});

it('system users have such folders and such names, too', async ({ freshHost: host }) => {
  await host.up({ accountKind: 'system', 'confirm[0]': 'make accounts system' });
  const anna = annaOf(host);
  for (const user of ['anna', 'info', 'Anna+x', 'info@example.org', 'anna@example.org']) {
    const login = { ...anna, user };
    await withImap(login, async (client) => {
      await client.mailboxCreate(`Dr. ${user}`);
      await client.append(`Dr. ${user}`, message('x'));
    });
    await submit(login, 465, { from: 'info@example.org', to: erika, subject: `system ${user}` });
  }
  const folders = await withImap({ ...anna, user: 'anna' }, (client) => client.list());
  expect(folders.map(({ path }) => path)).toEqual(
    expect.arrayContaining(['Dr. anna', 'Dr. info', 'Dr. Anna+x', 'Dr. info@example.org']),
  );
  await expect(
    submit({ ...anna, user: 'info' }, 465, { from: 'bert@example.net', to: erika, subject: 'no' }),
  ).rejects.toThrow(/no address of anna/);
});
