import { gzipSync } from 'node:zlib';
import { createTransport } from 'nodemailer';
import { domainOf } from '../components/settings/names';

/** A message of the mix, as it goes over the wire. */
export interface BenchMessage {
  raw: Buffer;
  kind: Kind;
  spam: boolean;
}

export type Kind = keyof typeof makers;

/**
 * How many of 100 messages are of each kind: most are small, and most of the octets are in the few with attachments. An
 * assumption, roughly as in the mailboxes of a small company.
 */
const shares: Record<Kind, number> = {
  note: 26,
  notification: 14,
  newsletter: 20,
  photos: 6,
  report: 4,
  document: 2,
  offer: 14,
  scam: 7,
  pills: 5,
  invoice: 2,
};

/** Who sends the mail that somebody wants, and who the other. */
export interface Senders {
  ham: Sender;
  /** Absent: there is none of it in the mix. */
  spam?: Sender;
}

interface Sender {
  address: string;
  /** What it signs with. */
  dkim?: { domainName: string; keySelector: string; privateKey: string };
}

/** The same messages for the same seed but for their date, each kind as often as its share says, in a shuffled order. */
export async function messages(
  seed: number,
  count: number,
  to: string,
  senders: Senders,
): Promise<BenchMessage[]> {
  const kinds = mix().filter((kind) => senders.spam || !spamKinds.includes(kind));
  const chosen = Array.from({ length: count }, (_, i) => kinds[i % kinds.length]!);
  return Promise.all(
    new Random(seed).shuffled(chosen).map(async (kind, i) => {
      const spam = spamKinds.includes(kind);
      const sender = spam ? senders.spam! : senders.ham;
      const content = makers[kind](new Random(seed * 1e6 + i));
      return { raw: await compose(content, `${seed}.${i}`, sender, to), kind, spam };
    }),
  );
}

/** A hundred kinds, spread evenly, so that the beginning of the list has much the same mix as the whole. */
function mix(): Kind[] {
  return (Object.entries(shares) as [Kind, number][])
    .flatMap(([kind, share]) =>
      Array.from({ length: share }, (_, i) => ({ kind, at: (i + 0.5) / share })),
    )
    .sort((a, b) => a.at - b.at)
    .map(({ kind }) => kind);
}

interface Content {
  subject: string;
  text?: string;
  html?: string;
  attachments?: { filename: string; content: Buffer; cid?: string }[];
}

const makers = {
  /** A person's answer, with what is answered below. */
  note: (r: Random): Content => ({
    subject: `Re: ${r.title()}`,
    text: `Hi ${r.name()},\n\n${r.paragraphs(2, 8)}\n\nBest,\n${r.name()}\n\nOn Tue, ${r.name()} wrote:\n${r.paragraphs(4, 30).replace(/^/gm, '> ')}\n`,
  }),
  notification: (r: Random): Content => ({
    subject: `[${r.word()}] ${r.title()}`,
    text: r.paragraphs(1, 3),
    html: page(sections(r, r.between(3, 8))),
  }),
  newsletter: (r: Random): Content => ({
    subject: r.title(),
    text: r.paragraphs(6, 20),
    html: page(sections(r, r.between(20, 80))),
  }),
  photos: (r: Random): Content => ({
    subject: r.title(),
    text: r.paragraphs(1, 2),
    html: page(`<p>${r.paragraphs(1, 2)}</p><img src="cid:photo@bench" alt="">`),
    attachments: Array.from({ length: r.between(1, 3) }, (_, i) => ({
      filename: `IMG_${r.between(1000, 9999)}.jpg`,
      content: r.jpeg(r.between(80_000, 600_000)),
      ...(i === 0 ? { cid: 'photo@bench' } : {}),
    })),
  }),
  /** A table that is packed, and unpacked again by the scanner. */
  report: (r: Random): Content => ({
    subject: `Fwd: ${r.title()}`,
    text: r.paragraphs(1, 3),
    attachments: [
      {
        filename: `${r.word()}.csv.gz`,
        content: gzipSync(
          Array.from(
            { length: r.between(2_000, 20_000) },
            (_, i) => `${i};${r.word()};${r.between(1, 1e6)}`,
          ).join('\r\n'),
        ),
      },
    ],
  }),
  document: (r: Random): Content => ({
    subject: r.title(),
    text: r.paragraphs(1, 3),
    attachments: [{ filename: `${r.word()}.pdf`, content: r.pdf(r.between(1_500_000, 6_000_000)) }],
  }),
  offer: (r: Random): Content => ({
    subject: `${r.name()}, ${r.between(50, 90)}% OFF!!! Act now`,
    html: page(
      `<center><font size="6" color="red">LIMITED TIME OFFER</font><p>Dear friend, click here to claim your FREE gift card. No obligation, 100% guaranteed, satisfaction or money back.</p>${links(r, 3)}<img src="http://${r.domain()}/x.gif" width="600" height="800"><font size="1" color="#fefefe">${r.paragraphs(2, 5)}</font></center>`,
    ),
  }),
  scam: (r: Random): Content => ({
    subject: 'URGENT BUSINESS PROPOSAL',
    text: `Dear Friend,\n\nI am Barrister ${r.name()}, attorney to a late client who died with his next of kin and left the sum of US$${r.between(5, 40)},500,000.00 (million United States dollars) in a bank. I seek your consent to present you as the beneficiary. This transaction is 100% risk free and strictly confidential. Send your full name, telephone number and bank account details.\n\n${r.paragraphs(1, 3)}\n\nGod bless you,\n${r.name()}\n`,
  }),
  pills: (r: Random): Content => ({
    subject: 'V1agra C1alis - cheapest on-line phar.macy',
    text: r.sentence(),
    html: page(
      `<b>Buy V-i-a-g-r-a, Cialis and Xanax without prescription</b><br>Overnight shipping. Lose weight while you sleep!<br>${links(r, 2)}<p style="font-size:1px">${r.paragraphs(1, 3)}</p>`,
    ),
  }),
  /** With a page attached that asks for a password. */
  invoice: (r: Random): Content => ({
    subject: `Your account will be suspended: invoice ${r.between(1e5, 1e6)}`,
    text: `Dear customer,\n\nyour mailbox is full. Verify your password within 24 hours, see the attachment.\n${r.sentence()}`,
    attachments: [
      {
        filename: 'invoice.html',
        content: Buffer.from(
          page(
            `<form action="http://${r.domain()}/login"><input name="password">${r.paragraphs(2, 4)}</form>`,
          ),
        ),
      },
    ],
  }),
};
const spamKinds: Kind[] = ['offer', 'scam', 'pills', 'invoice'];

