import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Values = Record<string, unknown>;
interface Message {
  id?: number;
  method?: string;
  params?: Values;
  result?: Values;
  error?: { message: string };
}

/** A page in headless Chromium, by the Chrome DevTools Protocol. */
export class Browser {
  /** What the protocol reported, in order. */
  readonly events: { method: string; params: Values }[] = [];
  private readonly waiting = new Map<number, (message: Message) => void>();
  private count = 0;
  private change = () => {};

  private constructor(
    private readonly process: ChildProcess,
    private readonly folder: string,
    private readonly socket: WebSocket,
  ) {
    socket.addEventListener('message', ({ data }) => {
      const { id, method, ...rest } = JSON.parse(String(data)) as Message;
      if (id !== undefined) this.waiting.get(id)?.(rest);
      else if (method !== undefined) this.events.push({ method, params: rest.params ?? {} });
      this.change();
    });
  }

  static async start(): Promise<Browser> {
    const folder = mkdtempSync(join(tmpdir(), 'chromium-'));
    const child = spawn(
      'chromium',
      // Its sandbox refuses to run as root.
      // prettier-ignore
      ['--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--remote-debugging-port=0', `--user-data-dir=${folder}`, 'about:blank'],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const address = await new Promise<string>((resolve, reject) => {
      let output = '';
      child.on('error', reject).on('exit', () => reject(new Error(output)));
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        const [, port] = /DevTools listening on ws:\/\/[^:]+:(\d+)/.exec(output) ?? [];
        if (port) resolve(`http://127.0.0.1:${port}/json/list`);
      });
    });
    const pages = (await (await fetch(address)).json()) as {
      type: string;
      webSocketDebuggerUrl: string;
    }[];
    const socket = new WebSocket(pages.find(({ type }) => type === 'page')!.webSocketDebuggerUrl);
    await once(socket, 'open');
    const browser = new Browser(child, folder, socket);
    for (const domain of ['Page', 'Network', 'Log', 'Runtime'])
      await browser.call(`${domain}.enable`);
    return browser;
  }

  async call(method: string, params: Values = {}): Promise<Values> {
    const id = ++this.count;
    const { result, error } = await new Promise<Message>((resolve) => {
      this.waiting.set(id, resolve);
      this.socket.send(JSON.stringify({ id, method, params }));
    });
    if (error) throw new Error(`${method}: ${error.message}`);
    return result!;
  }

  /** Opens a file in a window of that width. */
  async open(file: string, width: number, scheme: 'light' | 'dark'): Promise<void> {
    await this.call('Emulation.setDeviceMetricsOverride', {
      width,
      height: 900,
      deviceScaleFactor: 1,
      mobile: width < 600,
    });
    await this.call('Emulation.setEmulatedMedia', {
      features: [{ name: 'prefers-color-scheme', value: scheme }],
    });
    this.events.length = 0;
    await this.call('Page.navigate', { url: `file://${file}` });
    while (!this.events.some(({ method }) => method === 'Page.loadEventFired'))
      await new Promise<void>((resolve) => (this.change = resolve));
  }

  /** The value of an expression of JavaScript in the page. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.call('Runtime.evaluate', {
      expression,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value: T }).value;
  }

  async press(key: 'Tab' | 'Enter'): Promise<void> {
    const code = { Tab: 9, Enter: 13 }[key];
    const text = key === 'Enter' ? '\r' : undefined;
    for (const type of ['keyDown', 'keyUp'])
      await this.call('Input.dispatchKeyEvent', {
        type,
        key,
        code: key,
        windowsVirtualKeyCode: code,
        ...(type === 'keyDown' && text ? { text } : {}),
      });
  }

  async end(): Promise<void> {
    const ended = once(this.process, 'exit');
    this.socket.close();
    this.process.kill('SIGKILL');
    await ended;
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10 });
  }
}
