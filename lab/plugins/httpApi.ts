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

/** Hetzner's words for what passes by itself. */
const passing = ['locked', 'conflict', 'rate_limit_exceeded'];

/** Calls of one of the two cloud APIs: bearer token, JSON, and patience with limits and locks. */
export class HttpApi {
  private token = '';

  constructor(private base: string) {}

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
    for (let attempt = 0; ; attempt++) {
      const response = await fetch(`${this.base}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${this.token}`,
          ...(body && { 'content-type': 'application/json' }),
        },
        ...(body && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      const answer = (text === '' ? {} : JSON.parse(text)) as Answer;
      const busy = response.status === 429 || passing.includes(answer.error?.code ?? '');
      if (!busy || attempt >= 60) return { request: `${method} ${path}`, response, answer };
      await sleep(Math.min(100 * 2 ** attempt, 2000));
    }
  }
}

function result({ request, response, answer }: Sent): unknown {
  if (response.ok) return 'result' in answer ? answer.result : answer;
  const words = answer.error
    ? `${answer.error.message} (${answer.error.code})`
    : answer.errors?.map(({ message }) => message).join('; ');
  throw new Error(`${request}: ${response.status} ${words ?? ''}`);
}
