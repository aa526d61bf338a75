import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** ms between two connections. */
const interval = 100;
/** ms until a connection is given up. */
const patience = 20_000;

/** Where a client connects to, and what the first answer begins with. */
export interface Service {
  port: 25 | 993;
  greeting: '220 ' | '* OK';
  /** What ends the session. */
  end: 'QUIT\r\n' | '. LOGOUT\r\n';
}

export const services: Record<'SMTP' | 'IMAP', Service> = {
  SMTP: { port: 25, greeting: '220 ', end: 'QUIT\r\n' },
  IMAP: { port: 993, greeting: '* OK', end: '. LOGOUT\r\n' },
};

/** Connects to a service ten times a second, whatever became of the connections before, until `stop`. */
export class Probe {
  /** In ms since 1970. One without an answer has failed, or waits. */
  private readonly connections: { begun: number; answered?: number }[] = [];
  private ended = false;
  private readonly running: Promise<void>;

  constructor(
    private readonly host: string,
    private readonly service: Service,
  ) {
    this.running = this.run();
  }

  private async run(): Promise<void> {
    const all: Promise<void>[] = [];
    while (!this.ended) {
      const connection: (typeof this.connections)[number] = { begun: Date.now() };
      this.connections.push(connection);
      all.push(
        this.greeted().then((isGreeted) => {
          if (isGreeted) connection.answered = Date.now();
        }),
      );
      await sleep(interval);
    }
    await Promise.all(all);
  }

  private greeted(): Promise<boolean> {
    const { host, service } = this;
    const { port, greeting, end } = service;
    return new Promise((resolve) => {
      const socket: Socket =
        port === 993
          ? connectTls({ host, port, rejectUnauthorized: false })
          : connect({ host, port });
      const give = (isGreeted: boolean) => {
        resolve(isGreeted);
        if (isGreeted) socket.end(end);
        else socket.destroy();
      };
      socket.setTimeout(patience, () => give(false));
      socket.on('error', () => give(false)).on('close', () => resolve(false));
      socket.setEncoding('latin1').on('data', (text: string) => give(text.startsWith(greeting)));
    });
  }

  /** Seconds that a client waits which connects at the worst moment from `begin` to `end`, and again until it is answered. */
  longestWait(begin: number, end: number): number {
    let answered = Infinity;
    let longest = 0;
    for (const { begun, answered: own = Infinity } of [...this.connections].reverse()) {
      answered = Math.min(answered, own);
      if (begun >= begin && begun <= end) longest = Math.max(longest, answered - begun);
    }
    return longest / 1000;
  }

  /** Whether a connection that began after `time` was answered. */
  hasAnswered(time: number): boolean {
    return this.connections.some(({ begun, answered }) => begun > time && answered !== undefined);
  }

  async stop(): Promise<void> {
    this.ended = true;
    await this.running;
  }
}
