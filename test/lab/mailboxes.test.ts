import { execFileSync } from 'node:child_process';
import type { ImapFlow } from 'imapflow';
import { describe, expect } from 'vitest';
import {
  moveMail,
  readMailbox,
  waitForMail,
  waitForReceived,
  withImap,
  type Login,
} from '../../lab/mail';
import { authenticate, ManageSieve, useScript } from '../../lab/manageSieve';
import { gtube } from '../../lab/proof';
import { received } from '../../lab/remote/mailbox';
import { waitFor } from '../../lab/state';
import { erika, hostTest, type Host } from './hosts';

const anna = 'anna@example.org';
const bert = 'bert@example.net';
const MB = 1024 * 1024;

const passwordOf = (domain: string) => `post-${domain}`;
/** The account post@ of a domain, without a quota. */
const postAccount = (place: number, domain: string) => ({
  [`accounts[${place}].address`]: `post@${domain}`,
  [`accounts[${place}].passwordHash`]: {
    secret: execFileSync('openssl', ['passwd', '-6', '-salt', 'labsaltpost', passwordOf(domain)], {
      encoding: 'utf8',
    }).trim(),
  },
  [`accounts[${place}].quota`]: '0',
});

/** A host where Bert has a small mailbox, and two accounts have the same local part. */
const it = hostTest({
  messageSize: '2',
  'accounts[1].quota': '2',
  ...postAccount(2, 'example.org'),
  ...postAccount(3, 'example.net'),
});

const postOf = (host: Host, domain: string): Login => ({
  ...host.login(anna),
  user: `post@${domain}`,
  password: passwordOf(domain),
});

/** A message of just so many octets. */
function messageOf(size: number, subject: string): string {
  const header = `From: ${erika}\r\nSubject: ${subject}\r\n\r\n`;
  const line = `${'x'.repeat(70)}\r\n`;
  const text = line.repeat(Math.ceil(size / line.length)).slice(0, size - header.length - 2);
  return `${header}${text}\r\n`;
}

/** Appends, and gives the server's response code where it refuses. */
const append = (client: ImapFlow, mailbox: string, message: string) =>
  client.append(mailbox, message).then(
    () => 'taken',
    (error: { serverResponseCode?: string }) => error.serverResponseCode,
  );

const quotaOf = async (login: Login) =>
  withImap(login, async (client) => {
    const quota = await client.getQuota('INBOX');
    return quota ? quota.storage?.limit : quota;
  });

const subjects = async (login: Login, mailbox?: string) =>
  (await readMailbox(login, mailbox)).map(({ subject }) => subject);

/** Mail that the remote system got for Erika. */
const toErika = (host: Host) => received(host.lab.dir).filter(({ to }) => to.includes(erika));

const empty = (login: Login, ...mailboxes: string[]) =>
  withImap(login, async (client) => {
    for (const mailbox of mailboxes) {
      await client.mailboxOpen(mailbox);
      await client.messageDelete('1:*');
    }
  });

/** How many messages SpamAssassin has learned from. */
function learned(host: Host): { spam: number; ham: number } {
  const lines = host.shell('sa-learn --dbpath /srv/mailhost/bayes/bayes --dump magic');
  const count = (kind: string) =>
    Number(new RegExp(`(\\d+) +\\d+ +non-token data: n${kind}$`, 'm').exec(lines)?.[1] ?? 0);
  return { spam: count('spam'), ham: count('ham') };
}

