import { promises as dns } from 'node:dns';
import * as pulumi from '@pulumi/pulumi';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { KeyHistory } from '../components/dns/dkimKeys';
import { dkimKeyRecord, publicKeyHash } from '../components/dns/dnsRecords';
import type { ExistingRecord } from '../components/dns/provider';
import { recordContent, resourceName, withValue } from '../components/dns/recordForms';
import { ownerLabel } from '../components/machineFiles';
import type { MailHostArgs } from '../components/mailHostArgs';
import { preflight, type Preflight } from '../components/preflight/preflight';
import type { FrontEnd } from '../components/settings/mistakes';
import { parseSettings } from '../components/settings/parse';
import { stackConfig } from '../settings';
import { example, sshKey } from './example';
import { newKeyPair, publicKey, record, type Answers, type StackState } from './mocks';

const types = {
  key: 'tls:index/privateKey:PrivateKey',
  address: 'hcloud:index/primaryIp:PrimaryIp',
  server: 'hcloud:index/server:Server',
  volume: 'hcloud:index/volume:Volume',
  firewall: 'hcloud:index/firewall:Firewall',
  sshKey: 'hcloud:index/sshKey:SshKey',
  attachment: 'hcloud:index/volumeAttachment:VolumeAttachment',
  record: 'cloudflare:index/dnsRecord:DnsRecord',
  dnssec: 'cloudflare:index/zoneDnssec:ZoneDnssec',
  dkim: 'mailhost:index:Dkim',
  daemon: 'mailhost:index:Daemon',
  summary: 'mailhost:index:Summary',
  account: 'mailhost:index:AcmeAccount',
};

/** A resource below the MailHost `mail`, in the form of StackState. */
const resource = (type: string, name: string, outputs: object, parent?: string): StackState => ({
  [`urn:pulumi:test::mailhost::mailhost:index:MailHost$${parent ? `${parent}$` : ''}${type}::mail-${name}`]:
    { type, outputs },
});
const dkimKey = (domain: string, generation: number, publicKeyPem = publicKey) =>
  resource(types.key, `${domain}-s${generation}`, { publicKeyPem }, types.dkim);
const zoneId = (zone: string) => `id of ${zone}`;

/** What Cloudflare has, by the name of the zone. */
let cloudflare: Record<string, ExistingRecord[]> = {};
/** An error of a provider as the engine hands it on. */
const refusal = (details: string) => Object.assign(new Error(details), { details });

/** Each question: the function, and what it was asked. */
let asked: [string, Record<string, unknown>][] = [];
const questions = (call: string) => asked.filter(([one]) => one === call).map(([, what]) => what);

const answers: Answers = (token, inputs) => {
  const call = token.split(':').at(-1)!;
  asked.push([call, inputs]);
  if (call !== 'getDnsRecords') return undefined;
  const all = Object.entries(cloudflare).find(([zone]) => zoneId(zone) === inputs.zoneId)?.[1];
  const { name, type } = inputs as { name?: { exact: string }; type?: string };
  const results = (all ?? []).filter(
    (one) => (!name || one.name === name.exact) && (!type || one.type === type),
  );
  return { results };
};

/** All that the checks before a plan have found out, in one. */
const flat = ({ adopted, machine, dns: records, before, ...rest }: Preflight) => ({
  ...rest,
  ...machine,
  ...records,
  ...before,
  adopted: adopted.ids,
  serverAdopted: adopted.server,
});
type Found = ReturnType<typeof flat>;

/** The checks before a plan: what they found out, or the words with which they stop it, and their warnings. */
async function plan(
  change: Partial<MailHostArgs> = {},
  state: StackState = {},
  given: Answers = answers,
  frontEnd?: FrontEnd,
) {
  asked = [];
  const warnings: string[] = [];
  const warn = vi.spyOn(pulumi.log, 'warn').mockImplementation((text) => {
    warnings.push(text);
    return Promise.resolve();
  });
  let running: Promise<Preflight> | undefined;
  await record(
    () => {
      running = preflight('mail', parseSettings({ ...example, ...change }), {}, frontEnd);
      running.catch(() => undefined);
    },
    true,
    state,
    given,
  );
  const [outcome] = await Promise.allSettled([running!]);
  warn.mockRestore();
  const error = outcome.status === 'rejected' ? (outcome.reason as Error) : undefined;
  return {
    found: outcome.status === 'fulfilled' ? flat(outcome.value) : undefined,
    error,
    lines: (error?.message ?? '').split('\n').map((line) => line.trim()),
    warnings,
  };
}

