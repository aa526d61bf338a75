import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTls, TLSSocket } from 'node:tls';
import * as packet from 'dns-packet';
import { SMTPServer } from 'smtp-server';
import type { Network } from '../../cli/doctor/network';
import type { PlannedRecord } from '../../cli/stack';
import { mtaStsPolicy } from '../../components/dns/mtaSts';
import { reverseName } from '../../components/settings/names';
import { hostName, ipv4, ipv6, own, stack } from './doctorPlan';

export const [resolver, parent] = ['192.0.2.53', '192.0.2.1'];
/** Of both zones. */
export const nameServers = { 'ns1.dns.example': '192.0.2.2', 'ns2.dns.example': '192.0.2.3' };
/** Above all times of a test. */
const end = 4_000_000_000;

const key: packet.DnskeyData = { flags: 257, algorithm: 13, key: Buffer.alloc(64, 7) };

/** RFC 4034, section 5.1.4, by the encoder of the library. */
export const dsOf = (zone: string): packet.DsData => {
  const rdata = Buffer.concat([Buffer.from([1, 1, 3, 13]), key.key]);
  const name = packet.encode({ questions: [{ name: zone, type: 'A' }] }).subarray(12, -4);
  const digest = createHash('sha256')
    .update(Buffer.concat([name, rdata]))
    .digest();
  return { keyTag: 4711, algorithm: 13, digestType: 2, digest };
};

/** A record in a server of the world. */
export interface Entry {
  name: string;
  type: string;
  data: unknown;
}

/** Planned data as the codec takes it. */
function entryOf({ name, type, data }: Pick<PlannedRecord, 'name' | 'type' | 'data'>): Entry {
  const [a = '', b = '', c = '', d = ''] = data.split(' ');
  const text = () =>
    [...data.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, part]) => part!.replaceAll(/\\(.)/g, '$1'));
  const of: Record<string, () => unknown> = {
    MX: () => ({ preference: Number(a), exchange: b }),
    TXT: text,
    SRV: () => ({ priority: Number(a), weight: Number(b), port: Number(c), target: d }),
    CAA: () => ({ flags: Number(a), tag: b, value: text().join('') }),
    TLSA: () => ({
      usage: Number(a),
      selector: Number(b),
      matchingType: Number(c),
      certificate: Buffer.from(d, 'hex'),
    }),
  };
  return { name, type, data: of[type]?.() ?? data };
}

/** Everything that a look from outside meets: a network in which all is well until a test changes something. */
export class World {
  /** What the name servers of both zones have, by server. */
  readonly zones = new Map(
    Object.values(nameServers).map((server) => [server, stack.records.map(entryOf)]),
  );
  /** What the parent zones and all others have. */
  others: Entry[] = [
    ...[ipv4, ipv6].map((address) => ({
      name: reverseName(address),
      type: 'PTR',
      data: `${hostName}.`,
    })),
    ...Object.entries(nameServers).map(([name, data]) => ({ name, type: 'A', data })),
    { name: '_spf.sender.example', type: 'TXT', data: ['v=spf1 ip4:192.0.2.9 -all'] },
    ...['org', 'net'].map((tld) => ({
      name: `example.${tld}._report._dmarc.collector.example`,
      type: 'TXT',
      data: ['v=DMARC1'],
    })),
    { name: '2.0.0.127.zen.spamhaus.org', type: 'A', data: '127.0.0.2' },
    { name: '2.0.0.127.bl.spamcop.net', type: 'A', data: '127.0.0.2' },
    { name: '2.0.0.127.psbl.surriel.com', type: 'A', data: '127.0.0.2' },
    ...['', 'org', 'net'].map((name) => ({ name, type: 'NS', data: 'a.parent.example' })),
    { name: 'a.parent.example', type: 'A', data: parent },
  ];
  /** The DS records of the parents. */
  ds: Record<string, packet.DsData> = {};
  /** Seconds of the epoch at which signatures end. */
  signatures: number | undefined = end;
  /** Servers that do not answer, or for nothing. */
  readonly silent = new Set<string>();
  readonly lame = new Set<string>();
  /** Names of the delegation at the parents. */
  delegation: string[] | undefined = Object.keys(nameServers);
  /** Whether the resolver validates, and what it rejects. */
  validates = true;
  bogus: string[] = [];
  /** Ports that refuse, as `ADDRESS PORT` or `PORT`. */
  readonly closed = new Set<string>();
  readonly unreachable = new Set<string>();
  /** As the services use it. */
  certificate = own;
  banner = hostName;
  offersStartTls = true;
  relays = false;
  policy: string | undefined = mtaStsPolicy('enforce', [hostName]);
  settingsPage: number = 200;
  sieveGreeting = '"IMPLEMENTATION" "Dovecot"\r\n"STARTTLS"\r\nOK "ready"\r\n';
  imapGreeting = '* OK ready\r\n';
  private readonly servers: { close: (done: () => void) => unknown }[] = [];
  private ports = new Map<number, number>();

