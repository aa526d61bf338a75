import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as cloudflare from '@pulumi/cloudflare';
import * as command from '@pulumi/command';
import * as hcloud from '@pulumi/hcloud';
import * as pulumi from '@pulumi/pulumi';
import * as tls from '@pulumi/tls';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { dkimKeyRecord } from '../components/dns/dnsRecords';
import { quoteTxt } from '../components/dns/recordForms';
import { MailHost } from '../components/mailHost';
import type { MailHostArgs } from '../components/mailHostArgs';
import { example, sshKey } from './example';
import { publicKey, record, type Answers, type Recorded, type StackState } from './mocks';

const sdks = { cloudflare, command, hcloud, tls };
const packages = Object.keys(sdks) as (keyof typeof sdks)[];
const packageOf = (token: string) => packages.find((name) => token.startsWith(`${name}:`));

const serverTypes = [
  { name: 'cx23', disk: 40, locations: [{ name: 'fsn1' }] },
  { name: 'cx33', disk: 80, locations: [{ name: 'fsn1', isDeprecated: true }] },
].map((type) => ({ ...type, architecture: 'x86' }));
const zoneId = '0123456789abcdef'.repeat(2);

const answerOf: Answers = (token, inputs) => {
  const call = token.split(':').at(-1);
  if (call === 'getServerTypes') return { serverTypes };
  if (call === 'getServerType') return serverTypes.find(({ name }) => name === inputs.name);
  if (call === 'getZone' && inputs.zoneId !== undefined)
    return { zoneId, name: 'example.com', status: 'active', nameServers: [] };
  // The record of the key that is to sign.
  if (call === 'getDnsRecords' && inputs.name !== undefined) {
    const { exact: name } = inputs.name as { exact: string };
    return { results: [{ name, type: 'TXT', content: quoteTxt(dkimKeyRecord(publicKey)) }] };
  }
  return undefined;
};

/** A look-up or resource of one of the packages. */
interface Use {
  /** The function's or the resource's type. */
  token: string;
  /** Whether the provider given answered, and not the default one. */
  byGiven: boolean;
}

/**
 * Builds a mail host.
 *
 * @param optionsOf its options, with a provider for each package
 * @returns the resources, and every use of a provider; later look-ups, by hooks, are added to it
 */
async function build(
  optionsOf: (
    given: Record<keyof typeof sdks, pulumi.ProviderResource>,
  ) => pulumi.ComponentResourceOptions,
  change: Partial<MailHostArgs> = {},
  state: StackState = {},
  preview = false,
): Promise<{ resources: Recorded[]; uses: Use[] }> {
  const uses: Use[] = [];
  const use = (token: string, provider = '') => {
    const name = packageOf(token);
    if (name) uses.push({ token, byGiven: provider.includes(`pulumi:providers:${name}::given`) });
  };
  const resources = await record(
    (opts) => {
      const given = Object.fromEntries(
        Object.entries(sdks).map(([name, { Provider }]) => [name, new Provider('given')]),
      ) as Record<keyof typeof sdks, pulumi.ProviderResource>;
      new MailHost('mail', { ...example, ...change }, { ...opts, ...optionsOf(given) });
    },
    preview,
    state,
    (token, inputs, provider) => {
      use(token, provider);
      return answerOf(token, inputs);
    },
  );
  for (const { type, provider } of resources) use(type, provider);
  return { resources, uses };
}

/** A host with its first DKIM keys. */
const made = (type: string, name: string, outputs: object): StackState => ({
  [`urn:pulumi:test::mailhost::mailhost:index:MailHost$${type}::mail-${name}`]: {
    type: type.split('$').at(-1)!,
    outputs,
  },
});
const key = 'mailhost:index:Dkim$tls:index/privateKey:PrivateKey';
const history = { signs: 1, keys: [{ generation: 1 }, { generation: 2 }] };
const hostState: StackState = {
  ...made('hcloud:index/server:Server', 'machine-server', {
    serverType: 'cx23',
    location: 'fsn1',
  }),
  ...made(key, 'example.org-s1', { publicKeyPem: publicKey }),
  ...made(key, 'example.org-s2', { publicKeyPem: publicKey }),
  ...made('mailhost:index:Summary', 'summary', {
    summary: { serverGeneration: 1, dkim: { 'example.org': history } },
  }),
};