const acme = { tls: { acceptTerms: true } };
const caa = 'ca.example; accounturi=https://ca.example/1';
const machine = {
  ...resource(types.key, 'machine-ssh-key', { publicKeyOpenssh: sshKey }),
  ...resource(types.address, 'machine-ipv4', { ipAddress: '192.0.2.1' }),
  ...resource(types.address, 'machine-ipv6', { ipAddress: '2001:db8:1::' }),
};
const server = (outputs: object = {}) =>
  resource(types.server, 'machine-server', {
    serverType: 'cx23',
    location: 'fsn1',
    publicNets: [{}],
    ...outputs,
  });
const volume = (outputs: object = {}) =>
  resource(types.volume, 'machine-volume', { location: 'fsn1', size: 20, ...outputs });
const keys = {
  ...resource(types.key, 'certificate-key', { publicKeyPem: publicKey }),
  ...resource(types.key, 'certificate-key-2', { publicKeyPem: newKeyPair().publicKey }),
  ...[1, 2].reduce((all, n) => ({ ...all, ...dkimKey('example.org', n) }), {}),
  ...[1, 2].reduce((all, n) => ({ ...all, ...dkimKey('example.net', n) }), {}),
};
const account = resource(types.account, 'account', { caa });

/** The records of a plan with what the state above has, as Cloudflare lists them, by zone. */
const listed = ({ records }: Found) => {
  const { outputs } = Object.values(
    resource(types.key, '', { publicKeyPem: keyOf('certificate-key-2') }),
  )[0]!;
  const { publicKeyPem } = outputs as { publicKeyPem: string };
  const known = records.map((one) =>
    withValue<string>(one, (source) => {
      switch (source.from) {
        case 'ipv4':
          return '192.0.2.1';
        case 'ipv6':
          return '2001:db8:1::1';
        case 'acme':
          return caa;
        case 'dkim':
          return dkimKeyRecord(publicKey);
        case 'tls':
          return publicKeyHash(source.generation === 1 ? publicKey : publicKeyPem);
      }
    }),
  );
  return known.map((one, i) => ({
    zone: one.zone,
    own: resourceName('mail', one),
    existing: {
      id: `r${i}`,
      type: one.type,
      name: one.name,
      content: recordContent(one),
    },
  }));
};
const keyOf = (name: string): string => {
  const [, { outputs }] = Object.entries(keys as StackState).find(([urn]) =>
    urn.endsWith(`::mail-${name}`),
  )!;
  return (outputs as { publicKeyPem: string }).publicKeyPem;
};

/** The state after an `up` that ended, for a test of its own. */
let steadyState: Promise<StackState> | undefined;
const steady = async (): Promise<StackState> => structuredClone(await (steadyState ??= settled()));

async function settled(): Promise<StackState> {
  const others = cloudflare;
  cloudflare = {};
  const { found } = await plan(acme);
  cloudflare = others;
  const records = listed(found!).map(({ zone, own, existing }) =>
    resource(
      types.record,
      own.slice('mail-'.length),
      { ...existing, zoneId: zoneId(zone) },
      'mailhost:index:DomainDns',
    ),
  );
  const history = (signs: number): KeyHistory => ({
    signs,
    since: '2026-01-01T00:00:00.000Z',
    keys: [{ generation: signs }, { generation: signs + 1 }],
  });
  const summary = {
    ...found!.summary,
    dkim: { 'example.org': history(1), 'example.net': history(1) },
    publicKeys: {},
  };
  return Object.assign(
    {},
    machine,
    server(),
    volume(),
    keys,
    account,
    resource(types.summary, 'summary', { summary }),
    ...records,
  ) as StackState;
}

beforeEach(() => {
  cloudflare = {};
  vi.spyOn(dns, 'resolveTxt').mockRejectedValue(new Error('nobody asks'));
});
afterEach(() => vi.restoreAllMocks());

