import { setTimeout as sleep } from 'node:timers/promises';

interface Envelope {
  /** Cloudflare wraps what it answers. */
  result?: unknown;
  errors?: { message: string }[];
  /** Hetzner's form. */
  error?: { code: string; message: string };
}

/** Calls of one of the two cloud APIs: bearer token, JSON, and patience with limits and locks. */
export class HttpApi {
  private base: string;
  private token = '';

  constructor(base: string) {
    this.base = base;
  }

  configure(base: string | undefined, token: string | undefined): void {
    if (base !== undefined) this.base = base;
    this.token = token ?? '';
  }

  /**
   * @param absence whether 404 is an answer (undefined) or an error
   * @throws Error with the API's own words
   */
  async call<T>(method: string, path: string, body?: object, absence?: 'maybe gone'): Promise<T> {
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
      const answer = (text === '' ? {} : JSON.parse(text)) as Envelope;
      if (response.ok) return ('result' in answer ? answer.result : answer) as T;
      if (response.status === 404 && absence) return undefined as T;
      const busy =
        response.status === 429 ||
        ['locked', 'conflict', 'rate_limit_exceeded'].includes(answer.error?.code ?? '');
      if (!busy || attempt >= 60) {
        const words = answer.errors?.map(({ message }) => message).join('; ');
        const own = answer.error && `${answer.error.message} (${answer.error.code})`;
        throw new Error(`${method} ${path}: ${response.status} ${own ?? words ?? ''}`);
      }
      await sleep(Math.min(100 * 2 ** attempt, 2000));
    }
  }
}
