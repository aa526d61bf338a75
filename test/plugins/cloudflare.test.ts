import { describe, expect, it } from 'vitest';
import { cloudflareApi } from '../../lab/cloud/cloudflare/api';
import { official, Plugin, withApi } from './plugin';

describe('cloudflare', () => {
  let signed = false;
  let delegated = false;
  const token = 'l'.repeat(40);
  const running = withApi(
    (backend, store) =>
      cloudflareApi(backend, store, token, ['example.org', 'xn--bcher-kva.example']),
    {
      putZone: () => Promise.resolve(),
      sign: (_zone, wanted) => {
        signed = wanted;
        return Promise.resolve();
      },
      dnssec: () => ({ ...(signed && { ds: '2371 13 2 ABCD' }), delegated }),
    },
    (url) =>
      Plugin.start('cloudflare', 'cloudflare:index/dnsRecord:DnsRecord', {
        CLOUDFLARE_BASE_URL: `${url}/client/v4`,
        CLOUDFLARE_API_TOKEN: token,
      }),
  );
  const getZone = (name: string) =>
    running.plugin.invoke('cloudflare:index/getZone:getZone', { filter: { name } });

  it('finds the one zone of a name', async () => {
    expect(await getZone('example.org')).toMatchObject({ name: 'example.org', status: 'active' });
    await expect(getZone('example.net')).rejects.toThrow('0 zones are named example.net');
  });

  it('tells international zones in Unicode, and their records in A-labels', async () => {
    for (const name of ['xn--bcher-kva.example', 'bücher.example']) {
      expect(await getZone(name)).toMatchObject({ name: 'bücher.example' });
    }
    const { zoneId } = await getZone('bücher.example');
    const given = { zoneId, type: 'A', ttl: 300, content: '192.0.2.1' };
    for (const name of ['mail.xn--bcher-kva.example', 'mail.bücher.example']) {
      const { id, state } = await running.plugin.create({ ...given, name });
      const read = await running.plugin.read(`${String(zoneId)}/${id}`);
      expect(read.inputs).toMatchObject({ name: 'mail.xn--bcher-kva.example' });
      await running.plugin.delete(id, state);
    }
  });

  it('finds a zone by its id', async () => {
    const { zoneId } = await getZone('example.org');
    const found = await running.plugin.invoke('cloudflare:index/getZone:getZone', { zoneId });
    expect(found).toMatchObject({ zoneId, name: 'example.org', status: 'active' });
    await expect(
      running.plugin.invoke('cloudflare:index/getZone:getZone', { zoneId: '0'.repeat(32) }),
    ).rejects.toThrow('404');
  });

  it('keeps a record from its creation to its end', async () => {
    const { plugin } = running;
    const { zoneId } = await getZone('example.org');
    const given = { zoneId, name: 'mail', type: 'A', ttl: 300, content: '192.0.2.1' };
    const { inputs } = await plugin.check(given);
    expect(inputs).toEqual({ ...given, proxied: false });
    const { id, state } = await plugin.create(inputs);
    expect(state).toMatchObject(inputs);

    const after = { ...inputs, ttl: 600 };
    const updated = await plugin.update(id, state, after);
    expect(updated).toMatchObject({ ...after, createdOn: state.createdOn });
    expect((await plugin.read(id, updated, { ...after, comment: 'gone' })).inputs).toEqual(after);
    expect(await plugin.read(`${String(zoneId)}/${id}`)).toMatchObject({
      id,
      inputs: { ...after, name: 'mail.example.org' },
    });

    await plugin.delete(id, updated);
    expect((await plugin.read(id, updated, after)).id).toBe('');
    await expect(plugin.delete(id, updated)).rejects.toThrow('Record does not exist');
  });

  it('goes on with what the official plugin left', async () => {
    const { plugin } = running;
    const { zoneId } = await getZone('example.org');
    const names = ['comment', 'data', 'priority', 'settings', 'tags'];
    const given = { zoneId, name: 'x.example.org', type: 'A', ttl: 300, content: '192.0.2.1' };
    const { inputs } = await plugin.check(given);
    const { id, state } = await plugin.create(inputs);
    const [was, then] = [official(inputs, names), official(state, names)];
    expect((await plugin.diff(was, inputs, then)).details).toEqual({});
    expect((await plugin.read(id, then, was)).inputs).toEqual(inputs);
    await plugin.update(id, then, { ...inputs, ttl: 600 });
    await plugin.delete(id, then);
  });

  it('replaces for zone and type', async () => {
    const before = { zoneId: 'z', name: 'mail', type: 'A', ttl: 300, content: '192.0.2.1' };
    const after = { ...before, type: 'AAAA', content: '2001:db8::1' };
    expect(await running.plugin.diff(before, after)).toMatchObject({
      details: { type: 'UPDATE_REPLACE', content: 'UPDATE' },
      replaces: ['type'],
    });
  });

  it('reads structured data back as it was given', async () => {
    const { plugin } = running;
    const { zoneId } = await getZone('example.org');
    for (const given of [
      { type: 'CAA', name: 'x.example.org', data: { flags: 0, tag: 'issue', value: 'ca.test' } },
      {
        type: 'SRV',
        name: '_imaps._tcp.example.org',
        priority: 0,
        data: { priority: 0, weight: 1, port: 993, target: 'mail.example.org' },
      },
      {
        type: 'TLSA',
        name: '_25._tcp.example.org',
        data: { usage: 3, selector: 1, matchingType: 1, certificate: 'ab12' },
      },
      { type: 'CNAME', name: 'c.example.org', content: 'mail.example.org' },
      { type: 'MX', name: 'm.example.org', content: '.', priority: 0 },
    ]) {
      const { inputs, failures } = await plugin.check({ zoneId, ttl: 300, ...given });
      expect(failures).toEqual([]);
      const { id, state } = await plugin.create(inputs);
      const read = await plugin.read(id, state, inputs);
      expect(read.inputs).toEqual(inputs);
      expect((await plugin.diff(read.inputs, inputs)).details).toEqual({});
      const imported = await plugin.read(`${String(zoneId)}/${id}`);
      expect((await plugin.diff(imported.inputs, inputs)).details).toEqual({});
      await plugin.delete(id, state);
    }
  });

  it('shows the priority of an SRV record that the program leaves to its data', async () => {
    const { plugin } = running;
    const { zoneId } = await getZone('example.org');
    const data = { priority: 1, weight: 1, port: 993, target: 'mail.example.org' };
    const given = { zoneId, ttl: 300, type: 'SRV', name: '_imaps._tcp.example.org', data };
    const { id, state } = await plugin.create(given);
    const { inputs } = await plugin.read(id, state, given);
    expect(await plugin.diff(inputs, given)).toMatchObject({ details: { priority: 'DELETE' } });
    await plugin.delete(id, state);
  });

  it('takes no content beside data', async () => {
    const both = { zoneId: 'z', name: 'x', type: 'CAA', ttl: 300, content: 'x', data: {} };
    expect((await running.plugin.check(both)).failures).toEqual([
      'content: cannot stand beside data',
    ]);
  });

  it('signs a zone, whose status only a refresh tells', async () => {
    const { plugin } = running;
    const type = 'cloudflare:index/zoneDnssec:ZoneDnssec';
    const { zoneId } = await getZone('example.org');
    const given = { zoneId, status: 'active' };
    expect((await plugin.check({ zoneId, status: 'pending' }, type)).failures).toHaveLength(1);
    const { id, state } = await plugin.create(given, false, type);
    expect(id).toBe(zoneId);
    expect(state).toMatchObject({ ...given, ds: 'example.org. 3600 IN DS 2371 13 2 ABCD' });

    const pending = await plugin.read(id, state, given, type);
    expect(pending.inputs).toEqual({ zoneId, status: 'pending' });
    const change = await plugin.diff(pending.inputs, given, pending.state, type);
    expect(change).toMatchObject({ details: { status: 'UPDATE' }, replaces: [] });
    expect(await plugin.update(id, state, given, false, type)).toMatchObject(given);
    delegated = true;
    expect((await plugin.read(id, state, given, type)).inputs).toEqual(given);
    expect(
      await plugin.invoke('cloudflare:index/getZoneDnssec:getZoneDnssec', { zoneId }),
    ).toMatchObject({ status: 'active', keyTag: 2371 });

    delegated = false;
    await plugin.delete(id, state, type);
    expect(signed).toBe(false);
  });
});