describe('the first plan', () => {
  it('makes everything', async () => {
    const { found, warnings } = await plan();
    expect(warnings).toEqual([]);
    const names = found!.records.map((one) => resourceName('mail', one));
    expect(found!.records).toHaveLength(3 + 2 + 2 * (10 + 2));
    expect([...found!.made].sort()).toEqual(names.sort());
    expect(found).toMatchObject({
      adopted: new Map(),
      serverAdopted: false,
      serverMade: true,
      present: [],
      hasTlsa: false,
    });
    expect(found!.zoneFile).toBeUndefined();
    expect(found!.keyHashOf('certificate-key')).toBeUndefined();
    expect(found!.changeOf('mail-amavis')).toBeUndefined();
    expect(Math.abs(found!.plannedAt.getTime() - Date.now())).toBeLessThan(60_000);
    expect(found!.summary).toMatchObject({
      hostName: 'mail.example.org',
      dkim: { 'example.net': { signs: 1, keys: [{ generation: 1 }, { generation: 2 }] } },
      zones: { 'example.net': 'example.net', 'example.org': 'example.org' },
    });
    expect(found!.summary).not.toHaveProperty('mtaStsNoneSince');
  });

  it('knows each zone by its name, and whether it is signed', async () => {
    const { found } = await plan({}, {}, (token, inputs) =>
      token.endsWith(':getZone')
        ? {
            zoneId: `id of ${(inputs.filter as { name: string }).name}`,
            name: (inputs.filter as { name: string }).name,
            status: 'pending',
            nameServers: ['Ada.NS.example.', 'bob.ns.example'],
          }
        : answers(token, inputs),
    );
    const zone = (name: string) => ({
      id: zoneId(name),
      name,
      status: 'pending',
      nameServers: ['ada.ns.example', 'bob.ns.example'],
      dnssec: 'active',
    });
    expect([...found!.zones]).toEqual(
      ['example.net', 'example.org'].map((name) => [name, zone(name)]),
    );
    expect(questions('getZoneDnssec')).toEqual(
      expect.arrayContaining([
        { zoneId: zoneId('example.net') },
        { zoneId: zoneId('example.org') },
      ]),
    );
  });

  it('asks once for a zone of many domains, and for no signature where none is wanted', async () => {
    const domains = [...example.domains, { name: 'sub.example.org', zone: 'example.org' }];
    const { found } = await plan({ domains, dnssec: false });
    expect(questions('getZone').map(({ filter }) => filter)).toEqual([
      { name: 'example.net' },
      { name: 'example.org' },
    ]);
    expect(questions('getZoneDnssec')).toEqual([]);
    expect(found!.zones.get('example.org')!.dnssec).toBeUndefined();
    expect(questions('getDnsRecords').map(({ zoneId: id, maxItems }) => [id, maxItems])).toEqual([
      [zoneId('example.net'), 100_000],
      [zoneId('example.org'), 100_000],
    ]);
  });

  it('asks Cloudflare nothing where a person publishes the records', async () => {
    const { found } = await plan({ dns: 'manual' });
    expect(asked.map(([call]) => call).filter((call) => /Zone|Dns/.test(call))).toEqual([]);
    expect([...found!.zones, ...found!.made]).toEqual([]);
    expect(found!.records).not.toEqual([]);
  });

  it('fails where the state cannot be read', async () => {
    const { error, lines } = await plan({}, {}, (token, inputs) => {
      if (token === 'pulumi:pulumi:readStackResourceOutputs') throw refusal('no such call');
      return answers(token, inputs);
    });
    expect(error).toBeInstanceOf(pulumi.RunError);
    expect(lines[0]).toBe('the plan is stopped, for one reason; nothing was changed:');
    expect(lines[1]).toContain("the stack's own state cannot be read");
    expect(lines[1]).toContain('no such call');
  });
});

describe('a zone', () => {
  const id = '0123456789abcdef'.repeat(2);
  /** Zones by what the API is asked for. */
  const zones =
    (known: Record<string, { zoneId: string; name: string; type?: string }>): Answers =>
    (token, inputs) => {
      if (!token.endsWith(':getZone')) return answers(token, inputs);
      asked.push(['getZone', inputs]);
      const { filter, zoneId: byId } = inputs as { filter?: { name: string }; zoneId?: string };
      const found = known[byId ?? filter!.name];
      if (found === undefined) throw refusal('0 zones are named so');
      return { status: 'active', nameServers: [], ...found };
    };
  const one = (zone: string, name = 'example.org') => ({
    ...example,
    domains: [{ name, zone }],
    accounts: [],
    aliases: [{ address: `anna@${name}`, recipients: ['x@elsewhere.example'] }],
    hostName: `mail.${name}`,
    postmaster: `anna@${name}`,
  });

  it('is found by its id', async () => {
    const { found } = await plan(one(id), {}, zones({ [id]: { zoneId: id, name: 'example.org' } }));
    expect(questions('getZone')).toEqual([{ zoneId: id }]);
    expect(found!.zones.get(id)).toMatchObject({ id, name: 'example.org' });
    expect(found!.summary.zones).toEqual({ 'example.org': 'example.org' });
  });

  it('is found by the name that the API knows it by, in either form', async () => {
    const [ascii, unicode] = ['xn--bcher-kva.example', 'bücher.example'];
    for (const name of [ascii, unicode]) {
      const given = zones({ [name]: { zoneId: 'z', name: unicode } });
      const { found } = await plan(one(ascii, ascii), {}, given);
      expect(found!.zones.get(ascii)).toMatchObject({ id: 'z', name: ascii });
      expect(questions('getZone').map(({ filter }) => filter)).toEqual(
        name === ascii ? [{ name: ascii }] : [{ name: ascii }, { name: unicode }],
      );
    }
  });

  it('that is not there is asked for once, and stops the plan', async () => {
    const { lines } = await plan(one('example.org'), {}, zones({}));
    expect(lines.slice(1)).toEqual([
      'the zone example.org cannot be read at Cloudflare: make it there, let the API token read it, or mend the name or zone of the domain (getZone: 0 zones are named so)',
    ]);
    expect(questions('getZone')).toHaveLength(1);
    expect(questions('getDnsRecords')).toEqual([]);
  });

  it.each(['partial', 'secondary', 'internal', 'full'])(
    'is %s, and stops the plan if others answer for it',
    async (type) => {
      const { lines } = await plan(
        one('example.org'),
        {},
        zones({ 'example.org': { zoneId: 'z', name: 'example.org', type } }),
      );
      const words = `the zone example.org is ${type} at Cloudflare, and others answer for it: make it a full zone there, or set dns to manual`;
      expect(lines.slice(1)).toEqual(type === 'full' ? [] : [words]);
    },
  );

  it('whose signature cannot be read stops the plan', async () => {
    const { lines } = await plan(one('example.org'), {}, (token, inputs) => {
      if (token.endsWith(':getZoneDnssec')) throw refusal('nothing here');
      return answers(token, inputs);
    });
    expect(lines.slice(1)).toEqual([
      'whether the zone example.org is signed cannot be read at Cloudflare: give the API token DNS:Edit for it, or set dnssec to false (getZoneDnssec: nothing here)',
    ]);
  });

  it('holds its domains', async () => {
    const known = { [id]: { zoneId: id, name: 'example.com' } };
    const { lines } = await plan(one(id), {}, zones(known));
    expect(lines).toContain(`example.org does not lie in its zone, ${id}: that is example.com`);
  });

  it('is named in one way', async () => {
    const domains = [
      { name: 'a.example.org', zone: 'example.org' },
      { name: 'example.org', zone: id },
    ];
    const given = zones({
      [id]: { zoneId: id, name: 'example.org' },
      'example.org': { zoneId: id, name: 'example.org' },
    });
    const { lines } = await plan({ ...one(id), domains }, {}, given);
    expect(lines.slice(1)).toEqual([
      'the zone example.org is named in two ways, also as example.org: write it in one',
    ]);
  });
});