const page = (body: string) =>
  `<!DOCTYPE html><html><head><meta charset="utf-8"><style>body{margin:0;color:#222}a{color:#06c}</style></head><body>${body}</body></html>`;
/** As programs for newsletters make it: more markup than text. */
const sections = (r: Random, count: number) =>
  Array.from(
    { length: count },
    () =>
      `<table width="600" cellpadding="0" style="font-family:Helvetica,Arial,sans-serif;border-collapse:collapse"><tr><td style="padding:24px 16px;color:#333333;line-height:150%"><h3>${r.title()}</h3><p>${r.paragraphs(1, 3)}</p>${links(r, 2)}</td></tr></table>`,
  ).join('\n');
const links = (r: Random, count: number) =>
  Array.from(
    { length: r.between(1, count) },
    () => `<a href="http://www.${r.domain()}/${r.word()}?id=${r.between(1, 1e9)}">${r.title()}</a>`,
  ).join('\n');

async function compose(
  { subject, ...content }: Content,
  id: string,
  { address, dkim }: Sender,
  to: string,
): Promise<Buffer> {
  const composer = createTransport({
    streamTransport: true,
    buffer: true,
    newline: 'windows',
    dkim,
  });
  const { message } = await composer.sendMail({
    from: address,
    to,
    subject: `${subject} (${id})`,
    messageId: `<${id}@${domainOf(address)}>`,
    baseBoundary: id,
    ...content,
  });
  return message as Buffer;
}

/** Numbers and texts that follow from a seed alone. */
class Random {
  constructor(private state: number) {}

  /** From 0 to less than 1 (mulberry32). */
  private next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number, both bounds included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  shuffled<T>(list: T[]): T[] {
    return list
      .map((value) => ({ value, at: this.next() }))
      .sort((a, b) => a.at - b.at)
      .map(({ value }) => value);
  }

  private of<T>(list: T[]): T {
    return list[this.between(0, list.length - 1)]!;
  }

  /** Half of a text are the most frequent words of English; the others are from some thousands that look like it. */
  word(): string {
    if (this.next() < 0.5) return this.of(frequent);
    return Array.from({ length: this.between(2, 3) }, () => this.of(syllables)).join('');
  }

  name(): string {
    return capital(this.of(syllables) + this.of(syllables));
  }

  domain(): string {
    return `${this.of(syllables)}${this.of(syllables)}${this.between(0, 20)}.${this.of(['com', 'net', 'org'])}`;
  }

  title(): string {
    return capital(this.words(3, 7));
  }

  sentence(): string {
    return `${capital(this.words(5, 18))}.`;
  }

  paragraphs(least: number, most: number): string {
    return this.list(least, most, () => this.list(2, 6, () => this.sentence()).join(' ')).join(
      '\n\n',
    );
  }

  private words(least: number, most: number): string {
    return this.list(least, most, () => this.word()).join(' ');
  }

  private list(least: number, most: number, make: () => string): string[] {
    return Array.from({ length: this.between(least, most) }, make);
  }

  /** Not to be looked at, but file(1) takes it for one, and nothing packs it any closer. */
  jpeg(size: number): Buffer {
    return Buffer.concat([
      Buffer.from('ffd8ffe000104a46494600010100000100010000', 'hex'),
      this.octets(size),
      Buffer.from('ffd9', 'hex'),
    ]);
  }

  pdf(size: number): Buffer {
    return Buffer.concat([
      Buffer.from('%PDF-1.7\n1 0 obj\n<< /Filter /FlateDecode >>\nstream\n'),
      this.octets(size),
      Buffer.from('\nendstream\nendobj\n%%EOF\n'),
    ]);
  }

  private octets(size: number): Buffer {
    const buffer = Buffer.alloc(size);
    for (let i = 0; i + 4 <= size; i += 4) buffer.writeUInt32LE(this.next() * 2 ** 32, i);
    return buffer;
  }
}

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

const frequent =
  'the of and to in a is that it for was on are as with they be at one have this from or had by but what some we can out other were all there when up use your how said an each she which do their time if will way about many then them would like so these her long make thing see him two has look more day could go come did number sound no most people my over know water than call first who may down side been now find'.split(
    ' ',
  );
const syllables =
  'ba be bor cal ce con da del dor en er es fa fer fi gal gen gra ha her il in ka kor la len lin lo ma men mi mon na ner ni no or pa per pro ra re ri ro sa sen ser si sol sta ta ten ter ti tor tra un va ver vi vol wa wen'.split(
    ' ',
  );
