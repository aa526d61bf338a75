import type * as grpc from '@grpc/grpc-js';
import * as pb from '@pulumi/pulumi/proto/provider_pb';
import { Status } from '@pulumi/pulumi/proto/status_pb';
import { describe, expect, it, vi } from 'vitest';
import { hcloudApi } from '../../lab/cloud/hcloud/api';
import { defaultOffers, type Offers } from '../../lab/cloud/offers';
import {
  isSecret,
  official,
  open,
  Plugin,
  secret,
  unknown,
  values,
  withApi,
  type Values,
} from './plugin';

describe('hcloud', () => {
  const type = (name: string) => `hcloud:index/${name[0]!.toLowerCase()}${name.slice(1)}:${name}`;
  const done = () => new Promise<void>((resolve) => setTimeout(resolve, 50));
  let refuse: string | undefined;
  /** What work on a reverse name waits for. */
  let held: Promise<void> | undefined;
  const ends: string[] = [];
  /** What servers had after each change of their addresses. */
  const readdressed: unknown[] = [];
  const ended = (how: string) => {
    ends.push(how);
    return done();
  };
  const token = 'l'.repeat(64);
  let offers: Offers = defaultOffers;
  const running = withApi(
    (backend, store) => hcloudApi(backend, store, token, () => offers),
    {
      network: { ipv4Pool: ['192.0.2.1', '192.0.2.2'], ipv6Networks: ['2001:db8::/64'] },
      createMachine: () => (refuse ? Promise.reject(new Error(refuse)) : done()),
      deleteMachine: () => ended('deleted'),
      setAddresses: async (_, { ipv4, ipv6 }) => {
        readdressed.push([ipv4, ipv6]);
        await done();
      },
      powerOn: done,
      powerOff: done,
      shutdown: () => ended('shut down'),
      setFirewall: done,
      createVolume: done,
      resizeVolume: done,
      attachVolume: done,
      detachVolume: done,
      deleteVolume: done,
      setReverse: () => held ?? done(),
    },
    (url) =>
      Plugin.start('hcloud', type('Server'), {
        HCLOUD_ENDPOINT: `${url}/v1`,
        HCLOUD_TOKEN: token,
      }),
  );
  const create = async (name: string, given: Values) => {
    const { inputs, failures } = await running.plugin.check(given, type(name));
    expect(failures).toEqual([]);
    return { inputs, ...(await running.plugin.create(inputs, false, type(name))) };
  };
  const server = { name: 'a', serverType: 'cx23', image: 'debian-13', userData: secret('#!') };

  it('is let in with no other token', async () => {
    const response = await running.api.inject({
      url: '/v1/servers',
      headers: { authorization: `Bearer ${'m'.repeat(64)}` },
    });
    expect(response.statusCode).toBe(401);
    expect(response.json()).toMatchObject({ error: { code: 'unauthorized' } });
  });

  const api = async (method: 'GET' | 'POST', path: string, payload?: object) => {
    const response = await running.api.inject({
      method,
      url: `/v1${path}`,
      headers: { authorization: `Bearer ${token}` },
      payload,
    });
    return { status: response.statusCode, body: response.json<Values>() };
  };
  /** In the far future, so that it is never past. */
  const going = {
    deprecation: {
      announced: '2025-10-16T06:00:00+00:00',
      unavailable_after: '9999-12-31T00:00:00+00:00',
    },
  };
  const getServerType = (name: string) =>
    running.plugin.invoke('hcloud:index/getServerType:getServerType', { name });

  it('tells what each location has of a type, as the official plugin does', async () => {
    offers = { ...defaultOffers, 'cx33@fsn1': { available: false }, 'cx23@nbg1': going };
    const free = { isDeprecated: false, deprecationAnnounced: '', unavailableAfter: '' };
    expect(await getServerType('cx33')).toMatchObject({
      name: 'cx33',
      architecture: 'x86',
      cpuType: 'shared',
      storageType: 'local',
      ...free,
      locations: [
        { id: 1, name: 'fsn1', available: false, recommended: false, ...free },
        { id: 2, name: 'nbg1', available: true, recommended: true, ...free },
        { id: 3, name: 'hel1', available: true, recommended: true, ...free },
      ],
    });
    expect(await getServerType('cx23')).toMatchObject({
      isDeprecated: false,
      locations: [
        {},
        {
          available: true,
          recommended: false,
          isDeprecated: true,
          deprecationAnnounced: going.deprecation.announced,
          unavailableAfter: going.deprecation.unavailable_after,
        },
        {},
      ],
    });
    expect(await getServerType('cx22')).toMatchObject({ isDeprecated: true });
    await expect(getServerType('cx21')).rejects.toThrow(
      'Resource (server type) was not found: name="cx21"',
    );
    const getImage = (name: string) =>
      running.plugin.invoke('hcloud:index/getImage:getImage', { name, withArchitecture: 'arm' });
    const image = await getImage('debian-13');
    expect(image).toMatchObject({ name: 'debian-13', architecture: 'arm' });
    expect(image).not.toHaveProperty('deprecated');
    await expect(getImage('debian-12')).rejects.toThrow(
      'Resource (image) was not found: name="debian-12"',
    );
    const { serverTypes } = await running.plugin.invoke(
      'hcloud:index/getServerTypes:getServerTypes',
      {},
    );
    expect((serverTypes as Values[]).map(({ name }) => name)).toEqual([
      'cx22',
      'cx23',
      'cx33',
      'cax11',
    ]);
    const { body } = await api('GET', '/datacenters');
    expect(body.datacenters).toMatchObject([
      { server_types: { supported: [104, 114, 115, 45], available: [114, 45] } },
      { server_types: { available: [114, 115, 45], available_for_migration: [114, 115, 45] } },
      { server_types: { available: [114, 115, 45] } },
    ]);
    offers = defaultOffers;
  });

  it('makes no server that the location has no room for, and changes none to it', async () => {
    const ip = await create('PrimaryIp', { name: 'ip', type: 'ipv4', location: 'fsn1' });
    const publicNets = [{ ipv4Enabled: true, ipv4: Number(ip.id), ipv6Enabled: false }];
    const given = { ...server, location: 'fsn1', publicNets };
    offers = { ...defaultOffers, 'cx23@fsn1': { available: false } };
    await expect(create('Server', given)).rejects.toThrow(
      'POST /servers: 412 error during placement (resource_unavailable)',
    );
    await expect(create('Server', { ...given, serverType: 'cx22' })).rejects.toThrow(
      'Server Type "cx22" is unavailable in "fsn1" and can no longer be ordered',
    );
    await expect(create('Server', { ...given, serverType: 'cx21' })).rejects.toThrow(
      'server type cx21 not found',
    );
    const gone = { name: 'b', server_type: 'cx22', image: 'debian-13', location: 'fsn1' };
    expect(await api('POST', '/servers', gone)).toEqual({
      status: 412,
      body: {
        error: { code: 'resource_unavailable', message: 'error during placement', details: null },
      },
    });

    offers = { ...defaultOffers, 'cx23@fsn1': going, 'cx33@fsn1': { available: false } };
    running.plugin.warned.length = 0;
    const { id, state } = await create('Server', given);
    expect(running.plugin.warned).toEqual([
      'Server Type "cx23" is deprecated in "fsn1" and will no longer be available for order as of 9999-12-31',
    ]);
    await expect(
      running.plugin.update(id, state, { ...given, serverType: 'cx33' }),
    ).rejects.toThrow('412 error during placement (resource_unavailable)');
    // It is left turned off, as with the official plugin.
    expect((await running.plugin.read(id, state, given)).state).toMatchObject({ status: 'off' });
    const other = await api('POST', `/servers/${id}/actions/change_type`, {
      server_type: 'cax11',
      upgrade_disk: true,
    });
    expect(other.body.error).toMatchObject({ code: 'invalid_server_type' });
    offers = defaultOffers;
    await running.plugin.delete(id, state);
    await running.plugin.delete(ip.id, {}, type('PrimaryIp'));
  });

  it('gives a server no address of another location', async () => {
    const ip = await create('PrimaryIp', { name: 'far', type: 'ipv4', location: 'hel1' });
    const publicNets = [{ ipv4Enabled: true, ipv4: Number(ip.id), ipv6Enabled: false }];
    await expect(create('Server', { ...server, location: 'fsn1', publicNets })).rejects.toThrow(
      '(primary_ip_datacenter_mismatch)',
    );
    await running.plugin.delete(ip.id, {}, type('PrimaryIp'));
  });

  it('waits for what it starts, updates in place, and reads back', async () => {
    const { plugin } = running;
    const { id, inputs, state } = await create('Volume', { name: 'v', size: 10, format: 'ext4' });
    expect(state).toMatchObject({ size: 10, location: 'fsn1', deleteProtection: false });
    const bigger = { ...inputs, name: 'w', size: 20, deleteProtection: true };
    expect(await plugin.diff(inputs, bigger, state, type('Volume'))).toMatchObject({
      details: { name: 'UPDATE', size: 'UPDATE', deleteProtection: 'UPDATE' },
      replaces: [],
    });
    const updated = await plugin.update(id, state, bigger, false, type('Volume'));
    expect(updated).toMatchObject({ name: 'w', deleteProtection: true, format: 'ext4' });
    expect((await plugin.read(id, state, inputs, type('Volume'))).inputs).toEqual(bigger);
    await expect(plugin.delete(id, updated, type('Volume'))).rejects.toThrow('protected');
    const free = { ...bigger, deleteProtection: false };
    await plugin.update(id, updated, free, false, type('Volume'));
    await plugin.delete(id, updated, type('Volume'));
    expect((await plugin.read(id, state, inputs, type('Volume'))).id).toBe('');
    await plugin.delete(id, updated, type('Volume'));
  });

  it('goes on with what the official plugin left', async () => {
    const { plugin } = running;
    const cases: [string, Values, string[]][] = [
      ['Volume', { name: 'v', size: 10, location: 'fsn1' }, ['format', 'labels', 'serverId']],
      ['Firewall', { name: 'f' }, ['labels', 'rules']],
      ['PrimaryIp', { name: 'i', type: 'ipv6', location: 'fsn1' }, ['labels', 'assigneeId']],
    ];
    for (const [name, given, names] of cases) {
      const { id, inputs, state } = await create(name, given);
      const [was, then] = [official(inputs, names), official(state, names)];
      expect((await plugin.diff(was, inputs, then, type(name))).details, name).toEqual({});
      expect((await plugin.read(id, then, was, type(name))).inputs, name).toEqual(inputs);
      await plugin.update(id, then, { ...inputs, name: 'other' }, false, type(name));
      await plugin.delete(id, then, type(name));
    }
  });

  it('imports by id what the API tells', async () => {
    const rules = [{ direction: 'in', protocol: 'tcp', port: '25', sourceIps: ['0.0.0.0/0'] }];
    const { id, inputs, state } = await create('Firewall', { name: 'f', rules });
    const read = await running.plugin.read(id, {}, {}, type('Firewall'));
    expect(read).toEqual({ id, inputs, state });
  });

  it('takes rules in another order for the same', async () => {
    const rule = (port: string) => ({ direction: 'in', protocol: 'tcp', port });
    const inputs = (...ports: string[]) => ({ name: 'f', rules: ports.map(rule) });
    const diff = (after: Values) =>
      running.plugin.diff(inputs('25', '465'), after, {}, type('Firewall'));
    expect((await diff(inputs('465', '25'))).details).toEqual({});
    expect((await diff(inputs('25', '587'))).details).toEqual({ 'rules[1].port': 'UPDATE' });
  });

  it('makes a server with its addresses; user data is kept as a hash, and secret', async () => {
    const { plugin } = running;
    const [ipv4, ipv6] = await Promise.all(
      ['ipv4', 'ipv6'].map((family) =>
        create('PrimaryIp', { name: family, type: family, location: 'fsn1' }),
      ),
    );
    const net = {
      ipv4Enabled: true,
      ipv4: Number(ipv4!.id),
      ipv6Enabled: true,
      ipv6: Number(ipv6!.id),
    };
    const planned = await plugin.create(
      { ...server, publicNets: [{ ...net, ipv4: unknown }] },
      true,
    );
    expect(planned.state).toMatchObject({ ipv4Address: unknown, userData: secret('#!') });
    const { id, inputs, state } = await create('Server', { ...server, publicNets: [net] });
    expect(state).toMatchObject({
      ipv4Address: '192.0.2.1',
      ipv6Address: '2001:db8::1',
      ipv6Network: '2001:db8::/64',
      status: 'running',
      publicNets: [net],
    });
    expect(isSecret(state.userData)).toBe(true);
    expect(open(state.userData)).toMatch(/^[A-Za-z0-9+/]{27}=$/);

    expect(await plugin.diff(inputs, { ...inputs, userData: 'x', serverType: 'cx33' })).toEqual({
      details: { userData: 'UPDATE_REPLACE', serverType: 'UPDATE' },
      replaces: ['userData'],
      first: true,
    });
    expect((await plugin.read(id, state, inputs)).inputs).toEqual(inputs);

    const pointer = { primaryIpId: Number(ipv4!.id), ipAddress: '192.0.2.1', dnsPtr: 'a.example' };
    const rdns = await create('Rdns', pointer);
    expect(rdns.id).toBe(`p-${ipv4!.id}-192.0.2.1`);
    expect((await plugin.read(rdns.id, {}, {}, type('Rdns'))).inputs).toEqual(pointer);
    await plugin.delete(rdns.id, pointer, type('Rdns'));
    expect((await plugin.read(rdns.id, {}, {}, type('Rdns'))).id).toBe('');

    await plugin.delete(id, state);
    for (const { id: address } of [ipv4!, ipv6!]) {
      await plugin.delete(address, {}, type('PrimaryIp'));
    }
  });

  it('turns a server off, gives it other addresses and starts it', async () => {
    const [first, second, network] = [
      await create('PrimaryIp', { name: 'first', type: 'ipv4', location: 'fsn1' }),
      await create('PrimaryIp', { name: 'second', type: 'ipv4', location: 'fsn1' }),
      await create('PrimaryIp', { name: 'network', type: 'ipv6', location: 'fsn1' }),
    ].map(({ id }) => Number(id)) as [number, number, number];
    const net = (ipv4: number) => [{ ipv4Enabled: true, ipv4, ipv6Enabled: true, ipv6: network }];
    const given = { ...server, location: 'fsn1', publicNets: net(first) };
    const { id, inputs, state } = await create('Server', given);
    const other = { ...inputs, publicNets: net(second) };
    expect(await running.plugin.diff(inputs, other)).toMatchObject({ replaces: [] });

    const address = (of: number, action: string, payload?: object) =>
      api('POST', `/primary_ips/${of}/actions/${action}`, payload);
    expect(await address(first, 'unassign')).toMatchObject({
      body: { error: { code: 'server_not_stopped' } },
    });
    expect(await address(first, 'assign', { assignee_id: Number(id) })).toMatchObject({
      body: { error: { code: 'primary_ip_already_assigned' } },
    });
    expect(readdressed).toEqual([]);

    const moved = await running.plugin.update(id, state, other);
    expect(moved).toMatchObject({ ipv4Address: '192.0.2.2', status: 'running' });
    expect(readdressed).toEqual([
      [undefined, '2001:db8::1'],
      ['192.0.2.2', '2001:db8::1'],
      ['192.0.2.2', undefined],
      ['192.0.2.2', '2001:db8::1'],
    ]);

    // As the official plugin does, it starts the server again, which then has no address of that kind.
    const taken = await create('Server', { ...given, name: 'b', publicNets: [{ ipv4: first }] });
    await expect(running.plugin.update(id, moved, inputs)).rejects.toThrow(
      'primary_ip_already_assigned',
    );
    expect(await api('GET', `/servers/${id}`)).toMatchObject({
      body: { server: { status: 'running', public_net: { ipv6: { id: network } } } },
    });

    for (const gone of [taken, { id, state: moved }])
      await running.plugin.delete(gone.id, gone.state);
    for (const address of [first, second, network])
      await running.plugin.delete(String(address), {}, type('PrimaryIp'));
  });

  it('fails where another action holds the resource, as the official plugin does', async () => {
    const ip = await create('PrimaryIp', { name: 'busy', type: 'ipv6', location: 'fsn1' });
    let go = () => {};
    held = new Promise((resolve) => (go = resolve));
    const pointers = ['2001:db8::1', '2001:db8::2', '2001:db8::3'].map((ipAddress) =>
      create('Rdns', { primaryIpId: Number(ip.id), ipAddress, dnsPtr: 'a.example' }),
    );
    // The first action runs until another is refused.
    for (const pointer of pointers) pointer.catch(() => go());
    const failed = (await Promise.allSettled(pointers)).flatMap((pointer) =>
      pointer.status === 'rejected' ? String(pointer.reason) : [],
    );
    held = undefined;
    expect(failed).toContainEqual(expect.stringContaining('(locked)'));
    await running.plugin.delete(ip.id, {}, type('PrimaryIp'));
  });

  it.each([
    [true, ['shut down', 'deleted']],
    [false, ['deleted']],
  ])('shuts a server down before it deletes it: %s', async (shutdownBeforeDeletion, expected) => {
    const ip = await create('PrimaryIp', { name: 'ip', type: 'ipv4', location: 'fsn1' });
    const publicNets = [{ ipv4Enabled: true, ipv4: Number(ip.id), ipv6Enabled: false }];
    const { id, state } = await create('Server', { ...server, publicNets, shutdownBeforeDeletion });
    expect(state).toMatchObject({ shutdownBeforeDeletion });
    ends.length = 0;
    await running.plugin.delete(id, state);
    expect(ends).toEqual(expected);
    await running.plugin.delete(ip.id, {}, type('PrimaryIp'));
  });

  it('hands over a server that was made and did not start', async () => {
    const ip = await create('PrimaryIp', { name: 'ip', type: 'ipv4', location: 'fsn1' });
    const given = {
      ...server,
      publicNets: [{ ipv4Enabled: true, ipv4: Number(ip.id), ipv6Enabled: false }],
      deleteProtection: true,
      rebuildProtection: true,
    };
    refuse = 'out of capacity';
    const silent = vi.spyOn(console, 'error').mockReturnValue();
    const error = await create('Server', given).catch((e: unknown) => e as grpc.ServiceError);
    refuse = undefined;
    silent.mockRestore();
    const { metadata } = error as grpc.ServiceError;
    const status = Status.deserializeBinary(metadata.get('grpc-status-details-bin')[0] as Buffer);
    const [detail] = status.getDetailsList();
    expect(detail!.getTypeName()).toBe('pulumirpc.ErrorResourceInitFailed');
    const failed = pb.ErrorResourceInitFailed.deserializeBinary(detail!.getValue_asU8());
    expect(failed.getReasonsList().join()).toContain('out of capacity');
    const state = values(failed.getProperties());
    expect(state).toMatchObject({ name: 'a', publicNets: given.publicNets });
    expect(state).not.toHaveProperty('ipv4Address');
    expect(isSecret(state.userData)).toBe(true);

    const id = failed.getId();
    const mended = await running.plugin.update(id, state, given);
    expect(mended).toMatchObject({ ipv4Address: '192.0.2.1', deleteProtection: true });
    await running.plugin.update(id, mended, {
      ...given,
      deleteProtection: false,
      rebuildProtection: false,
    });
    await running.plugin.delete(id, mended);
  });
});
