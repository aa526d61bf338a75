import { describe, expect, it } from 'vitest';
import type { LookUps } from '../components/preflight/lookUps';
import { judgeServers } from '../components/preflight/servers';
import { OwnState, types } from '../components/preflight/state';
import { parseSettings } from '../components/settings/parse';
import { example } from './example';

const first = 'mail.example.org';
const second = `second-${first}`;
const main = '192.0.2.1';
/** Ids of the addresses. */
const ids = { main: [5, 6], ofFirst: [7, 8], ofSecond: [9, 10] };
const names = new Map([
  [5, `${first}-ipv4`],
  [6, `${first}-ipv6`],
  [7, `ipv4-of-${first}`],
  [8, `ipv6-of-${first}`],
  [9, `ipv4-of-${second}`],
  [10, `ipv6-of-${second}`],
]);
const open = 20;
const closed = 21;

/** A server as the state or Hetzner has it. */
interface Server {
  addresses: number[];
  firewall: number;
  status?: string;
}
interface Machine {
  /** The first and the second server; none that is gone. */
  servers: [Server | undefined, Server | undefined];
  /** Which of them has the volume. */
  volume?: 0 | 1;
}

const serving = (status?: string): Server => ({ addresses: ids.main, firewall: open, status });
const beside = (addresses: number[], status?: string): Server => ({
  addresses,
  firewall: closed,
  status,
});
const before: Machine = { servers: [serving(), beside(ids.ofSecond)], volume: 0 };
const halfWay: Machine = { servers: [beside(ids.ofFirst), beside(ids.ofSecond)], volume: 0 };
const after: Machine = { servers: [beside(ids.ofFirst), serving()], volume: 1 };
const idOf = [101, 102] as const;
const resources = ['server', 'second-server'] as const;

/** What a plan finds. */
interface Case {
  state?: Machine;
  /** Default: as the state has it. */
  live?: Machine;
  generation?: number;
  /** Number of the switch that was begun last, and the generation that it is to. */
  begun?: [number: number, generation: number];
  /** What it has done. */
  done?: string[];
  /** Number of the last switch that came to its end, and the generation that serves since. */
  ended?: [number: number, generation: number];
  /** Whether the check of the standby server has passed. */
  prepared?: boolean;
}

async function judged({
  state: known = before,
  live = known,
  generation = 2,
  begun,
  done = [],
  ended = [0, 1],
  prepared = ended[1] === 1,
}: Case) {
  const slotOf = (of: number) => resources[of - 1]!;
  const stateServers = known.servers.flatMap((server, i): [string, string, object][] =>
    server
      ? [
          [
            types.server,
            `machine-${resources[i]!}`,
            {
              name: [first, second][i],
              publicNets: [{ ipv4: server.addresses[0], ipv6: server.addresses[1] }],
              firewallIds: [server.firewall],
            },
          ],
        ]
      : [],
  );
  const has: [string, string, object][] = [
    [
      'mailhost:index:Summary',
      'summary',
      {
        summary: {
          serverGeneration: ended[1],
          servers: {
            serving: slotOf(ended[1]),
            generations: { server: 1, 'second-server': 2 },
            handovers: ended[0],
          },
        },
      },
    ],
    [types.primaryIp, 'machine-ipv4', { ipAddress: main }],
    [types.rdns, 'machine-ipv4-ptr', { primaryIpId: 5 }],
    [types.volume, 'machine-volume', { name: first }],
    ...(prepared
      ? ([[types.standby, 'standby', { prepared: 2 }]] as [string, string, object][])
      : []),
    ...stateServers,
    ...(known.volume === undefined
      ? []
      : ([[types.attachment, 'machine-volume', { volumeId: 30, serverId: idOf[known.volume] }]] as [
          string,
          string,
          object,
        ][])),
    ...(begun
      ? ([
          [
            types.handover,
            'machine-handover',
            { handover: { number: begun[0], serving: slotOf(begun[1]) } },
          ],
        ] as [string, string, object][])
      : []),
    ...done.map((name): [string, string, object] => [types.command, `machine-${name}`, {}]),
  ];
  const state = new OwnState(
    'mail',
    has.map(([type, name, outputs]) => ({
      urn: `urn:pulumi:dev::mailhost::${type}::mail-${name}`,
      type,
      outputs: outputs as Record<string, unknown>,
    })),
  );
  const answers: Record<string, object> = {
    getServers: {
      servers: live.servers.flatMap((server, i) =>
        server
          ? [
              {
                id: idOf[i],
                name: [first, second][i],
                status: server.status ?? 'running',
                ipv4Address: server.addresses.includes(5)
                  ? main
                  : server.addresses.some((id) => id % 2 === 1)
                    ? `192.0.2.${i + 7}`
                    : '',
                firewallIds: [server.firewall],
              },
            ]
          : [],
      ),
    },
    getPrimaryIps: {
      primaryIps: [...names].map(([id, name]) => {
        const at = live.servers.findIndex((server) => server?.addresses.includes(id));
        return { id, name, assigneeId: at < 0 ? 0 : idOf[at] };
      }),
    },
    getVolumes: {
      volumes: [
        { id: 30, name: first, serverId: live.volume === undefined ? 0 : idOf[live.volume] },
      ],
    },
  };
  const { plan, blockers, warnings } = await judgeServers(
    parseSettings({ ...example, standbyServer: true, serverGeneration: generation }),
    state,
    { ask: ({ call }: { call: string }) => Promise.resolve(answers[call]) } as unknown as LookUps,
  );
  return {
    step: plan.step,
    handover: plan.handover,
    blockers: blockers.map(({ message }) => message),
    warnings,
  };
}

