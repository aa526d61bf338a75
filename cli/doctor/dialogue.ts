import type { Socket } from 'node:net';
import { connect as secure, type TLSSocket } from 'node:tls';

/** Seconds for one answer. OpenSMTPD greets at once; a look-up of the client's name may take some. */
const patience = 10;

/** A session of a protocol in lines. */
export class Dialogue {
  private received = '';
  private failure?: Error;
  private wake = () => undefined as void;

  constructor(private socket: Socket) {
    this.listen();
  }

  /**
   * Sends a line, if one is given, and reads what comes up to a line that ends the answer.
   *
   * @throws Error if no such line comes in time
   */
  async answer(isLast: RegExp, line?: string): Promise<string[]> {
    if (line !== undefined) this.socket.write(`${line}\r\n`);
    const end = Date.now() + patience * 1000;
    const lines: string[] = [];
    for (;;) {
      const at = this.received.indexOf('\n');
      if (at >= 0) {
        lines.push(this.received.slice(0, at).replace(/\r$/, ''));
        this.received = this.received.slice(at + 1);
        if (isLast.test(lines.at(-1)!)) return lines;
      } else if (this.failure) throw this.failure;
      else if (!(await this.more(end - Date.now())))
        throw new Error(
          `no answer in ${patience} s${lines.length > 0 ? `, but ${JSON.stringify(lines.at(-1))}` : ''}`,
        );
    }
  }

  /** Goes on with TLS. */
  async secure(serverName: string, ca: string | undefined): Promise<TLSSocket> {
    this.socket.removeAllListeners();
    const secured = await withTls(this.socket, serverName, ca);
    this.socket = secured;
    this.listen();
    return secured;
  }

  end(): void {
    this.socket.removeAllListeners().on('error', () => undefined);
    this.socket.destroy();
  }

  private listen(): void {
    const fail = (error: Error) => {
      this.failure = error;
      this.wake();
    };
    this.socket
      .setEncoding('latin1')
      .on('data', (part: string) => {
        this.received += part;
        this.wake();
      })
      .on('error', fail)
      .on('end', () => fail(new Error('the connection was closed')));
  }

  /** @returns false if nothing comes */
  private more(milliseconds: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), milliseconds);
      this.wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }
}

/**
 * A connection secured by TLS, whatever the certificate.
 *
 * @param ca PEM of the one CA that clients trust. Default: those that the system's do
 * @throws Error if there is no TLS
 */
export const withTls = (
  socket: Socket,
  serverName: string,
  ca: string | undefined,
): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const secured = secure({
      socket,
      servername: serverName,
      rejectUnauthorized: false,
      ...(ca === undefined ? {} : { ca }),
    });
    secured.setTimeout(patience * 1000, () =>
      secured.destroy(new Error(`no TLS in ${patience} s`)),
    );
    secured.once('error', reject);
    secured.once('secureConnect', () => {
      secured.setTimeout(0);
      resolve(secured);
    });
    secured.once('end', () => reject(new Error('the connection was closed')));
  });
