import { spawn, type ChildProcess } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { EngineService } from '@pulumi/pulumi/proto/engine_grpc_pb';
import { LogSeverity, type LogRequest } from '@pulumi/pulumi/proto/engine_pb';
import { ResourceProviderClient } from '@pulumi/pulumi/proto/provider_grpc_pb';
import * as pb from '@pulumi/pulumi/proto/provider_pb';
import { Status } from '@pulumi/pulumi/proto/status_pb';
import type { FastifyInstance } from 'fastify';
import { Empty } from 'google-protobuf/google/protobuf/empty_pb';
import { Struct, type JavaScriptValue } from 'google-protobuf/google/protobuf/struct_pb';
import { Server } from 'ssh2';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Backend } from '../lab/backend';
import { cloudflareApi } from '../lab/cloud/cloudflare/api';
import { hcloudApi } from '../lab/cloud/hcloud/api';
import { standIn } from '../lab/env';
import { defaultOffers, type Offers } from '../lab/cloud/offers';
import { wholePair } from '../lab/plugins/tls/wholePair';

type Values = Record<string, unknown>;

// The engine's wire form: sdk/go/common/resource/properties.go and plugin/rpc.go in pulumi/pulumi.
const signature = '4dabf18193072939515e22adb298388d';
const secretKind = '1b47061264138c4ac30d75fd1eb44270';
const secret = (value: unknown) => ({ [signature]: secretKind, value });
const output = (fields: object) => ({
  [signature]: 'd0e6a833031e9bbcd3f4e8bde6ca49a4',
  dependencies: [],
  ...fields,
});
const unknown = '04da6b54-80e4-46f7-96ec-b56ff0331ba9';

const struct = (values: Values) => Struct.fromJavaScript(values as Record<string, JavaScriptValue>);
const values = (from: Struct | undefined) => (from?.toJavaScript() ?? {}) as Values;
const isSecret = (value: unknown) => (value as Values)[signature] === secretKind;
const open = (value: unknown) => (isSecret(value) ? (value as Values).value : value);

/** A plugin as the engine starts it, and an engine that keeps what the plugin logs. */
class Plugin {
  readonly logged: string[] = [];
  /** What stays after the progress: warnings. */
  readonly warned: string[] = [];
  private constructor(
    private readonly process: ChildProcess,
    private readonly engine: grpc.Server,
    private readonly type: string,
  ) {}
  private client!: ResourceProviderClient;

