import * as pulumi from '@pulumi/pulumi';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { MailHost } from '../components/mailHost';
import type { MailHostArgs } from '../components/mailHostArgs';
import { LookUps } from '../components/preflight/lookUps';
import { offerOf, serverFailure, type ServerType } from '../components/preflight/offers';
import { preflight } from '../components/preflight/preflight';
import { parseSettings } from '../components/settings/parse';
import { example, sshKey } from './example';
import { publicKey, record, type Answers, type StackState } from './mocks';

const now = new Date('2026-06-01T12:00:00Z');
const gone = {
  isDeprecated: true,
  deprecationAnnounced: '2025-10-16T06:00:00Z',
  unavailableAfter: '2025-12-31T00:00:00Z',
};
const going = { ...gone, unavailableAfter: '2199-12-31T00:00:00Z' };
const type = (name: string, change: object = {}, here: object = {}): ServerType => ({
  name,
  architecture: 'x86',
  cores: 2,
  memory: 4,
  disk: 40,
  ...change,
  locations: [
    { name: 'fsn1', available: true, isDeprecated: false, ...here },
    { name: 'nbg1', available: true, isDeprecated: false },
  ],
});

describe('offerOf', () => {
  const others = [
    type('cx33', { cores: 4, memory: 8, disk: 80 }),
    type('cax11', { architecture: 'arm' }),
    type('cx53', { memory: 32, disk: 320 }, { available: false }),
    type('cx11', { memory: 2, disk: 20 }),
    type('cpx22', { disk: 80 }, going),
  ];

  it('finds nothing wrong with a type that is there', () => {
    expect(offerOf(type('cx23'), 'fsn1', now, others)).toEqual({ mistakes: [], warnings: [] });
    // Of an older plugin, which does not say.
    const silent = { ...type('cx23'), locations: [{ name: 'fsn1' }] };
    expect(offerOf(silent, 'fsn1', now)).toEqual({ mistakes: [], warnings: [] });
  });

  it('stops a plan for a type that is sold out, and names those that are there', () => {
    const { mistakes, warnings } = offerOf(
      type('cx23', {}, { available: false }),
      'fsn1',
      now,
      others,
    );
    expect(mistakes).toEqual([
      'fsn1 has no room for a server of type cx23 now: set serverType to one that fsn1 has (cx33), or wait',
    ]);
    expect(warnings).toEqual([]);
    expect(offerOf(type('cx23', {}, { available: false }), 'nbg1', now).mistakes).toEqual([]);
  });

  it('stops a plan for a type whose last day is past, whatever else is said of it', () => {
    for (const available of [true, false, undefined]) {
      const { mistakes } = offerOf(type('cx22', {}, { ...gone, available }), 'fsn1', now, others);
      expect(mistakes).toEqual([
        'no server of type cx22 can be made in fsn1 since 2025-12-31, when its deprecation took effect: set serverType to one that fsn1 has (cx33)',
      ]);
    }
  });

  it('warns of a type that is deprecated, with its last day', () => {
    const { mistakes, warnings } = offerOf(type('cx22', {}, going), 'fsn1', now, others);
    expect(mistakes).toEqual([]);
    expect(warnings).toEqual([
      'cx22 is deprecated in fsn1 since 2025-10-16, and no server of it can be made after 2199-12-31: a server that is lost could not be replaced by the same. Set serverType to one that fsn1 has (cx33)',
    ]);
    // Deprecated as a whole, as older answers have it.
    expect(offerOf(type('cx22', going), 'fsn1', now, others).warnings).toEqual(warnings);
    expect(offerOf(type('cx22', gone), 'fsn1', now, others).mistakes).toHaveLength(1);
  });

  it('says both of a type that is deprecated and sold out', () => {
    const { mistakes } = offerOf(type('cx22', {}, { ...going, available: false }), 'fsn1', now);
    expect(mistakes.join()).toMatch(/^fsn1 has no room .*deprecated .*after 2199-12-31: set /);
  });

  it('knows where a type is not offered at all', () => {
    expect(offerOf(type('cx23'), 'hel1', now, others).mistakes).toEqual([
      'cx23 is not offered in hel1: choose another of the two',
    ]);
  });
});

