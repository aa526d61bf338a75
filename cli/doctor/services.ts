import { createHash, X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { HostStack } from '../stack';
import type { Code } from './catalogue';
import { Dialogue } from './dialogue';
import type { Dns } from './dns';
import type { Result } from './finding';
import type { Network } from './network';

type Protocol = 'SMTP' | 'IMAP' | 'ManageSieve' | 'HTTP';

/** A port of the plan. */
export interface Service {
  port: number;
  protocol: Protocol;
  security: 'TLS' | 'STARTTLS';
}

/** By the names of SRV records (RFC 6186, RFC 8314, RFC 5804). */
const named: Record<string, Omit<Service, 'port'>> = {
  submissions: { protocol: 'SMTP', security: 'TLS' },
  submission: { protocol: 'SMTP', security: 'STARTTLS' },
  imaps: { protocol: 'IMAP', security: 'TLS' },
  sieve: { protocol: 'ManageSieve', security: 'STARTTLS' },
};

/** What the host offers to others by its records. */
export function servicesOf({ records, hostName }: HostStack): Service[] {
  const found = new Map<number, Service>([
    [25, { port: 25, protocol: 'SMTP', security: 'STARTTLS' }],
  ]);
  for (const { name, type, data } of records) {
    const [, service = ''] = /^_([a-z]+)\._tcp\./.exec(name) ?? [];
    const [, , port, target] = data.split(' ');
    if (type === 'SRV' && target === `${hostName}.` && named[service])
      found.set(Number(port), { port: Number(port), ...named[service] });
    if (type === 'CNAME' && /^(?:autoconfig|mta-sts)\./.test(name))
      found.set(443, { port: 443, protocol: 'HTTP', security: 'TLS' });
  }
  return [...found.values()].sort((a, b) => a.port - b.port);
}

/** A service as it answers. */
interface Answered {
  results: Result[];
  tls?: TLSSocket;
}

/** All that a look from outside stands on. */
export interface Outside {
  network: Network;
  dns: Dns;
  /** In ms. */
  now: number;
}

/** A mail exchanger that is always there. */
const exchanger = 'gmail-smtp-in.l.google.com';

/** Many networks let nobody out to port 25. */
async function isBlockedHere(network: Network, dns: Dns): Promise<boolean> {
  const [address] = await dns.addresses(exchanger).catch(() => []);
  if (address === undefined) return false;
  const socket = await network.connect(address, 25).catch(() => undefined);
  socket?.destroy();
  return socket === undefined;
}

/** Connects to every service at an address, and judges greeting, TLS and certificate. */
export async function serviceResults(
  { network, dns, now }: Outside,
  stack: HostStack,
  address: string,
): Promise<{ results: Result[]; mailCertificate?: X509Certificate }> {
  const { hostName, caCertPem } = stack;
  let mailCertificate: X509Certificate | undefined;
  const looked = await Promise.all(
    servicesOf(stack).map(async (service) => {
      const at = { about: hostName, place: `port ${service.port} of ${address}` };
      let socket;
      try {
        socket = await network.connect(address, service.port);
      } catch (error) {
        if (service.port === 25 && (await isBlockedHere(network, dns)))
          return [{ unchecked: at.place, why: 'the network of this machine blocks port 25' }];
        return [{ code: 'port-closed', ...at, evidence: (error as Error).message } as const];
      }
      const dialogue = new Dialogue(socket);
      try {
        const { results, tls } = await answered(dialogue, service, hostName, caCertPem, at);
        if (tls === undefined) return results;
        const certificate = tls.getPeerX509Certificate();
        if (service.port === 25) mailCertificate = certificate;
        return [...results, ...certificateResults(tls, certificate, hostName, at, now)];
      } catch (error) {
        return [{ code: 'greeting-wrong', ...at, evidence: (error as Error).message } as const];
      } finally {
        dialogue.end();
      }
    }),
  );
  return { results: looked.flat(), mailCertificate };
}

type At = { about: string; place: string };

/** Up to where TLS begins. */
async function answered(
  dialogue: Dialogue,
  { protocol, security }: Service,
  hostName: string,
  ca: string | undefined,
  at: At,
): Promise<Answered> {
  const first = security === 'TLS' ? await dialogue.secure(hostName, ca) : undefined;
  switch (protocol) {
    case 'HTTP':
      return { results: [], tls: first };
    case 'IMAP': {
      const [greeting = ''] = await dialogue.answer(/^/);
      return { results: greets(greeting, /^\* OK\b/, at), tls: first };
    }
    case 'ManageSieve': {
      // RFC 5804, section 1.7.
      const lines = await dialogue.answer(/^(?:OK|NO|BYE)\b/);
      if (!/^OK\b/.test(lines.at(-1)!)) return { results: greets(lines.at(-1)!, /^OK\b/, at) };
      if (!lines.some((line) => /^"STARTTLS"/i.test(line))) return withoutTls(at);
      const [ready = ''] = await dialogue.answer(/^(?:OK|NO|BYE)\b/, 'STARTTLS');
      return /^OK\b/.test(ready)
        ? { results: [], tls: await dialogue.secure(hostName, ca) }
        : withoutTls(at, ready);
    }
    case 'SMTP': {
      const greeting = await smtpAnswer(dialogue);
      const results = greets(greeting[0]!, /^220[ -]/, at);
      if (results.length > 0) return { results };
      const ehlo = await smtpAnswer(dialogue, `EHLO ${clientName}`);
      results.push(...introduces(greeting[0]!, ehlo[0]!, hostName, at));
      if (first) return { results, tls: first };
      if (!ehlo.some((line) => /^250[ -]STARTTLS\b/i.test(line)))
        return { results: [...results, ...withoutTls(at).results] };
      const [ready = ''] = await smtpAnswer(dialogue, 'STARTTLS');
      return ready.startsWith('220')
        ? { results, tls: await dialogue.secure(hostName, ca) }
        : { results: [...results, ...withoutTls(at, ready).results] };
    }
  }
}

/** A name that nobody has (RFC 2606), for who has none. */
const clientName = 'doctor.invalid';

/** An answer ends with a line without a hyphen (RFC 5321, section 4.2.1). */
const smtpAnswer = (dialogue: Dialogue, line?: string) => dialogue.answer(/^\d{3}(?: |$)/, line);

const greets = (line: string, expected: RegExp, at: At): Result[] =>
  expected.test(line)
    ? []
    : [{ code: 'greeting-wrong', ...at, evidence: `it answers ${JSON.stringify(line)}` }];

const withoutTls = (at: At, answer?: string): Answered => ({
  results: [
    {
      code: 'starttls-missing',
      ...at,
      evidence: answer === undefined ? 'it is not offered' : `it answers ${JSON.stringify(answer)}`,
    },
  ],
});

/** The names in the greeting and in the answer to EHLO (RFC 5321, section 4.1.1.1). */
function introduces(greeting: string, ehlo: string, hostName: string, at: At): Result[] {
  const names = [greeting, ehlo].map((line) => /^\d{3}[ -](\S+)/.exec(line)?.[1] ?? '');
  const wrong = names.filter((name) => name.toLowerCase() !== hostName);
  return wrong.length === 0
    ? []
    : [{ code: 'helo-wrong', ...at, evidence: `it says ${[...new Set(wrong)].join(' and ')}` }];
}

const day = 86_400_000;

/** @param name that the client asks for */
export function certificateResults(
  { authorizationError }: TLSSocket,
  certificate: X509Certificate | undefined,
  name: string,
  at: At,
  now: number,
): Result[] {
  const found = (code: Code, evidence: string): Result[] => [{ code, ...at, evidence }];
  if (certificate === undefined) return found('certificate-untrusted', 'it has no certificate');
  const [from, to] = [certificate.validFromDate.getTime(), certificate.validToDate.getTime()];
  const end = certificate.validToDate.toISOString();
  if (certificate.checkHost(name) === undefined)
    return found(
      'certificate-name',
      `it is for ${certificate.subjectAltName?.replaceAll('DNS:', '') ?? 'no name'}, not for ${name}`,
    );
  if (to <= now) return found('certificate-expired', `it expired at ${end}`);
  // Set to the code of the first error, of type string (tls.TLSSocket).
  if (authorizationError) return found('certificate-untrusted', String(authorizationError));
  // As the host warns (certificates.py); it is renewed in the last third.
  return to - now < Math.min(21 * day, ((to - from) * 7) / 30)
    ? found('certificate-ending', `it expires at ${end}`)
    : [];
}

/** Whether the certificate for other mail systems has a key that TLSA records name (RFC 7672, section 3.1). */
export async function tlsaResults(
  dns: Dns,
  hostName: string,
  certificate: X509Certificate | undefined,
): Promise<Result[]> {
  if (certificate === undefined) return [];
  const name = `_25._tcp.${hostName}`;
  const records = await dns.look(name, 'TLSA');
  const matches = (record: string) => {
    const [usage, selector, type, value] = record.split(' ');
    // Others say which CA may have signed it, which no plan of this package does.
    if (usage !== '3') return false;
    const octets =
      selector === '1'
        ? certificate.publicKey.export({ type: 'spki', format: 'der' })
        : certificate.raw;
    const form = { 0: undefined, 1: 'sha256', 2: 'sha512' }[Number(type)];
    return (form ? createHash(form).update(octets).digest() : octets).toString('hex') === value;
  };
  return records.length === 0 || records.some(matches)
    ? []
    : [
        {
          code: 'tlsa-mismatch',
          about: name,
          evidence: `published: ${records.join(', ')}; served: ${createHash('sha256')
            .update(certificate.publicKey.export({ type: 'spki', format: 'der' }))
            .digest('hex')}`,
        },
      ];
}

/** Asks in three ways to pass mail on to others, and ends before any is sent. */
export async function relayResults(
  network: Network,
  { hostName, domains, parked }: HostStack,
  address: string,
): Promise<Result[]> {
  const own = [...domains, ...parked];
  const outside = ['example.com', 'example.net', 'example.org'].find((one) => !own.includes(one))!;
  const probes = [
    [`doctor@${outside}`, `doctor@${outside}`],
    [`postmaster@${own[0] ?? hostName}`, `doctor@${outside}`],
    // A route, which no mail system follows any more (RFC 5321, appendix C).
    [`doctor@${outside}`, `@${hostName}:doctor@${outside}`],
  ] as const;
  const found: Result[] = [];
  for (const [from, to] of probes) {
    const socket = await network.connect(address, 25).catch(() => undefined);
    // That it cannot be reached is another finding.
    if (socket === undefined) return [];
    const dialogue = new Dialogue(socket);
    try {
      await smtpAnswer(dialogue);
      await smtpAnswer(dialogue, `EHLO ${clientName}`);
      const sender = await smtpAnswer(dialogue, `MAIL FROM:<${from}>`);
      const recipient = sender[0]!.startsWith('250')
        ? await smtpAnswer(dialogue, `RCPT TO:<${to}>`)
        : [''];
      if (recipient[0]!.startsWith('25'))
        found.push({
          code: 'open-relay',
          about: hostName,
          evidence: `it accepts ${to} from ${from}: ${recipient[0]}`,
        });
    } catch {
      // It does not greet, which is another finding, or ends the connection, which relays nothing.
    } finally {
      dialogue.end();
    }
  }
  return found;
}