describe('a mailbox', () => {
  it('is reached by ports 993 and 4190, and Dovecot listens on no other', ({ host }) => {
    const sockets = host.shell('ss --listening --tcp --numeric --processes --no-header');
    const own = sockets.split('\n').filter((line) => line.includes('("dovecot"'));
    const listeners = own.map((line) => line.split(/\s+/)[3]).sort();
    expect(listeners).toEqual(['0.0.0.0:4190', '0.0.0.0:993', '[::]:4190', '[::]:993']);
  });

  it('has its folders from the first login on, each once', async ({ host }) => {
    for (let login = 0; login < 2; login++) {
      const folders = await withImap(postOf(host, 'example.org'), (client) => client.list());
      expect(
        folders.map(({ path, specialUse, subscribed }) => [path, specialUse, subscribed]).sort(),
      ).toEqual([
        ['Archive', '\\Archive', true],
        ['Drafts', '\\Drafts', true],
        ['INBOX', '\\Inbox', true],
        ['Junk', '\\Junk', true],
        ['Sent', '\\Sent', true],
        ['Trash', '\\Trash', true],
      ]);
    }
  });

  it('is its own account’s alone, also where two have the same local part', async ({ host }) => {
    const logins = ['example.org', 'example.net'].map((domain) => postOf(host, domain));
    for (const { user } of logins) {
      const to = user.replace('post@example', 'Post+tag@EXAMPLE');
      await host.receive({ to, subject: `for ${user}` });
    }
    for (const login of logins) {
      await waitForMail(login, `for ${login.user}`);
      const found = (await subjects(login)).filter((subject) => subject?.startsWith('for '));
      expect(found).toEqual([`for ${login.user}`]);
    }
    const [org, net] = logins;
    await expect(subjects({ ...org!, password: net!.password })).rejects.toThrow(
      'Authentication failed',
    );
  });

  it('takes no message that is larger than messageSize', async ({ host }) => {
    await withImap(host.login(anna), async (client) => {
      expect(await append(client, 'Drafts', messageOf(2 * MB, 'as large as may be'))).toBe('taken');
      expect(await append(client, 'Drafts', messageOf(2 * MB + 1, 'too large'))).toBe('LIMIT');
    });
  });

  it('has a quota of its own, takes not one octet more, and warns at 80 % and 95 %', async ({
    host,
  }) => {
    const login = host.login(bert);
    expect(await quotaOf(host.login(anna))).toBe(2000 * MB);
    expect(await quotaOf(postOf(host, 'example.org'))).toBeUndefined();
    expect(await quotaOf(login)).toBe(2 * MB);
    await empty(login, 'INBOX', 'Archive');
    await withImap(login, async (client) => {
      expect(await append(client, 'Archive', messageOf(1_500_000, '72 %'))).toBe('taken');
      expect(await append(client, 'Archive', messageOf(200_000, '81 %'))).toBe('taken');
      await waitForMail(login, 'Your mailbox is 80 % full');
      let used = 0;
      for (const mailbox of ['INBOX', 'Archive']) {
        await client.mailboxOpen(mailbox);
        for await (const { size } of client.fetch('1:*', { size: true })) used += size!;
      }
      expect(await append(client, 'Archive', messageOf(2 * MB - used + 1, 'over'))).toBe(
        'OVERQUOTA',
      );
      expect(await append(client, 'Archive', messageOf(2 * MB - used, 'full'))).toBe('taken');
      await waitForMail(login, 'Your mailbox is 95 % full');
    });
    expect(await subjects(login)).toEqual([
      'Your mailbox is 80 % full',
      'Your mailbox is 95 % full',
    ]);
  });

  it('lets mail wait while it is full, and gets it when there is room', async ({ host }) => {
    const login = host.login(bert);
    const before = toErika(host);
    await empty(login, 'INBOX', 'Archive');
    await withImap(login, (client) => client.append('Archive', messageOf(2 * MB, 'full')));
    await host.receive({ to: bert, subject: 'held' });
    const queue = () => host.shell('smtpctl show queue');
    await waitFor('it was tried', () => /Mailbox is full|452 4\.2\.2/i.test(queue()));
    await host.receive({ to: anna, subject: 'passes by' });
    await waitForMail(host.login(anna), 'passes by');
    await waitFor('it alone waits', () => queue().trim().split('\n').length === 1);
    expect(await subjects(login)).not.toContain('held');

    await empty(login, 'Archive');
    host.shell('smtpctl schedule all');
    await waitForMail(login, 'held');
    await host.queueIsEmpty();
    expect(toErika(host)).toEqual(before);
  });
});

describe('a delivery', () => {
  it('is tried again where Dovecot goes away in the middle of it', async ({ host }) => {
    const before = toErika(host);
    const dovecot = `import os, socket
os.makedirs("/run/dovecot", exist_ok=True)
listener = socket.socket(socket.AF_UNIX)
listener.bind("/run/dovecot/lmtp")
os.chmod("/run/dovecot/lmtp", 0o666)
listener.listen()
client, _ = listener.accept()
for answer in (b"220", b"250", b"250", b"250", b"354"):
    client.sendall(answer + b" x\\r\\n")
    client.recv(1000)
os.unlink("/run/dovecot/lmtp")`;
    host.shell(
      `systemctl stop dovecot; rm --force /run/dovecot/lmtp; systemd-run --quiet --unit leaves python3 -c '${dovecot}'
       until test -S /run/dovecot/lmtp; do :; done`,
    );
    const text = `${'x'.repeat(70)}\n`.repeat(20_000);
    await host.receive({ to: anna, subject: 'cut off', text });
    await waitFor(
      'it goes away',
      () => host.shell('systemctl is-active leaves || true') !== 'active\n',
    );
    host.shell('systemctl start dovecot');
    await waitFor('the message comes all the same', async () => {
      host.shell('smtpctl schedule all || true');
      return (await subjects(host.login(anna))).includes('cut off');
    });
    expect(toErika(host)).toEqual(before);
  });
});

