import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { authenticate } from 'mailauth';
import { SMTPServer } from 'smtp-server';
import { domainOf } from '../../components/names';
import { addresses } from '../network';
import { selfSigned } from '../selfSigned';
import { currentLab } from '../state';
import { labResolver } from './resolver';
import { remoteDir, remoteHost, remoteIpv6Zone, remoteZone } from './zone';
import type { ReceivedMessage } from './mailbox';

/** The remote mail system: takes mail for its domains, judges it by SPF, DKIM and DMARC, and keeps it with the verdict. */
const lab = currentLab();
const inbox = join(remoteDir(lab.dir), 'inbox');
mkdirSync(inbox, { recursive: true });
const resolver = labResolver(addresses(lab).resolver.v4);
let count = 0;

const server = new SMTPServer({
  name: remoteHost,
  ...selfSigned(remoteHost),
  authOptional: true,
  disabledCommands: ['AUTH'],
  size: 64 << 20,
  onRcptTo: ({ address }, _session, done) => {
    done(
      [remoteZone, remoteIpv6Zone].includes(domainOf(address).toLowerCase())
        ? undefined
        : smtpError(550, 'relaying denied'),
    );
  },
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
});

async function receive(
  raw: Buffer,
  session: Parameters<
    NonNullable<ConstructorParameters<typeof SMTPServer>[0]>['onData'] & object
  >[1],
): Promise<void> {
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

server.on('error', (error) => console.error(error.message));
server.listen(25, '::');
