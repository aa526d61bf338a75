import { onHost } from '../../lab/machines';
import { readMailbox, sendFromRemote, type Login } from '../../lab/mail';
import { waitFor, type Lab } from '../../lab/state';

/** Mail from the remote system, one message after the other, until `stop`. */
export class Flow {
  /** Subjects of what the host has acknowledged. */
  readonly taken: string[] = [];
  refused = 0;
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
        () => this.taken.push(subject),
        () => this.refused++,
      );
    }
  }

  async more(count: number): Promise<void> {
    const enough = this.taken.length + count;
    await waitFor(`${count} messages are taken`, () => this.taken.length >= enough, 300);
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
      600,
    );
    return found.length - new Set(found).size;
  }
}