describe('a switch begins with', () => {
  it.each<[string, Case, string, object]>([
    [
      'a check of the standby server, and the end of service on the other',
      {},
      'switch',
      { serving: 'second-server', number: 1, steps: { ready: '192.0.2.8', giveUp: main } },
    ],
    [
      'the end of service alone where that failed',
      { begun: [1, 2], done: ['ready-1'] },
      'switch',
      { number: 1, steps: { ready: '', giveUp: main } },
    ],
    [
      'nothing of both once they are done, though no server runs',
      {
        begun: [1, 2],
        done: ['ready-1', 'yield-1'],
        live: {
          servers: [beside([], 'off'), beside([], 'off')],
          volume: 0,
        },
      },
      'switch',
      { number: 1, steps: { ready: '', giveUp: '' } },
    ],
    [
      'a check alone where the other server is dead, and its volume detached',
      { live: { servers: [serving('off'), beside(ids.ofSecond)] } },
      'switch',
      { steps: { ready: '192.0.2.8' } },
    ],
    [
      'nothing where it is taken back before anything moved',
      { begun: [1, 2], done: ['ready-1', 'yield-1'], generation: 1 },
      'back',
      { serving: 'server', number: 2, steps: {} },
    ],
    [
      'a check where it is taken back in the middle: the volume has not moved',
      { begun: [1, 2], done: ['ready-1', 'yield-1'], generation: 1, state: halfWay },
      'back',
      { number: 2, steps: { ready: '192.0.2.7' } },
    ],
    [
      'both where it is taken back once the volume had moved',
      { begun: [1, 2], done: ['ready-1', 'yield-1'], generation: 1, state: after },
      'back',
      { number: 2, steps: { ready: '192.0.2.7', giveUp: main } },
    ],
    [
      'what is left where that failed',
      { begun: [2, 1], done: ['ready-2'], generation: 1, state: after },
      'back',
      { serving: 'server', number: 2, steps: { ready: '', giveUp: main } },
    ],
    [
      'both where a switch is taken back that has ended',
      { begun: [1, 2], done: ['ready-1', 'yield-1'], ended: [1, 2], generation: 1, state: after },
      'back',
      { number: 2, steps: { ready: '192.0.2.7', giveUp: main } },
    ],
  ])('%s', async (_, found, step, handover) => {
    const plan = await judged(found);
    expect(plan.blockers).toEqual([]);
    expect(plan.step).toBe(step);
    expect(plan.handover).toMatchObject(handover);
    expect(Object.keys(plan.handover!.steps)).toEqual(
      Object.keys((handover as { steps: object }).steps),
    );
  });

  it('nothing where all is as it was', async () => {
    expect(await judged({ generation: 1 })).toMatchObject({ step: 'none', blockers: [] });
  });

  it('a preparation where the last one has not ended', async () => {
    const unprepared = { prepared: false, generation: 1 };
    expect(await judged(unprepared)).toMatchObject({ step: 'prepare', blockers: [] });
    const { blockers } = await judged({ prepared: false });
    expect(blockers).toEqual([expect.stringMatching(/jump over the preparation/)]);
    // The plan of a switch no longer prepares it.
    const going = { prepared: false, begun: [1, 2], done: ['ready-1'] } satisfies Case;
    expect(await judged(going)).toMatchObject({ step: 'switch', blockers: [] });
  });

  it('a warning where the other server has the firewall of one that serves', async () => {
    const { warnings, blockers } = await judged({
      ...back,
      state: halfWay,
      live: {
        ...halfWay,
        servers: [halfWay.servers[0], { ...beside(ids.ofSecond), firewall: open }],
      },
    });
    expect(blockers).toEqual([]);
    expect(warnings).toContainEqual(expect.stringMatching(/another firewall.*second-mail/));
  });

  it('a warning where the other server does not run', async () => {
    const { warnings, blockers } = await judged({
      ...back,
      state: halfWay,
      live: { ...halfWay, servers: [halfWay.servers[0], beside(ids.ofSecond, 'off')] },
    });
    expect(blockers).toEqual([]);
    expect(warnings).toContainEqual(expect.stringMatching(/second-mail\S+ does not run/));
  });

  it('a warning where the volume is at no server', async () => {
    const { warnings } = await judged({
      ...back,
      live: { servers: before.servers },
    });
    expect(warnings).toContainEqual(
      expect.stringMatching(/run `pulumi refresh`, which notes that/),
    );
    expect((await judged({})).warnings).toHaveLength(1);
  });

  const back: Case = { begun: [1, 2], done: ['ready-1', 'yield-1'], generation: 1 };
  it.each<[string, Case, RegExp]>([
    [
      'a standby server that is off',
      { live: { servers: [serving(), beside(ids.ofSecond, 'off')], volume: 0 } },
      /second-mail\.example\.org, which is to serve, does not run: start it/,
    ],
    [
      'one that has the volume and is off',
      { live: { servers: [serving('off'), beside(ids.ofSecond)], volume: 0 } },
      /mail\.example\.org, which has to give up the volume, does not run: start it.*detach the volume/,
    ],
    [
      'one that was deleted by hand',
      { live: { servers: [serving(), undefined], volume: 0 } },
      /Hetzner has no server second-mail\.example\.org.*pulumi refresh/,
    ],
    [
      'the way back to a server that the provider left off',
      { ...back, live: { servers: [serving('off'), beside(ids.ofSecond)], volume: 0 } },
      /mail\.example\.org, which is to serve, does not run: start it/,
    ],
    [
      'the way back while an address is at no server',
      { ...back, live: { servers: [beside([6]), beside(ids.ofSecond)], volume: 0 } },
      /set serverGeneration to 2 and run `pulumi up`, which goes on.*turn the server mail\.example\.org off.*mail\.example\.org-ipv4 and mail\.example\.org-ipv6/,
    ],
    [
      'the way back while the other server has one of the addresses',
      {
        ...back,
        state: halfWay,
        live: { servers: [beside(ids.ofFirst), beside([5, 10])], volume: 0 },
      },
      /turn the server second-mail\.example\.org off.*ipv4-of-second-mail\.example\.org and ipv6-of-second/,
    ],
    [
      'the way back while the wrong firewall closes the ports',
      {
        ...back,
        live: { servers: [{ ...serving(), firewall: closed }, beside(ids.ofSecond)], volume: 0 },
      },
      /which goes on.*If that fails again: run `pulumi refresh`/,
    ],
    [
      'the way back while the state does not know where the volume is',
      { ...back, state: { servers: after.servers }, live: after },
      /detach the volume mail\.example\.org from the server second-mail/,
    ],
    [
      'the way back while the state has the volume at one server and Hetzner at the other',
      { ...back, live: { servers: before.servers, volume: 1 } },
      /detach the volume mail\.example\.org from the server second-mail\.example\.org/,
    ],
    [
      'its end where the volume came to the server, and the answer was lost',
      {
        begun: [1, 2],
        done: ['ready-1', 'yield-1'],
        state: { ...after, volume: 0 },
        live: after,
      },
      /cannot end as Hetzner has the servers now: detach the volume mail\.example\.org from the server second-mail/,
    ],
    [
      'its end where addresses were moved by hand',
      {
        begun: [1, 2],
        done: ['ready-1', 'yield-1'],
        state: after,
        live: { servers: [beside([]), serving()], volume: 1 },
      },
      /cannot end as Hetzner has the servers now: turn the server mail\.example\.org off.*ipv4-of-mail/,
    ],
  ])('no step with %s', async (_, found, words) => {
    expect((await judged(found)).blockers).toEqual([expect.stringMatching(words)]);
  });
});