/** The server's state, and with it that of a host whose last `up` went through. */
const hostState = (change: object = {}): StackState => {
  const of = (kind: string, name: string, outputs: object) => ({
    [`urn:pulumi:test::mailhost::mailhost:index:MailHost$${kind}::mail-${name}`]: {
      type: kind,
      outputs,
    },
  });
  return {
    ...of('hcloud:index/server:Server', 'machine-server', {
      serverType: 'cx23',
      location: 'fsn1',
      publicNets: [{}],
      ...change,
    }),
    ...of('hcloud:index/volume:Volume', 'machine-volume', { location: 'fsn1', size: 10 }),
    ...of('tls:index/privateKey:PrivateKey', 'machine-host-key', { publicKeyPem: publicKey }),
    ...of('tls:index/privateKey:PrivateKey', 'example.org-s1', { publicKeyPem: publicKey }),
    ...of('tls:index/privateKey:PrivateKey', 'certificate-key', { publicKeyPem: publicKey }),
    ...of('mailhost:index:Summary', 'summary', { summary: { serverGeneration: 1 } }),
  };
};

const serverTypes = [
  type('cx23', {}, { available: false }),
  type('cx33', { cores: 4, memory: 8, disk: 80 }),
  type('cx43', { cores: 8, memory: 16, disk: 160 }, { available: false }),
  type('cx22', {}, going),
];
/** An error of a provider as the engine hands it on. */
const refusal = (details: string) => Object.assign(new Error(details), { details });

/** The token of each question, with its name where it has one. */
let asked: string[] = [];
const answers: Answers = (token, inputs) => {
  asked.push([token.split(':').at(-1), inputs.name].filter(Boolean).join(' '));
  if (token.endsWith(':getServerTypes')) return { serverTypes };
  if (token.endsWith(':getVolumes')) return { volumes: [{ name: 'mail.example.org' }] };
  if (!token.endsWith(':getServerType')) return undefined;
  const found = serverTypes.find(({ name }) => name === inputs.name);
  if (found === undefined)
    throw refusal('Resource not found: Resource (server type) was not found');
  return found;
};

/** What the checks before a plan say: the error, or the warnings. */
async function plan(change: Partial<MailHostArgs>, state: StackState = {}, given = answers) {
  asked = [];
  const warnings: string[] = [];
  const warn = vi.spyOn(pulumi.log, 'warn').mockImplementation((text) => {
    warnings.push(text);
    return Promise.resolve();
  });
  let outcome: unknown;
  await record(
    () => {
      outcome = preflight('mail', parseSettings({ ...example, ...change }), {}).then(
        () => '',
        (error: Error) => error,
      );
    },
    true,
    state,
    given,
  );
  outcome = await outcome;
  warn.mockRestore();
  const error = outcome instanceof Error ? outcome : undefined;
  return { error, text: error?.message ?? '', warnings: warnings.join('\n') };
}

describe('the plan of a server', () => {
  it('is stopped where a replacement would end with no server', async () => {
    const { text, error } = await plan({ serverGeneration: 2 }, hostState());
    expect(error).toBeInstanceOf(pulumi.RunError);
    expect(text).toContain('fsn1 has no room for a server of type cx23 now');
    expect(text).toContain('(cx33)');
  });

  it.each([
    ['that is new', {}, {}],
    ['that gets another type', { serverType: 'cx43' }, hostState({ serverType: 'cx33' })],
    ['that gets a type that is no more', { serverType: 'cx21' }, hostState()],
    ['that moves', { location: 'fsn1' }, hostState({ location: 'nbg1' })],
  ])('is stopped for one %s', async (_, change, state) => {
    expect((await plan(change, state)).text).toMatch(
      /fsn1 has no room for a server of type cx[24]3 now|the server type cx21 is not known/,
    );
  });

  it.each([
    ['made', { serverType: 'cx22' }, {}],
    ['made in the place of another', { serverGeneration: 2 }, hostState({ serverType: 'cx22' })],
    ['resized', { serverType: 'cx22' }, hostState()],
  ])(
    'warns of a deprecated type, and of its last day, where one is %s',
    async (_, change, state) => {
      const { text, warnings } = await plan({ serverType: 'cx22', ...change }, state);
      expect(text).toBe('');
      expect(warnings).toMatch(/cx22 is deprecated in fsn1 .* after 2199-12-31/);
    },
  );

  it('asks for no offer where the server stays as it is', async () => {
    const { text } = await plan({}, hostState());
    expect(text).toBe('');
    expect(asked.filter((call) => /ServerType|Location/.test(call))).toEqual([]);
  });
});

/** The hooks of a resource of a MailHost. */
async function hooksOf(
  name: string,
  kind: string,
  preview: boolean,
  state: StackState,
  change: Partial<MailHostArgs> = {},
  given = answers,
) {
  // Where there is a server, nothing is asked of its type.
  const serverType = Object.keys(state).length > 0 ? 'cx23' : 'cx33';
  const resources = await record(
    (opts) =>
      void new MailHost('mail', { ...example, serverType, protect: false, ...change }, opts),
    preview,
    state,
    given,
  );
  return resources.find((one) => one.name === name && one.type === kind)!.options.hooks ?? {};
}
const run = async (hooks: pulumi.ResourceHookBinding, name: string) => {
  for (const hook of hooks.beforeCreate ?? [])
    await (hook as pulumi.ResourceHook).callback({ name } as pulumi.ResourceHookArgs);
};

