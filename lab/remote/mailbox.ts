import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { remoteDir } from './zone';

/** A message as the remote mail system received and judged it. */
export interface ReceivedMessage {
  /** Envelope sender, empty for bounces. */
  from: string;
  to: string[];
  /** Address that delivered it. */
  client: string;
  tls: boolean;
  /** As `user:password`, where it came with a login. */
  login?: string;
  /** Results as RFC 8601 names them. */
  spf: string;
  dkim: { result: string; domain: string; selector: string }[];
  dmarc: string;
  /** The whole message, one character an octet. */
  raw: string;
}

/** What the remote mail system has received so far, oldest first. */
export function received(labDir: string): ReceivedMessage[] {
  const inbox = join(remoteDir(labDir), 'inbox');
  if (!existsSync(inbox)) return [];
  return readdirSync(inbox)
    .filter((file) => !file.startsWith('.'))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .map((file) => JSON.parse(readFileSync(join(inbox, file), 'utf8')) as ReceivedMessage);
}

/** A message for the remote mail system to send. */
export interface OutsideMessage {
  from: string;
  to: string;
  subject: string;
  text: string;
  /** Envelope sender, where it is not `from`. */
  envelopeFrom?: string;
  /** Envelope recipient, where it is not `to`. */
  envelopeTo?: string;
  /** Without the remote domain's signature. */
  unsigned?: boolean;
  /** Deliver over IPv6. */
  ipv6?: boolean;
}
