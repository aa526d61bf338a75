import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { quoteTxt } from '../components/dns/recordForms';
import type { Backend, ZoneRecord } from '../lab/backend';
import { cloudflareApi } from '../lab/cloud/cloudflare/api';
import { nameServers } from '../lab/cloud/cloudflare/zone';

interface Answer<T = Record<string, unknown>> {
  status: number;
  success: boolean;
  errors: { code: number; message: string; error_chain?: { code: number }[] }[];
  result: T;
  result_info?: Record<string, number>;
}

const token = 'lab-'.padEnd(40, '0');
let directory: string;
let published: Map<string, ZoneRecord[]>;
let refuse: string | undefined;
let signed: Set<string>;
/** Zones whose DS record is in the parent. */
let delegated: Set<string>;
let api: FastifyInstance;
let zone: string;

const backend = {
  putZone: (name: string, records: ZoneRecord[]) => {
    if (refuse !== undefined) return Promise.reject(new Error(refuse));
    published.set(name, records);
    return Promise.resolve();
  },
  sign: (name: string, wanted: boolean) => {
    if (refuse !== undefined) return Promise.reject(new Error(refuse));
    if (wanted) signed.add(name);
    else signed.delete(name);
    return Promise.resolve();
  },
  dnssec: (name: string) => ({
    ...(signed.has(name) && { ds: '2371 13 2 ABCD' }),
    delegated: delegated.has(name),
  }),
} as Partial<Backend> as Backend;

function start() {
  const store = join(directory, 'cloudflare.json');
  return cloudflareApi(backend, store, token, ['example.org', 'example.net']);
}

async function ask<T = Record<string, unknown>>(
  method: InjectOptions['method'],
  path: string,
  payload?: object,
): Promise<Answer<T>> {
  const response = await api.inject({
    method,
    url: `/client/v4${path}`,
    headers: { authorization: `Bearer ${token}` },
    payload,
  });
  return { ...response.json<Answer<T>>(), status: response.statusCode };
}

const records = () => `/zones/${zone}/dns_records`;
const a = { type: 'A', name: 'mail.example.org', content: '10.88.1.10', ttl: 300 };

async function create(record: object): Promise<string> {
  const { result, errors } = await ask<{ id: string }>('POST', records(), record);
  expect(errors).toEqual([]);
  return result.id;
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'mailhost-'));
  published = new Map();
  signed = new Set();
  delegated = new Set();
  refuse = undefined;
  api = start();
  zone = (await ask<{ id: string }[]>('GET', '/zones?name=example.org')).result[0]!.id;
});

afterEach(async () => {
  vi.restoreAllMocks();
  await api.close();
  rmSync(directory, { recursive: true });
});

describe('authorization', () => {
  it.each([
    [undefined, 400, 9106, undefined],
    ['Bearer short', 400, 6003, 6111],
    [`Basic ${token}`, 400, 6003, 6111],
    [`Bearer ${token.replace('lab', 'not')}`, 403, 9109, undefined],
  ])('refuses %s', async (authorization, status, code, chained) => {
    const response = await api.inject({
      url: '/client/v4/zones',
      headers: authorization === undefined ? {} : { authorization },
    });
    expect(response.statusCode).toBe(status);
    const { success, errors } = response.json<Answer>();
    expect(success).toBe(false);
    expect(errors[0]?.code).toBe(code);
    expect(errors[0]?.error_chain?.[0]?.code).toBe(chained);
  });
});

describe('zones', () => {
  it('finds one by name and tells its name servers', async () => {
    const found = await ask('GET', `/zones/${zone}`);
    expect(found.result).toMatchObject({
      id: zone,
      name: 'example.org',
      status: 'active',
      name_servers: nameServers,
    });
    expect((await ask('GET', '/zones?name=example.invalid')).result).toEqual([]);
  });

  it('refuses an unknown id and an unknown path in the same envelope', async () => {
    expect(await ask('GET', `/zones/${'f'.repeat(32)}`)).toMatchObject({
      status: 404,
      success: false,
      errors: [{ code: 7003 }],
      result: null,
    });
    expect(await ask('GET', '/elsewhere')).toMatchObject({ status: 404, errors: [{ code: 7000 }] });
  });

  it('are published empty at the start', () => {
    expect([...published]).toEqual([
      ['example.org', []],
      ['example.net', []],
    ]);
  });
});

