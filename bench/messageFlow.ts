import { setTimeout as sleep } from 'node:timers/promises';
import { createTransport } from 'nodemailer';
import type { Login } from '../lab/mail';
import { trust } from '../lab/mail';
import { waitFor, type Lab } from '../lab/state';
import { onHostAsync } from '../test/faults/host';
import { spread } from './frame';

/** ms between two messages: fewer than the host can scan. */
const interval = 1000;

interface Message {
  /** In ms since 1970: when the host had taken it. */
  taken: number;
  /** When it lay in the mailbox. */
  delivered?: number;
}

/** A message each second from outside to one mailbox, until `stop`. */
export class MessageFlow {
  private readonly messages = new Map<string, Message>();
  private count = 0;
  private ended = false;
  private readonly running: Promise<void>;

  constructor(
    private readonly lab: Lab,
    private readonly login: Login,
  ) {
    this.running = this.run();
  }

  private async run(): Promise<void> {
    while (!this.ended) {
      const subject = `flow ${++this.count}`;
      // One that the host does not take is the sender's: what waits for it is measured by the connections.
      void this.send(subject).then(
        () => this.messages.set(subject, { taken: Date.now() }),
        () => undefined,
      );
      await sleep(interval);
    }
  }

  private async send(subject: string): Promise<void> {
    const { host, user } = this.login;
    const transport = createTransport({
      host,
      port: 25,
      name: 'mx.lab-cloud.example',
      tls: trust(this.login),
    });
    await transport.sendMail({
      from: 'bench@lab-cloud.example',
      to: user,
      subject,
      text: 'A message as it comes in.',
    });
  }

  /** Reads from the names of Maildir's files when they were delivered. */
  private async look(): Promise<void> {
    const found = await onHostAsync(
      this.lab,
      `cd /srv/mailhost/mail && grep -r --max-count=1 '^Subject: flow ' ${this.login.user.split('@').reverse().join('/')} || true`,
    );
    for (const [, s, us, subject] of found.matchAll(
      /\/(\d+)\.M(\d+)P[^/]*:Subject: (flow \d+)$/gm,
    )) {
      const message = this.messages.get(subject!);
      if (message) message.delivered ??= Number(s) * 1000 + Number(us) / 1000;
    }
  }

  /** Waits until all that was taken is delivered, and three more. */
  async atRest(): Promise<void> {
    const begin = Date.now();
    const isDelivered = ({ delivered }: Message) => delivered !== undefined;
    await waitFor('mail is delivered', async () => {
      await this.look().catch(() => undefined);
      const all = [...this.messages.values()];
      const fresh = all.filter(({ taken }) => taken > begin);
      return (
        all.filter(({ taken }) => taken <= begin).every(isDelivered) &&
        fresh.filter(isDelivered).length >= 3
      );
    });
  }

  /** Seconds that the slowest of the messages that were taken from `begin` to `end` took longer than at rest. */
  longestWait(begin: number, end: number): number {
    const took = ({ taken, delivered }: Message) => Math.max(0, delivered! - taken);
    const all = [...this.messages.values()].filter(({ delivered }) => delivered !== undefined);
    // What came right before may still be under way when the change begins.
    const isDuring = ({ taken, delivered }: Message) => delivered! >= begin && taken <= end;
    const atRest = spread(all.filter((message) => !isDuring(message)).map(took)).median;
    const slowest = Math.max(atRest, ...all.filter(isDuring).map(took));
    return (slowest - atRest) / 1000;
  }

  async stop(): Promise<void> {
    this.ended = true;
    await this.running;
  }
}
