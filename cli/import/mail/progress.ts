import type { Progress, Result } from './lines';

const width = 20;
/** Milliseconds between lines where each one stays. */
const pause = 30_000;
const megabyte = 1 << 20;

/** Writes how far an import is: one line that changes at a terminal, and now and then a line elsewhere. */
export class ProgressLine {
  private readonly of = new Map<string, Progress>();
  private before: Progress = { messages: 0, octets: 0, totalMessages: 0, totalOctets: 0 };
  private ended = 0;
  private written = 0;
  private start: number | undefined;
  private received: number | undefined;

  /**
   * @param mailboxes how many there are
   * @param now milliseconds
   */
  constructor(
    private readonly mailboxes: number,
    private readonly out: { isTTY?: boolean; write: (text: string) => unknown },
    private readonly now: () => number = Date.now,
  ) {}

  /** @param octets of files that the host has now */
  receive(octets: number): void {
    this.received = octets;
    this.show();
  }

  tell(account: string, progress: Progress): void {
    this.received = undefined;
    this.start ??= this.now();
    this.of.set(account, progress);
    this.show();
  }

  end({ account }: Result): void {
    this.ended += 1;
    const last = this.of.get(account);
    // Another mailbox may come into the same account.
    if (last) this.before = sum([this.before, last]);
    this.of.delete(account);
    if (this.ended < this.mailboxes) this.show();
    else if (this.out.isTTY) this.out.write('\r\x1b[K');
  }

  /** @returns the line as it is now */
  text(): string {
    if (this.received !== undefined)
      return `sending files: ${Math.floor(this.received / megabyte)} MB, ${this.ended} of ${this.mailboxes} mailboxes`;
    const { messages, octets, totalMessages, totalOctets } = sum([
      this.before,
      ...this.of.values(),
    ]);
    const part = totalOctets > 0 ? octets / totalOctets : 0;
    const filled = Math.floor(part * width);
    const seconds = (this.now() - (this.start ?? this.now())) / 1000;
    const rate = seconds > 0 ? messages / seconds : 0;
    const left = part > 0 ? (seconds * (1 - part)) / part : 0;
    return [
      `[${'#'.repeat(filled)}${' '.repeat(width - filled)}] ${Math.floor(part * 100)} %`,
      `${this.ended} of ${this.mailboxes} mailboxes`,
      `${messages} of ${totalMessages} messages`,
      `${Math.floor(octets / megabyte)} of ${Math.ceil(totalOctets / megabyte)} MB`,
      `${Math.round(rate)} messages/s`,
      ...(part > 0 && part < 1 ? [`${duration(left)} left`] : []),
    ].join(', ');
  }

  private show(): void {
    if (this.out.isTTY) this.out.write(`\r\x1b[K${this.text()}`);
    else if (this.now() - this.written >= pause) {
      this.written = this.now();
      this.out.write(`${this.text()}\n`);
    }
  }
}

const sum = (all: Progress[]): Progress =>
  all.reduce((a, b) => ({
    messages: a.messages + b.messages,
    octets: a.octets + b.octets,
    totalMessages: a.totalMessages + b.totalMessages,
    totalOctets: a.totalOctets + b.totalOctets,
  }));

/** @param seconds from 0 on */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.ceil(minutes / 60)} h`;
}