  /** Drops or changes records of the zones, at one name server or all. */
  change(work: (entries: Entry[]) => Entry[], at = Object.values(nameServers)): void {
    for (const server of at) this.zones.set(server, work(this.zones.get(server)!));
  }
  without = (name: string, type: string, at?: string[]) =>
    this.change((all) => all.filter((one) => one.name !== name || one.type !== type), at);
  add = (name: string, type: string, data: unknown) =>
    this.change((all) => [...all, { name, type, data }]);

  readonly network: Network = {
    exchange: (server, message) => {
      if (this.silent.has(server)) return Promise.reject(new Error('no answer in 2 s'));
      return Promise.resolve(this.answer(server, packet.decode(message)));
    },
    connect: async (address, port) => {
      const to = this.ports.get(port);
      const refused = [String(port), `${address} ${port}`].some((one) => this.closed.has(one));
      if (to === undefined || refused || ![ipv4, ipv6].includes(address))
        throw new Error(`connect ECONNREFUSED ${address}:${port}`);
      const socket = connect(to, '127.0.0.1');
      await once(socket, 'connect');
      return socket;
    },
    reaches: (address) => Promise.resolve(!this.unreachable.has(address)),
  };

  async start(): Promise<this> {
    const secure = () => ({ key: this.certificate.key, cert: this.certificate.cert });
    const put = async (port: number, server: Server | SMTPServer) => {
      server.on('error', () => undefined);
      const listening = 'server' in server ? server.server : server;
      listening.listen(0, '127.0.0.1');
      await once(listening, 'listening');
      this.ports.set(port, (listening.address() as AddressInfo).port);
      this.servers.push(server);
    };
    const smtp = (implicit: boolean) =>
      new SMTPServer({
        name: this.banner,
        ...secure(),
        secure: implicit,
        hideSTARTTLS: !this.offersStartTls,
        authOptional: true,
        disableReverseLookup: true,
        onRcptTo: (_, __, done) =>
          done(this.relays ? null : Object.assign(new Error('no'), { responseCode: 550 })),
      });
    await put(25, smtp(false));
    await put(465, smtp(true));
    await put(587, smtp(false));
    await put(
      993,
      createTls(
        secure(),
        (socket) => void socket.on('error', () => undefined).end(this.imapGreeting),
      ),
    );
    await put(
      4190,
      createServer((socket) => this.sieve(socket)),
    );
    await put(
      80,
      createHttp((request, response) =>
        response.writeHead(302, { location: `https://${hostName}${request.url!}` }).end(),
      ),
    );
    const web = createHttp((request, response) => {
      if (request.url === '/.well-known/mta-sts.txt')
        response.writeHead(this.policy === undefined ? 404 : 200).end(this.policy);
      else response.writeHead(this.settingsPage).end('<clientConfig version="1.1">');
    });
    await put(
      443,
      createTls(secure(), (socket) => void web.emit('connection', socket)),
    );
    return this;
  }

