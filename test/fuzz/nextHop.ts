import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';

/** A message as the next hop got it. */
export interface Arrived {
  from: string;
  to: string[];
  lines: string[];
}

/** What OpenSMTPD has to say to a next hop without extensions. */
const command = /^(?:(?:EHLO|HELO) \S+|MAIL FROM:<[!-~]*>|RCPT TO:<[!-~]+>|DATA|RSET|QUIT)$/;

/** The mail system that forwarded mail is sent on to: it takes all, octet for octet. */
export class NextHop {
  /** Lines that are no commands, told apart from them by nothing but their form. */
  readonly garbage: string[] = [];
  private readonly server = createServer((socket) => this.serve(socket));
  private readonly waiting = new Map<string, (message: Arrived) => void>();

  async listen(address: string): Promise<void> {
    await once(this.server.listen(25, address), 'listening');
  }

  end(): void {
    this.server.close();
  }

  /**
   * Messages with the mark in a line, until as many recipients have got one; OpenSMTPD may send to each by itself. A bounce
   * that returns the message is one.
   */
  messages(mark: string, recipients = 1): Promise<Arrived[]> {
    const found: Arrived[] = [];
    return new Promise((resolve) =>
      this.waiting.set(mark, (message) => {
        found.push(message);
        if (found.flatMap(({ to }) => to).length < recipients) return;
        this.waiting.delete(mark);
        resolve(found);
      }),
    );
  }

  /** From now on one that has the mark is garbage. */
  expectNot(mark: string): void {
    this.waiting.delete(mark);
  }

  private serve(socket: Socket): void {
    let pending = '';
    let message: Arrived = { from: '', to: [], lines: [] };
    let inData = false;
    const say = (answer: string) => socket.write(`${answer}\r\n`);
    const answer = (line: string): string | undefined => {
      if (inData) {
        if (line !== '.') return void message.lines.push(line);
        inData = false;
        this.take(message);
        return '250 taken';
      }
      if (!command.test(line)) {
        this.garbage.push(line);
        return '500 no command';
      }
      const [, path] = /<(.*)>$/.exec(line) ?? [];
      if (line.startsWith('MAIL')) message = { from: path!, to: [], lines: [] };
      if (line.startsWith('RCPT')) message.to.push(path!);
      inData = line === 'DATA';
      return inData ? '354 go on' : line === 'QUIT' ? '221 bye' : '250 well';
    };
    socket.setEncoding('latin1').on('data', (text: string) => {
      const lines = (pending + text).split('\r\n');
      pending = lines.pop()!;
      for (const line of lines) {
        const words = answer(line);
        if (words) say(words);
        if (words?.startsWith('221')) socket.end();
      }
    });
    socket.on('error', () => undefined);
    say('220 next.example');
  }

  private take(message: Arrived): void {
    for (const [mark, give] of this.waiting) {
      if (message.lines.some((line) => line.includes(mark))) return give(message);
    }
    this.garbage.push(`a message that nobody waits for: ${JSON.stringify(message)}`);
  }
}
