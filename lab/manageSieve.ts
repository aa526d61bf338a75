import { connect, type Socket } from 'node:net';
import { connect as secure } from 'node:tls';
import { trust, type Login } from './mail';

/** A mail client that looks after a user's scripts (RFC 5804). */
export class ManageSieve {
  private buffer = '';
  private wake: () => void = () => undefined;

  private constructor(private socket: Socket) {
    this.listen();
  }

  /** Connects, in the clear, and reads the greeting. */
  static async connect(host: string): Promise<{ client: ManageSieve; greeting: string }> {
    const client = new ManageSieve(connect(4190, host));
    return { client, greeting: await client.answer() };
  }

  /** Sends a command; gives the whole answer, whose last line begins with OK, NO or BYE. */
  command(text: string): Promise<string> {
    this.socket.write(`${text}\r\n`);
    return this.answer();
  }

  /** Encrypts the connection; gives the greeting that comes then. */
  async startTls(login: Login): Promise<string> {
    await this.must('STARTTLS');
    this.socket.removeAllListeners();
    this.socket = secure({ socket: this.socket, host: login.host, ...trust(login) });
    this.listen();
    return this.answer();
  }

  /** @throws Error with the server's words where it refuses */
  async must(text: string): Promise<void> {
    const answer = await this.command(text);
    if (!/^OK/m.test(answer)) throw new Error(answer.trim());
  }

  end(): void {
    this.socket.destroy();
  }

  private listen(): void {
    this.socket.setEncoding('utf8').on('data', (text: string) => {
      this.buffer += text;
      this.wake();
    });
    this.socket.on('error', (error) => {
      this.buffer += `BYE "${error.message}"\r\n`;
      this.wake();
    });
  }

  private async answer(): Promise<string> {
    for (;;) {
      const last = /^(?:OK|NO|BYE)[^\r\n]*?(?:\{(\d+)\}\r\n|\r\n)/m.exec(this.buffer);
      const end = last ? last.index + last[0].length + (last[1] ? Number(last[1]) + 2 : 0) : 0;
      if (last && this.buffer.length >= end) {
        const answer = this.buffer.slice(0, end);
        this.buffer = this.buffer.slice(end);
        return answer;
      }
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}

/** The words of AUTHENTICATE for a user and password (SASL PLAIN). */
export const authenticate = ({ user, password }: Pick<Login, 'user' | 'password'>): string =>
  `AUTHENTICATE "PLAIN" "${Buffer.from(`\0${user}\0${password}`).toString('base64')}"`;

/** Makes a script the user's active one; the empty one for none. */
export async function useScript(login: Login, script: string): Promise<void> {
  const { client } = await ManageSieve.connect(login.host);
  try {
    await client.startTls(login);
    await client.must(authenticate(login));
    await client.must(`PUTSCRIPT "own" {${Buffer.byteLength(script)}+}\r\n${script}`);
    await client.must('SETACTIVE "own"');
  } finally {
    client.end();
  }
}