describe('records', () => {
  it('are published before the answer, in full names', async () => {
    await create(a);
    await create({ ...a, type: 'MX', name: '@', content: 'mail.example.org', priority: 10 });
    await create({ type: 'AAAA', name: 'MAIL', content: 'fd88:0:1:a::1' });
    expect(published.get('example.org')).toEqual([
      { name: 'mail.example.org', type: 'A', ttl: 300, rdata: '10.88.1.10' },
      { name: 'example.org', type: 'MX', ttl: 300, rdata: '10 mail.example.org.' },
      { name: 'mail.example.org', type: 'AAAA', ttl: 300, rdata: 'fd88:0:1:a::1' },
    ]);
  });

  it('come back as stored', async () => {
    const id = await create(a);
    expect((await ask('GET', `${records()}/${id}`)).result).toMatchObject({
      ...a,
      id,
      proxied: false,
      proxiable: true,
      comment: null,
      tags: [],
      settings: {},
      meta: {},
    });
  });

  it('change as a whole by PUT and in part by PATCH', async () => {
    const id = await create({ ...a, comment: 'mail host' });
    const patched = await ask('PATCH', `${records()}/${id}`, { content: '10.88.1.11' });
    expect(patched.result).toMatchObject({ id, content: '10.88.1.11', comment: 'mail host' });
    const put = await ask('PUT', `${records()}/${id}`, { ...a, ttl: 600 });
    expect(put.result).toMatchObject({ id, ...a, ttl: 600, comment: null });
    expect(published.get('example.org')).toEqual([
      { name: a.name, type: 'A', ttl: 600, rdata: a.content },
    ]);
  });

  it('are gone after DELETE', async () => {
    const id = await create(a);
    expect((await ask('DELETE', `${records()}/${id}`)).result).toEqual({ id });
    expect(published.get('example.org')).toEqual([]);
    for (const method of ['GET', 'DELETE'] as const) {
      expect(await ask(method, `${records()}/${id}`)).toMatchObject({
        status: 404,
        errors: [{ code: 81044 }],
      });
    }
  });

  it('are listed by filter, page by page', async () => {
    for (const n of [1, 2, 3]) await create({ ...a, content: `10.88.1.${n}` });
    await create({ type: 'TXT', name: 'example.org', content: '"v=spf1 mx -all"' });
    const second = await ask<{ content: string }[]>('GET', `${records()}?type=A&per_page=2&page=2`);
    expect(second.result.map((record) => record.content)).toEqual(['10.88.1.3']);
    expect(second.result_info).toEqual({
      page: 2,
      per_page: 2,
      count: 1,
      total_count: 3,
      total_pages: 2,
    });
    expect((await ask('GET', `${records()}?name.exact=example.org`)).result).toHaveLength(1);
  });

  it('and zone ids outlive the process', async () => {
    const id = await create(a);
    await api.close();
    published.clear();
    api = start();
    expect((await ask('GET', `${records()}/${id}`)).result).toMatchObject({ id, ...a });
    expect(published.get('example.org')).toHaveLength(1);
  });

  it('stay as they were where the zone cannot be published', async () => {
    const id = await create(a);
    refuse = 'knot: zone file error';
    vi.spyOn(console, 'error').mockReturnValue();
    for (const [method, path, body] of [
      ['POST', records(), { ...a, content: '10.88.1.2' }],
      ['PUT', `${records()}/${id}`, { ...a, content: '10.88.1.2' }],
      ['DELETE', `${records()}/${id}`, undefined],
    ] as const) {
      expect(await ask(method, path, body)).toMatchObject({
        status: 500,
        errors: [{ message: refuse }],
      });
    }
    refuse = undefined;
    expect((await ask<object[]>('GET', records())).result).toMatchObject([{ id, ...a }]);
  });

  it('written at once are all published', async () => {
    const numbers = Array.from({ length: 20 }, (_, i) => i + 1);
    await Promise.all(numbers.map((n) => create({ ...a, content: `10.88.1.${n}` })));
    expect(published.get('example.org')).toHaveLength(20);
  });
});

