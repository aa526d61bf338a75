import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  keyCalendar,
  keyMistake,
  knownKeys,
  nextHistories,
  nextHistory,
  successor,
  withChangeAt,
  type KeyHistory,
} from '../components/dns/dkimKeys';

const day = 86_400;
const rules = (days: number, compromised: number[] = []) => ({
  compromised,
  retention: 21 * day,
  now: new Date(days * day * 1000),
});
const date = (days: number) => new Date(days * day * 1000).toISOString();
const generations = ({ keys }: KeyHistory) => keys.map(({ generation }) => generation);
/** The history after each generation in turn began to sign on a day. */
const after = (...steps: [day: number, generation: number | undefined, compromised?: number[]][]) =>
  steps.reduce<KeyHistory | undefined>(
    (history, [days, wanted, compromised]) =>
      nextHistory(history, wanted, rules(days, compromised)),
    undefined,
  )!;

describe('the keys of a domain', () => {
  it.each<[string, KeyHistory, number[]]>([
    ['new', after([0, 1]), [1, 2]],
    ['new, where others sign with 7', after([0, 7]), [7, 8]],
    ['rotated', after([0, 1], [30, 2]), [1, 2, 3]],
    ['rotated twice', after([0, 1], [30, 2], [60, 3]), [2, 3, 4]],
    ['rotated twice in days', after([0, 1], [30, 2], [32, 3]), [1, 2, 3, 4]],
    ['rotated three times in days', after([0, 1], [30, 2], [31, 3], [32, 4]), [1, 2, 3, 4, 5]],
    ['rotated again later', after([0, 1], [30, 2], [32, 3], [60, 4]), [3, 4, 5]],
    ['rolled back', after([0, 1], [30, 2], [60, 3], [61, 2]), [2, 3, 4]],
    ['removed', after([0, 1], [30, 2], [60, undefined]), [1, 2, 3]],
    ['back again', after([0, 1], [30, 2], [40, undefined], [99, 2]), [1, 2, 3]],
    ['back again, above all', after([0, 1], [30, undefined], [99, 5]), [5, 6]],
    ['with a next key that nobody may trust', after([0, 1], [9, 1, [2]]), [1, 2, 3]],
    ['rotated past that', after([0, 1], [9, 1, [2]], [10, 3, [2]]), [1, 2, 3, 4]],
  ])('%s', (_, history, published) => {
    expect(generations(history)).toEqual(published);
  });

  it('stay as they are, with their times, while the same one signs', () => {
    const history = after([0, 1], [30, 2]);
    expect(nextHistory(history, 2, rules(300))).toBe(history);
    const removed = after([0, 1], [30, undefined]);
    expect(nextHistory(removed, undefined, rules(300))).toBe(removed);
  });

  it('know since when one signs, and when the others did last', () => {
    expect(after([0, 1], [30, 2], [32, 3])).toEqual({
      signs: 3,
      since: date(32),
      keys: [
        { generation: 1, signed: date(30), goes: date(51) },
        { generation: 2, signed: date(32), goes: date(53) },
        { generation: 3 },
        { generation: 4 },
      ],
    });
  });

  it.each<[string, number, number[]]>([
    ['before the longer one has passed', 50, [1, 2, 3, 4]],
    ['after that', 51, [2, 3, 4]],
  ])('stay for as long as their signatures were made for: %s', (_, days, published) => {
    const shorter = (at: number, retentionBefore: number) => ({
      ...rules(at),
      retention: day,
      retentionBefore: retentionBefore * day,
    });
    const rotated = after([0, 1], [30, 2]);
    const { keys } = nextHistory(rotated, 2, shorter(30, 21));
    expect(keys).toEqual([
      { generation: 1, signed: date(30), goes: date(51) },
      { generation: 2, goes: date(51) },
      { generation: 3 },
    ]);
    // One from before there was a time to go.
    const old = { ...rotated, keys: rotated.keys.map((key) => ({ ...key, goes: undefined })) };
    expect(nextHistory(old, 2, shorter(30, 21)).keys).toEqual(keys);
    for (const history of [
      nextHistory({ ...rotated, keys }, 3, shorter(days, 1)),
      nextHistory(rotated, 3, shorter(days, 21)),
    ])
      expect(generations(history)).toEqual(published);
    expect(keyCalendar({ d: { ...rotated, keys } }, { compromised: [], retention: day })).toEqual({
      d: { signs: 's2', since: date(30), next: 's3', retired: { s1: date(51) } },
    });
  });

  it('are next, and not retired, where the rotation to them was rolled back', () => {
    const rolledBack = { d: after([0, 1], [30, 2], [60, 3], [61, 2]) };
    expect(keyCalendar(rolledBack, { compromised: [], retention: day })).toEqual({
      d: { signs: 's2', since: date(61), next: 's3' },
    });
  });

  it('have the time at which the host changed them, and no other time of theirs changes', () => {
    const planned = new Date(30 * day * 1000);
    const changed = new Date(31 * day * 1000);
    const rotated = { 'example.org': after([0, 1], [20, 2], [30, 3]) };
    expect(withChangeAt(rotated, planned, changed)).toStrictEqual({
      'example.org': {
        signs: 3,
        since: date(31),
        keys: [
          { generation: 1, signed: date(20), goes: date(41) },
          { generation: 2, signed: date(31), goes: date(52) },
          { generation: 3 },
          { generation: 4 },
        ],
      },
    });
    const removed = { 'example.org': after([0, 1], [20, undefined]) };
    expect(withChangeAt(removed, planned, changed)).toStrictEqual(removed);
  });

  it('of an `up` that was cut off stay, and nobody knows of any other when it signed', () => {
    const history = after([0, 1], [30, 2]);
    const now = new Date(40 * day * 1000);
    expect(knownKeys(history, [1, 2, 3], now)).toBe(history);
    expect(knownKeys(history, [1, 2, 3, 4], now)!.keys).toEqual([
      ...history.keys,
      { generation: 4 },
    ]);
    expect(knownKeys(history, [1, 2, 3, 4, 5], now)!.keys.slice(3)).toEqual([
      { generation: 4 },
      { generation: 5 },
    ]);
    expect(generations(knownKeys(after([0, 5], [30, 6]), [3, 4, 5, 6, 7], now)!)).toEqual([
      3, 4, 5, 6, 7,
    ]);
    expect(knownKeys(undefined, [], now)).toBeUndefined();
    expect(knownKeys(undefined, [1, 2], now)!.keys).toEqual([
      { generation: 1, signed: date(40) },
      { generation: 2 },
    ]);
    expect(knownKeys({ signs: 2, keys: [] }, [1, 2, 3], now)!.keys).toEqual([
      { generation: 1, signed: date(40) },
      { generation: 2, signed: date(40) },
      { generation: 3 },
    ]);
  });
});

