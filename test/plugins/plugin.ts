import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { EngineService } from '@pulumi/pulumi/proto/engine_grpc_pb';
import { LogSeverity, type LogRequest } from '@pulumi/pulumi/proto/engine_pb';
import { ResourceProviderClient } from '@pulumi/pulumi/proto/provider_grpc_pb';
import * as pb from '@pulumi/pulumi/proto/provider_pb';
import type { FastifyInstance } from 'fastify';
import { Empty } from 'google-protobuf/google/protobuf/empty_pb';
import { Struct, type JavaScriptValue } from 'google-protobuf/google/protobuf/struct_pb';
import { afterAll, beforeAll, expect } from 'vitest';
import type { Backend } from '../../lab/backend';
import { standIn } from '../../lab/env';

/** Properties in the engine's wire form. */
export type Values = Record<string, unknown>;

// The engine's wire form: sdk/go/common/resource/properties.go and plugin/rpc.go in pulumi/pulumi.
const signature = '4dabf18193072939515e22adb298388d';
const secretKind = '1b47061264138c4ac30d75fd1eb44270';
export const secret = (value: unknown) => ({ [signature]: secretKind, value });
export const output = (fields: object) => ({
  [signature]: 'd0e6a833031e9bbcd3f4e8bde6ca49a4',
  dependencies: [],
  ...fields,
});
export const unknown = '04da6b54-80e4-46f7-96ec-b56ff0331ba9';

const struct = (values: Values) => Struct.fromJavaScript(values as Record<string, JavaScriptValue>);
export const values = (from: Struct | undefined) => (from?.toJavaScript() ?? {}) as Values;
export const isSecret = (value: unknown) => (value as Values)[signature] === secretKind;
export const open = (value: unknown) => (isSecret(value) ? (value as Values).value : value);

/** A plugin as the engine starts it, and an engine that keeps what the plugin logs. */
export class Plugin {
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

/** Inputs or a state as the official plugins write them: what is not given is null, and the bridge notes its defaults. */
export const official = (given: Values, names: string[]): Values => ({
  ...Object.fromEntries(names.map((name) => [name, null])),
  ...given,
  __defaults: [],
  __meta: '{}',
});

/** Runs one of the lab's APIs, and its plugin with it. */
export function withApi(
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
