/** What is known of one domain's DKIM keys. It changes with a change of keys alone, so that a second `up` is empty. */
export interface KeyHistory {
  /** The generation that signs; none while the domain has no mail. */
  signs?: number;
  /** When it began to, in ISO form, by the clock of that `up`; so is every time here. */
  since?: string;
  /** Every key that exists, lowest generation first. The highest is never taken out: none is made below it. */
  keys: {
    generation: number;
    /** When it stopped to sign last; none where it never has. */
    signed?: string;
    /** Until when its record stays at least: a signature is valid for as long as it was made for. */
    goes?: string;
  }[];
}

/** What besides the history says how it goes on. */
export interface KeyRules {
  /** Generations that nobody may trust any more. */
  compromised: number[];
  /** Seconds for which a key stays in DNS after it signed last. */
  retention: number;
  /** The same in the `up` before; none where nobody knows. */
  retentionBefore?: number;
  now: Date;
}

/** The name of generation `generation` of a domain's DKIM key. A selector's key never changes. */
export const dkimSelector = (generation: number): string => `s${generation}`;

/**
 * The history with what else the state holds: keys of an `up` that did not end, or of a time before there was a history.
 *
 * @param inState generations whose keys exist
 */
export function knownKeys(
  history: KeyHistory | undefined,
  inState: number[],
  now: Date,
): KeyHistory | undefined {
  const others = inState.filter(
    (generation) => !history?.keys.some((key) => key.generation === generation),
  );
  if (others.length === 0) return history;
  // No key signs before the next one exists. Of those below nobody knows.
  const lastToSign =
    history === undefined ? Math.max(...others) - 1 : (history.signs ?? Number.POSITIVE_INFINITY);
  const unknown = (generation: number) =>
    generation > lastToSign ? { generation } : { generation, signed: now.toISOString() };
  return {
    ...history,
    keys: [...(history?.keys ?? []), ...others.map(unknown)].sort(byGeneration),
  };
}

const byGeneration = (a: { generation: number }, b: { generation: number }) =>
  a.generation - b.generation;

/** The generation that signs after `generation`: its key is in DNS one whole rotation before. */
export function successor(history: KeyHistory, generation: number, compromised: number[]): number {
  const generations = history.keys.map((key) => key.generation);
  const existing = generations.find((n) => n > generation && !compromised.includes(n));
  if (existing !== undefined) return existing;
  let made = Math.max(generation, ...generations) + 1;
  while (compromised.includes(made)) made++;
  return made;
}

/**
 * Why `wanted` may not sign for a domain, and what to do instead; undefined where it may.
 *
 * @param before none where the domain is new
 * @param lost generations that the state does not have any more
 */
export function keyMistake(
  domain: string,
  before: KeyHistory | undefined,
  wanted: number,
  compromised: number[],
  lost: number[] = [],
): string | undefined {
  if (before === undefined) return undefined;
  const { signs } = before;
  if (signs !== undefined && compromised.includes(signs) && !lost.includes(signs)) {
    return `generation ${signs} signs for ${domain} until another does: rotate first, and declare it compromised in a \`pulumi up\` after that`;
  }
  if (wanted === signs) return undefined;
  const exists = before.keys.some(({ generation }) => generation === wanted);
  const highest = Math.max(...before.keys.map(({ generation }) => generation));
  if (!exists && wanted <= highest) {
    const next = successor(before, signs ?? highest, compromised);
    return `the key of generation ${wanted} of ${domain} is gone, and a selector never gets another: ${
      signs === undefined
        ? `set dkimGeneration of the domain itself to ${next}`
        : `sign with ${signs} or ${next}`
    }`;
  }
  if (signs === undefined || (exists && wanted < signs)) return undefined;
  const next = successor(before, signs, compromised);
  if (wanted !== next) {
    return `DKIM keys of ${domain} would jump from generation ${signs} to ${wanted}: set dkimGeneration to ${next} first, as each key has to be in DNS before it signs`;
  }
  return exists
    ? undefined
    : `generation ${wanted} of ${domain} has not been in DNS yet: leave dkimGeneration at ${signs} for one \`pulumi up\`, and then rotate`;
}

/**
 * The history that follows. Keys are added as soon as they are needed, and go only along with a change of the one that
 * signs, never because time has passed. Times to go are noted then, and where the retention gets shorter.
 *
 * @param before none where the domain is new
 * @param wanted the generation that is to sign, of which keyMistake() finds nothing; none where the domain has no mail
 */
export function nextHistory(
  before: KeyHistory | undefined,
  wanted: number | undefined,
  { compromised, retention, retentionBefore = retention, now }: KeyRules,
): KeyHistory {
  const known = before ?? { keys: [] };
  const { signs } = known;
  if (wanted === signs && retention >= retentionBefore)
    return wanted === undefined ? known : withNext(known, wanted, compromised);
  const longest = Math.max(retention, retentionBefore);
  const keys = known.keys.map((key) => {
    const signed = key.generation === signs ? now.toISOString() : key.signed;
    if (signed === undefined) return key;
    const goes = goesFrom({ ...key, signed }, longest).toISOString();
    return { ...key, ...(wanted === signs ? {} : { signed }), goes };
  });
  if (wanted === undefined) return { keys };
  if (wanted === signs) return withNext({ ...known, keys }, wanted, compromised);
  const mayGo = ({ goes }: { goes?: string }) => goes === undefined || new Date(goes) <= now;
  const history = {
    signs: wanted,
    since: now.toISOString(),
    keys: keys.filter((key) => key.generation >= wanted - 1 || !mayGo(key)),
  };
  return withNext(history, wanted, compromised);
}

