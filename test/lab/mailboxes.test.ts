import { execFileSync } from 'node:child_process';
import type { ImapFlow } from 'imapflow';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { onHost } from '../../lab/machines';
import {
  moveMail,
  readMailbox,
  sendFromRemote,
  waitForMail,
  waitForReceived,
  withImap,
  type Login,
} from '../../lab/mail';
import { authenticate, ManageSieve, useScript } from '../../lab/manageSieve';
import { gtube, loginOf } from '../../lab/proof';
import { received } from '../../lab/remote/mailbox';
import { waitFor, type Lab } from '../../lab/state';
import { endLab, startLab, TestStack } from './testLab';

const name = 'mailboxes';
const erika = 'erika@remote.example';
const MB = 1024 * 1024;
let lab: Lab;
let stack: TestStack;
let anna: Login;
let bert: Login;
/** Two accounts with the same local part. */
let [postOrg, postNet]: Login[] = [];

beforeAll(async () => {
  lab = startLab(name);
  stack = new TestStack(lab);
  await stack.select();
  await stack.set('mailhost:messageSize', '2');
  await stack.set('mailhost:accounts[1].quota', '2', '--path');
  for (const [i, domain] of ['example.org', 'example.net'].entries()) {
    const account = `mailhost:accounts[${2 + i}]`;
    const hash = execFileSync('openssl', ['passwd', '-6', `post-${domain}`], { encoding: 'utf8' });
    await stack.set(`${account}.address`, `post@${domain}`, '--path');
    await stack.set(`${account}.passwordHash`, hash.trim(), '--path', '--secret');
    await stack.set(`${account}.quota`, '0', '--path');
  }
  const { status, output } = await stack.up();
  expect(status, output).toBe(0);
  anna = loginOf(stack.outputs(), 'anna@example.org');
  bert = loginOf(stack.outputs(), 'bert@example.net');
  [postOrg, postNet] = ['example.org', 'example.net'].map((domain) => ({
    ...anna,
    user: `post@${domain}`,
    password: `post-${domain}`,
  }));
});
afterAll(() => endLab(name));

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

/** How many messages SpamAssassin has learned from. */
function learned(): { spam: number; ham: number } {
  const lines = onHost(lab, 'sa-learn --dbpath /srv/mailhost/bayes/bayes --dump magic');
  const count = (kind: string) =>
    Number(new RegExp(`(\\d+) +\\d+ +non-token data: n${kind}$`, 'm').exec(lines)?.[1] ?? 0);
  return { spam: count('spam'), ham: count('ham') };
}

