import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ImapFlow } from 'imapflow';
import { simpleParser, type ParsedMail } from 'mailparser';
import { createTransport } from 'nodemailer';
import { programCommand } from './bundle';
import { addresses } from './network';
import { received, type OutsideMessage, type ReceivedMessage } from './remote/mailbox';
import { labResolver, mailExchanger } from './remote/resolver';
import { longestWait, waitFor, type Lab } from './state';

/** A mail client's login. */
export interface Login {
  /** Name or address of the mail host. */
  host: string;
  user: string;
  password: string;
  /** PEM of the CA to trust; absent: whatever certificate. */
  ca?: string;
  /** Name that the certificate must have, where `host` is an address. */
  hostName?: string;
}

/** What a mail client sends. */
export interface ClientMessage {
  from: string;
  to: string;
  subject: string;
  text?: string;
  /** The whole message as it is, instead of one made from the other fields. */
  raw?: string;
  /** Envelope sender, where it is not `from`. */
  envelope?: string;
}

/** What certificate a client accepts. */
export const trust = ({ ca, hostName }: Login) =>
  ca === undefined ? { rejectUnauthorized: false } : { ca, servername: hostName };

/**
 * Lets the remote mail system send a message.
 *
 * @returns what the mail host answered
 * @throws Error with the mail host's words where it refuses
 */
export async function sendFromRemote(lab: Lab, message: OutsideMessage): Promise<string> {
  const child = promisify(execFile)(
    'ip',
    ['netns', 'exec', 'remote', programCommand('lab/remote/send')],
    { env: { PATH: process.env.PATH, MAILHOST_LAB: lab.name } },
  );
  // Where the program ends before it has read this, its own end tells why.
  child.child.stdin!.on('error', () => undefined).end(JSON.stringify(message));
  try {
    return (await child).stdout.trim();
  } catch (error) {
    throw new Error((error as { stderr: string }).stderr.trim(), { cause: error });
  }
}

/** Submits a message as a mail client does, on 465 (TLS from the start) or 587 (STARTTLS, required). */
export async function submit(
  login: Login,
  port: 465 | 587,
  { envelope, ...message }: ClientMessage,
): Promise<string> {
  const transport = createTransport({
    host: login.host,
    port,
    secure: port === 465,
    requireTLS: true,
    auth: { user: login.user, pass: login.password },
    tls: trust(login),
    greetingTimeout: longestWait * 1000,
  });
  const { to, from } = message;
  return (await transport.sendMail({ ...message, envelope: { from: envelope ?? from, to } }))
    .response;
}

/** Waits for a message in a mailbox, over IMAPS. */
export async function waitForMail(
  login: Login,
  subject: string,
  mailbox = 'INBOX',
): Promise<ParsedMail> {
  return withImap(login, (client) =>
    waitFor(`"${subject}" in ${mailbox} of ${login.user}`, async () => {
      const messages = await fetchAll(client, mailbox);
      return messages.find((message) => message.subject === subject);
    }),
  );
}

/** All messages of a mailbox, over IMAPS. */
export async function readMailbox(login: Login, mailbox = 'INBOX'): Promise<ParsedMail[]> {
  return withImap(login, (client) => fetchAll(client, mailbox));
}

/** Moves a message, by its subject, from one mailbox to another. */
export async function moveMail(
  login: Login,
  subject: string,
  from: string,
  to: string,
): Promise<void> {
  await withImap(login, async (client) => {
    await client.mailboxOpen(from);
    await client.messageMove({ subject }, to);
  });
}

/** A mail client that reads over IMAPS; not connected yet. */
export function imapClient(login: Login): ImapFlow {
  const client = new ImapFlow({
    host: login.host,
    port: 993,
    secure: true,
    auth: { user: login.user, pass: login.password },
    tls: trust(login),
    greetingTimeout: longestWait * 1000,
    logger: false,
  });
  // Of a command under way it is the command's, too; a connection may be reset after the logout.
  client.on('error', () => undefined);
  return client;
}

/** Works in a mailbox as a mail client does, over IMAPS. */
export async function withImap<T>(
  login: Login,
  work: (client: ImapFlow) => Promise<T>,
): Promise<T> {
  const client = imapClient(login);
  try {
    await client.connect();
    return await work(client);
  } catch (error) {
    // The server's words, which the library keeps beside its own.
    const { responseText, message } = error as Error & { responseText?: string };
    throw new Error(`${login.user}: ${responseText ?? message}`, { cause: error });
  } finally {
    if (client.usable) await client.logout();
  }
}

async function fetchAll(client: ImapFlow, mailbox: string): Promise<ParsedMail[]> {
  await client.mailboxOpen(mailbox, { readOnly: true });
  const sources: Buffer[] = [];
  for await (const message of client.fetch('1:*', { source: true })) sources.push(message.source!);
  await client.mailboxClose();
  return Promise.all(sources.map((source) => simpleParser(source)));
}

/** Waits until the remote mail system has received a message of that subject. */
export async function waitForReceived(lab: Lab, subject: string): Promise<ReceivedMessage> {
  return waitFor(`the remote mail system receives "${subject}"`, () =>
    received(lab.dir).find(({ raw }) => new RegExp(`^Subject: ${subject}\r?$`, 'm').test(raw)),
  );
}

/** The address of a domain's mail host, by the lab's DNS. */
export async function mailHostOf(lab: Lab, domain: string): Promise<string> {
  const resolve = labResolver(addresses.resolver.v4);
  const [address] = (await resolve(await mailExchanger(resolve, domain), 'A')) as string[];
  return address!;
}
