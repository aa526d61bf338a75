import { describe, expect, it } from 'vitest';
import { LookUps } from '../components/preflight/lookUps';
import {
  offerOf,
  serverFailure,
  serverOffer,
  type Offer,
  type ServerChange,
  type ServerType,
} from '../components/preflight/offers';
import { record, type Answers } from './mocks';

const now = new Date('2026-06-01T12:00:00Z');
const gone = {
  isDeprecated: true,
  deprecationAnnounced: '2025-10-16T06:00:00Z',
  unavailableAfter: '2025-12-31T00:00:00Z',
};
const going = { ...gone, unavailableAfter: '2199-12-31T00:00:00Z' };
const type = (name: string, change: object = {}, here: object = {}): ServerType => ({
  name,
  architecture: 'x86',
  cores: 2,
  memory: 4,
  disk: 40,
  ...change,
  locations: [
    { name: 'fsn1', available: true, isDeprecated: false, ...here },
    { name: 'nbg1', available: true, isDeprecated: false },
  ],
});

describe('another type that is named', () => {
  const soldOut = type('cx23', {}, { available: false });
  const named = (...others: ServerType[]) =>
    /set serverType to (.*), or wait$/.exec(offerOf(soldOut, 'fsn1', now, others).mistakes[0]!)![1];
  const none =
    'one that the location has, or location to another where the volume is yet to be made';

  it('is one of the three smallest, by memory and then by cores', () => {
    const larger = [
      type('d', { memory: 16, cores: 4 }),
      type('c', { memory: 8, cores: 8 }),
      type('e', { memory: 32, cores: 1 }),
      type('b', { memory: 8, cores: 4 }),
    ];
    expect(named(...larger)).toBe('one that fsn1 has (b, c, d)');
    expect(named(...larger.reverse())).toBe('one that fsn1 has (b, c, d)');
  });

  it('is as large as the one that was wanted, and can be had there', () => {
    expect(named(type('same'))).toBe('one that fsn1 has (same)');
    expect(named(soldOut, type('cx23'))).toBe(none);
    expect(named(type('arm', { architecture: 'arm' }))).toBe(none);
    expect(named(type('small', { disk: 39 }))).toBe(none);
    expect(named(type('small', { memory: 3 }))).toBe(none);
    expect(named(type('unknown', { memory: undefined }))).toBe(none);
    expect(named(type('gone', {}, gone), type('going', {}, going))).toBe(none);
    expect(named(type('silent', {}, { available: undefined }))).toBe(none);
    expect(named({ ...type('elsewhere'), locations: [{ name: 'nbg1', available: true }] })).toBe(
      none,
    );
    expect(named()).toBe(none);
  });

  it('may be any where nothing is known of the size', () => {
    const bare = { ...soldOut, memory: undefined, cores: undefined };
    const others = [
      type('b', { cores: undefined, memory: undefined }),
      type('a', { cores: 1, memory: undefined }),
    ];
    expect(offerOf(bare, 'fsn1', now, others).mistakes[0]).toContain('(b, a)');
  });
});

describe('the last day of a type', () => {
  const deprecated = (change: object) =>
    offerOf(type('cx22', {}, { ...going, ...change }), 'fsn1', now);

  it('is past from its moment on', () => {
    expect(deprecated({ unavailableAfter: now.toISOString() }).mistakes).toHaveLength(1);
    const later = new Date(now.getTime() + 1).toISOString();
    expect(deprecated({ unavailableAfter: later })).toMatchObject({ mistakes: [], warnings: [{}] });
  });

  it('may not be known, nor when it was announced', () => {
    for (const unknown of ['', undefined]) {
      const [warning] = deprecated({
        unavailableAfter: unknown,
        deprecationAnnounced: unknown,
      }).warnings;
      expect(warning).toMatch(/^cx22 is deprecated in fsn1: a server .*\. Set serverType to one /);
    }
    expect(
      offerOf(type('cx22', {}, { unavailableAfter: gone.unavailableAfter }), 'fsn1', now),
    ).toEqual({
      mistakes: [],
      warnings: [],
    });
  });
});