describe('what the engine is told to make anew', () => {
  afterEach(() => vi.restoreAllMocks());

  it.each([
    ['mail-example.org-s1', 'the DKIM key s1 of example.org would be made anew'],
    ['mail-certificate-key', 'the TLS key of generation 1 would be made anew'],
    ['mail-machine-host-key', 'the host key would be made anew'],
  ])('is refused in the preview: %s', async (name, message) => {
    const hooks = await hooksOf(name, 'tls:index/privateKey:PrivateKey', true, hostState());
    await expect(run(hooks, name)).rejects.toThrow(message);
    expect((hooks.beforeCreate![0] as pulumi.ResourceHook).opts?.onDryRun).toBe(true);
    const first = await hooksOf(name, 'tls:index/privateKey:PrivateKey', true, {});
    expect(first.beforeCreate ?? []).toEqual([]);
  });

  it('is warned of where mail is lost with it', async () => {
    const warn = vi.spyOn(pulumi.log, 'warn').mockResolvedValue();
    const hooks = await hooksOf(
      'mail-machine-volume',
      'hcloud:index/volume:Volume',
      true,
      hostState(),
    );
    await run(hooks, 'mail-machine-volume');
    expect(warn.mock.calls[0]![0]).toContain('all mail on it is lost');
  });

  it('is warned of where no backup is taken in with it', async () => {
    const warn = vi.spyOn(pulumi.log, 'warn').mockResolvedValue();
    const repository = 'sftp:mail@backup.example:/mail';
    const change = { backup: { repository, password: 'x', hostKey: sshKey } };
    const name = 'mail-backup-ssh-key';
    const key = 'tls:index/privateKey:PrivateKey';
    await run(await hooksOf(name, key, true, hostState(), change), name);
    const told = () => warn.mock.calls.map(([text]) => text).join();
    expect(told()).not.toContain('SSH key of the backups');
    const known = {
      [`urn:pulumi:test::mailhost::mailhost:index:Backup$${key}::${name}`]: {
        type: key,
        outputs: { publicKeyPem: publicKey },
      },
    };
    await run(await hooksOf(name, key, true, { ...hostState(), ...known }, change), name);
    expect(told()).toContain('the SSH key of the backups would be made anew');
  });

  it('is a server that Hetzner Cloud can make, or the preview fails', async () => {
    vi.spyOn(pulumi.log, 'warn').mockResolvedValue();
    const kind = 'hcloud:index/server:Server';
    const hooks = await hooksOf('mail-machine-server', kind, true, hostState());
    await expect(run(hooks, 'mail-machine-server')).rejects.toThrow(
      'fsn1 has no room for a server of type cx23 now',
    );
    const none: Answers = (token, inputs) =>
      token.endsWith(':getVolumes') ? { volumes: [] } : answers(token, inputs);
    const change = { serverType: 'cx33' };
    const server = hostState(change);
    const without = await hooksOf('mail-machine-server', kind, true, server, change, none);
    await expect(run(without, 'mail-machine-server')).rejects.toThrow(
      'a volume mail.example.org that it needs was deleted at Hetzner Cloud',
    );
    const whole = await hooksOf('mail-machine-server', kind, true, server, change);
    await run(whole, 'mail-machine-server');
    // An `up` has deleted the old one by then, and tries.
    expect((await hooksOf('mail-machine-server', kind, false, hostState())).beforeCreate).toEqual(
      [],
    );
  });
});