  async stop(): Promise<void> {
    for (const server of this.servers) server.close(() => undefined);
    await Promise.resolve();
  }

  private sieve(socket: Socket): void {
    socket.on('error', () => undefined).write(this.sieveGreeting);
    socket.once('data', () => {
      socket.write('OK "begin"\r\n');
      new TLSSocket(socket, {
        isServer: true,
        key: this.certificate.key,
        cert: this.certificate.cert,
      }).on('error', () => undefined);
    });
  }

  private answer(server: string, { id, flags = 0, questions, additionals }: packet.Packet): Buffer {
    const [{ name, type }] = questions as [packet.Question];
    const wantsSignatures = additionals?.some((one) => one.type === 'OPT' && one.flag_do) ?? false;
    const zone = ['example.org', 'example.net'].find((one) => `.${name}`.endsWith(`.${one}`));
    const isResolver = server === resolver;
    const unchecked = (flags & packet.CHECKING_DISABLED) !== 0;
    const reply = (rcode: number, answers: Entry[] = [], bits = 0, authorities: Entry[] = []) =>
      packet.encode({
        type: 'response',
        id,
        flags: bits | rcode,
        questions: questions!,
        answers: answers as packet.Answer[],
        authorities: authorities as packet.Answer[],
      });
    const authoritative = isResolver ? 0 : packet.AUTHORITATIVE_ANSWER;
    const delegated = (this.delegation ?? []).map((data) => ({ name: zone!, type: 'NS', data }));
    if (!isResolver && server === parent) {
      if (zone === undefined) return reply(0, this.atParent(name, type), authoritative);
      if (type === 'DS')
        return reply(0, this.ds[name] ? [{ name, type, data: this.ds[name] }] : [], authoritative);
      return this.delegation ? reply(0, [], 0, delegated) : reply(3, [], authoritative);
    }
    if (isResolver && zone !== undefined && this.bogus.includes(zone) && !unchecked)
      return reply(2);
    if (this.lame.has(server)) return reply(5);
    const from = isResolver ? Object.values(nameServers)[0]! : server;
    const there = zone === undefined ? this.atParent(name, type) : this.zones.get(from)!;
    const apex = zone === name ? this.apex(zone, type) : [];
    const answers = [...there, ...apex].filter(
      (one) => one.name === name && [type, 'CNAME'].includes(one.type),
    );
    const signed =
      wantsSignatures && zone === name && this.signatures !== undefined && this.ds[zone]
        ? [this.signature(zone, type)]
        : [];
    const bits = authoritative | (isResolver && this.validates ? packet.AUTHENTIC_DATA : 0);
    return reply(answers.length > 0 || zone === name ? 0 : 3, [...answers, ...signed], bits);
  }

  private readonly soa = { mname: 'ns1.dns.example', rname: 'hostmaster.dns.example', serial: 1 };

  private atParent(name: string, type: string): Entry[] {
    const at = name === '.' ? '' : name;
    if (type === 'SOA') return [{ name, type, data: this.soa }];
    return this.others
      .filter((one) => one.name === at && one.type === type)
      .map((one) => ({ ...one, name }));
  }

  private apex(zone: string, type: string): Entry[] {
    if (type === 'SOA') return [{ name: zone, type, data: this.soa }];
    if (type === 'DNSKEY') return [{ name: zone, type, data: key }];
    const names = Object.keys(nameServers);
    return type === 'NS' ? names.map((data) => ({ name: zone, type, data })) : [];
  }

  private signature(zone: string, typeCovered: string): Entry {
    const data: packet.RrsigData = {
      typeCovered,
      algorithm: 13,
      labels: 2,
      originalTTL: 300,
      expiration: this.signatures!,
      inception: 1,
      keyTag: 4711,
      signersName: zone,
      signature: Buffer.alloc(64),
    };
    return { name: zone, type: 'RRSIG', data };
  }
}
