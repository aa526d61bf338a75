import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { authenticate } from 'mailauth';
import { SMTPServer, type SMTPServerOptions, type SMTPServerSession } from 'smtp-server';
import { domainOf } from '../../components/settings/names';
import { serverPair } from '../acme';
import { addresses } from '../network';
import { selfSigned } from '../selfSigned';
import { currentLab } from '../state';
import type { ReceivedMessage } from './mailbox';
import { labResolver } from './resolver';
import { movingZone, remoteDir, remoteHost, remoteIpv6Zone, remoteZone, smarthost } from './zone';

/**
 * The remote mail system: takes mail for its domains, and as a smarthost with whatever login, judges it by SPF, DKIM and
 * DMARC, and keeps it with the verdict.
 */
const lab = currentLab();
const inbox = join(remoteDir(lab.dir), 'inbox');
mkdirSync(inbox, { recursive: true });
const resolver = labResolver(addresses.resolver.v4);
let count = 0;

const taking: SMTPServerOptions = {
  size: 64 << 20,
  onData: (stream, session, done) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      void receive(Buffer.concat(chunks), session).then(
        () => done(),
        (error: unknown) => {
          console.error(error);
          done(smtpError(451, 'cannot be judged now'));
        },
      );
    });
  },
};
const servers = {
  25: new SMTPServer({
    ...taking,
    name: remoteHost,
    ...selfSigned(remoteHost),
    authOptional: true,
    disabledCommands: ['AUTH'],
    onRcptTo: ({ address }, _session, done) => {
      done(
        [remoteZone, remoteIpv6Zone, movingZone].includes(domainOf(address).toLowerCase())
          ? undefined
          : smtpError(550, 'relaying denied'),
      );
    },
  }),
  587: new SMTPServer({
    ...taking,
    name: smarthost,
    ...serverPair(lab, smarthost),
    onAuth: ({ username, password }, _session, done) => {
      done(null, { user: `${username}:${password}` });
    },
  }),
};

async function receive(raw: Buffer, session: SMTPServerSession): Promise<void> {
  const sender = session.envelope.mailFrom ? session.envelope.mailFrom.address : '';
  const verdict = await authenticate(raw, {
    ip: session.remoteAddress,
    helo: session.hostNameAppearsAs,
    sender,
    mta: remoteHost,
    resolver,
  });
  const message: ReceivedMessage = {
    from: sender,
    to: session.envelope.rcptTo.map(({ address }) => address),
    client: session.remoteAddress,
    tls: session.secure,
    login: session.user as string | undefined,
    spf: verdict.spf ? verdict.spf.status.result : 'none',
    dkim: verdict.dkim.results.map(({ status, signingDomain, selector }) => ({
      result: status.result,
      domain: signingDomain ?? '',
      selector: selector ?? '',
    })),
    dmarc: verdict.dmarc ? verdict.dmarc.status.result : 'none',
    raw: raw.toString('latin1'),
  };
  const name = `${Date.now()}-${process.pid}-${count++}.json`;
  writeFileSync(join(inbox, `.${name}`), JSON.stringify(message));
  renameSync(join(inbox, `.${name}`), join(inbox, name));
}

function smtpError(responseCode: number, message: string): Error {
  return Object.assign(new Error(message), { responseCode });
}

for (const [port, server] of Object.entries(servers)) {
  server.on('error', (error) => console.error(error.message));
  server.listen(Number(port), '::');
}
