import { describe, expect, it } from 'vitest';
import { cloudflareDns, Dkim, DomainDns, Machine } from '../components';
import { record } from './mocks';

const typeOf = (type: string) => type.split(':').at(-1);

describe('a part alone', () => {
  it('is a machine, with what a program needs to go on with it', async () => {
    let machine: Machine | undefined;
    const all = await record((opts) => {
      machine = new Machine(
        'web',
        {
          hostName: 'web.example.org',
          serverType: 'cx23',
          location: 'fsn1',
          volumeSize: 10,
          ipv6: false,
          adminNetworks: ['192.0.2.0/24'],
        },
        opts,
      );
    });
    expect(all.map(({ type }) => typeOf(type)).sort()).toEqual([
      'Firewall',
      'Machine',
      'PrimaryIp',
      'PrivateKey',
      'PrivateKey',
      'Rdns',
      'Server',
      'SshKey',
      'Volume',
      'VolumeAttachment',
    ]);
    const find = (name: string) => all.find(({ type }) => typeOf(type) === name)!;
    expect(find('Volume').options.protect).toBe(true);
    expect(find('Volume').inputs).toMatchObject({ deleteProtection: true, size: 10 });
    const ports = (find('Firewall').inputs.rules as { port?: string }[]).map(({ port }) => port);
    expect(ports).toEqual([undefined, '22']);
    const connection = await new Promise((resolve) => machine!.connection.apply(resolve));
    expect(connection).toMatchObject({ host: '192.0.2.1', hostKey: 'ssh-ed25519 AAAA' });
  });

  it('is the DKIM keys of a domain, with their records', async () => {
    let dkim: Dkim | undefined;
    const all = await record((opts) => {
      const history = { signs: 1, keys: [{ generation: 1 }, { generation: 2 }] };
      dkim = new Dkim('example.org', { domain: 'example.org', history }, opts);
    });
    expect(all.map(({ name }) => name)).toEqual([
      'example.org',
      'example.org-s1',
      'example.org-s2',
    ]);
    expect(all[1]!.options.protect).toBe(true);
    const text = await new Promise((resolve) => dkim!.records.s2!.apply(resolve));
    expect(text).toMatch(/^v=DKIM1; .*p=/);
  });

  it('is the records of a domain in a zone', async () => {
    const owner = { type: 'DomainDns', name: 'example.org' } as const;
    const all = await record((opts) => {
      new DomainDns(
        'example.org',
        {
          provider: cloudflareDns,
          zoneId: () => 'the zone',
          records: [
            {
              key: 'mx',
              owner,
              zone: 'example.org',
              name: 'example.org',
              type: 'MX',
              priority: 10,
              target: 'mail.example.org',
            },
          ],
        },
        opts,
      );
    });
    expect(all.at(-1)).toMatchObject({
      type: 'cloudflare:index/dnsRecord:DnsRecord',
      inputs: { zoneId: 'the zone', type: 'MX' },
    });
  });
});