describe('a plan for a host that is there', () => {
  it('makes no record again, and asks for none', async () => {
    const { found, warnings } = await plan(acme, await steady());
    expect(warnings).toEqual([]);
    expect([...found!.made]).toEqual([]);
    expect(questions('getDnsRecords')).toEqual([]);
    expect(found).toMatchObject({
      adopted: new Map(),
      serverAdopted: false,
      serverMade: false,
      present: ['ssh-key', 'ipv4', 'ipv6', 'volume', 'server'],
      hasTlsa: true,
    });
    expect(dns.resolveTxt).not.toHaveBeenCalled();
  });

  it('makes a record that is in another zone of that name, or has other data', async () => {
    const state = await steady();
    const change = (name: string, outputs: object) => {
      const urn = Object.keys(state).find((one) => one.endsWith(`::mail-${name}`))!;
      state[urn] = { ...state[urn]!, outputs: { ...state[urn]!.outputs, ...outputs } };
    };
    change('example.org/mx', { zoneId: 'another' });
    change('example.net/imaps', { content: '0 1 993 old.example.net' });
    change('example.net/spf', { content: '"v=spf1 -all"' });
    const { found } = await plan(acme, state);
    expect([...found!.made].sort()).toEqual(['mail-example.net/imaps', 'mail-example.org/mx']);
    expect(questions('getDnsRecords').map(({ zoneId: id }) => id)).toEqual([
      zoneId('example.net'),
      zoneId('example.org'),
    ]);
  });

  it('lists no zone in which it makes nothing', async () => {
    const state = await steady();
    delete state[Object.keys(state).find((one) => one.endsWith('::mail-example.org/mx'))!];
    await plan(acme, state);
    expect(questions('getDnsRecords').map(({ zoneId: id }) => id)).toEqual([zoneId('example.org')]);
  });

  it('knows the keys and changes of the last `up`, and what a person published', async () => {
    const change = { digest: 'd', number: 4 };
    const other = newKeyPair().publicKey;
    const { found } = await plan(acme, {
      ...machine,
      ...keys,
      ...resource(types.summary, 'summary', {
        summary: { dkim: {}, publicKeys: { 'certificate-key': publicKeyHash(other) } },
      }),
      ...resource(types.daemon, 'amavis', { changes: { 'mail-amavis': change } }),
      ...resource(types.daemon, 'dovecot', {}),
      ...resource(types.server, 'other', { changes: { 'mail-web': change } }),
      'urn:pulumi:test::mailhost::mailhost:index:MailHost::mail': {
        type: 'mailhost:index:MailHost',
        outputs: { zoneFile: 'a zone' },
      },
    });
    expect(found!.keyHashOf('certificate-key')).toBe(publicKeyHash(other));
    expect(found!.keyHashOf('example.org-s1')).toBe(publicKeyHash(publicKey));
    expect(found!.keyHashOf('example.org-s9')).toBeUndefined();
    expect(found!.changeOf('mail-amavis')).toEqual(change);
    expect(found!.changeOf('mail-web')).toBeUndefined();
    expect(found!.zoneFile).toBe('a zone');
  });

  it('takes no key for its own that another resource has', async () => {
    const { publicKey: other } = newKeyPair();
    const { found } = await plan(
      {},
      {
        ...dkimKey('example.org', 5),
        ...resource(types.key, 'example.net-s5', { publicKeyPem: other }),
        ...resource(types.key, 'example.com-s5', {}, types.dkim),
        'urn:pulumi:test::mailhost::mailhost:index:MailHost$mailhost:index:Dkim$tls:index/privateKey:PrivateKey::second-example.net-s5':
          { type: types.key, outputs: { publicKeyPem: other } },
      },
    );
    expect(Object.keys(found!.summary.dkim)).toEqual(['example.net', 'example.org']);
    const generations = (domain: string) =>
      found!.summary.dkim[domain]!.keys.map(({ generation }) => generation);
    expect(generations('example.net')).toEqual([1, 2]);
    expect(generations('example.org')).toContain(5);
  });
});

