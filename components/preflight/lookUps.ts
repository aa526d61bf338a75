/** A provider that is asked before a plan, with the setting that lets the stack in. */
const providers = {
  hcloud: {
    title: 'Hetzner Cloud',
    token: 'hcloud:token (or HCLOUD_TOKEN): it must be a read and write token of the project',
    endpoint: 'hcloud:endpoint (or HCLOUD_ENDPOINT)',
  },
  cloudflare: {
    title: 'Cloudflare',
    token:
      'cloudflare:apiToken (or CLOUDFLARE_API_TOKEN): the token needs Zone:Read and DNS:Edit for these zones',
    endpoint: 'cloudflare:baseUrl (or CLOUDFLARE_BASE_URL)',
  },
};

/** One question to a provider. */
export interface LookUp {
  api: keyof typeof providers;
  /** Name of the function of the provider, e.g. `getZone`. */
  call: string;
  /** The zone, type or location in question; none for a list of everything. */
  about?: string;
  /** An error where the provider answers, and not with that: what is wrong, and what to set. Default: the answer alone. */
  mistake?: string;
}

/** The longest cause that is quoted, in characters: what plugins add beside it is longer still. */
const longestCause = 200;

/**
 * The cause in an error of a plugin, in one line: without the plugin's prefixes, the wrapping of its framework, and ids of
 * single requests.
 */
export function causeOf(error: Error): string {
  const answered = [...error.message.matchAll(/"message":\s*"((?:[^"\\]|\\.)+)"/g)].map(
    ([, message]) => message!,
  );
  const text =
    answered.length > 0
      ? answered.join('; ')
      : error.message
          .replace(/An unexpected error was encountered during an API request\./g, '')
          .replace(/Error code:[\s\S]*$/, '')
          .replace(/\d+ errors? occurred:/g, '')
          .replace(/^[\s\S]*?\binvoking [\w:/]+: /, '')
          .replace(/, [0-9a-f]{8,}\)/g, ')')
          .replace(/^\s*\*\s*/gm, '');
  const line = text
    .split(/\s+/)
    .filter(Boolean)
    .join(' ')
    .replace(/[.;:]$/, '');
  return line.length > longestCause ? `${line.slice(0, longestCause)}…` : line;
}

type Kind = 'token' | 'network' | 'answer';

/** @param about may itself hold a word of these */
function kindOf({ message }: Error, about = ''): Kind {
  const text = about === '' ? message : message.replaceAll(about, '');
  if (/unauthori[sz]ed|authenticat|authorization|forbidden|token|credential|\b40[13]\b/i.test(text))
    return 'token';
  return /ECONN|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|no such host|dial |connection|time(?:d )?out|fetch failed|\bEOF\b|rate.?limit|\b(?:429|50\d)\b/i.test(
    text,
  )
    ? 'network'
    : 'answer';
}

/**
 * Questions to the providers before a plan. One that fails is an error of the plan, which names the provider, the call and
 * the setting; calls that fail for the same cause are one error.
 */
export class LookUps {
  private readonly failed = new Map<string, { lookUp: LookUp; kind: Kind; calls: Set<string> }>();
  private readonly answered: string[] = [];

  /** @returns undefined where the look-up failed */
  async ask<T>(lookUp: LookUp, answer: Promise<T>): Promise<T | undefined> {
    try {
      return await answer;
    } catch (error) {
      this.note(lookUp, error instanceof Error ? error : new Error(String(error)));
      return undefined;
    }
  }

  private note(lookUp: LookUp, error: Error): void {
    const kind = kindOf(error, lookUp.about);
    const cause = causeOf(error);
    if (kind === 'answer' && lookUp.mistake !== undefined) {
      this.answered.push(`${lookUp.mistake} (${lookUp.call}: ${cause})`);
      return;
    }
    const key = `${lookUp.api} ${kind} ${cause}`;
    const { calls } = this.failed.get(key) ?? { calls: new Set<string>() };
    calls.add(lookUp.about === undefined ? lookUp.call : `${lookUp.call} of ${lookUp.about}`);
    this.failed.set(key, { lookUp, kind, calls });
  }

  /** Everything that could not be found out. */
  mistakes(): string[] {
    const failures = [...this.failed].map(([key, { lookUp, kind, calls }]) => {
      const { title, token, endpoint } = providers[lookUp.api];
      const cause = key.slice(`${lookUp.api} ${kind} `.length);
      const remedy = {
        token: `Check ${token}`,
        network: `Check the network, the status page of ${title}, and ${endpoint} where it is set; then run it again`,
        answer: `Check ${token.replace(/:[^:]*$/, '')}, and run it again`,
      }[kind];
      return `${title} does not answer ${[...calls].sort().join(', ')}: ${cause}. ${remedy}`;
    });
    return [...failures, ...this.answered].sort();
  }
}
