import * as pulumi from '@pulumi/pulumi';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { DnsProvider, ExistingRecord, StateResource } from '../components/dns/provider';
import { dnsProviders } from '../components/dns/providers';
import { RateLimit } from '../components/dns/rateLimit';
import { recordContent } from '../components/dns/recordForms';
import { known } from '../components/domainDns';
import { MailHost } from '../components/mailHost';
import type { MailHostArgs } from '../components/mailHostArgs';
import { preflight } from '../components/preflight/preflight';
import { parseSettings } from '../components/settings/parse';
import { example } from './example';
import { record, type StackState } from './mocks';

const recordType = 'elsewhere:index:Record';
const signingType = 'elsewhere:index:Signing';
class Resource extends pulumi.CustomResource {
  declare readonly content: pulumi.Output<string>;
}

/** What it lists, by the name of the zone. */
let listed: Record<string, ExistingRecord[]> = {};

/** Another DNS provider, as one file of a few lines. */
const elsewhere: DnsProvider = {
  api: {
    package: 'elsewhere',
    title: 'Elsewhere',
    token: 'elsewhere:key',
    access: 'it must write',
    endpoint: 'elsewhere:url',
  },
  flattensCname: false,
  automaticTtl: 300,
  replacedTypes: ['MX'],
  limit: new RateLimit(Infinity, 1),
  limitText: 'all calls',
  findZone: (zone) =>
    Promise.resolve({ id: `zone-${zone}`, name: zone, status: 'active', nameServers: [] }),
  listRecords: ({ name }) => Promise.resolve(listed[name] ?? []),
  publish: (name, zone, one, opts) => {
    const content = known(one).apply(recordContent);
    const { name: at, type } = one;
    return new Resource(recordType, name, { zone, at, type, content }, opts);
  },
  sign: (name, zone, opts) =>
    new Resource(signingType, name, { zone, content: 'DS' }, opts).content,
  recordType,
  importId: (zoneId, recordId) => `${zoneId}#${recordId}`,
  recordIn: ({ type, outputs }: StateResource) =>
    type === recordType
      ? { ...(outputs as unknown as ExistingRecord), zoneId: String(outputs.zone) }
      : undefined,
  dsRecordIn: ({ type, outputs }) => (type === signingType ? String(outputs.content) : undefined),
};

const { cloudflare } = dnsProviders;
beforeEach(() => {
  listed = {};
  dnsProviders.cloudflare = elsewhere;
});
afterEach(() => {
  dnsProviders.cloudflare = cloudflare;
});

/** What the checks before a plan find out, or their error. */
async function plan(change: Partial<MailHostArgs> = {}, state: StackState = {}) {
  let running: ReturnType<typeof preflight> | undefined;
  await record(
    () => {
      running = preflight('mail', parseSettings({ ...example, ...change }), {});
      running.catch(() => undefined);
    },
    true,
    state,
  );
  return running!.then(
    (found) => ({ found, error: '' }),
    ({ message }: Error) => ({ found: undefined, error: message }),
  );
}

it('publishes and signs at another provider, and uses Cloudflare for nothing', async () => {
  const calls: string[] = [];
  let host: MailHost | undefined;
  const resources = await record(
    (opts) => {
      host = new MailHost('mail', example, opts);
    },
    false,
    {},
    (token) => {
      calls.push(token);
      return undefined;
    },
  );
  const used = [...calls, ...resources.map(({ type }) => type)];
  expect(used.filter((token) => token.startsWith('cloudflare:'))).toEqual([]);
  const records = resources.filter(({ type }) => type === recordType);
  expect(records).toHaveLength(3 + 2 + 2 * (10 + 2));
  expect(records.map(({ name, inputs }) => [name, inputs])).toContainEqual([
    'mail-example.net/mx',
    { zone: 'zone-example.net', at: 'example.net', type: 'MX', content: 'mail.example.org' },
  ]);
  expect(resources.filter(({ type }) => type === signingType)).toHaveLength(2);
  const dsRecords = await new Promise((resolve) => host!.dsRecords.apply(resolve));
  expect(dsRecords).toEqual({ 'example.net': 'DS', 'example.org': 'DS' });
});

it('judges what another provider lists, and takes over what an interrupted `up` has made', async () => {
  const mx = { id: '7', type: 'MX', name: 'example.org', content: 'mail.example.org' };
  const alias = { id: '8', type: 'CNAME', name: 'example.net', content: 'www.example.net' };
  listed = { 'example.org': [mx] };
  const { found } = await plan();
  expect([...found!.adopted.ids]).toEqual([
    [`${recordType} mail-example.org/mx`, 'zone-example.org#7'],
  ]);
  listed = { 'example.net': [alias] };
  expect((await plan()).error).toContain(
    'example.net already has CNAME www.example.net: a CNAME allows nothing beside it: delete it at Elsewhere',
  );
});

it('tells from the state which records of another provider are made', async () => {
  const urn = (type: string, name: string) =>
    `urn:pulumi:test::mailhost::mailhost:index:MailHost$${type}::mail-${name}`;
  const published = (key: string, type: string, content: string): StackState => ({
    [urn(recordType, `example.org/${key}`)]: {
      type: recordType,
      outputs: { zone: 'zone-example.org', type, name: 'example.org', content },
    },
  });
  const spf = published('spf', 'TXT', '"v=spf1 -all"');
  const state = { ...spf, ...published('mx', 'MX', 'mail.example.org') };
  const made = [...(await plan({}, state)).found!.dns.made];
  expect(made).not.toContain('mail-example.org/mx');
  expect(made).not.toContain('mail-example.org/spf');
  const old = { ...spf, ...published('mx', 'MX', 'old.example.org') };
  expect([...(await plan({}, old)).found!.dns.made]).toContain('mail-example.org/mx');
});