describe('what an `up` that was cut off has made', () => {
  it('is adopted, each record by what the state says of it', async () => {
    const change = { ...acme, dkimCompromised: [] };
    const there = listed((await plan(change, { ...machine, ...keys, ...account })).found!);
    for (const { zone, existing } of there) (cloudflare[zone] ??= []).push(existing);
    const { found } = await plan(change, { ...machine, ...keys, ...account });
    expect(Object.fromEntries(found!.adopted)).toEqual(
      Object.fromEntries(
        there.map(({ zone, own, existing }) => [
          `${types.record} ${own}`,
          `${zoneId(zone)}/${existing.id}`,
        ]),
      ),
    );
  });

  it('is adopted in whatever form the API tells of it, a revoked key too', async () => {
    const state = { ...dkimKey('example.org', 1), ...dkimKey('example.org', 2) };
    cloudflare['example.org'] = [
      { id: 'mx', type: 'MX', name: 'Example.ORG.', content: 'Mail.Example.org.' },
      {
        id: 's1',
        type: 'TXT',
        name: 's1._domainkey.example.org',
        content: '"v=DKIM1; p="',
      },
    ];
    const { found } = await plan({ dkimGeneration: 2, dkimCompromised: [1] }, state);
    expect([...found!.adopted]).toEqual([
      [`${types.record} mail-example.org/mx`, `${zoneId('example.org')}/mx`],
      [`${types.record} mail-example.org/dkim-s1`, `${zoneId('example.org')}/s1`],
    ]);
  });

  it('is not adopted where only the plan itself can say what it is to be', async () => {
    const others = [
      ['A', 'mail.example.org', '192.0.2.1'],
      ['AAAA', 'mail.example.org', '2001:db8:1::1'],
      ['TLSA', '_25._tcp.mail.example.org', `3 1 1 ${publicKeyHash(publicKey)}`],
      ['CAA', 'mail.example.org', `0 issue "${caa}"`],
      ['TXT', 's1._domainkey.example.org', `"${dkimKeyRecord(publicKey)}"`],
    ] as const;
    cloudflare['example.org'] = others.map(([type, name, content], i) => ({
      id: `r${i}`,
      type,
      name,
      content,
    }));
    const { lines } = await plan(acme);
    const stopped = new Set(lines.slice(1).map((line) => line.split(' ').slice(0, 4).join(' ')));
    expect(stopped).toEqual(new Set(others.map(([type, name]) => `${name} already has ${type}`)));
  });

  it('is a server, too, of which nothing else is asked then', async () => {
    const labels = ownerLabel(sshKey);
    const servers = [{ id: 7, name: 'mail.example.org', labels }];
    const { found } = await plan({}, machine, (token, inputs) =>
      token.endsWith(':getServers') ? { servers } : answers(token, inputs),
    );
    expect([...found!.adopted]).toEqual([[`${types.server} mail-machine-server`, '7']]);
    expect(found).toMatchObject({ serverAdopted: true, serverMade: false });
    expect(questions('getServerType')).toEqual([]);
  });

  it('stops the plan where others have made it', async () => {
    const { lines } = await plan({}, machine, (token, inputs) =>
      token.endsWith(':getVolumes')
        ? { volumes: [{ id: 7, name: 'mail.example.org' }] }
        : answers(token, inputs),
    );
    expect(lines.slice(1)).toEqual([
      'Hetzner has a volume mail.example.org that this stack did not make: delete it, give it another name, or use a project of its own',
    ]);
  });
});