it.each([[[1]], [[2]], [[1, 2]]])(
  'a first `up` that was cut off once it had made %j converges to the keys of a new domain',
  (inState) => {
    const domain = 'example.org';
    const held = inState.map((generation) => ({ domain, generation }));
    const { histories, mistakes } = nextHistories({}, held, { [domain]: 1 }, rules(40));
    expect(mistakes).toEqual([]);
    expect(generations(histories[domain]!)).toEqual([1, 2]);
    expect(keyCalendar(histories, rules(40))).toEqual({
      [domain]: { signs: 's1', since: date(40), next: 's2' },
    });
  },
);

it('the next one is none that nobody may trust, also where that was said ahead of time', () => {
  expect(successor(after([0, 1]), 1, [2, 3, 4])).toBe(5);
});

describe('the histories of all domains', () => {
  const held = (domain: string, ...those: number[]) =>
    those.map((generation) => ({ domain, generation }));

  it('follow in one order, each from its own keys', () => {
    const before = { 'b.example': after([0, 1]), 'd.example': after([0, 7], [30, undefined]) };
    const inState = [
      ...held('d.example', 7, 8),
      ...held('c.example', 3, 4),
      ...held('b.example', 1, 2),
    ];
    const wanted = { 'b.example': 2, 'a.example': 9 };
    const { histories, mistakes } = nextHistories(before, inState, wanted, rules(40));
    expect(mistakes).toEqual([]);
    expect(Object.entries(histories).map(([name, one]) => [name, generations(one)])).toEqual([
      ['a.example', [9, 10]],
      ['b.example', [1, 2, 3]],
      // Made by an `up` that was cut off, for a domain that was taken out again.
      ['c.example', [3, 4]],
      ['d.example', [7, 8]],
    ]);
  });

  it('stay as they are where one may not follow', () => {
    const before = { 'a.example': after([0, 1]), 'b.example': after([0, 1]) };
    const inState = [...held('a.example', 1, 2), ...held('b.example', 1, 2)];
    const wanted = { 'a.example': 3, 'b.example': 4 };
    const { histories, mistakes } = nextHistories(before, inState, wanted, rules(40));
    expect(histories).toEqual(before);
    expect(mistakes).toEqual([
      expect.stringMatching(/a\.example would jump from generation 1 to 3/),
      expect.stringMatching(/b\.example would jump from generation 1 to 4/),
    ]);
  });
});

