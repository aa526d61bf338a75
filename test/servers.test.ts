import { describe, expect, it } from 'vitest';
import type { LookUps } from '../components/preflight/lookUps';
import {
  keptServers,
  planServers,
  stepWarnings,
  type Servers,
} from '../components/preflight/serverPlan';
import { judgeServers } from '../components/preflight/servers';
import { OwnState, types } from '../components/preflight/state';
import { parseSettings } from '../components/settings/parse';
import { example } from './example';

const one: Servers = { serving: 'server', generations: { server: 1 }, handovers: 0 };
const prepared: Servers = {
  serving: 'server',
  generations: { server: 1, 'second-server': 2 },
  handovers: 0,
};
const switched: Servers = { ...prepared, serving: 'second-server', handovers: 1 };
const begun = { serving: 'second-server', number: 1, since: 0 } as const;

describe('the servers of a plan', () => {
  it.each([
    [
      'another generation, for a server that is dead',
      4,
      false,
      one,
      undefined,
      'none',
      { server: 4 },
    ],
    ['a standby server', 1, true, one, undefined, 'prepare', { server: 1, 'second-server': 2 }],
    ['nothing', 1, true, prepared, undefined, 'none', prepared.generations],
    ['a switch', 2, true, prepared, undefined, 'switch', prepared.generations],
    ['a switch that goes on', 2, true, prepared, begun, 'switch', prepared.generations],
    ['a switch taken back', 1, true, prepared, begun, 'back', prepared.generations],
    ['a switch back', 1, true, switched, begun, 'back', prepared.generations],
    ['the old one deleted', 2, false, switched, begun, 'remove', { 'second-server': 2 }],
    ['the new one deleted', 1, false, prepared, undefined, 'discard', { server: 1 }],
  ] as const)('%s', (_, serverGeneration, standbyServer, before, last, step, generations) => {
    const plan = planServers({ serverGeneration, standbyServer }, before, last);
    expect(plan).toMatchObject({ step, generations });
    expect(plan).not.toHaveProperty('refused');
    expect(plan.generations[plan.serving]).toBe(serverGeneration);
    expect(stepWarnings(plan)).toHaveLength(step === 'none' ? 0 : 1);
  });

  it('come to the other place after the first was deleted', () => {
    const alone: Servers = {
      serving: 'second-server',
      generations: { 'second-server': 2 },
      handovers: 1,
    };
    expect(planServers({ serverGeneration: 2, standbyServer: true }, alone, undefined)).toEqual({
      serving: 'second-server',
      generations: { 'second-server': 2, server: 3 },
      handovers: 1,
      step: 'prepare',
    });
  });

  it.each([
    ['no server yet', 1, true, undefined, undefined, /no server yet/],
    ['over the preparation', 2, true, one, undefined, /jump over the preparation/],
    ['over a generation', 3, true, prepared, undefined, /jump to 3.*generations 1 and 2/],
    ['a switch and its end at once', 2, false, prepared, undefined, /change from 1 to 2/],
    ['deletes in the middle', 1, false, prepared, begun, /begun and has not ended/],
  ] as const)('are refused: %s', (_, serverGeneration, standbyServer, before, last, words) => {
    expect(planServers({ serverGeneration, standbyServer }, before, last).refused).toMatch(words);
  });

  it('are kept once there is more than one place', () => {
    expect(keptServers(one)).toEqual({});
    expect(keptServers(prepared)).toEqual({ servers: prepared });
    expect(keptServers({ ...switched, generations: { 'second-server': 2 } })).toEqual({
      servers: {
        serving: 'second-server',
        generations: { 'second-server': 2 },
        handovers: 1,
      },
    });
  });
});

describe('a switch begins with', () => {
  const main = '192.0.2.1';
  const first = { name: 'mail.example.org', status: 'running', ipv4Address: main };
  const second = { name: 'second-mail.example.org', status: 'running', ipv4Address: '192.0.2.7' };
  const judged = (
    servers: object[],
    { generation = 2, has = [] }: { generation?: number; has?: [string, string, object][] } = {},
  ) => {
    const resources: [string, string, object][] = [
      [
        'mailhost:index:Summary',
        'summary',
        { summary: { serverGeneration: 1, servers: prepared } },
      ],
      [types.primaryIp, 'machine-ipv4', { ipAddress: main }],
      [types.rdns, 'machine-ipv4-ptr', { primaryIpId: 5 }],
      [types.server, 'machine-server', { publicNets: [{ ipv4: 5 }] }],
      [types.server, 'machine-second-server', { publicNets: [{ ipv4: 6 }] }],
      ...has,
    ];
    const state = new OwnState(
      'mail',
      resources.map(([type, name, outputs]) => ({
        urn: `urn:pulumi:dev::mailhost::${type}::mail-${name}`,
        type,
        outputs: outputs as Record<string, unknown>,
      })),
    );
    return judgeServers(
      parseSettings({ ...example, standbyServer: true, serverGeneration: generation }),
      state,
      { ask: () => Promise.resolve({ servers }) } as unknown as LookUps,
    );
  };
  const command = (name: string): [string, string, object] => [types.command, name, {}];
  const handover = (serving: string): [string, string, object] => [
    types.handover,
    'machine-handover',
    { handover: { serving, number: 1, since: 0 } },
  ];

  it('a check of the standby server, and the end of service on the other', async () => {
    const { plan, blockers } = await judged([first, second]);
    expect(blockers).toEqual([]);
    expect(plan.handover).toEqual({
      serving: 'second-server',
      number: 1,
      since: 0,
      steps: { ready: second.ipv4Address, giveUp: main },
    });
  });

  it('what is left of one that failed', async () => {
    const { plan, blockers } = await judged(
      [
        { ...first, ipv4Address: '192.0.2.8' },
        { ...second, ipv4Address: main },
      ],
      {
        has: [handover('second-server'), command('machine-ready-1'), command('machine-yield-1')],
      },
    );
    expect(blockers).toEqual([]);
    expect(plan.handover).toMatchObject({ number: 1, steps: { ready: '', giveUp: '' } });
  });

  it('both again if it is taken back', async () => {
    const { plan, blockers } = await judged([first, second], {
      generation: 1,
      has: [handover('second-server')],
    });
    expect(blockers).toEqual([]);
    expect(plan).toMatchObject({
      step: 'back',
      handover: { number: 2, serving: 'server', steps: {} },
    });
  });

  it.each([
    [
      'a standby server that is off',
      [first, { ...second, status: 'off' }],
      /which is to serve, does not run/,
    ],
    [
      'one that has the volume and is off',
      [{ ...first, status: 'off' }, second],
      /give up the volume, is off/,
    ],
  ])('nothing with %s', async (_, servers, words) => {
    const { blockers } = await judged(servers);
    expect(blockers.map(({ message }) => message)).toEqual([expect.stringMatching(words)]);
  });

  it('nothing but its end while the addresses are torn', async () => {
    const { blockers } = await judged([{ ...first, ipv4Address: '' }, second], {
      generation: 1,
      has: [handover('second-server')],
    });
    expect(blockers[0]?.message).toMatch(/can only go on: set serverGeneration to 2/);
  });
});