describe('a record is refused', () => {
  const txt = { type: 'TXT', name: 'example.org', content: '"x"' };
  it.each([
    ['an A record without an IPv4 address', 9005, { ...a, content: 'fd88::1' }],
    ['an AAAA record without an IPv6 address', 9006, { ...a, type: 'AAAA' }],
    ['a CNAME to an address', 9007, { ...a, type: 'CNAME' }],
    ['an MX to an address', 9009, { ...a, type: 'MX', priority: 10 }],
    ['an MX without a priority', 9101, { ...a, type: 'MX', content: 'mail.example.org' }],
    ['an invalid name', 9000, { ...a, name: 'a..b' }],
    ['a TTL out of range', 9021, { ...a, ttl: 30 }],
    ['a proxied TXT', 9041, { ...txt, proxied: true }],
    ['a TXT string that is not closed', 9012, { ...txt, content: '"x' }],
    ['a TXT string of more than 255 octets', 9012, { ...txt, content: `"${'x'.repeat(256)}"` }],
    ['CAA without its data', 9101, { ...txt, type: 'CAA' }],
    ['an unknown type', 9004, { ...a, type: 'X' }],
    ['a TTL that is no number', 9207, { ...a, ttl: '300' }],
  ])('%s', async (_what, code, record) => {
    expect(await ask('POST', records(), record)).toMatchObject({
      status: 400,
      success: false,
      errors: [{ code }],
      result: null,
    });
    expect(published.get('example.org')).toEqual([]);
  });

  it('that stands there already, also by an update', async () => {
    await create(a);
    const other = await create({ ...a, content: '10.88.1.11' });
    expect((await ask('POST', records(), { ...a, ttl: 60 })).errors[0]?.code).toBe(81058);
    expect((await ask('PUT', `${records()}/${other}`, a)).errors[0]?.code).toBe(81058);
  });

  it('where a CNAME would have company', async () => {
    await create(a);
    const cname = { type: 'CNAME', name: a.name, content: 'other.example.org' };
    expect((await ask('POST', records(), cname)).errors[0]?.code).toBe(81053);
    await create({ ...cname, name: 'alias.example.org' });
    expect(
      (await ask('POST', records(), { ...a, name: 'alias.example.org' })).errors[0]?.code,
    ).toBe(81054);
  });

  it('where a CNAME of the zone itself would have addresses beside it, and nothing else', async () => {
    const cname = { type: 'CNAME', name: 'example.org', content: 'www.other.example' };
    await create({ type: 'TXT', name: 'example.org', content: '"one"' });
    await create(cname);
    await create({ type: 'TXT', name: 'example.org', content: '"two"' });
    expect((await ask('POST', records(), { ...a, name: 'example.org' })).errors[0]?.code).toBe(
      81054,
    );
    expect(published.get('example.org')!.map(({ type }) => type)).toEqual(['TXT', 'TXT']);
  });
});