describe('a generation', () => {
  const rolledBack = after([0, 1], [30, 2], [60, 3], [61, 2]);
  it.each<[string, KeyHistory | undefined, number, number[]]>([
    ['any of a new domain', undefined, 7, []],
    ['the next', after([0, 1]), 2, []],
    ['the same', after([0, 1]), 1, []],
    ['the one before', after([0, 1], [30, 2]), 1, []],
    ['one before that is still out', after([0, 1], [30, 2], [31, 3]), 1, []],
    ['the next but one, past one that nobody may trust', after([0, 1], [9, 1, [2]]), 3, [2]],
    ['the same, of a domain that comes back', after([0, 1], [30, undefined]), 1, []],
    ['one above all, of a domain that comes back', after([0, 1], [30, undefined]), 9, []],
  ])('may sign: %s', (_, before, wanted, compromised) => {
    expect(keyMistake('example.org', before, wanted, compromised)).toBeUndefined();
  });

  it.each<[string, KeyHistory, number, number[], RegExp]>([
    ['a jump', after([0, 1]), 3, [], /jump from generation 1 to 3: set dkimGeneration to 2 first/],
    [
      'a jump to one that is out',
      rolledBack,
      4,
      [],
      /jump from generation 2 to 4: set dkimGeneration to 3 first/,
    ],
    ['one that is gone', rolledBack, 1, [], /generation 1 .* is gone.*: sign with 2 or 3/],
    [
      'one that is gone, of a domain that comes back',
      after([0, 5], [30, undefined]),
      2,
      [],
      /set dkimGeneration of the domain itself to 7/,
    ],
    [
      'one that signs and nobody may trust',
      after([0, 1]),
      2,
      [1],
      /1 signs .* rotate first, and declare it compromised/,
    ],
    [
      'past one that is only now declared compromised',
      after([0, 1]),
      3,
      [2],
      /3 .* has not been in DNS yet: leave dkimGeneration at 1/,
    ],
  ])('may not sign: %s', (_, before, wanted, compromised, words) => {
    expect(keyMistake('example.org', before, wanted, compromised)).toMatch(words);
  });
});

describe('a key that the state has lost', () => {
  const domain = 'example.org';
  const mistakesOf = (
    history: KeyHistory,
    held: number[],
    wanted?: number,
    compromised?: number[],
  ) =>
    nextHistories(
      { [domain]: history },
      held.map((generation) => ({ domain, generation })),
      wanted === undefined ? {} : { [domain]: wanted },
      rules(100, compromised),
    ).mistakes;
  const rotated = after([0, 1], [99, 2]);

  it.each<[string, number[], number | undefined, number[], RegExp[]]>([
    ['none is', [1, 2, 3], 2, [], []],
    ['one that signed', [2, 3], 2, [], [/the key s1 of example\.org is not in the state/]],
    ['the one that signs', [1, 3], 2, [], [/the key s2 .* import the state again/]],
    ['the one that signs, and is left', [1, 3], 3, [], [/the key s2 .* declare generation 2/]],
    ['the one that signs, and is left as compromised', [1, 3], 3, [2], []],
    ['the next', [1, 2], 2, [], [/the key s3/]],
    ['the next, which is compromised', [1, 2], 2, [3], []],
    ['all of them', [], 2, [], [/s1/, /s2/, /s3/]],
    ['one of a domain without mail', [1, 3], undefined, [], []],
  ])('is not published anew: %s', (_, held, wanted, compromised, mistakes) => {
    expect(mistakesOf(rotated, held, wanted, compromised)).toEqual(
      mistakes.map((words) => expect.stringMatching(words) as string),
    );
  });

  it('is forgotten where its record goes', () => {
    expect(mistakesOf(after([0, 1], [30, 2]), [2, 3], 3)).toEqual([]);
  });
});