describe('the server', () => {
  it.each([
    ['stays as it is', {}, server(), false, false],
    ['was adopted before', {}, server({ publicNets: [] }), true, false],
    [
      'was adopted by a version that did not note that',
      {},
      server({ publicNets: undefined }),
      true,
      false,
    ],
    ['moves', { location: 'nbg1', confirm: [] }, { ...server() }, false, true],
  ])('%s', async (_, change, state, serverAdopted, serverMade) => {
    const { found } = await plan(change, state, (token, inputs) =>
      token.endsWith(':getServerType')
        ? { architecture: 'x86', disk: 40, locations: [{ name: 'nbg1' }, { name: 'fsn1' }] }
        : answers(token, inputs),
    );
    expect(found).toMatchObject({ serverAdopted, serverMade });
  });

  it('is made in the place of another', async () => {
    const state = await steady();
    const named = (...ends: string[]) => ends.map((end) => ({ name: `mail.example.org${end}` }));
    const there: Record<string, object> = {
      getSshKeys: { sshKeys: named('') },
      getPrimaryIps: { primaryIps: named('-ipv4', '-ipv6') },
      getFirewalls: { firewalls: named('') },
      getVolumes: { volumes: named('') },
    };
    const listed: string[] = [];
    const given: Answers = (token, inputs) => {
      const call = token.split(':').at(-1)!;
      if (call in there) listed.push(call);
      return there[call] ?? answers(token, inputs);
    };
    const { found, warnings } = await plan({ ...acme, serverGeneration: 2 }, state, given);
    expect(found!.serverMade).toBe(true);
    expect(warnings).toEqual([expect.stringContaining('another server takes the place')]);
    expect(questions('getServerType')).toEqual([{ name: 'cx23' }]);
    expect(listed.sort()).toEqual(Object.keys(there).sort());
    // It could not be made without these.
    there.getVolumes = { volumes: [] };
    const { lines } = await plan({ ...acme, serverGeneration: 2 }, state, given);
    expect(lines.slice(1)).toEqual([
      expect.stringMatching(/^the server would be replaced, but a volume .* run `pulumi refresh`/),
    ]);
    expect((await plan(acme, state, given)).lines).toEqual(['']);
  });

  it('is warned of where a restore comes too late', async () => {
    const backup = { repository: '/mnt/backup', password: 'secret' };
    const change = { ...acme, backup, restore: 'latest' };
    const state = await steady();
    expect((await plan(change, state)).warnings).toEqual([
      expect.stringContaining('restore (latest) fills an empty volume only'),
    ]);
    delete state[Object.keys(state).find((one) => one.endsWith('::mail-machine-volume'))!];
    expect((await plan(change, state)).warnings).toEqual([]);
  });

  it('keeps its volume', async () => {
    const { lines } = await plan({ volumeSize: 10, location: 'fsn1' }, volume());
    expect(lines.slice(1)).toEqual([
      'a volume cannot shrink from 20 to 10 GB: set volumeSize back to 20',
    ]);
    const moved = await plan({ location: 'fsn1' }, volume({ location: 'nbg1' }));
    expect(moved.lines[1]).toMatch(/^a volume cannot move from nbg1 to fsn1/);
  });
});

describe('a change that has to be confirmed', () => {
  const fewer = { ...acme, accounts: [example.accounts![0]!] };
  const words = 'remove bert@example.net';

  it('stops the plan, with the words to go on', async () => {
    const { lines } = await plan({ ...fewer, ipv6: false }, await steady());
    expect(lines[0]).toBe('the plan is stopped, for 2 reasons; nothing was changed:');
    expect(lines[1]).toMatch(
      /^bert@example\.net would no longer be an account: .*\. To go on: set confirm\[0\] to "remove bert@example\.net"$/,
    );
    expect(lines[2]).toMatch(/set confirm\[1\] to "give up the IPv6 address"$/);
  });

  it('has the words of the front end', async () => {
    const { lines } = await plan(fewer, await steady(), answers, stackConfig);
    expect(lines[1]).toContain(
      "To go on: pulumi config set --path 'mailhost:confirm[0]' 'remove bert@example.net'",
    );
  });

  it('stops it for what is not confirmed yet, behind what is', async () => {
    const { lines } = await plan({ ...fewer, ipv6: false, confirm: [words] }, await steady());
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatch(/set confirm\[1\] to "give up the IPv6 address"$/);
  });

  it('goes on once it is, with a warning', async () => {
    const { found, warnings } = await plan({ ...fewer, confirm: [words] }, await steady());
    expect(found).toBeDefined();
    expect(warnings).toEqual([
      expect.stringMatching(/^confirmed: bert@example\.net would no longer be an account/),
    ]);
  });

  it('is warned of where nothing asks for it any more', async () => {
    const { warnings } = await plan({ ...acme, confirm: [words] }, await steady());
    expect(warnings).toEqual([
      `confirm holds "${words}", which nothing asks for any more: take it out, so that it cannot confirm a later change`,
    ]);
    // A first `up` has nothing to lose.
    expect((await plan({ confirm: [words] })).warnings).toEqual([]);
  });

  it('is not one that nothing can confirm', async () => {
    const { lines } = await plan({ ...acme, tlsGeneration: 3 }, await steady());
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatch(/^the TLS key would jump .*one step at a time$/);
  });

  it('may be a record of others', async () => {
    const other = { id: 'x', type: 'MX', name: 'example.org', content: 'mx.example.com' };
    cloudflare['example.org'] = [other];
    const { lines } = await plan();
    expect(lines[1]).toMatch(/set confirm\[0\] to "keep MX mx\.example\.com of example\.org"$/);
    const confirm = ['keep MX mx.example.com of example.org'];
    expect((await plan({ confirm })).warnings).toEqual([
      expect.stringMatching(/^confirmed: example\.org already has MX mx\.example\.com/),
    ]);
    // Under a policy that holds mail back from other hosts it may not.
    const enforced = await plan({ ...acme, mtaSts: 'enforce', confirm });
    expect(enforced.lines[1]).toMatch(/^example\.org already has MX .*delete it at Cloudflare$/);
  });

  it('comes with warnings of addresses that are refused', async () => {
    const change = {
      ...acme,
      accounts: [{ ...example.accounts![0]!, aliases: [] }, example.accounts![1]!],
    };
    expect((await plan(change, await steady())).warnings).toEqual([
      'mail to abuse@example.net is refused from now on',
      'mail to info@example.org is refused from now on',
    ]);
  });

  it('notes when a promise to others was ended', async () => {
    const { found } = await plan({ ...acme, mtaSts: 'none' }, await steady());
    expect(found!.summary.mtaStsNoneSince).toBe(found!.plannedAt.toISOString());
  });
});

