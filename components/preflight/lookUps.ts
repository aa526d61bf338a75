import type * as pulumi from '@pulumi/pulumi';

/** An API that is queried before a plan, through its Pulumi package. */
export interface Api {
  /** Name of the package, e.g. `hcloud`. */
  package: string;
  /** Name of the service, as its customers know it. */
  title: string;
  /** The setting that holds the token. */
  token: string;
  /** What the token must allow. */
  access: string;
  /** The setting that holds the address of the API. */
  endpoint: string;
}

/** Hetzner Cloud. */
export const hetzner: Api = {
  package: 'hcloud',
  title: 'Hetzner Cloud',
  token: 'hcloud:token (or HCLOUD_TOKEN)',
  access: 'it must be a read and write token of the project',
  endpoint: 'hcloud:endpoint (or HCLOUD_ENDPOINT)',
};

/** One query of an API. */
export interface LookUp {
  api: Api;
  /** Name of the function of the package, e.g. `getZone`. */
  call: string;
  /** The zone, type or location in question. Default: the list of everything. */
  about?: string;
  /** An error if the API answers, and not with that: what is wrong, and what to set. Default: the answer alone. */
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

/** Why a look-up failed. */
type Kind = 'token' | 'network' | 'answer' | 'provider';

/** Where the engine ends a plan it says why, and nothing that comes later reaches anybody: so nothing does. */
export function unlessEnded(error: unknown): Error | Promise<never> {
  const known = error instanceof Error ? error : new Error(String(error));
  return /resource monitor is terminating|channel has been shut down/i.test(known.message)
    ? new Promise(() => undefined)
    : known;
}

/** Something between this machine and the API answered in its place: a proxy, or a page of HTML. */
const fromBetween = /\bproxy|<html|invalid character|unexpected token|end of JSON|valid JSON/i;

/** Cloudflare answers "400 Invalid request headers" to a token that has not the form of one. */
const ofToken =
  /unauthori[sz]ed|authenticat|authorization|forbidden|token|credential|request headers|\b40[13]\b/i;

const ofNetwork = new RegExp(
  [
    /ECONN|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|no such host|dial |connection|unreachable|broken pipe|hang up/,
    /side closed|time(?:d )?out|deadline exceeded|context cancell?ed|fetch failed|\bEOF\b|GOAWAY|stream error/,
    /\btls:|x509|certificate|rate.?limit|too many requests|internal server error|bad gateway|unavailable/,
    /maintenance|ser(?:vice|ver)_error|\b(?:429|5[02]\d)\b/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'i',
);

/** @param about may itself hold a word of these */
function kindOf({ message }: Error, about = ''): Kind {
  const text = about === '' ? message : message.replaceAll(about, '');
  if (fromBetween.test(text)) return 'network';
  if (ofToken.test(text)) return 'token';
  return ofNetwork.test(text) ? 'network' : 'answer';
}

/** Look-ups that failed for one cause. */
interface Failure {
  api: Api;
  kind: Kind;
  cause: string;
  calls: Set<string>;
}

/**
 * Look-ups at the providers of a resource before a plan. One that fails is an error of the plan, which names the provider,
 * the call and the setting; calls that fail for the same cause are one error.
 */
export class LookUps {
  private readonly failed = new Map<string, Failure>();
  private readonly answered: string[] = [];

  /** @param options its `parent` has the providers that answer */
  constructor(private readonly options: { parent?: pulumi.Resource }) {}

  /**
   * @param query gets the options for the call
   * @returns undefined if the look-up failed
   */
  async ask<T extends object>(
    lookUp: LookUp,
    query: (options: pulumi.InvokeOptions) => Promise<T>,
  ): Promise<T | undefined> {
    try {
      const answer = await query(this.options);
      // So the engine answers for a provider that takes its configuration from a resource that is yet to be created.
      if (Object.keys(answer).length > 0) return answer;
      this.fail(lookUp, 'provider', '');
    } catch (error) {
      this.note(lookUp, await unlessEnded(error));
    }
    return undefined;
  }

  /** As ask(), for what a plan can do without. */
  async tryTo<T>(query: (options: pulumi.InvokeOptions) => Promise<T>): Promise<T | undefined> {
    return query(this.options).catch(async (error: unknown) => {
      await unlessEnded(error);
      return undefined;
    });
  }

  private note(lookUp: LookUp, error: Error): void {
    const kind = kindOf(error, lookUp.about);
    const cause = causeOf(error);
    if (kind === 'answer' && lookUp.mistake !== undefined)
      this.answered.push(`${lookUp.mistake} (${lookUp.call}: ${cause})`);
    else this.fail(lookUp, kind, cause);
  }

  private fail({ api, call, about }: LookUp, kind: Kind, cause: string): void {
    const key = `${api.package} ${kind} ${cause}`;
    const failure = this.failed.get(key) ?? { api, kind, cause, calls: new Set<string>() };
    failure.calls.add(about === undefined ? call : `${call} of ${about}`);
    this.failed.set(key, failure);
  }

  /** Everything that could not be found out. */
  mistakes(): string[] {
    const failures = [...this.failed.values()].map((failure) => this.mistake(failure));
    return [...failures, ...this.answered].sort();
  }

  private mistake({ api, kind, cause, calls }: Failure): string {
    const { title, access, endpoint } = api;
    const isGiven = this.options.parent?.getProvider(`${api.package}:index:`) !== undefined;
    const provider = `the ${api.package} provider that is given to the mail host`;
    const token = isGiven ? `the token of ${provider}` : api.token;
    const queries = [...calls].sort().join(', ');
    switch (kind) {
      case 'token':
        return `${title} does not answer ${queries}: ${cause}. Check ${token}: ${access}`;
      case 'network':
        return `${title} does not answer ${queries}: ${cause}. Check the network, the status page of ${title}, and ${isGiven ? `the address of the API in ${provider}` : endpoint} where it is set; then run it again`;
      case 'answer':
        return `${title} does not answer ${queries}: ${cause}. Check ${token}, and run it again`;
      case 'provider':
        return `${title} cannot answer ${queries} yet: ${provider} takes its configuration from a resource that is yet to be created. Create that first, by \`pulumi up --target\``;
    }
  }
}