beforeEach(() => {
  vi.spyOn(pulumi.log, 'warn').mockResolvedValue();
  vi.spyOn(pulumi.log, 'error').mockResolvedValue();
});
afterEach(() => vi.restoreAllMocks());

type Given = Parameters<typeof build>[0];
const byPackage: Given = (providers) => ({ providers });
const withBackup: Partial<MailHostArgs> = {
  antivirus: true,
  backup: {
    repository: 'sftp:user@backup.example:/mail',
    password: 'x'.repeat(20),
    hostKey: sshKey,
  },
  restore: 'latest',
  drift: 'stop',
};
const withAcme: Partial<MailHostArgs> = { accountKind: 'system', tls: { acceptTerms: true } };

it.each<[string, Given, Partial<MailHostArgs>, readonly string[]]>([
  ['by package', byPackage, withBackup, packages],
  ['by package', byPackage, withAcme, packages],
  ['as a list', (given) => ({ providers: Object.values(given) }), withAcme, packages],
  [
    'to a parent',
    (providers) => ({ parent: new pulumi.ComponentResource('a:b:C', 'c', {}, { providers }) }),
    withAcme,
    packages,
  ],
  ['alone', ({ hcloud: provider }) => ({ provider }), withAcme, ['hcloud']],
])(
  'uses providers that are given %s for every look-up and resource',
  async (_, optionsOf, change, given) => {
    const { uses } = await build(optionsOf, change);
    expect(uses.length).toBeGreaterThan(80);
    for (const { token, byGiven } of uses)
      expect(byGiven, token).toBe(given.includes(packageOf(token)!));
  },
);

it('uses providers that are given for every look-up that there is in the code', async () => {
  const runs = [
    await build(byPackage, {
      domains: [...example.domains, { name: 'example.com', zone: zoneId }],
    }),
    // Another server type, and another key that signs.
    await build(byPackage, { serverType: 'cx33', dkimGeneration: 2 }, hostState),
    await build(byPackage, {}, hostState, true),
  ];
  const { hooks } = runs[2]!.resources.find(({ name }) => name === 'mail-machine-server')!.options;
  const before = runs[2]!.uses.length;
  const check = hooks!.beforeCreate![0] as pulumi.ResourceHook;
  await check.callback({ name: 'mail-machine-server' } as pulumi.ResourceHookArgs);
  const failed = { failedOperation: 'create', errors: ['server type cx23 not found'] };
  await hooks!.onError![0]!.callback(failed as unknown as pulumi.ErrorHookArgs);
  const callOf = ({ token }: Use) => token.split(':').at(-1)!;
  const byHooks = runs[2]!.uses.slice(before).map(callOf);
  expect(byHooks.sort()).toEqual(['getImage', 'getLocation', 'getServerType', 'getServerTypes']);

  const uses = runs.flatMap((run) => run.uses);
  expect(uses.filter(({ byGiven }) => !byGiven)).toEqual([]);
  const components = join(__dirname, '../components');
  const inCode = readdirSync(components, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.includes('node_modules'))
    .flatMap((path) => [
      ...readFileSync(join(components, path), 'utf8').matchAll(
        /\b(?:hcloud|cloudflare|tls|command)\.(get\w+)\(/g,
      ),
    ])
    .map(([, call]) => call!);
  const asked = uses.map(callOf).filter((call) => call.startsWith('get'));
  expect([...new Set(asked)].sort()).toEqual([...new Set(inCode)].sort());
});