describe('a user’s own script', () => {
  const send = (host: Host, subject: string, text: string) =>
    host.receive({ to: anna, subject, text });
  /** Gives Anna a folder, and a script that files into it. */
  const giveScript = async (host: Host) => {
    const login = host.login(anna);
    await withImap(login, (client) => client.mailboxCreate('Bills'));
    await useScript(
      login,
      `require ["fileinto", "vacation", "copy"];
if header :contains "subject" "bill" { fileinto "Bills"; }
elsif header :contains "subject" "onward" { redirect :copy "otto@remote.example"; }
elsif header :contains "subject" "holidays" { vacation :subject "I am away" "Back on Monday."; }
`,
    );
    return login;
  };

  it('comes by ManageSieve, which tells and asks nothing before TLS', async ({ host }) => {
    const login = host.login(anna);
    const { client, greeting } = await ManageSieve.connect(login.host);
    expect(greeting).toContain('"SASL" ""');
    expect(await client.command(authenticate(login))).toMatch(/^NO \(ENCRYPT-NEEDED\)/);
    expect(await client.startTls(login)).toContain('"SASL" "PLAIN LOGIN"');
    client.end();
  });

  it('files, answers and sends on', async ({ host }) => {
    const login = await giveScript(host);
    for (const subject of ['a bill', 'onward', 'your holidays']) await send(host, subject, 'x');
    await waitForMail(login, 'a bill', 'Bills');
    expect((await waitForReceived(host.lab, 'onward')).to).toEqual(['otto@remote.example']);
    const answer = await waitForReceived(host.lab, 'I am away');
    expect([answer.from, answer.to]).toEqual([anna, [erika]]);
    await waitForMail(login, 'onward');
    await waitForMail(login, 'your holidays');
  });

  it('has the first word on spam, which is filed into Junk else', async ({ host }) => {
    const login = await giveScript(host);
    await send(host, 'a bill for nothing', gtube);
    await send(host, 'nothing', gtube);
    await waitForMail(login, 'a bill for nothing', 'Bills');
    await waitForMail(login, 'nothing', 'Junk');
    expect(await subjects(login, 'Junk')).toEqual(['nothing']);
  });

  it('cannot bounce what was taken', async ({ host }) => {
    const script = 'require "reject";\nreject "No.";\n';
    await expect(useScript(host.login(anna), script)).rejects.toThrow(
      "unknown Sieve capability 'reject'",
    );
  });
});