describe('a zone that stays signed', () => {
  const signed = (of: string) => resource(types.dnssec, of, { ds: `DS of ${of}` });
  const both = { ...signed('example.org'), ...signed('example.net') };
  const warningsOf = async (change: Partial<MailHostArgs>) =>
    (await plan(change, both)).warnings.map((text) => /\((.*?)\)/.exec(text)?.[1]).sort();

  it('is warned of, each by itself, where nothing looks after it', async () => {
    expect(await warningsOf({ dnssec: false })).toEqual(['DS of example.net', 'DS of example.org']);
    expect(await warningsOf({ dns: 'manual' })).toHaveLength(2);
    expect(await warningsOf({})).toEqual([]);
  });
});

describe('a DKIM key that is to follow another', () => {
  const name = 's2._domainkey.example.org';
  const right = `"${dkimKeyRecord(publicKey)}"`;
  const strings = (text: string) => text.replace(/^"(.{255})/, '"$1" "');
  const rotated = {
    ...acme,
    domains: [{ name: 'example.org', dkimGeneration: 2 }, { name: 'example.net' }],
  };
  const published = (...contents: string[]) => {
    cloudflare['example.org'] = contents.map((content, i) => ({
      id: `r${i}`,
      type: 'TXT',
      name,
      content,
    }));
  };

  it('signs where its record is the only one at its name', async () => {
    published(strings(right));
    const { found } = await plan(rotated, await steady());
    expect(found!.summary.dkim['example.org']!.signs).toBe(2);
    expect(questions('getDnsRecords')).toContainEqual({
      zoneId: zoneId('example.org'),
      name: { exact: name },
      type: 'TXT',
    });
  });

  it.each([
    ['removed', [], 'its record was removed by hand'],
    ['changed', ['"v=DKIM1; p=AAAA"'], 'its record was changed by hand'],
    ['there with another', [strings(right), '"v=DKIM1; p=AAAA"'], 'another text stands there'],
  ])('does not where that was %s', async (_, contents, words) => {
    published(...contents);
    const { lines } = await plan(rotated, await steady());
    expect(lines).toHaveLength(2);
    expect(lines[1]).toContain(`${name} is to sign from now on, but ${words}`);
  });

  it('stops the plan where Cloudflare does not answer', async () => {
    const { lines } = await plan(rotated, await steady(), (token, inputs) => {
      if ((inputs.name as { exact?: string } | undefined)?.exact === name) throw refusal('nothing');
      return answers(token, inputs);
    });
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatch(/^Cloudflare does not answer getDnsRecords of s2\._domainkey/);
  });

  it('is not looked for before it has one to follow, or once it signs', async () => {
    const looks = async (change: Partial<MailHostArgs>, state: StackState) => {
      await plan(change, state);
      return questions('getDnsRecords').filter((what) => what.name !== undefined);
    };
    expect(await looks(acme, await steady())).toEqual([]);
    expect(await looks({}, keys)).toEqual([]);
    const domains = [...example.domains, { name: 'example.com' }];
    expect(await looks({ ...acme, domains }, await steady())).toEqual([]);
    const parked = [{ name: 'example.org' }, { name: 'example.net', parked: true }];
    const accounts = [{ ...example.accounts![0]!, aliases: [] }];
    const confirm = ['remove example.net'];
    expect(await looks({ ...acme, domains: parked, accounts, confirm }, await steady())).toEqual(
      [],
    );
  });

  it('has been in DNS before', async () => {
    const jump = {
      ...rotated,
      domains: [{ name: 'example.org', dkimGeneration: 3 }, { name: 'example.net' }],
    };
    const { lines } = await plan(jump, await steady());
    expect(lines[1]).toMatch(/^DKIM keys of example\.org would jump from generation 1 to 3/);
  });
});

describe('SPF', () => {
  const spf = (...mechanisms: string[]) => ({
    domains: [{ name: 'example.org', spf: mechanisms }, { name: 'example.net' }],
  });
  const answering = (texts: Record<string, string[][] | string>) =>
    vi.mocked(dns.resolveTxt).mockImplementation((name) => {
      const found = texts[name];
      return typeof found === 'object'
        ? Promise.resolve(found)
        : Promise.reject(Object.assign(new Error(`query ${name}`), { code: found ?? 'ENOTFOUND' }));
    });

  it('is followed through what others publish, strings joined', async () => {
    answering({
      'a.example': [['v=spf1 include:', 'b.example -all']],
      'b.example': [['v=spf1 -all']],
    });
    const { found } = await plan(spf('include:a.example'));
    expect(found).toBeDefined();
    expect(vi.mocked(dns.resolveTxt).mock.calls).toEqual([['a.example'], ['b.example']]);
  });

  it.each(['ENODATA', 'ENOTFOUND'])(
    'does not hold where an include finds nothing: %s',
    async (code) => {
      answering({ 'a.example': code });
      const { lines } = await plan(spf('include:a.example'));
      expect(lines.slice(1)).toEqual([
        'the SPF record of example.org does not hold: a.example has 0 SPF records, not one; mend its spf',
      ]);
    },
  );

  it('is only warned of where DNS does not answer', async () => {
    answering({ 'a.example': 'ESERVFAIL' });
    const { found, warnings } = await plan(spf('include:a.example'));
    expect(found).toBeDefined();
    expect(warnings).toEqual([
      'the SPF record of example.org could not be followed (query a.example): receivers stop after 10 look-ups',
    ]);
  });

  it('is taken from the plan where it is of the plan', async () => {
    const domains = [
      { name: 'example.org', spf: ['include:Example.NET'] },
      { name: 'example.net', spf: ['ip4:192.0.2.9'] },
    ];
    answering({});
    expect((await plan({ domains })).found).toBeDefined();
    expect(dns.resolveTxt).not.toHaveBeenCalled();
  });

  it('is not followed again where none changes', async () => {
    answering({ 'a.example': 'ENOTFOUND' });
    const own = (domain: string, content: string) =>
      resource(types.record, `${domain}/spf`, {
        zoneId: zoneId(domain),
        type: 'TXT',
        name: domain,
        content,
      });
    const state = {
      ...own('mail.example.org', '"v=spf1 a -all"'),
      ...own('example.org', '"v=spf1 mx include:a.example -all"'),
      ...own('example.net', '"v=spf1 mx -all"'),
    };
    expect((await plan(spf('include:a.example'), state)).found).toBeDefined();
    expect(dns.resolveTxt).not.toHaveBeenCalled();
    const changed = { ...state, ...own('example.net', '"v=spf1 -all"') };
    expect((await plan(spf('include:a.example'), changed)).lines).toHaveLength(2);
  });
});

describe('the records of the state', () => {
  it('do not stand in the way of those that take their place', async () => {
    const own = { type: 'CNAME', name: 'Autoconfig.example.org', content: 'old.example.org' };
    cloudflare['example.org'] = [{ id: 'r1', ...own, content: 'Old.Example.org.' }];
    const state = resource(types.record, 'example.org/x', { ...own, zoneId: 'elsewhere' });
    expect((await plan({}, state)).found).toBeDefined();
    expect((await plan({}, {})).lines[1]).toMatch(/^autoconfig\.example\.org already has CNAME/);
  });

  it('announce TLS keys only at the name of this host', async () => {
    const tlsa = (name: string, type = 'TLSA') =>
      resource(types.record, 'example.org/x', { type, name, content: '3 1 1 00' });
    const hasTlsa = async (state: StackState) => (await plan({}, state)).found!.hasTlsa;
    expect(await hasTlsa(tlsa('_25._tcp.mail.example.org'))).toBe(true);
    expect(await hasTlsa(tlsa('_25._tcp.old.example.org'))).toBe(false);
    expect(await hasTlsa(tlsa('_25._tcp.mail.example.org', 'TXT'))).toBe(false);
  });
});
