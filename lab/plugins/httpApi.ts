import { setTimeout as sleep } from 'node:timers/promises';

/** What either of the two APIs answers, besides Hetzner's items, which stand beside the error. */
interface Answer {
  /** Cloudflare wraps its items. */
  result?: unknown;
  errors?: { message: string }[];
  /** Hetzner's form. */
  error?: { code: string; message: string };
}

interface Sent {
  request: string;
  response: Response;
  answer: Answer;
}

/** How an attempt at a request failed. */
export interface Failed {
  path: string;
  /** None where the connection broke. */
  status?: number;
  /** Hetzner's word for it. */
  code?: string;
}

/** What is tried again, and how often: as the client library of the official plugin does it. */
export interface Patience {
  retries: number;
  /** ms before the first; each further one is twice as long. */
  firstWait: number;
  longestWait: number;
  passes: (failed: Failed) => boolean;
}

/** Calls of one of the two cloud APIs: bearer token, JSON, and patience. */
export class HttpApi {
  private token = '';

  constructor(
    private base: string,
    private readonly patience: Patience,
  ) {}

  configure(base: string | undefined, token: string | undefined): void {
    if (base !== undefined) this.base = base;
    this.token = token ?? '';
  }

  /** @throws Error with the API's own words */
  async call<T>(method: string, path: string, body?: object): Promise<T> {
    return result(await this.send(method, path, body)) as T;
  }

  /** @returns undefined where there is nothing at the path */
  async find<T>(path: string): Promise<T | undefined> {
    const sent = await this.send('GET', path);
    return sent.response.status === 404 ? undefined : (result(sent) as T);
  }

  private async send(method: string, path: string, body?: object): Promise<Sent> {
    const { retries, firstWait, longestWait, passes } = this.patience;
    for (let attempt = 0; ; attempt++) {
      const sent = await this.attempt(method, path, body).catch((error: Error) => error);
      const isBroken = sent instanceof Error;
      const failed: Failed | undefined = isBroken
        ? { path }
        : sent.response.ok
          ? undefined
          : { path, status: sent.response.status, code: sent.answer.error?.code };
      if (failed === undefined || attempt >= retries || !passes(failed)) {
        if (isBroken) throw sent;
        return sent;
      }
      await sleep(Math.min(firstWait * 2 ** attempt, longestWait));
    }
  }

  private async attempt(method: string, path: string, body?: object): Promise<Sent> {
    const request = `${method} ${path}`;
    const response = await fetch(`${this.base}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    }).catch((error: Error) => {
      const cause = error.cause instanceof Error ? error.cause.message : error.message;
      throw new Error(`${request}: ${cause}`, { cause: error });
    });
    const text = await response.text();
    return { request, response, answer: (text === '' ? {} : JSON.parse(text)) as Answer };
  }
}

function result({ request, response, answer }: Sent): unknown {
  if (response.ok) return 'result' in answer ? answer.result : answer;
  const words = answer.error
    ? `${answer.error.message} (${answer.error.code})`
    : answer.errors?.map(({ message }) => message).join('; ');
  throw new Error(`${request}: ${response.status} ${words ?? ''}`);
}
