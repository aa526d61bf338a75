import { writeFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { backupServer } from '../../lab/backupServer';
import { moveMail, readMailbox, waitForMail, withImap } from '../../lab/mail';
import { useScript } from '../../lab/manageSieve';
import type { Host } from './hosts';
import { holdsMail } from './testLab';

/** The password of the repository. */
export const password = 'marker-of-the-repository';
/** The text of each message. */
export const text = 'marker-in-a-message';

/** Says so where the server of the backups does not let the host in, with the host's public key behind it. */
export const notLetIn =
  /mail is not backed up: .*Permission denied.*let this key in: (ssh-ed25519 \S+)/;

const upLog = (host: Host) => join(host.lab.dir, 'backedUp.log');
/** What the `up` printed that set the backups up. */
export const logOf = (host: Host): string => readFileSync(upLog(host), 'utf8');

/** Takes precedence over the calendar of the plan. */
const calendar = '/usr/local/lib/systemd/system/mailhost-backup.timer.d';

/** Has the host back up to the lab's SFTP server, when it is told to; and mail, in two folders, and a Sieve script. */
export async function backedUp(host: Host): Promise<void> {
  const { repository, hostKey, letIn } = backupServer(host.lab);
  const output = await host.up({
    protect: 'true',
    'backup.repository': repository,
    'backup.hostKey': hostKey,
    'backup.password': { secret: password },
  });
  writeFileSync(upLog(host), output);
  letIn(notLetIn.exec(host.outputs.nextSteps)![1]!);
  const anna = host.login('anna@example.org');
  for (const subject of ['of the inbox', 'of a folder', 'that stays']) {
    await host.receive({ to: anna.user, subject, text });
    await waitForMail(anna, subject);
  }
  await moveMail(anna, 'of a folder', 'INBOX', 'Archive');
  await useScript(anna, 'keep;');
  // A copy that starts on another day has missed a night.
  host.shell(
    `mkdir -p ${calendar}; printf '[Timer]\\nOnCalendar=\\nOnCalendar=2199-12-31\\n' >${calendar}/never.conf
     systemctl daemon-reload`,
  );
}

/** Lets the plan say when it is backed up. */
export const byTheCalendar = (host: Host): string =>
  host.shell(`rm -r ${calendar}; systemctl daemon-reload`);

/** Subjects in a mailbox of Anna. */
export const subjects = async (host: Host, mailbox: string): Promise<string[]> =>
  (await readMailbox(host.login('anna@example.org'), mailbox))
    .map(({ subject }) => subject ?? '')
    .sort();

/** Subjects of Anna's mail, by mailbox, without those that are empty. */
export async function allSubjects(host: Host): Promise<Record<string, string[]>> {
  const found: [string, string[]][] = [];
  for (const mailbox of await mailboxes(host)) found.push([mailbox, await subjects(host, mailbox)]);
  return Object.fromEntries(found.filter(([, list]) => list.length > 0));
}

/** Where all of that is after a restore. */
export const asRestored = (mail: Record<string, string[]>): Record<string, string[]> =>
  Object.fromEntries(
    Object.entries(mail).map(([mailbox, list]) => [
      mailbox === 'INBOX' ? 'Restored' : `Restored/${mailbox}`,
      list,
    ]),
  );

const mailboxes = (host: Host): Promise<string[]> =>
  withImap(host.login('anna@example.org'), async (client) =>
    (await client.list()).filter(holdsMail).map(({ path }) => path),
  );

/** Deletes all messages of Anna. */
export const deleteAll = (host: Host): Promise<void> =>
  withImap(host.login('anna@example.org'), async (client) => {
    for (const { path } of (await client.list()).filter(holdsMail)) {
      await client.mailboxOpen(path);
      await client.messageDelete('1:*');
    }
  });