describe('TXT content', () => {
  it('comes back as sent and is published as character-strings', async () => {
    const quoted = quoteTxt('v=DKIM1; k=rsa; p='.padEnd(400, 'A'));
    const id = await create({ type: 'TXT', name: 's1._domainkey', content: quoted });
    expect((await ask('GET', `${records()}/${id}`)).result).toMatchObject({ content: quoted });
    expect(published.get('example.org')![0]!.rdata).toBe(quoted);
  });

  it('without quotation marks is cut and quoted for the DNS alone', async () => {
    await fc.assert(
      fc.asyncProperty(fc.stringMatching(/^[!#-~][ -~]{0,600}$/), async (content) => {
        const id = await create({ type: 'TXT', name: 'x', content });
        expect((await ask('GET', `${records()}/${id}`)).result).toMatchObject({ content });
        expect(published.get('example.org')![0]!.rdata).toBe(quoteTxt(content));
        await ask('DELETE', `${records()}/${id}`);
      }),
      { numRuns: 25 },
    );
  });
});

describe('data of CAA, SRV and TLSA', () => {
  const caa = { type: 'CAA', name: '@', data: { flags: 0, tag: 'issue', value: 'ca.test' } };
  const srv = {
    type: 'SRV',
    name: '_imaps._tcp',
    data: { priority: 2, weight: 1, port: 993, target: 'mail.example.org' },
  };
  const tlsa = {
    type: 'TLSA',
    name: '_25._tcp.mail',
    data: { usage: 3, selector: 1, matching_type: 1, certificate: 'ab12' },
  };

  it('becomes content', async () => {
    for (const [record, content] of [
      [caa, '0 issue "ca.test"'],
      [srv, '1 993 mail.example.org'],
      [tlsa, '3 1 1 ab12'],
    ] as const) {
      const { type, data } = record;
      expect((await ask('POST', records(), record)).result).toMatchObject({ type, data, content });
    }
    expect(published.get('example.org')!.map((record) => record.rdata)).toEqual([
      '0 issue "ca.test"',
      '2 1 993 mail.example.org.',
      '3 1 1 ab12',
    ]);
  });

  it('has a priority that is told beside it, too, whatever was sent there', async () => {
    for (const sent of [{}, { priority: 2 }, { priority: 7 }]) {
      const { result } = await ask('POST', records(), { ...srv, ...sent });
      expect(result).toMatchObject({ priority: 2, data: { priority: 2 } });
      await ask('DELETE', `${records()}/${String(result.id)}`);
    }
    expect((await ask('POST', records(), caa)).result).not.toHaveProperty('priority');
  });

  it.each([
    ['a field less', { ...srv, data: { ...srv.data, port: undefined } }],
    ['no hexadecimal', { ...tlsa, data: { ...tlsa.data, certificate: 'xy' } }],
    ['half an octet', { ...tlsa, data: { ...tlsa.data, certificate: 'abc' } }],
  ])('is refused with %s', async (_what, record) => {
    expect(await ask('POST', records(), record)).toMatchObject({ errors: [{ code: 9101 }] });
  });
});

it('tells targets without final dot, and that of a null MX as it is', async () => {
  for (const [type, target, told] of [
    ['CNAME', 'mail.example.org.', 'mail.example.org'],
    ['MX', 'mail.example.org.', 'mail.example.org'],
    ['MX', '.', '.'],
  ] as const) {
    const record = { type, name: 'x', content: target, priority: 0 };
    const { result } = await ask('POST', records(), record);
    expect(result).toMatchObject({ content: told });
    expect(published.get('example.org')![0]!.rdata).toMatch(/(^| )(mail\.example\.org)?\.$/);
    await ask('DELETE', `${records()}/${String(result.id)}`);
  }
});

describe('DNSSEC', () => {
  const path = () => `/zones/${zone}/dnssec`;
  const status = async () => (await ask('GET', path())).result.status;

  it('is off at first', async () => {
    expect((await ask('GET', path())).result).toMatchObject({ status: 'disabled', ds: null });
  });

  it('is pending until the parent has the DS record', async () => {
    expect((await ask('PATCH', path(), { status: 'active' })).result).toMatchObject({
      status: 'pending',
      ds: 'example.org. 3600 IN DS 2371 13 2 ABCD',
      key_tag: 2371,
      algorithm: '13',
      digest_type: '2',
      digest: 'ABCD',
    });
    expect(signed).toEqual(new Set(['example.org']));
    delegated.add('example.org');
    expect(await status()).toBe('active');
    await ask('PATCH', path(), { status: 'active' });
    expect(await status()).toBe('active');
  });

  it('ends once the parent no longer has it', async () => {
    await ask('PATCH', path(), { status: 'active' });
    delegated.add('example.org');
    expect((await ask('PATCH', path(), { status: 'disabled' })).result.status).toBe(
      'pending-disabled',
    );
    delegated.clear();
    expect(await status()).toBe('disabled');
    expect(await ask('DELETE', path())).toMatchObject({ status: 200 });
  });

  it('outlives the process, and is not on where the zone cannot be signed', async () => {
    refuse = 'knot: no key';
    vi.spyOn(console, 'error').mockReturnValue();
    expect(await ask('PATCH', path(), { status: 'active' })).toMatchObject({ status: 500 });
    refuse = undefined;
    expect(await status()).toBe('disabled');
    await ask('PATCH', path(), { status: 'active' });
    await api.close();
    signed.clear();
    api = start();
    expect(await status()).toBe('pending');
    expect(signed).toEqual(new Set(['example.org']));
  });

  it('refuses another status', async () => {
    expect(await ask('PATCH', path(), { status: 'pending' })).toMatchObject({
      errors: [{ code: 9207 }],
    });
  });
});