  static async start(
    name: Parameters<typeof standIn>[0],
    type: string,
    env: NodeJS.ProcessEnv = {},
  ): Promise<Plugin> {
    const engine = new grpc.Server();
    const port = await new Promise<number>((resolve, reject) => {
      engine.addService(EngineService, {
        log: (call: { request: LogRequest }, reply: (error: null, answer: Empty) => void) => {
          const { logged, warned } = plugin;
          const isWarning = call.request.getSeverity() === LogSeverity.WARNING;
          (isWarning ? warned : logged).push(call.request.getMessage());
          reply(null, new Empty());
        },
      });
      engine.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    const launcher = join(standIn(name), `pulumi-resource-${name}`);
    const child = spawn(launcher, [`127.0.0.1:${port}`], {
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const plugin = new Plugin(child, engine, type);
    const [told] = (await once(child.stdout, 'data')) as [Buffer];
    plugin.client = new ResourceProviderClient(
      `127.0.0.1:${told.toString().trim()}`,
      grpc.credentials.createInsecure(),
    );
    const configured = await plugin.ask('configure', new pb.ConfigureRequest());
    expect([
      configured.getAcceptsecrets(),
      configured.getAcceptoutputs(),
      configured.getSupportspreview(),
    ]).toEqual([true, true, true]);
    return plugin;
  }

  stop(): void {
    this.client.close();
    this.engine.forceShutdown();
    this.process.kill();
  }

  async check(inputs: Values, type = this.type) {
    const request = new pb.CheckRequest().setUrn(urn(type)).setNews(struct(inputs));
    const answer = await this.ask('check', request);
    const failures = answer.getFailuresList().map((f) => `${f.getProperty()}: ${f.getReason()}`);
    return { inputs: values(answer.getInputs()), failures };
  }

  async diff(before: Values, after: Values, state: Values = before, type = this.type) {
    const request = new pb.DiffRequest()
      .setUrn(urn(type))
      .setOldInputs(struct(before))
      .setOlds(struct(state))
      .setNews(struct(after));
    const answer = await this.ask('diff', request);
    const kinds = Object.entries(pb.PropertyDiff.Kind);
    const details: Record<string, string> = {};
    answer.getDetaileddiffMap().forEach((change, path) => {
      details[path] = kinds.find(([, kind]) => kind === change.getKind())![0];
    });
    return { details, replaces: answer.getReplacesList(), first: answer.getDeletebeforereplace() };
  }

  async create(inputs: Values, preview = false, type = this.type) {
    const request = new pb.CreateRequest()
      .setUrn(urn(type))
      .setProperties(struct(inputs))
      .setPreview(preview);
    const answer = await this.ask('create', request);
    return { id: answer.getId(), state: values(answer.getProperties()) };
  }

  async update(id: string, state: Values, inputs: Values, preview = false, type = this.type) {
    const request = new pb.UpdateRequest()
      .setUrn(urn(type))
      .setId(id)
      .setOlds(struct(state))
      .setNews(struct(inputs))
      .setPreview(preview);
    return values((await this.ask('update', request)).getProperties());
  }

  async read(id: string, state: Values = {}, inputs: Values = {}, type = this.type) {
    const request = new pb.ReadRequest()
      .setUrn(urn(type))
      .setId(id)
      .setProperties(struct(state))
      .setInputs(struct(inputs));
    const answer = await this.ask('read', request);
    return {
      id: answer.getId(),
      state: values(answer.getProperties()),
      inputs: values(answer.getInputs()),
    };
  }

  async delete(id: string, state: Values, type = this.type) {
    await this.ask(
      'delete',
      new pb.DeleteRequest().setUrn(urn(type)).setId(id).setProperties(struct(state)),
    );
  }

  async invoke(token: string, args: Values) {
    const request = new pb.InvokeRequest().setTok(token).setArgs(struct(args));
    return values((await this.ask('invoke', request)).getReturn());
  }

  cancel() {
    return this.ask('cancel', new Empty());
  }

  private ask<M extends keyof Answers>(method: M, request: unknown): Promise<Answers[M]> {
    return new Promise((resolve, reject) => {
      const call = this.client[method].bind(this.client) as unknown as (
        request: unknown,
        reply: (error: grpc.ServiceError | null, answer: Answers[M]) => void,
      ) => void;
      call(request, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
  }
}

interface Answers {
  configure: pb.ConfigureResponse;
  check: pb.CheckResponse;
  diff: pb.DiffResponse;
  create: pb.CreateResponse;
  update: pb.UpdateResponse;
  read: pb.ReadResponse;
  delete: Empty;
  invoke: pb.InvokeResponse;
  cancel: Empty;
}

const urn = (type: string) => `urn:pulumi:test::mailhost::mailhost:index:Machine$${type}::name`;

describe('command', () => {
  const { private: hostKey, public: hostKeyPublic } = wholePair().pair;
  const { private: privateKey } = wholePair().pair;
  let plugin: Plugin;
  let sshd: Server;
  let connection: Values;
  let ran: { command: string; stdin: string; env: Values }[] = [];
  /** The variables that sshd takes, as its AcceptEnv names them. */
  let accepted = /^/;
  const connectionDefaults = { user: 'root', dialErrorLimit: 10, perDialTimeout: 15 };

  beforeAll(async () => {
    // Says what it was asked; ends with the status that the command names.
    sshd = new Server({ hostKeys: [hostKey] }, (client) => {
      client.on('error', () => undefined);
      client.on('authentication', (attempt) =>
        attempt.method === 'publickey' ? attempt.accept() : attempt.reject(['publickey']),
      );
      client.on('session', (acceptSession) => {
        const env: Values = {};
        const session = acceptSession();
        session.on('env', (accept, reject, { key, val }) => {
          if (!accepted.test(key)) return reject();
          env[key] = val;
          accept();
        });
        session.on('exec', (acceptExec, _reject, { command }) => {
          const channel = acceptExec();
          let stdin = '';
          channel.on('data', (chunk: Buffer) => (stdin += chunk.toString()));
          channel.once('end', () => {
            // The client may be gone by then.
            if (!channel.writable || !channel.stderr.writable) return;
            ran.push({ command, stdin, env });
            if (command === 'be cut off') {
              client.end();
              return;
            }
            channel.write('out 1\nout ');
            channel.write('2\n');
            channel.stderr.write('err\n');
            channel.exit(Number(/exit (\d+)/.exec(command)?.[1] ?? 0));
            channel.end();
          });
        });
      });
    });
    sshd.listen(0, '127.0.0.1');
    await once(sshd, 'listening');
    const { port } = sshd.address() as AddressInfo;
    connection = { host: '127.0.0.1', port, privateKey, hostKey: hostKeyPublic };
    plugin = await Plugin.start('command', 'command:remote:Command');
  });
  afterAll(() => {
    plugin.stop();
    sshd.close();
  });
  beforeEach(() => {
    ran = [];
    plugin.logged.length = 0;
    plugin.warned.length = 0;
  });

  it('makes the connection a secret, and refuses what it does not know without telling it', async () => {
    const { inputs } = await plugin.check({ connection, create: 'true' });
    expect(inputs).toEqual({
      connection: secret({ ...connectionDefaults, ...connection }),
      create: 'true',
    });
    const { failures } = await plugin.check({
      connection: { ...connection, privatekey: 'KEY' },
      logging: 'loud',
      dir: '/',
    });
    expect(failures).toEqual([
      'dir: the stand-in plugin has no such input',
      'connection: the stand-in plugin has no such field: privatekey',
      'logging: must be one of stdout, stderr, stdoutAndStderr, none',
    ]);
  });

  it('plans with inputs that are not known yet, secret or wrapped as outputs', async () => {
    const inputs = {
      connection: secret({ host: unknown, hostKey: unknown }),
      create: output({ secret: false }),
      stdin: output({ value: 'in', secret: true }),
    };
    expect((await plugin.check(inputs)).failures).toEqual([]);
    const { id, state } = await plugin.create(inputs, true);
    expect(id).toBe('');
    expect(state).toEqual({
      connection: secret({ host: unknown, hostKey: unknown }),
      create: unknown,
      stdin: secret('in'),
      stdout: unknown,
      stderr: unknown,
    });
    expect(ran).toEqual([]);
  });

  it('runs, logs line by line, and keeps secrets', async () => {
    const { id, state } = await plugin.create({
      connection: secret(connection),
      create: 'make it',
      stdin: secret('in'),
    });
    expect(id).toMatch(/^command[0-9a-f]{16}$/);
    expect(state).toEqual({
      connection: secret(connection),
      create: 'make it',
      stdin: secret('in'),
      stdout: 'out 1\nout 2',
      stderr: 'err',
    });
    expect(ran).toEqual([{ command: 'make it', stdin: 'in', env: {} }]);
    expect([...plugin.logged].sort()).toEqual(['err', 'out 1', 'out 2']);

    plugin.logged.length = 0;
    await plugin.create({ connection, create: 'x', logging: 'none' });
    expect(plugin.logged).toEqual([]);
  });

  it('updates with the last output in its environment, and deletes where it is told how', async () => {
    const state = { connection, create: 'a', stdout: 'was', stderr: '' };
    await plugin.update('id', state, { connection, create: 'b' });
    await plugin.update('id', state, { connection, create: 'b', update: 'c' });
    await plugin.delete('id', { ...state, delete: 'd' });
    await plugin.delete('id', state);
    const env = { PULUMI_COMMAND_STDOUT: 'was' };
    expect(ran.map(({ command }) => command)).toEqual(['b', 'c', 'd']);
    expect(ran.map((each) => each.env)).toEqual([env, env, env]);
    const planned = await plugin.update('id', state, { connection, create: 'b' }, true);
    expect(planned).toMatchObject({ stdout: unknown, stderr: unknown, create: 'b' });
  });

  it('warns of each variable that sshd does not take, as the official plugin does', async () => {
    accepted = /^LC_/;
    const state = { connection, create: 'a', stdout: 'was', stderr: 'so' };
    const refused = (name: string) =>
      `Unable to set '${name}'. This only works if your SSH server is configured to accept\n\tthese variables via AcceptEnv.`;
    await plugin.update('id', state, { connection, create: 'b' });
    expect(plugin.warned).toHaveLength(2);
    expect(plugin.warned[0]).toContain(refused('PULUMI_COMMAND_STDOUT'));
    expect(plugin.warned[1]).toContain(refused('PULUMI_COMMAND_STDERR'));
    expect(ran.map(({ command, env }) => [command, env])).toEqual([['b', {}]]);
    plugin.warned.length = 0;
    await plugin.update('id', state, { connection, create: 'b', addPreviousOutputInEnv: false });
    expect(plugin.warned).toEqual([]);
    await expect(
      plugin.create({ connection, create: 'x', environment: { FOO: 'bar' } }),
    ).rejects.toThrow('could not set environment variable "FOO"');
    accepted = /^/;
  });

  it('tells of a connection that is lost no more than the official plugin', async () => {
    await expect(plugin.create({ connection, create: 'be cut off' })).rejects.toThrow(
      'wait: remote command exited without exit status or exit signal: running "be cut off"',
    );
  });

  it('goes on with what the official plugin left', async () => {
    const official = {
      __defaults: [],
      addPreviousOutputInEnv: null,
      connection: secret({
        ...connectionDefaults,
        ...connection,
        agentSocketPath: null,
        password: null,
        privateKeyPassword: null,
        proxy: null,
      }),
      create: 'a',
      delete: null,
      environment: null,
      logging: null,
      stdin: null,
      triggers: null,
      update: null,
    };
    const state = { ...official, stdout: 'x', stderr: '' };
    const { inputs } = await plugin.check({ connection: secret(connection), create: 'a' });
    expect((await plugin.diff(official, inputs, state)).details).toEqual({});
    expect((await plugin.read('id', state, official)).id).toBe('id');
    await plugin.update('id', state, inputs);
    await plugin.delete('id', state);
    expect(ran.map(({ command }) => command)).toEqual(['a']);
  });

  it('tells the status and all output of a failure', async () => {
    await expect(plugin.create({ connection, create: 'exit 7' })).rejects.toThrow(
      /^2 UNKNOWN: Process exited with status 7: running "exit 7":\n(out 1\nout 2\nerr|err\nout 1)/,
    );
  });

  it('refuses another host key, and gives up after the limit of errors', async () => {
    const other = wholePair().pair.public;
    const wrong = { ...connection, hostKey: other, dialErrorLimit: 1 };
    await expect(plugin.create({ connection: wrong, create: 'x' })).rejects.toThrow(
      'after 1 failed attempts: ssh: handshake failed: ssh: host key mismatch',
    );
    expect(plugin.logged).toEqual(['Dial 1/1 failed: retrying']);
    expect(ran).toEqual([]);
  });

  it('says in the words of the official plugin why no connection came about', async () => {
    const shut = { ...connection, port: 1, dialErrorLimit: 0 };
    await expect(plugin.create({ connection: shut, create: 'x' })).rejects.toThrow(
      'after 0 failed attempts: dial tcp 127.0.0.1:1: connect: connection refused',
    );
  });

  it('replaces for triggers and updates for the rest', async () => {
    const before = { connection, create: 'a', triggers: ['x'] };
    expect(await plugin.diff(before, { ...before, triggers: ['y'], stdin: 'in' })).toMatchObject({
      details: { 'triggers[0]': 'UPDATE_REPLACE', stdin: 'ADD' },
      replaces: ['triggers'],
    });
    expect((await plugin.diff(before, before)).details).toEqual({});
  });

  it('stops dialling when it is cancelled', async () => {
    const nowhere = { ...connection, port: 1, dialErrorLimit: -1 };
    const attempt = expect(plugin.create({ connection: nowhere, create: 'x' })).rejects.toThrow();
    while (plugin.logged.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
    await plugin.cancel();
    await attempt;
  });
});

describe('tls', () => {
  const types = {
    key: 'tls:index/privateKey:PrivateKey',
    selfSigned: 'tls:index/selfSignedCert:SelfSignedCert',
    request: 'tls:index/certRequest:CertRequest',
    signed: 'tls:index/locallySignedCert:LocallySignedCert',
  };
  let plugin: Plugin;
  beforeAll(async () => {
    plugin = await Plugin.start('tls', types.key);
  });
  afterAll(() => plugin.stop());

  const create = async (type: string, given: Values) => {
    const { inputs, failures } = await plugin.check(given, type);
    expect(failures).toEqual([]);
    const { state } = await plugin.create(inputs, false, type);
    return { inputs, state };
  };
  const ecKey = async () =>
    (await create(types.key, { algorithm: 'ECDSA', ecdsaCurve: 'P256' })).state.privateKeyPem;

  it.each([
    [{ algorithm: 'ED25519' }, 'ed25519', 'PRIVATE KEY', 'ssh-ed25519 '],
    [{ algorithm: 'RSA', rsaBits: 2048 }, 'rsa', 'RSA PRIVATE KEY', 'ssh-rsa '],
    [{ algorithm: 'ECDSA', ecdsaCurve: 'P384' }, 'ec', 'EC PRIVATE KEY', 'ecdsa-sha2-nistp384 '],
  ])('makes the key %o, its private forms secret', async (given, type, label, ssh) => {
    const { state } = await create(types.key, given);
    for (const form of ['privateKeyPem', 'privateKeyPemPkcs8', 'privateKeyOpenssh']) {
      expect(isSecret(state[form])).toBe(true);
    }
    const pem = open(state.privateKeyPem) as string;
    expect(pem).toContain(`-----BEGIN ${label}-----`);
    expect(pem).toMatch(/[^\n]\n$/);
    expect(createPrivateKey(pem).asymmetricKeyType).toBe(type);
    const pkcs8 = createPrivateKey(open(state.privateKeyPemPkcs8) as string);
    expect(pkcs8.equals(createPrivateKey(pem))).toBe(true);
    expect(state.publicKeyOpenssh).toMatch(new RegExp(`^${ssh}[^ ]+\n$`));
    expect(state.publicKeyFingerprintSha256).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
  });

  it('judges an algorithm once it is known', async () => {
    expect((await plugin.check({ algorithm: 'DSA' })).failures).toHaveLength(1);
    expect((await plugin.check({ algorithm: unknown })).failures).toEqual([]);
  });

  it('signs a certificate that verifies, by a CA of its own', async () => {
    const [caPrivateKeyPem, privateKeyPem] = [await ecKey(), await ecKey()];
    const ca = await create(types.selfSigned, {
      privateKeyPem: caPrivateKeyPem,
      subject: { commonName: 'CA' },
      isCaCertificate: true,
      allowedUses: ['cert_signing'],
      validityPeriodHours: 48,
    });
    const request = await create(types.request, {
      privateKeyPem,
      subject: { commonName: 'mail.example.org' },
      dnsNames: ['mail.example.org'],
    });
    const { state } = await create(types.signed, {
      certRequestPem: request.state.certRequestPem,
      caPrivateKeyPem,
      caCertPem: ca.state.certPem,
      allowedUses: ['digital_signature', 'server_auth'],
      validityPeriodHours: 24,
    });
    expect([isSecret(ca.state.privateKeyPem), isSecret(state.caPrivateKeyPem)]).toEqual([
      true,
      true,
    ]);
    const issuer = new X509Certificate(ca.state.certPem as string);
    const certificate = new X509Certificate(state.certPem as string);
    expect(certificate.verify(issuer.publicKey)).toBe(true);
    expect(certificate.checkIssued(issuer)).toBe(true);
    expect(certificate.checkHost('mail.example.org')).toBe('mail.example.org');
    expect([issuer.ca, certificate.ca]).toEqual([true, false]);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    const hours = certificate.validToDate.getTime() - certificate.validFromDate.getTime();
    expect(hours / 3_600_000).toBe(24);
  });

  it('replaces for every input but the hours of early renewal, and when these have come', async () => {
    const { inputs, state } = await create(types.selfSigned, {
      privateKeyPem: await ecKey(),
      allowedUses: [],
      validityPeriodHours: 24,
    });
    const change = (after: Values) =>
      plugin.diff(inputs, { ...inputs, ...after }, state, types.selfSigned);
    expect((await change({ allowedUses: ['server_auth'] })).replaces).toEqual(['allowedUses']);
    expect(await change({ earlyRenewalHours: 23 })).toMatchObject({
      details: { earlyRenewalHours: 'ADD' },
      replaces: [],
    });
    expect(await change({ earlyRenewalHours: 24 })).toMatchObject({
      details: { readyForRenewal: 'UPDATE_REPLACE' },
      replaces: ['readyForRenewal'],
    });
    const refresh = (hours: number) =>
      plugin.read('1', { ...state, earlyRenewalHours: hours }, inputs, types.selfSigned);
    expect((await refresh(23)).state.readyForRenewal).toBe(false);
    expect((await refresh(24)).state.readyForRenewal).toBe(true);
  });

  it('goes on with what the official plugin left', async () => {
    const { inputs, state } = await create(types.selfSigned, {
      privateKeyPem: await ecKey(),
      allowedUses: ['cert_signing'],
      validityPeriodHours: 24,
    });
    const names = ['subject', 'dnsNames', 'ipAddresses', 'uris', 'earlyRenewalHours'];
    const [was, then] = [official(inputs, names), official(state, names)];
    expect((await plugin.diff(was, inputs, then, types.selfSigned)).details).toEqual({});
    const read = await plugin.read('1', then, was, types.selfSigned);
    expect(read.state).toMatchObject({ readyForRenewal: false });
    await plugin.update('1', then, { ...inputs, earlyRenewalHours: 1 }, false, types.selfSigned);
    await plugin.delete('1', then, types.selfSigned);
  });

  it('imports nothing', async () => {
    await expect(plugin.read('1')).rejects.toThrow('cannot be imported');
  });
});

/** Inputs or a state as the official plugins write them: what is not given is null, and the bridge notes its defaults. */
const official = (given: Values, names: string[]): Values => ({
  ...Object.fromEntries(names.map((name) => [name, null])),
  ...given,
  __defaults: [],
  __meta: '{}',
});

/** Runs one of the lab's APIs, and its plugin with it. */
function withApi(
  make: (backend: Backend, store: string) => FastifyInstance,
  backend: Partial<Backend>,
  start: (url: string) => Promise<Plugin>,
) {
  const directory = mkdtempSync(join(tmpdir(), 'mailhost-'));
  const api = make(backend as Backend, join(directory, 'store.json'));
  const running = { api, plugin: undefined as unknown as Plugin };
  beforeAll(async () => {
    running.plugin = await start(await api.listen({ host: '127.0.0.1', port: 0 }));
  });
  afterAll(async () => {
    running.plugin.stop();
    await api.close();
    rmSync(directory, { recursive: true });
  });
  return running;
}

describe('hcloud', () => {
  const type = (name: string) => `hcloud:index/${name[0]!.toLowerCase()}${name.slice(1)}:${name}`;
  const done = () => new Promise<void>((resolve) => setTimeout(resolve, 50));
  let refuse: string | undefined;
  const ends: string[] = [];
  const ended = (how: string) => {
    ends.push(how);
    return done();
  };
  const token = 'l'.repeat(64);
  let offers: Offers = defaultOffers;
  const running = withApi(
    (backend, store) => hcloudApi(backend, store, token, () => offers),
    {
      network: { ipv4Pool: ['192.0.2.1'], ipv6Networks: ['2001:db8::/64'] },
      createMachine: () => (refuse ? Promise.reject(new Error(refuse)) : done()),
      deleteMachine: () => ended('deleted'),
      powerOn: done,
      powerOff: done,
      shutdown: () => ended('shut down'),
      setFirewall: done,
      createVolume: done,
      resizeVolume: done,
      attachVolume: done,
      detachVolume: done,
      deleteVolume: done,
      setReverse: done,
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

  it('fails where another action holds the resource, as the official plugin does', async () => {
    const ip = await create('PrimaryIp', { name: 'busy', type: 'ipv6', location: 'fsn1' });
    const pointers = ['2001:db8::1', '2001:db8::2', '2001:db8::3'].map((ipAddress) =>
      create('Rdns', { primaryIpId: Number(ip.id), ipAddress, dnsPtr: 'a.example' }),
    );
    const failed = (await Promise.allSettled(pointers)).flatMap((pointer) =>
      pointer.status === 'rejected' ? String(pointer.reason) : [],
    );
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
