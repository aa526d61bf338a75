import { randomInt } from 'node:crypto';
import * as packet from 'dns-packet';
import ipaddr from 'ipaddr.js';
import type { Network } from './network';

/** A DNS server's answer. */
export interface Reply {
  /** E.g. `NOERROR` (RFC 6895, section 2.3). */
  rcode: string;
  isAuthoritative: boolean;
  /** Whether a resolver says that it has validated the answer. */
  isValidated: boolean;
  answers: packet.Answer[];
  authorities: packet.Answer[];
}

type Type = packet.RecordType;

export interface Question {
  name: string;
  type: Type;
  /** Whether a resolver is to answer, or a name server with what it has. Default: a resolver. */
  recursive?: boolean;
  /** Whether to ask for signatures. */
  dnssec?: boolean;
  /** Whether to answer without validation. */
  unchecked?: boolean;
}

const rcodes = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'];

/** Questions at once: some resolvers drop what comes faster. */
const atOnce = 48;

/** DNS as this machine sees it, each question asked once. */
export class Dns {
  private readonly asked = new Map<string, Promise<Reply>>();
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  /** @param resolver address of a server that answers for everything */
  constructor(
    private readonly network: Network,
    readonly resolver: string,
  ) {}

  /** @throws Error if no answer comes */
  ask(server: string, question: Question): Promise<Reply> {
    const key = JSON.stringify([server, question]);
    const known = this.asked.get(key);
    if (known) return known;
    const reply = this.inTurn(() => this.exchange(server, question));
    this.asked.set(key, reply);
    return reply;
  }

  /**
   * The data of the records at a name, as text, as the resolver has them.
   *
   * @returns empty if the name or the type does not exist
   * @throws Error if the resolver cannot say
   */
  async look(name: string, type: Type): Promise<string[]> {
    const { rcode, answers } = await this.ask(this.resolver, { name, type });
    if (rcode !== 'NOERROR' && rcode !== 'NXDOMAIN')
      throw new Error(`the resolver answers ${rcode} for ${name} ${type}`);
    return dataOf(answers, type);
  }

  /** The texts at a name. */
  async texts(name: string): Promise<string[]> {
    const { rcode, answers } = await this.ask(this.resolver, { name, type: 'TXT' });
    if (rcode !== 'NOERROR' && rcode !== 'NXDOMAIN')
      throw new Error(`the resolver answers ${rcode} for ${name} TXT`);
    return answers.flatMap((answer) => (answer.type === 'TXT' ? [textIn(answer.data)] : []));
  }

  /** Addresses of a host that this machine has a route to. */
  async addresses(host: string): Promise<string[]> {
    const found = await Promise.all([this.look(host, 'A'), this.look(host, 'AAAA')]);
    const all = found.flat();
    const reached = await Promise.all(all.map((address) => this.network.reaches(address)));
    return all.filter((_, i) => reached[i]);
  }

  private async inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.running >= atOnce) await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.running += 1;
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.running -= 1;
    }
  }

  private async exchange(
    server: string,
    { name, type, recursive = true, dnssec = false, unchecked = false }: Question,
  ): Promise<Reply> {
    const message = packet.encode({
      type: 'query',
      id: randomInt(0x10000),
      flags:
        (recursive ? packet.RECURSION_DESIRED : 0) |
        (dnssec ? packet.AUTHENTIC_DATA : 0) |
        (unchecked ? packet.CHECKING_DISABLED : 0),
      questions: [{ name, type }],
      additionals: [
        {
          type: 'OPT',
          name: '.',
          udpPayloadSize: 1232,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: dnssec ? packet.DNSSEC_OK : 0,
          flag_do: dnssec,
          options: [],
        },
      ],
    });
    const decoded = packet.decode(await this.network.exchange(server, message));
    return {
      rcode: rcodes[(decoded.flags ?? 0) & 0xf] ?? 'another error',
      isAuthoritative: decoded.flag_aa,
      isValidated: decoded.flag_ad,
      answers: decoded.answers ?? [],
      authorities: decoded.authorities ?? [],
    };
  }
}

/** The data of the answers of a type, in the form of rdata() in components/dns/recordForms.ts. */
export const dataOf = (answers: packet.Answer[], type: string): string[] =>
  answers.filter((answer) => answer.type === type).map(dataText);

function dataText(answer: packet.Answer): string {
  switch (answer.type) {
    case 'AAAA':
      return ipaddr.parse(answer.data).toString();
    case 'CNAME':
    case 'NS':
    case 'PTR':
      return fullName(answer.data);
    case 'MX':
      return `${answer.data.preference ?? 0} ${fullName(answer.data.exchange)}`;
    case 'TXT':
      return quoted(textIn(answer.data));
    case 'SRV': {
      const { priority = 0, weight = 0, port, target } = answer.data;
      return `${priority} ${weight} ${port} ${fullName(target)}`;
    }
    case 'CAA':
      return `${answer.data.flags ?? 0} ${answer.data.tag} ${quoted(answer.data.value)}`;
    case 'TLSA': {
      const { usage, selector, matchingType, certificate } = answer.data;
      return `${usage} ${selector} ${matchingType} ${certificate.toString('hex')}`;
    }
    case 'OPT':
      return '';
    default:
      return typeof answer.data === 'string' ? answer.data : JSON.stringify(answer.data);
  }
}

/** In lower case, with the final dot. */
const fullName = (name: string) => `${name.toLowerCase().replace(/\.$/, '')}.`;

/** A text however it is cut into strings. */
const textIn = (data: packet.TxtData): string =>
  (Array.isArray(data) ? data : [data])
    .map((part) => (typeof part === 'string' ? part : part.toString('latin1')))
    .join('');

/** As quoteTxt() in components/dns/recordForms.ts, of any octets. */
const quoted = (text: string): string =>
  (text.match(/[^]{1,255}/g) ?? [''])
    .map((part) => `"${part.replaceAll(/["\\]/g, '\\$&')}"`)
    .join(' ');
