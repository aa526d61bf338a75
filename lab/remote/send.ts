import { text } from 'node:stream/consumers';
import { createTransport } from 'nodemailer';
import { domainOf } from '../../components/settings/names';
import { addresses } from '../network';
import { currentLab, longestWait } from '../state';
import type { OutsideMessage } from './mailbox';
import { labResolver, mailExchanger } from './resolver';
import { remoteDkimKey, remoteHost, remoteSelector, remoteZone } from './zone';

/**
 * Sends one message as the remote mail system does: to the recipient's MX, signed for its own domain. Runs in its
 * network namespace; the message is JSON on standard input, and what the other side said goes to standard output.
 */
async function main(): Promise<void> {
  const lab = currentLab();
  const message = JSON.parse(await text(process.stdin)) as OutsideMessage;
  const resolve = labResolver(addresses.resolver.v4);
  const host = await mailExchanger(resolve, domainOf(message.to));
  const [address] = (await resolve(host, message.ipv6 ? 'AAAA' : 'A')) as string[];
  const transport = createTransport({
    host: address,
    port: 25,
    // A host that is being replaced answers nothing at all.
    connectionTimeout: 20_000,
    greetingTimeout: longestWait * 1000,
    name: remoteHost,
    // Opportunistic, as between mail systems: encrypted, whoever the other side is.
    tls: { rejectUnauthorized: false },
    dkim: message.unsigned
      ? undefined
      : {
          domainName: remoteZone,
          keySelector: remoteSelector,
          privateKey: remoteDkimKey(lab.dir),
        },
  });
  const { from, to, subject, text: body } = message;
  const sent = await transport.sendMail({
    envelope: { from: message.envelopeFrom ?? from, to: message.envelopeTo ?? to },
    from,
    to,
    subject,
    text: body,
  });
  process.stdout.write(`${sent.response}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