/** With the keys that have to be there while `signs` signs. */
function withNext(history: KeyHistory, signs: number, compromised: number[]): KeyHistory {
  const needed = [signs, successor(history, signs, compromised)];
  const missing = needed.filter((n) => !history.keys.some(({ generation }) => generation === n));
  return missing.length === 0
    ? history
    : {
        ...history,
        keys: [...history.keys, ...missing.map((generation) => ({ generation }))].sort(
          byGeneration,
        ),
      };
}

/**
 * What follows for every domain, those that have no mail any more among them: their keys stay, so that they can come back
 * under the same selectors.
 *
 * @param before by domain; so is the next
 * @param inState the keys that the state holds
 * @param wanted the generation that is to sign for each domain with mail
 */
export function nextHistories(
  before: Record<string, KeyHistory>,
  inState: { domain: string; generation: number }[],
  wanted: Record<string, number>,
  rules: KeyRules,
): { histories: Record<string, KeyHistory>; mistakes: string[] } {
  const held = inState.map(({ domain }) => domain);
  const domains = [...new Set([...Object.keys(before), ...held, ...Object.keys(wanted)])].sort();
  const mistakes: string[] = [];
  const histories = domains.map((domain) => {
    const generations = inState.flatMap((key) => (key.domain === domain ? [key.generation] : []));
    const known = knownKeys(before[domain], generations, rules.now);
    const generation = wanted[domain];
    if (generation === undefined) return [domain, nextHistory(known, undefined, rules)] as const;
    const lost = (before[domain]?.keys ?? [])
      .map((key) => key.generation)
      .filter((n) => !generations.includes(n));
    // Where there is no history, keys are those of a first `up` that did not end, in whatever order it made them.
    const mistake =
      before[domain] && keyMistake(domain, known, generation, rules.compromised, lost);
    if (mistake !== undefined) mistakes.push(mistake);
    const next = mistake && known ? known : nextHistory(known, generation, rules);
    // Another key under the selector would take its place. No key stands in the record of a revoked one.
    for (const n of lost) {
      if (rules.compromised.includes(n) || !next.keys.some((key) => key.generation === n)) continue;
      mistakes.push(
        `the key ${dkimSelector(n)} of ${domain} is not in the state, and a selector never gets another: import the state again, or declare generation ${n} compromised, with another that signs`,
      );
    }
    return [domain, next] as const;
  });
  return { histories: Object.fromEntries(histories), mistakes };
}

/** The histories with the time at which the host did change keys, where the plan had its own. */
export function withChangeAt(
  histories: Record<string, KeyHistory>,
  planned: Date,
  changed: Date,
): Record<string, KeyHistory> {
  const at = (time?: string) => (time === planned.toISOString() ? changed.toISOString() : time);
  const later = (time: string) =>
    new Date(Date.parse(time) + changed.getTime() - planned.getTime()).toISOString();
  return Object.fromEntries(
    Object.entries(histories).map(([domain, { since, keys, ...rest }]) => [
      domain,
      {
        ...rest,
        ...(since === undefined ? {} : { since: at(since) }),
        keys: keys.map(({ signed, goes, ...key }) => ({
          ...key,
          ...(signed === undefined ? {} : { signed: at(signed) }),
          ...(goes === undefined
            ? {}
            : { goes: signed === planned.toISOString() ? later(goes) : goes }),
        })),
      },
    ]),
  );
}

/** When the record of a key that stopped to sign may go. */
const goesFrom = (
  { signed, goes = signed }: { signed: string; goes?: string },
  retention: number,
): Date => new Date(Math.max(Date.parse(goes), Date.parse(signed) + retention * 1000));

/** What of a domain's keys is out, for a person who plans the next rotation. */
export interface KeyCalendar {
  /** Selector that signs. */
  signs: string;
  /** Time from which it signs, in ISO 8601. */
  since?: string;
  /** Selector that signs after the next rotation. */
  next: string;
  /** Selectors that signed before, with the time from which a rotation removes them. */
  retired?: Record<string, string>;
  /** Selectors that are published as revoked. */
  revoked?: string[];
}

/** @returns of each domain with mail */
export function keyCalendar(
  histories: Record<string, KeyHistory>,
  { compromised, retention }: Omit<KeyRules, 'now'>,
): Record<string, KeyCalendar> {
  return Object.fromEntries(
    Object.entries(histories).flatMap(([domain, history]) => {
      const { signs, since, keys } = history;
      if (signs === undefined) return [];
      const next = successor(history, signs, compromised);
      const isRevoked = ({ generation }: { generation: number }) =>
        compromised.includes(generation);
      // After a roll back the next one has signed before, and stays.
      const retired = keys.flatMap(({ signed, ...key }) =>
        signed !== undefined && ![signs, next].includes(key.generation) && !isRevoked(key)
          ? [
              [
                dkimSelector(key.generation),
                goesFrom({ signed, ...key }, retention).toISOString(),
              ] as const,
            ]
          : [],
      );
      const revoked = keys.filter(isRevoked).map(({ generation }) => dkimSelector(generation));
      const calendar: KeyCalendar = {
        signs: dkimSelector(signs),
        ...(since === undefined ? {} : { since }),
        next: dkimSelector(next),
        ...(retired.length > 0 ? { retired: Object.fromEntries(retired) } : {}),
        ...(revoked.length > 0 ? { revoked } : {}),
      };
      return [[domain, calendar] as const];
    }),
  );
}
