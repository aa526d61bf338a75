import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** Where and how to talk to a mail host, byte for byte: mail libraries would not send what a battery has to. */
export interface Target {
  host: string;
  port: 25 | 465;
  login?: { user: string; password: string };
}

/** One SMTP session. */
export class SmtpDialogue {
  /** The answer to EHLO. */
  extensions = '';
  private pending = '';
  private closed = false;
  private change = () => {};

  private constructor(private socket: Socket) {
    this.listen();
  }

  private listen(): void {
    this.socket.setEncoding('latin1').on('data', (text: string) => {
      this.pending += text;
      this.change();
    });
    this.socket.on('close', () => {
      this.closed = true;
      this.change();
    });
    // Told by the answer that does not come.
    this.socket.on('error', () => undefined);
  }

  static async open({ host, port, login }: Target): Promise<SmtpDialogue> {
    const dialogue = new SmtpDialogue(
      port === 465
        ? connectTls({ host, port, rejectUnauthorized: false })
        : connect({ host, port }),
    );
    await dialogue.answer();
    dialogue.extensions = await dialogue.say('EHLO client.example');
    if (login) {
      const text = Buffer.from(`\0${login.user}\0${login.password}`).toString('base64');
      const answer = await dialogue.say(`AUTH PLAIN ${text}`);
      if (!answer.startsWith('235')) throw new Error(answer);
    }
    return dialogue;
  }

  /** Sends a command, or a whole message, and gives the answer to it. */
  async say(text: string): Promise<string> {
    this.socket.write(`${text}\r\n`, 'latin1');
    return this.answer();
  }

  /** Encrypts the rest of the session. */
  async startTls(): Promise<void> {
    await this.say('STARTTLS');
    this.socket.removeAllListeners();
    const socket = connectTls({ socket: this.socket, rejectUnauthorized: false });
    this.socket = socket;
    await once(socket, 'secureConnect');
    this.listen();
    await this.say('EHLO client.example');
  }

  /** Sends octets as they are; under TLS each call makes a record of its own. */
  async write(text: string): Promise<void> {
    await new Promise((resolve) => this.socket.write(text, 'latin1', resolve));
  }

  /** All further answers until the host closes the connection. */
  async answersToEnd(): Promise<string[]> {
    const answers: string[] = [];
    for (let next = await this.next(); next !== undefined; next = await this.next()) {
      answers.push(next);
    }
    return answers;
  }

  end(): void {
    this.socket.end('QUIT\r\n');
  }

  private async answer(): Promise<string> {
    const answer = await this.next();
    if (answer === undefined) throw new Error('the mail host closed the connection');
    return answer;
  }

  /** The next answer; undefined where the connection ends before. */
  private async next(): Promise<string | undefined> {
    for (;;) {
      const end = /^\d{3} .*\r\n/m.exec(this.pending);
      if (end) {
        const answer = this.pending.slice(0, end.index + end[0].length);
        this.pending = this.pending.slice(answer.length);
        return answer.trim();
      }
      if (this.closed) return undefined;
      await new Promise<void>((resolve) => (this.change = resolve));
    }
  }
}
