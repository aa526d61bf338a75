import { setTimeout as sleep } from 'node:timers/promises';
import { onHost } from '../../lab/machines';
import { readMailbox, sendFromRemote, type Login } from '../../lab/mail';
import { loginOf } from '../../lab/proof';
import { waitFor, type Lab } from '../../lab/state';
import type { Bed } from './bed';

/**
 * Works while mail comes in.
 *
 * @returns what became of the mail; fails where a message that was acknowledged is lost
 */
export async function flowing(
  { lab, stack }: Bed,
  title: string,
  work: (flow: Flow) => Promise<void>,
): Promise<string> {
  const flow = new Flow(lab, title);
  try {
    await work(flow);
  } finally {
    await flow.stop();
  }
  const twice = await flow.arrived(loginOf(stack.outputs(), 'anna@example.org'));
  return `${flow.taken.length} messages acknowledged, ${flow.refused} refused, ${flow.pause()} s the longest time without, 0 lost, ${twice} delivered twice`;
}

/** Mail from the remote system, one message after the other, until `stop`. */
export class Flow {
  /** Subjects of what the host has acknowledged. */
  readonly taken: string[] = [];
  refused = 0;
  /** When it did, in ms. */
  private readonly times: number[] = [];
  private ended = false;
  private readonly sending: Promise<void>;

  constructor(
    private readonly lab: Lab,
    private readonly title: string,
  ) {
    this.sending = this.send();
  }

  private async send(): Promise<void> {
    for (let i = 0; !this.ended; i++) {
      // Each attempt is another message: what was not taken may be lost.
      const subject = `${this.title} ${i}`;
      await sendFromRemote(this.lab, {
        from: 'erika@remote.example',
        to: 'anna@example.org',
        subject,
        text: 'x',
      }).then(
        () => {
          this.taken.push(subject);
          this.times.push(Date.now());
        },
        () => {
          this.refused++;
          // A host that is down for long is no reason for a busy loop.
          return sleep(500);
        },
      );
    }
  }

  async more(count: number): Promise<void> {
    const enough = this.taken.length + count;
    await waitFor(`${count} messages are taken`, () => this.taken.length >= enough);
  }

  /** The longest time between two messages that were taken, in seconds. */
  pause(): number {
    const pauses = this.times.slice(1).map((time, i) => time - this.times[i]!);
    return Math.round(Math.max(0, ...pauses) / 1000);
  }

  async stop(): Promise<void> {
    this.ended = true;
    await this.sending;
  }

  /** Waits until all that was taken has arrived; gives how many of them came more than once. */
  async arrived(login: Login): Promise<number> {
    const found = await waitFor(
      `${this.taken.length} messages that were taken are delivered`,
      async () => {
        // Without waiting for the next try of what met a daemon that was down.
        onHost(this.lab, 'smtpctl schedule all >/dev/null 2>&1 || true');
        const subjects = await readMailbox(login).then(
          (messages) => messages.map(({ subject }) => subject ?? ''),
          () => [],
        );
        const own = subjects.filter((subject) => subject.startsWith(`${this.title} `));
        return this.taken.every((subject) => own.includes(subject)) ? own : undefined;
      },
    );
    return found.length - new Set(found).size;
  }
}