it('the calendar has no time of a key that has always signed', () => {
  const histories = { d: { signs: 1, keys: [{ generation: 1 }, { generation: 2 }] } };
  expect(keyCalendar(histories, rules(1))).toStrictEqual({ d: { signs: 's1', next: 's2' } });
});

it('the calendar tells what signs, what is next, and what may go when', () => {
  const histories = {
    'example.com': after([0, 1], [30, undefined]),
    'example.net': after([0, 5]),
    'example.org': after([0, 1], [30, 2], [32, 3], [33, 3, [1]]),
  };
  expect(keyCalendar(histories, rules(33, [1]))).toStrictEqual({
    'example.net': { signs: 's5', since: date(0), next: 's6' },
    'example.org': {
      signs: 's3',
      since: date(32),
      next: 's4',
      retired: { s2: date(53) },
      revoked: ['s1'],
    },
  });
});

/** One `up`: what the setting says, how long after the last, and whether it is cut off. */
const ups = fc.array(
  fc.record({
    move: fc.oneof(
      fc.constantFrom<'next' | 'back' | 'remove' | 'same' | 'distrust'>(
        'next',
        'back',
        'remove',
        'same',
        'distrust',
      ),
      fc.nat({ max: 12 }),
    ),
    days: fc.nat({ max: 40 }),
    cut: fc.constantFrom('never', 'a key made', 'keys made', 'switched'),
  }),
  { maxLength: 40 },
);

it('any row of ups, cut off or not: no selector has two keys, and none goes that is needed', () => {
  fc.assert(
    fc.property(ups, (steps) => {
      const domain = 'example.org';
      /** What the state holds. */
      let history: KeyHistory | undefined;
      let keys = new Set<number>();
      /** What happened in the world. */
      const everMade = new Set<number>();
      const signed = new Map<number, number>();
      let signing: number | undefined;
      let compromised: number[] = [];
      let days = 0;
      /** Whether a key may have signed without a note of it in the history. */
      let wasCut = false;
      for (const step of steps) {
        days += step.days;
        const now = history?.signs ?? 0;
        const others = [...keys].filter((n) => n < now && !compromised.includes(n));
        const moves: Record<string, number | undefined> = {
          next: history && successor(history, now, compromised),
          back: others.at(-1),
          remove: undefined,
        };
        let wanted = typeof step.move === 'number' ? step.move + 1 : (history?.signs ?? 1);
        let isRemoved = false;
        if (typeof step.move === 'string' && step.move in moves) {
          isRemoved = step.move === 'remove' && history !== undefined;
          wanted = moves[step.move] ?? wanted;
        }
        const distrusted =
          step.move === 'distrust' ? [...keys].filter((n) => n !== wanted).slice(-1) : [];
        const next = [...new Set([...compromised, ...distrusted])];
        if (next.includes(wanted)) continue;
        const { histories, mistakes } = nextHistories(
          history ? { [domain]: history } : {},
          [...keys].map((generation) => ({ domain, generation })),
          isRemoved ? {} : { [domain]: wanted },
          rules(days, next),
        );
        if (mistakes.length > 0) continue;
        compromised = next;
        const planned = histories[domain]!;
        const published = new Set(generations(planned));
        const made = [...published].filter((n) => !keys.has(n));
        // The engine makes them in any order.
        for (const n of step.cut === 'a key made' ? made.slice(-1) : made) {
          expect(everMade.has(n), `s${n} is made again`).toBe(false);
          everMade.add(n);
          keys.add(n);
        }
        if (step.cut === 'a key made' || step.cut === 'keys made') continue;
        // The host looks first, and switches before records and keys are removed.
        if (signing !== undefined) signed.set(signing, days);
        const goes = [...keys].filter((n) => !published.has(n));
        const tooEarly = goes.filter((n) => signed.has(n) && signed.get(n)! + 21 > days);
        if (!isRemoved && tooEarly.length > 0) {
          expect(wasCut, `s${tooEarly.join()} would go though the history is whole`).toBe(true);
          continue;
        }
        signing = planned.signs;
        if (signing !== undefined) {
          signed.set(signing, days);
          expect(published.has(signing)).toBe(true);
          expect(compromised.includes(signing)).toBe(false);
          expect(published.has(successor(planned, signing, compromised))).toBe(true);
        }
        if (step.cut === 'switched') {
          wasCut = true;
          continue;
        }
        history = planned;
        keys = published;
      }
    }),
    { numRuns: 2000 },
  );
});