describe('the error of a server that was not made', () => {
  const failure = async (operation: string, error: string) => {
    let text: Promise<string | undefined> | undefined;
    await record(
      () => {
        const wanted = { serverType: 'cx23', location: 'fsn1' };
        text = serverFailure(operation, error, wanted, now, new LookUps({}));
      },
      false,
      {},
      answers,
    );
    return text!;
  };
  const official =
    '1 error occurred:\n\t* error during placement (resource_unavailable, 6c4be35cf2e8ed9d)\n\n';

  it('says what is gone and what to set', async () => {
    expect(await failure('create', official)).toBe(
      'Hetzner Cloud made no server of type cx23 in fsn1 (error during placement (resource_unavailable)). ' +
        'There is no server now: where it was to replace another, that is deleted; the volume with the mail, the addresses and the keys are kept, and other mail systems try again for days. ' +
        'Set serverType to one that fsn1 has (cx33), and run `pulumi up` again',
    );
  });

  it.each([
    ['POST /servers: 412 error during placement (resource_unavailable)'],
    ['server location disabled (resource_unavailable)'],
    ['unsupported location for server type (invalid_input, 261e51cc9f7b737d)'],
    ['server type cx23 not found'],
    ['Server Type "cx23" is unavailable in "fsn1" and can no longer be ordered'],
  ])('of %s', async (error) => {
    expect(await failure('create', error)).toMatch(/Set serverType to one that fsn1 has \(cx33\)/);
  });

  it('is another where a server is resized, or the project is full', async () => {
    expect(await failure('update', official)).toMatch(
      /did not change the server to one of type cx23 in fsn1 .*may be off.*Set serverType/,
    );
    expect(await failure('create', 'too many (resource_limit_exceeded)')).toMatch(
      /limits of the project .*Raise them/,
    );
  });

  it.each([
    ['image debian-13 for architecture x86 not found', /Take a newer version of this package/],
    ['Image "debian-13" is unavailable and can no longer be ordered.', /Take a newer version/],
    ['SSH key not found: 4711', /Run `pulumi refresh`.*then `pulumi up` again/],
    ['primary_ip is assigned to another server (primary_ip_assigned)', /another server has it/],
    ['firewall with ID 4711 not found (not_found)', /Run `pulumi refresh`/],
  ])('is that of what it is made with: %s', async (error, words) => {
    expect(await failure('create', error)).toMatch(words);
    expect(await failure('create', error)).toMatch(/There is no server now/);
    expect(await failure('delete', error)).toBeUndefined();
  });

  it('says nothing where Hetzner has another reason', async () => {
    expect(await failure('create', 'unable to authenticate (unauthorized)')).toBeUndefined();
    expect(await failure('delete', official)).toBeUndefined();
  });

  it('is added by a hook of the server', async () => {
    const error = vi.spyOn(pulumi.log, 'error').mockResolvedValue();
    const { onError } = await hooksOf(
      'mail-machine-server',
      'hcloud:index/server:Server',
      false,
      hostState(),
    );
    expect(
      await onError![0]!.callback({
        failedOperation: 'create',
        errors: ['server type cx23 not found'],
      } as unknown as pulumi.ErrorHookArgs),
    ).toBe(false);
    expect(error.mock.calls[0]![0]).toContain('made no server of type cx23');
    error.mockRestore();
  });
});

describe('a look-up that fails', () => {
  const failing =
    (pattern: RegExp, message: string): Answers =>
    (token, inputs) => {
      if (pattern.test(token)) throw refusal(message);
      return answers(token, inputs);
    };
  const everything = { serverType: 'cx33' };

  it('of a wrong token is one error of the plan, with the setting', async () => {
    let request = 0;
    const { text, error } = await plan(everything, {}, (token, inputs) => {
      if (token.startsWith('hcloud:'))
        throw refusal(
          `invoking ${token}: 1 error occurred:\n\t* unable to authenticate (unauthorized, 0123456789abcde${request++})\n`,
        );
      return answers(token, inputs);
    });
    expect(error).toBeInstanceOf(pulumi.RunError);
    expect(error!.stack).toBeUndefined();
    expect(text.split('\n')).toHaveLength(2);
    expect(text).toContain(
      'Hetzner Cloud does not answer getFirewalls, getLocation of fsn1, getPrimaryIps, getServerType of cx33, getServers, getSshKeys, getVolumes: unable to authenticate (unauthorized). Check hcloud:token (or HCLOUD_TOKEN)',
    );
  });

  it.each([
    [/getSshKeys$/, 'getSshKeys', 'hcloud:'],
    [/getPrimaryIps$/, 'getPrimaryIps', 'hcloud:'],
    [/getFirewalls$/, 'getFirewalls', 'hcloud:'],
    [/getVolumes$/, 'getVolumes', 'hcloud:'],
    [/getServers$/, 'getServers', 'hcloud:'],
    [/getLocation$/, 'getLocation', 'hcloud:'],
    [/getServerType$/, 'getServerType', 'hcloud:'],
    [/getZone$/, 'getZone', 'cloudflare:'],
    [/getZoneDnssec$/, 'getZoneDnssec', 'cloudflare:'],
    [/getDnsRecords$/, 'getDnsRecords', 'cloudflare:'],
  ])('is one of the plan, whatever it is: %s', async (pattern, call, setting) => {
    for (const message of [
      '401 unauthorized',
      'Get "https://api": dial tcp: lookup api: no such host',
      'something that nobody thought of',
    ]) {
      const { text, error } = await plan(everything, {}, failing(pattern, message));
      expect(error, message).toBeInstanceOf(pulumi.RunError);
      expect(text, message).toContain(call);
      expect(text, message).toMatch(/Hetzner Cloud|Cloudflare/);
      if (/unauthorized|no such host/.test(message)) expect(text, message).toContain(setting);
    }
  });
});