describe('a mailbox', () => {
  it('is reached by ports 993 and 4190, and Dovecot listens on no other', () => {
    const sockets = onHost(lab, 'ss --listening --tcp --numeric --processes --no-header');
    const own = sockets.split('\n').filter((line) => line.includes('("dovecot"'));
    const listeners = own.map((line) => line.split(/\s+/)[3]).sort();
    expect(listeners).toEqual(['0.0.0.0:4190', '0.0.0.0:993', '[::]:4190', '[::]:993']);
  });

  it('has its folders from the first login on, each once', async () => {
    for (let login = 0; login < 2; login++) {
      const folders = await withImap(anna, (client) => client.list());
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

  it('is its own account’s alone, also where two have the same local part', async () => {
    for (const { user } of [postOrg!, postNet!]) {
      await sendFromRemote(lab, {
        from: erika,
        to: user.replace('post@example', 'Post+tag@EXAMPLE'),
        subject: `for ${user}`,
        text: 'x',
      });
    }
    for (const login of [postOrg!, postNet!]) {
      await waitForMail(login, `for ${login.user}`);
      expect(await subjects(login)).toEqual([`for ${login.user}`]);
    }
    await expect(subjects({ ...postOrg!, password: postNet!.password })).rejects.toThrow(
      'Authentication failed',
    );
  });

  it('takes no message that is larger than messageSize', async () => {
    await withImap(anna, async (client) => {
      expect(await append(client, 'Drafts', messageOf(2 * MB, 'as large as may be'))).toBe('taken');
      expect(await append(client, 'Drafts', messageOf(2 * MB + 1, 'too large'))).toBe('LIMIT');
    });
  });

  it('has a quota of its own, takes not one octet more, and warns at 80 % and 95 %', async () => {
    expect(await quotaOf(anna)).toBe(2000 * MB);
    expect(await quotaOf(postOrg!)).toBeUndefined();
    expect(await quotaOf(bert)).toBe(2 * MB);
    await withImap(bert, async (client) => {
      expect(await append(client, 'Archive', messageOf(1_500_000, '72 %'))).toBe('taken');
      expect(await append(client, 'Archive', messageOf(200_000, '81 %'))).toBe('taken');
      await waitForMail(bert, 'Your mailbox is 80 % full');
      let used = 0;
      for (const mailbox of ['INBOX', 'Archive']) {
        await client.mailboxOpen(mailbox);
        for await (const { size } of client.fetch('1:*', { size: true })) used += size!;
      }
      expect(await append(client, 'Archive', messageOf(2 * MB - used + 1, 'over'))).toBe(
        'OVERQUOTA',
      );
      expect(await append(client, 'Archive', messageOf(2 * MB - used, 'full'))).toBe('taken');
      await waitForMail(bert, 'Your mailbox is 95 % full');
    });
    expect(await subjects(bert)).toEqual([
      'Your mailbox is 80 % full',
      'Your mailbox is 95 % full',
    ]);
  });

  it('lets mail wait while it is full, and gets it when there is room', async () => {
    await sendFromRemote(lab, { from: erika, to: bert.user, subject: 'held', text: 'x' });
    const queue = () => onHost(lab, 'smtpctl show queue');
    await waitFor('it was tried', () => /Mailbox is full|452 4\.2\.2/i.test(queue()));
    await sendFromRemote(lab, { from: erika, to: anna.user, subject: 'passes by', text: 'x' });
    await waitForMail(anna, 'passes by');
    expect(queue().trim().split('\n')).toHaveLength(1);
    expect(await subjects(bert)).not.toContain('held');

    await withImap(bert, async (client) => {
      await client.mailboxOpen('Archive');
      await client.messageDelete('1:*');
    });
    onHost(lab, 'smtpctl schedule all');
    await waitForMail(bert, 'held');
    expect(queue()).toBe('');
    expect(received(lab.dir).filter(({ to }) => to.includes(erika))).toEqual([]);
  });
});

describe('a delivery', () => {
  it('is tried again where Dovecot goes away in the middle of it', async () => {
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
    onHost(
      lab,
      `systemctl stop dovecot; rm --force /run/dovecot/lmtp; systemd-run --quiet --unit leaves python3 -c '${dovecot}'
       until test -S /run/dovecot/lmtp; do :; done`,
    );
    const text = `${'x'.repeat(70)}\n`.repeat(20_000);
    await sendFromRemote(lab, { from: erika, to: anna.user, subject: 'cut off', text });
    await waitFor(
      'it goes away',
      () => onHost(lab, 'systemctl is-active leaves || true') !== 'active\n',
    );
    onHost(lab, 'systemctl start dovecot');
    await waitFor('the message comes all the same', async () => {
      onHost(lab, 'smtpctl schedule all || true');
      return (await subjects(anna)).includes('cut off');
    });
    expect(received(lab.dir).filter(({ to }) => to.includes(erika))).toEqual([]);
  });
});

describe('a user’s own script', () => {
  const send = (subject: string, text: string) =>
    sendFromRemote(lab, { from: erika, to: anna.user, subject, text });

  it('comes by ManageSieve, which tells and asks nothing before TLS', async () => {
    const { client, greeting } = await ManageSieve.connect(anna.host);
    expect(greeting).toContain('"SASL" ""');
    expect(await client.command(authenticate(anna))).toMatch(/^NO \(ENCRYPT-NEEDED\)/);
    expect(await client.startTls(anna)).toContain('"SASL" "PLAIN LOGIN"');
    client.end();
  });

  it('files, answers and sends on', async () => {
    await withImap(anna, (client) => client.mailboxCreate('Bills'));
    await useScript(
      anna,
      `require ["fileinto", "vacation", "copy"];
if header :contains "subject" "bill" { fileinto "Bills"; }
elsif header :contains "subject" "onward" { redirect :copy "otto@remote.example"; }
elsif header :contains "subject" "holidays" { vacation :subject "I am away" "Back on Monday."; }
`,
    );
    for (const subject of ['a bill', 'onward', 'your holidays']) await send(subject, 'x');
    await waitForMail(anna, 'a bill', 'Bills');
    expect((await waitForReceived(lab, 'onward')).to).toEqual(['otto@remote.example']);
    const answer = await waitForReceived(lab, 'I am away');
    expect([answer.from, answer.to]).toEqual([anna.user, [erika]]);
    await waitForMail(anna, 'onward');
    await waitForMail(anna, 'your holidays');
  });

  it('has the first word on spam, which is filed into Junk else', async () => {
    await send('a bill for nothing', gtube);
    await send('nothing', gtube);
    await waitForMail(anna, 'a bill for nothing', 'Bills');
    await waitForMail(anna, 'nothing', 'Junk');
    expect(await subjects(anna, 'Junk')).toEqual(['nothing']);
  });

  it('cannot bounce what was taken', async () => {
    const script = 'require "reject";\nreject "No.";\n';
    await expect(useScript(anna, script)).rejects.toThrow("unknown Sieve capability 'reject'");
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
  /** Puts messages into a mailbox that differ from one that came in by their words alone. */
  const fill = (mailbox: string, kind: 'spam' | 'ham', model: string) =>
    withImap(bert, async (client) => {
      const [header] = model.split('\r\n\r\n');
      for (let i = 0; i < many; i++) {
        const own = header!
          .replace(/^Subject: .*$/m, `Subject: ${kind} ${i}`)
          .replace(/^Message-ID: .*$/m, `Message-ID: <${kind}.${i}@remote.example>`);
        await client.append(mailbox, `${own}\r\n\r\n${textOf(kind, i)}\r\n`);
      }
    });
  const newestOf = (login: Login) =>
    withImap(login, async (client) => {
      await client.mailboxOpen('INBOX');
      const message = await client.fetchOne('*', { source: true });
      return message ? message.source!.toString('latin1') : '';
    });
  /** SpamAssassin's verdict of a message that it has not seen before. */
  const verdictOf = async (kind: 'spam' | 'ham', number: number) => {
    const subject = `unseen ${kind} ${number}`;
    await sendFromRemote(lab, {
      from: erika,
      to: anna.user,
      subject,
      text: textOf(kind, number),
    });
    const { headers } = await waitForMail(anna, subject);
    return /BAYES_\d+/.exec(headers.get('x-spam-status') as string)?.[0];
  };

  it('moves the verdict of unseen mail, by just what users moved into Junk and out of it', async () => {
    expect(await verdictOf('spam', 1000)).toBeUndefined();
    const before = learned();
    const model = await newestOf(anna);
    await fill('INBOX', 'spam', model);
    await fill('Junk', 'ham', model);
    expect(learned()).toEqual({ ...before, spam: before.spam + many });
    await moveMail(bert, 'spam', 'INBOX', 'Junk');
    expect(learned()).toEqual({ ...before, spam: before.spam + 2 * many });
    await moveMail(bert, 'ham', 'Junk', 'Archive');
    expect(learned()).toEqual({ spam: before.spam + many, ham: before.ham + many });

    expect(await verdictOf('spam', 1001)).toMatch(/^BAYES_(80|95|99|999)$/);
    expect(await verdictOf('ham', 1001)).toMatch(/^BAYES_(00|05|20)$/);
    const owners =
      'stat --format "%U %a" /srv/mailhost/bayes/bayes_toks /srv/mailhost/bayes/bayes_seen';
    expect(onHost(lab, owners)).toBe('amavis 600\namavis 600\n');
  });

  it('takes nothing from what goes into Trash, moves within it, or is too large', async () => {
    await withImap(bert, async (client) => {
      await client.mailboxCreate('Trash/old');
      await client.append('Junk', messageOf(600_000, 'large'));
    });
    const before = learned();
    await moveMail(bert, 'spam 0', 'Junk', 'Trash');
    await moveMail(bert, 'spam 99', 'Junk', 'Trash/old');
    await moveMail(bert, 'spam 0', 'Trash', 'Trash/old');
    await moveMail(bert, 'large', 'Junk', 'INBOX');
    expect(await subjects(bert, 'Trash/old')).toContain('spam 0');
    expect(learned()).toEqual(before);
    expect(
      onHost(lab, 'journalctl --quiet --unit dovecot --priority warning --grep learn || true'),
    ).toBe('');
    await moveMail(bert, 'ham 0', 'Archive', 'Trash');
    expect(learned()).toEqual(before);
    await moveMail(bert, 'ham 0', 'Trash', 'Junk');
    expect(learned()).toEqual({ spam: before.spam + 1, ham: before.ham - 1 });
  });
});

describe('a login', () => {
  it('is refused in the same words whether the user is unknown or the password is wrong', async () => {
    const words: string[] = [];
    for (const login of [anna, { ...anna, user: 'nobody@example.org' }]) {
      const refused = await subjects({ ...login, password: 'wrong' }).catch((error: Error) =>
        error.message.replace(login.user, 'USER'),
      );
      words.push(String(refused));
    }
    expect(words).toEqual(Array(2).fill('USER: Authentication failed.'));
  });
});

describe('a system user’s mailbox', () => {
  it('has a quota of its own, too', async () => {
    await stack.unset('mailhost:accounts[3]');
    await stack.set('mailhost:accountKind', 'system');
    for (const [i, change] of ['remove post@example.net', 'make accounts system'].entries()) {
      await stack.set(`mailhost:confirm[${i}]`, change, '--path');
    }
    const { status, output } = await stack.up();
    expect(status, output).toBe(0);
    const user = (login: Login) => ({ ...login, user: login.user.replace(/@.*/, '') });
    expect(await quotaOf(user(anna))).toBe(2000 * MB);
    expect(await quotaOf(user(postOrg!))).toBeUndefined();
    expect(await quotaOf(user(bert))).toBe(2 * MB);
    await withImap(user(bert), (client) => client.append('Archive', messageOf(1_700_000, 'x')));
    await waitForMail(user(bert), 'Your mailbox is 80 % full');
  });
});