describe('a server that is made or changed', () => {
  let asked: string[] = [];
  const known = [
    type('cx23'),
    type('cx33', { disk: 80 }),
    type('cax11', { architecture: 'arm' }),
    type('full', {}, { available: false }),
    type('cx22', {}, going),
  ];
  const refusal = (details: string) => Object.assign(new Error(details), { details });
  const answer: Answers = (token, inputs) => {
    asked.push([token.split(':').at(-1), inputs.name].filter(Boolean).join(' '));
    if (token.endsWith(':getServerTypes')) return { serverTypes: known };
    if (!token.endsWith(':getServerType')) return undefined;
    const found = known.find(({ name }) => name === inputs.name);
    if (found === undefined) throw refusal('no such type');
    return found;
  };
  async function offer(change: Partial<ServerChange>, given = answer) {
    asked = [];
    const lookUps = new LookUps({});
    let running: Promise<Offer> | undefined;
    await record(
      () => {
        const wanted = { serverType: 'cx23', location: 'fsn1', replaced: false, ...change };
        running = serverOffer(wanted, lookUps, now);
      },
      true,
      {},
      given,
    );
    const { mistakes, warnings } = await running!;
    return { mistakes, warnings, asked: asked.sort(), failed: lookUps.mistakes() };
  }
  const present = { serverType: 'cx23', location: 'fsn1' };
  const fine = { mistakes: [], warnings: [], failed: [] };

  it('is asked for as far as it changes', async () => {
    const questions = async (change: Partial<ServerChange>) => (await offer(change)).asked;
    expect(await questions({})).toEqual([
      'getImage debian-13',
      'getLocation fsn1',
      'getServerType cx23',
    ]);
    expect(await questions({ present })).toEqual([]);
    expect(await questions({ present: { location: 'fsn1' } })).toEqual([]);
    expect(await questions({ present, replaced: true })).toEqual([
      'getImage debian-13',
      'getServerType cx23',
    ]);
    expect(await questions({ present: { ...present, location: 'nbg1' } })).toEqual([
      'getImage debian-13',
      'getLocation fsn1',
      'getServerType cx23',
    ]);
    expect(await questions({ present, serverType: 'cx33' })).toEqual([
      'getServerType cx23',
      'getServerType cx33',
    ]);
    expect(await questions({ serverType: 'full' })).toContain('getServerTypes');
    expect(await questions({ serverType: 'cx22' })).toContain('getServerTypes');
  });

  it('can be another type of the same architecture, whose disk is as large', async () => {
    expect(await offer({ present, serverType: 'cx33' })).toMatchObject(fine);
    expect(await offer({ present: { ...present, serverType: 'full' } })).toMatchObject(fine);
    const { mistakes } = await offer({ present: { ...present, serverType: 'cx33' } });
    expect(mistakes).toEqual([
      'the disk of cx23 is smaller than that of cx33 (40 and 80 GB): choose a larger type',
    ]);
    const other = await offer({ present, serverType: 'cax11' });
    expect(other.mistakes).toEqual([
      'a server cannot change from x86 (cx23) to arm (cax11): choose a type of the same architecture, or increment serverGeneration to replace the server',
    ]);
  });

  it('can be any type where another takes its place', async () => {
    const replaced = { replaced: true, present: { ...present, serverType: 'cx33' } };
    expect(await offer(replaced)).toMatchObject(fine);
    expect(await offer({ ...replaced, serverType: 'cax11' })).toMatchObject(fine);
  });

  it('can be made only from an image that Hetzner Cloud has for its architecture', async () => {
    const withImage =
      (image: () => object): Answers =>
      (token, inputs) => {
        if (!token.endsWith(':getImage')) return answer(token, inputs);
        expect(inputs).toEqual({
          name: 'debian-13',
          withArchitecture: 'x86',
          includeDeprecated: true,
        });
        return image();
      };
    const of = (deprecated: string, change: Partial<ServerChange> = {}) =>
      offer(
        change,
        withImage(() => ({ deprecated })),
      );
    expect(await of('')).toMatchObject(fine);
    expect(await of('2026-05-01T00:00:00Z')).toMatchObject({
      mistakes: [],
      warnings: [
        'the image debian-13 is deprecated since 2026-05-01, and no server can be made from it after 2026-08-01: a server that is lost could not be replaced. Take a newer version of this package before that day',
      ],
    });
    const gone = await of('2026-03-01T12:00:00Z', { present, replaced: true });
    expect(gone.mistakes).toEqual([
      'no server can be made from the image debian-13 since 2026-06-01, when its deprecation took effect: take a newer version of this package',
    ]);
    const resized = { present: { ...present, serverType: 'full' } };
    expect(await of('2026-03-01T12:00:00Z', resized)).toMatchObject(fine);
    const unknown = withImage(() => {
      throw refusal('Resource (image) was not found');
    });
    expect((await offer({}, unknown)).failed).toEqual([
      expect.stringMatching(/^the image debian-13 for x86, .* is not known at Hetzner Cloud/),
    ]);
  });

  it('can follow a type that is no more', async () => {
    expect(await offer({ present: { ...present, serverType: 'cx21' } })).toMatchObject(fine);
  });

  it('cannot be of a type or at a location that nobody knows', async () => {
    const { failed } = await offer({ serverType: 'cx21' });
    expect(failed).toEqual([expect.stringContaining('the server type cx21 is not known')]);
    const nowhere = await offer({ location: 'xyz1' }, (token, inputs) => {
      if (token.endsWith(':getLocation')) throw refusal('no such location');
      return answer(token, inputs);
    });
    expect(nowhere.failed).toEqual([expect.stringContaining('the location xyz1 is not known')]);
  });

  it('is judged without others where they cannot be listed', async () => {
    const { mistakes } = await offer({ serverType: 'full' }, (token, inputs) => {
      if (token.endsWith(':getServerTypes')) throw refusal('odd');
      return answer(token, inputs);
    });
    expect(mistakes).toEqual([expect.stringContaining('one that the location has')]);
  });
});

it.each([
  'resource_unavailable',
  'error during Placement',
  'invalid_server_type',
  'unsupported location',
  'server type cx23 was not found',
  'can no longer be ordered',
  'location disabled',
  'resource_limit_exceeded',
  'server_type',
])('an error with the words %s is about what Hetzner Cloud has to offer', async (error) => {
  let text: Promise<string | undefined> | undefined;
  const none: Answers = (token) => (token.endsWith(':getServerTypes') ? { serverTypes: [] } : {});
  await record(
    () => {
      text = serverFailure(
        'update',
        error,
        { serverType: 'cx23', location: 'fsn1' },
        now,
        new LookUps({}),
      );
    },
    false,
    {},
    none,
  );
  expect(await text).toContain(
    error === 'resource_limit_exceeded'
      ? 'The server may be off'
      : 'one that Hetzner Cloud has in that location',
  );
});
