import { describe, expect, it } from 'vitest';
import { ownerLabel } from '../components/machineFiles';
import { LookUps } from '../components/preflight/lookUps';
import { lostParts, machineKinds, ownParts } from '../components/preflight/machineParts';
import { OwnState, types } from '../components/preflight/state';
import { parseSettings } from '../components/settings/parse';
import { example, sshKey } from './example';
import { record } from './mocks';

const address = 'hcloud:index/primaryIp:PrimaryIp';
const attachmentType = types.attachment;

describe('parts of the machine', () => {
  const settings = parseSettings(example);
  const label = ownerLabel(sshKey);
  interface Part {
    id?: number;
    name: string;
    labels?: Record<string, string>;
    serverId?: number;
  }
  const host = 'mail.example.org';
  const all = {
    getSshKeys: { sshKeys: [{ id: 1, name: host, labels: label }] as Part[] },
    getPrimaryIps: {
      primaryIps: [
        { id: 2, name: `${host}-ipv4`, labels: label },
        { id: 3, name: `${host}-ipv6`, labels: label },
      ] as Part[],
    },
    getFirewalls: { firewalls: [{ id: 4, name: host, labels: label }] as Part[] },
    getVolumes: { volumes: [{ id: 5, name: host, labels: label, serverId: 6 }] as Part[] },
    getServers: { servers: [{ id: 6, name: host, labels: label }] as Part[] },
  };
  const ids = {
    [`hcloud:index/sshKey:SshKey mail-machine-ssh-key`]: '1',
    [`${address} mail-machine-ipv4`]: '2',
    [`${address} mail-machine-ipv6`]: '3',
    [`hcloud:index/firewall:Firewall mail-machine-firewall`]: '4',
    [`hcloud:index/volume:Volume mail-machine-volume`]: '5',
    [`hcloud:index/server:Server mail-machine-server`]: '6',
    [`${attachmentType} mail-machine-volume`]: '5',
  };
  const everything = Object.keys(ids).map((id) => id.replace(' mail-', ' '));

  async function parts({
    there = {},
    known = [],
    key = sshKey,
    attached,
    of = settings,
    missing = false,
    standby = false,
    outputs = new Map(),
  }: {
    there?: Partial<typeof all>;
    /** Resources of the state, by type and name. */
    known?: string[];
    key?: string | null;
    attached?: { serverId?: number; volumeId?: number };
    of?: typeof settings;
    /** Whether it is asked what is missing of them. */
    missing?: boolean;
    standby?: boolean;
    /** Of resources of the state. */
    outputs?: Map<string, object>;
  }) {
    const calls: string[] = [];
    const lookUps = new LookUps({});
    const resource = (id: string, outputs: Record<string, unknown> = {}) => {
      const [type, name] = id.split(' ') as [string, string];
      return { urn: `urn:pulumi:dev::mail::${type}::mail-${name}`, type, outputs };
    };
    const state = new OwnState('mail', [
      ...known.map((id) => resource(id)),
      ...[...outputs].map(([id, of]) => resource(id, { ...of })),
      ...(attached ? [resource(`${attachmentType} machine-volume`, { ...attached })] : []),
      ...(key === null
        ? []
        : [resource(`${types.privateKey} machine-ssh-key`, { publicKeyOpenssh: key })]),
    ]);
    let running: ReturnType<typeof ownParts> | undefined;
    await record(
      () => {
        running = missing
          ? lostParts(machineKinds(of, lookUps, 'server'), state).then((lost) => ({
              ids: new Map(),
              blockers: lost,
            }))
          : ownParts(machineKinds(of, lookUps, 'server', standby), state);
      },
      true,
      {},
      (token) => {
        const call = token.split(':').at(-1)!;
        calls.push(call);
        return there[call as keyof typeof all];
      },
    );
    const { ids: found, blockers } = await running!;
    const mistakes = blockers.map(({ message }) => message);
    return { found: Object.fromEntries(found), mistakes, calls: calls.sort(), lookUps };
  }

  it('are adopted where they carry the label of the stack', async () => {
    const { found, mistakes } = await parts({ there: all });
    expect(found).toEqual(ids);
    expect(mistakes).toEqual([]);
  });

  it.each([
    ['another', { key: `${sshKey.slice(0, -4)}AAAA` }],
    ['none', { key: null }],
  ])('are the work of others where the stack has %s key', async (_, change) => {
    const { found, mistakes } = await parts({ there: all, ...change });
    expect(found).toEqual({});
    expect(mistakes.map((text) => text.split(' that this stack')[0]).sort()).toEqual([
      `Hetzner has a firewall ${host}`,
      `Hetzner has a server ${host}`,
      `Hetzner has a volume ${host}`,
      `Hetzner has an SSH key ${host}`,
      `Hetzner has an address ${host}-ipv4`,
      `Hetzner has an address ${host}-ipv6`,
    ]);
  });

  it('without any label are the work of others, before there is a key as well', async () => {
    const there = { getServers: { servers: [{ id: 6, name: host }] } };
    for (const key of [sshKey, null])
      expect((await parts({ there, key })).mistakes).toHaveLength(1);
  });

  it('of other names are nobody’s concern, and so is what has no id yet', async () => {
    const there = {
      getServers: { servers: [{ id: 9, name: 'other', labels: label }] },
      getVolumes: { volumes: [{ name: host }] },
    };
    const { found, mistakes } = await parts({ there });
    expect({ found, mistakes }).toEqual({ found: {}, mistakes: [] });
  });

  it('that the state has are nobody else’s, whatever their label', async () => {
    const { mistakes } = await parts({ there: all, key: null, known: everything.slice(0, 5) });
    expect(mistakes).toEqual([expect.stringContaining(`a server ${host}`)]);
  });

  it('that the state tells the ids of are not adopted again', async () => {
    const attached = { serverId: 6, volumeId: 5 };
    const { found } = await parts({ there: all, attached });
    expect(Object.keys(found).sort()).toEqual(Object.keys(ids).slice(0, 4).sort());
    // A replacement that was cut off: the volume is at the new server, and the state tells of the old one.
    const half = await parts({ there: all, attached: { serverId: 8, volumeId: 5 } });
    expect(half.found[`hcloud:index/server:Server mail-machine-server`]).toBe('6');
    expect(half.found[`${attachmentType} mail-machine-volume`]).toBe('5');
    expect(half.found).not.toHaveProperty(`hcloud:index/volume:Volume mail-machine-volume`);
  });

  it('that the state refers to are not adopted again, before the volume is attached', async () => {
    const state = [
      [
        `${types.server} machine-server`,
        { publicNets: [{ ipv4: 2, ipv6: 3 }], firewallIds: [4], sshKeys: ['1'] },
      ],
      [`${types.volume} machine-volume`, { linuxDevice: '/dev/disk/by-id/scsi-0HC_Volume_5' }],
      [`${types.machine} machine`, { serverId: '6' }],
    ] as const;
    const { found } = await parts({ there: all, outputs: new Map<string, object>(state) });
    // The server has it, and no state says so.
    expect(found).toEqual({ [`${attachmentType} mail-machine-volume`]: '5' });
  });

  it('of a standby server are adopted once', async () => {
    const own = {
      getPrimaryIps: {
        primaryIps: [
          { id: 12, name: `ipv4-of-${host}`, labels: label },
          { id: 13, name: `ipv6-of-second-${host}`, labels: label },
        ],
      },
      getFirewalls: { firewalls: [{ id: 14, name: `standby-${host}`, labels: label }] },
    };
    expect((await parts({ there: own })).found).toEqual({});
    expect((await parts({ there: own, standby: true })).found).toEqual({
      [`${address} mail-machine-server-ipv4`]: '12',
      [`${address} mail-machine-second-server-ipv6`]: '13',
      [`${types.firewall} mail-machine-standby-firewall`]: '14',
    });
    const known = [`${address} machine-server-ipv4`, `${types.firewall} machine-standby-firewall`];
    expect(Object.values((await parts({ there: own, standby: true, known })).found)).toEqual([
      '13',
    ]);
  });

  it('are in another project where there is neither the server nor the volume of the state', async () => {
    const attached = { serverId: 6, volumeId: 5 };
    const none = await parts({ known: everything, attached });
    expect(none.mistakes).toEqual([
      'Hetzner Cloud has neither the server nor the volume of this stack: if hcloud:token (or HCLOUD_TOKEN) is a token of another project, set that of this one; if both were deleted by hand, run `pulumi refresh` first',
    ]);
    const { getServers, getVolumes } = all;
    for (const there of [{ getServers }, { getVolumes }, { getServers, getVolumes }])
      expect((await parts({ there, known: everything, attached })).mistakes).toEqual([]);
    expect((await parts({ known: everything })).mistakes).toEqual([]);
    // Under another name they are the same.
    const old = 'old.example.org';
    const renamed = { getServers: { servers: [{ id: 6, name: old }] } };
    expect((await parts({ there: renamed, known: everything, attached })).mistakes).toEqual([]);
  });

  it('are attached only where the volume is at the server', async () => {
    const at = (serverId?: number) => ({
      ...all,
      getVolumes: { volumes: [{ id: 5, name: host, labels: label, serverId }] },
    });
    const attachment = `${attachmentType} mail-machine-volume`;
    expect((await parts({ there: at(6) })).found).toHaveProperty([attachment]);
    for (const there of [at(), at(7), { ...at(6), getServers: { servers: [] } }])
      expect((await parts({ there })).found).not.toHaveProperty([attachment]);
    const { getVolumes, ...others } = all;
    expect(getVolumes).toBeDefined();
    expect((await parts({ there: others })).found).not.toHaveProperty([attachment]);
  });

  it('are asked for only as far as the state may not know them', async () => {
    const calls = async (known: string[]) => (await parts({ known })).calls;
    const every = ['getFirewalls', 'getPrimaryIps', 'getServers', 'getSshKeys', 'getVolumes'];
    expect(await calls([])).toEqual(every);
    expect(await calls(everything)).toEqual(['getServers', 'getVolumes']);
    for (const missing of everything)
      expect(await calls(everything.filter((one) => one !== missing))).toEqual(every);
  });

  describe('that a new server needs', () => {
    const lost = async (there: Partial<typeof all>, known = everything) => {
      const { mistakes } = await parts({ there, known, missing: true });
      return mistakes.map((text) => / but (.*) that it needs was deleted/.exec(text)![1]).sort();
    };

    it('are there, under whatever name or label', async () => {
      expect(await lost(all)).toEqual([]);
      const renamed = {
        getSshKeys: { sshKeys: [{ id: 1, name: 'old.example.org', labels: label }] },
        getPrimaryIps: {
          primaryIps: ['ipv4', 'ipv6'].map((family) => ({
            name: `old.example.org-${family}`,
            labels: label,
          })),
        },
        getFirewalls: { firewalls: [{ id: 4, name: host }] },
      };
      expect(await lost({ ...all, ...renamed })).toEqual([]);
    });

    it('are missed where the state has them, and Hetzner does not', async () => {
      expect(await lost({})).toEqual([
        `a firewall ${host}`,
        `a volume ${host}`,
        `an SSH key ${host}`,
        `an address ${host}-ipv4`,
        `an address ${host}-ipv6`,
      ]);
      const one = { primaryIps: all.getPrimaryIps.primaryIps.slice(0, 1) };
      expect(await lost({ ...all, getPrimaryIps: one })).toEqual([`an address ${host}-ipv6`]);
      const foreign: (typeof all)['getSshKeys'] = {
        sshKeys: [{ id: 9, name: 'other', labels: { mailhost: 'other' } }],
      };
      expect(await lost({ ...all, getSshKeys: foreign })).toEqual([`an SSH key ${host}`]);
      expect(await lost({}, [])).toEqual([]);
    });
  });
});
