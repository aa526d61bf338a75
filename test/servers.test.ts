import { describe, expect, it } from 'vitest';
import {
  keptServers,
  planServers,
  stepWarnings,
  type Servers,
} from '../components/preflight/serverPlan';

const one: Servers = { serving: 'server', generations: { server: 1 }, handovers: 0 };
const prepared: Servers = {
  serving: 'server',
  generations: { server: 1, 'second-server': 2 },
  handovers: 0,
};
const switched: Servers = { ...prepared, serving: 'second-server', handovers: 1 };
const begun = { serving: 'second-server', number: 1 } as const;
const takenBack = { serving: 'server', number: 2 } as const;

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
    [
      'a switch taken back that goes on',
      1,
      true,
      prepared,
      takenBack,
      'back',
      prepared.generations,
    ],
    ['a switch back', 1, true, switched, begun, 'back', prepared.generations],
    ['a switch back that goes on', 1, true, switched, takenBack, 'back', prepared.generations],
    ['a switch back taken back', 2, true, switched, takenBack, 'back', prepared.generations],
    ['nothing more', 2, true, switched, begun, 'none', prepared.generations],
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
    ['deletes while it is taken back', 1, false, prepared, takenBack, /begun and has not ended/],
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