describe('learning', () => {
  const many = 200;
  const vocabulary = {
    spam:
      'winner casino lottery refinance miracle bonus jackpot replica unlimited prize credit debt pills viral earn ' +
      'cash cheap luxury watches discount guaranteed investment profit crypto exclusive claim urgent billion slim cure',
    ham:
      'agenda minutes garden recipe library timetable school concert museum bicycle neighbour train weather holiday ' +
      'chapter review draft drawing kitchen painter bakery harbour village meadow orchestra rehearsal stairs lamp desk roof',
  };
  /** All words of one kind, in an order of its own: the same text is learned once. */
  const textOf = (kind: 'spam' | 'ham', number: number) => {
    const words = vocabulary[kind].split(' ');
    const start = number % words.length;
    return `Number ${number}: ${[...words.slice(start), ...words.slice(0, start)].join(' ')}`;
  };
  /** A message that came in. */
  const modelOf = async (host: Host) => {
    const subject = 'a model';
    await host.receive({ to: anna, subject });
    await waitForMail(host.login(anna), subject);
    return withImap(host.login(anna), async (client) => {
      await client.mailboxOpen('INBOX');
      const [number] = (await client.search({ subject })) || [];
      const message = await client.fetchOne(`${number}`, { source: true });
      return message ? message.source!.toString('latin1') : '';
    });
  };
  /** Puts messages into a mailbox that differ from the model by their words alone. */
  const fill = (
    login: Login,
    mailbox: string,
    kind: 'spam' | 'ham',
    numbers: number[],
    model: string,
  ) =>
    withImap(login, async (client) => {
      const [header] = model.split('\r\n\r\n');
      for (const i of numbers) {
        const own = header!
          .replace(/^Subject: .*$/m, `Subject: ${kind} ${i}`)
          .replace(/^Message-ID: .*$/m, `Message-ID: <${kind}.${i}@remote.example>`);
        await client.append(mailbox, `${own}\r\n\r\n${textOf(kind, i)}\r\n`);
      }
    });
  /** SpamAssassin's verdict of a message that it has not seen before. */
  const verdictOf = async (host: Host, kind: 'spam' | 'ham', number: number) => {
    const subject = `unseen ${kind} ${number}`;
    await host.receive({ to: anna, subject, text: textOf(kind, number) });
    const { headers } = await waitForMail(host.login(anna), subject);
    return /BAYES_\d+/.exec(headers.get('x-spam-status') as string)?.[0];
  };

  it('moves the verdict of unseen mail, by just what users moved into Junk and out of it', async ({
    host,
  }) => {
    const login = postOf(host, 'example.net');
    await empty(login, 'INBOX', 'Junk');
    const numbers = Array.from({ length: many }, (_, i) => i);
    expect(await verdictOf(host, 'spam', 1000)).toBeUndefined();
    const model = await modelOf(host);
    const before = learned(host);
    await fill(login, 'INBOX', 'spam', numbers, model);
    await fill(login, 'Junk', 'ham', numbers, model);
    expect(learned(host)).toEqual({ ...before, spam: before.spam + many });
    await moveMail(login, 'spam', 'INBOX', 'Junk');
    expect(learned(host)).toEqual({ ...before, spam: before.spam + 2 * many });
    await moveMail(login, 'ham', 'Junk', 'Archive');
    expect(learned(host)).toEqual({ spam: before.spam + many, ham: before.ham + many });

    expect(await verdictOf(host, 'spam', 1001)).toMatch(/^BAYES_(80|95|99|999)$/);
    expect(await verdictOf(host, 'ham', 1001)).toMatch(/^BAYES_(00|05|20)$/);
    const owners =
      'stat --format "%U %a" /srv/mailhost/bayes/bayes_toks /srv/mailhost/bayes/bayes_seen';
    expect(host.shell(owners)).toBe('amavis 600\namavis 600\n');
  });

  it('takes nothing from what goes into Trash, moves within it, or is too large', async ({
    host,
  }) => {
    const login = postOf(host, 'example.net');
    const model = await modelOf(host);
    await fill(login, 'Junk', 'spam', [2000, 2001], model);
    await fill(login, 'Junk', 'ham', [2000], model);
    await moveMail(login, 'ham 2000', 'Junk', 'Archive');
    await withImap(login, async (client) => {
      await client.mailboxCreate('Trash/old');
      await client.append('Junk', messageOf(600_000, 'large'));
    });
    const before = learned(host);
    await moveMail(login, 'spam 2000', 'Junk', 'Trash');
    await moveMail(login, 'spam 2001', 'Junk', 'Trash/old');
    await moveMail(login, 'spam 2000', 'Trash', 'Trash/old');
    await moveMail(login, 'large', 'Junk', 'INBOX');
    expect(await subjects(login, 'Trash/old')).toContain('spam 2000');
    expect(learned(host)).toEqual(before);
    expect(
      host.shell('journalctl --quiet --unit dovecot --priority warning --grep learn || true'),
    ).toBe('');
    await moveMail(login, 'ham 2000', 'Archive', 'Trash');
    expect(learned(host)).toEqual(before);
    await moveMail(login, 'ham 2000', 'Trash', 'Junk');
    expect(learned(host)).toEqual({ spam: before.spam + 1, ham: before.ham - 1 });
  });
});

describe('a login', () => {
  it('is refused in the same words whether the user is unknown or the password is wrong', async ({
    host,
  }) => {
    const login = host.login(anna);
    const words: string[] = [];
    for (const { user } of [login, { user: 'nobody@example.org' }]) {
      const refused = await subjects({ ...login, user, password: 'wrong' }).catch((error: Error) =>
        error.message.replace(user, 'USER'),
      );
      words.push(String(refused));
    }
    expect(words).toEqual(Array(2).fill('USER: Authentication failed.'));
  });
});

describe('a system user’s mailbox', () => {
  it('has a quota of its own, too', async ({ freshHost: host }) => {
    await host.stack.unset('mailhost:accounts[3]');
    await host.up({
      accountKind: 'system',
      'confirm[0]': 'remove post@example.net',
      'confirm[1]': 'make accounts system',
    });
    const user = (login: Login) => ({ ...login, user: login.user.replace(/@.*/, '') });
    expect(await quotaOf(user(host.login(anna)))).toBe(2000 * MB);
    expect(await quotaOf(user(postOf(host, 'example.org')))).toBeUndefined();
    const login = user(host.login(bert));
    expect(await quotaOf(login)).toBe(2 * MB);
    await withImap(login, (client) => client.append('Archive', messageOf(1_700_000, 'x')));
    await waitForMail(login, 'Your mailbox is 80 % full');
  });
});
