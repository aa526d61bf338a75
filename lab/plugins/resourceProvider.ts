import { isDeepStrictEqual } from 'node:util';
import * as grpc from '@grpc/grpc-js';
import { LogRequest, LogSeverity } from '@pulumi/pulumi/proto/engine_pb';
import { EngineClient } from '@pulumi/pulumi/proto/engine_grpc_pb';
import { PluginInfo } from '@pulumi/pulumi/proto/plugin_pb';
import { ResourceProviderService } from '@pulumi/pulumi/proto/provider_grpc_pb';
import * as pb from '@pulumi/pulumi/proto/provider_pb';
import { Empty } from 'google-protobuf/google/protobuf/empty_pb';
import { Struct, type JavaScriptValue } from 'google-protobuf/google/protobuf/struct_pb';

/** Property values as the engine sends them; unknown ones are the string `unknown`. */
export type Properties = Record<string, unknown>;

/** Stands for a value that is known only after creation. */
const unknown = '04da6b54-80e4-46f7-96ec-b56ff0331ba9';

export interface Created {
  id: string;
  outputs: Properties;
}

/** One line to the engine's log, shown below the resource. */
export type Log = (line: string) => void;

/** One kind of resource. `state` is what the last operation left: inputs and outputs together. */
export interface ResourceKind {
  /** Inputs that the kind takes; any other is refused, so that nothing is silently ignored. */
  inputs: string[];
  /** Inputs whose change needs a new resource, and `all` where each does. */
  replaces?: string[] | 'all';
  /** Outputs that only creation tells. */
  computed: string[];
  /** Those of `computed` that an update may change. */
  changing?: string[];
  defaults?: Properties;
  /** What is wrong with the inputs, by property. */
  check?: (inputs: Properties) => Record<string, string>;
  /** Outputs that changed by themselves (time), so that there is a difference without a changed input. */
  drifted?: (state: Properties) => string[];
  create(inputs: Properties, log: Log): Promise<Created>;
  update?(id: string, inputs: Properties, state: Properties, log: Log): Promise<Properties>;
  delete?(id: string, state: Properties, log: Log): Promise<void>;
  /** What exists under `id`: inputs and outputs, or undefined where it is gone. */
  read?(id: string, state: Properties): Promise<Properties | undefined>;
}

/** Configuration of the provider: its arguments in the stack's config. */
type Configuration = Record<string, string>;

export interface Provider {
  name: string;
  version: string;
  /** By type token. */
  resources: Record<string, ResourceKind>;
  functions?: Record<string, (args: Properties) => Promise<Properties>>;
  configure?: (configuration: Configuration) => void;
}

type Call<Q> = grpc.ServerUnaryCall<Q, unknown>;
type Reply<A> = grpc.sendUnaryData<A>;

const open = (struct: Struct | undefined): Properties => struct?.toJavaScript() ?? {};
const wrap = (properties: Properties): Struct =>
  Struct.fromJavaScript(withoutUndefined(properties) as Record<string, JavaScriptValue>);

function withoutUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUndefined);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, v]) => v !== undefined)
      .map(([k, v]) => [k, withoutUndefined(v)]),
  );
}

/** Serves a provider to the engine that started this process, as a Pulumi plugin does. */
export function serve(provider: Provider): void {
  const server = new grpc.Server({ 'grpc.max_receive_message_length': 64 << 20 });
  server.addService(ResourceProviderService, service(provider, process.argv[2]));
  server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    process.stdout.write(`${port}\n`);
  });
}

function service(
  provider: Provider,
  engineAddress: string | undefined,
): grpc.UntypedServiceImplementation {
  const kindOf = (urn: string): ResourceKind => {
    const token = urn.split('::')[2]!.split('$').at(-1)!;
    const kind = provider.resources[token];
    if (kind === undefined) {
      throw new Error(`the stand-in for the plugin ${provider.name} has no resource ${token}`);
    }
    return kind;
  };
  const engine =
    engineAddress === undefined
      ? undefined
      : new EngineClient(engineAddress, grpc.credentials.createInsecure());
  const logTo =
    (urn: string): Log =>
    (line) => {
      const request = new LogRequest().setUrn(urn).setSeverity(LogSeverity.INFO).setMessage(line);
      engine?.log(request, () => undefined);
    };
  const answer =
    <Q, A>(handler: (request: Q) => A | Promise<A>) =>
    (call: Call<Q>, reply: Reply<A>) => {
      Promise.resolve()
        .then(() => handler(call.request))
        .then(
          (result) => reply(null, result),
          (error: unknown) =>
            reply({
              code: grpc.status.UNKNOWN,
              details: error instanceof Error ? error.message : String(error),
            }),
        );
    };
  const same = answer((request: pb.CheckRequest) =>
    new pb.CheckResponse().setInputs(request.getNews()),
  );

  return {
    getPluginInfo: answer(() => new PluginInfo().setVersion(provider.version)),
    checkConfig: same,
    diffConfig: answer(() =>
      new pb.DiffResponse().setChanges(pb.DiffResponse.DiffChanges.DIFF_NONE),
    ),
    configure: answer((request: pb.ConfigureRequest) => {
      const args = Object.entries(open(request.getArgs()));
      provider.configure?.(Object.fromEntries(args.map(([k, v]) => [k, String(v)])));
      // Without `acceptSecrets` the engine opens secrets, and marks outputs whose input of that name was one.
      return new pb.ConfigureResponse().setSupportspreview(true).setAcceptresources(false);
    }),
    check: answer((request: pb.CheckRequest) =>
      check(kindOf(request.getUrn()), open(request.getNews())),
    ),
    diff: answer((request: pb.DiffRequest) =>
      diff(
        kindOf(request.getUrn()),
        open(request.getOldInputs()),
        open(request.getNews()),
        open(request.getOlds()),
      ),
    ),
    create: answer(async (request: pb.CreateRequest) => {
      const kind = kindOf(request.getUrn());
      const inputs = open(request.getProperties());
      if (request.getPreview()) {
        const computed = Object.fromEntries(kind.computed.map((name) => [name, unknown]));
        return new pb.CreateResponse().setProperties(wrap({ ...computed, ...inputs }));
      }
      const { id, outputs } = await kind.create(inputs, logTo(request.getUrn()));
      return new pb.CreateResponse().setId(id).setProperties(wrap({ ...inputs, ...outputs }));
    }),
    update: answer(async (request: pb.UpdateRequest) => {
      const kind = kindOf(request.getUrn());
      const inputs = open(request.getNews());
      const state = open(request.getOlds());
      const kept = Object.fromEntries(kind.computed.map((name) => [name, state[name]]));
      if (request.getPreview()) {
        const changing = Object.fromEntries((kind.changing ?? []).map((name) => [name, unknown]));
        return new pb.UpdateResponse().setProperties(wrap({ ...kept, ...changing, ...inputs }));
      }
      const outputs = await kind.update!(request.getId(), inputs, state, logTo(request.getUrn()));
      return new pb.UpdateResponse().setProperties(wrap({ ...kept, ...inputs, ...outputs }));
    }),
    delete: answer(async (request: pb.DeleteRequest) => {
      await kindOf(request.getUrn()).delete?.(
        request.getId(),
        open(request.getProperties()),
        logTo(request.getUrn()),
      );
      return new Empty();
    }),
    read: answer(async (request: pb.ReadRequest) => {
      const kind = kindOf(request.getUrn());
      const state = open(request.getProperties());
      const found = kind.read ? await kind.read(request.getId(), state) : state;
      if (found === undefined) return new pb.ReadResponse();
      const known = open(request.getInputs());
      const wanted = Object.keys(known).length > 0 ? Object.keys(known) : kind.inputs;
      const inputs = Object.fromEntries(wanted.map((name) => [name, found[name] ?? known[name]]));
      return new pb.ReadResponse()
        .setId(request.getId())
        .setProperties(wrap({ ...state, ...found }))
        .setInputs(wrap(inputs));
    }),
    invoke: answer(async (request: pb.InvokeRequest) => {
      const handler = provider.functions?.[request.getTok()];
      if (handler === undefined) {
        throw new Error(
          `the stand-in for the plugin ${provider.name} has no function ${request.getTok()}`,
        );
      }
      return new pb.InvokeResponse().setReturn(wrap(await handler(open(request.getArgs()))));
    }),
    cancel: answer(() => new Empty()),
    attach: answer(() => new Empty()),
  };
}

function check(kind: ResourceKind, given: Properties): pb.CheckResponse {
  const inputs = { ...kind.defaults, ...given };
  const mistakes = { ...kind.check?.(inputs) };
  for (const name of Object.keys(inputs)) {
    if (!kind.inputs.includes(name)) mistakes[name] = `the stand-in plugin has no input "${name}"`;
  }
  const failures = Object.entries(mistakes).map(([property, reason]) =>
    new pb.CheckFailure().setProperty(property).setReason(reason),
  );
  return new pb.CheckResponse().setInputs(wrap(inputs)).setFailuresList(failures);
}

function diff(
  kind: ResourceKind,
  before: Properties,
  after: Properties,
  state: Properties,
): pb.DiffResponse {
  const response = new pb.DiffResponse().setHasdetaileddiff(true);
  const names = new Set<string>();
  for (const [path, change] of Object.entries(changedPaths('', before, after))) {
    const name = /^[^.[]+/.exec(path)![0];
    names.add(name);
    const replaces = kind.replaces === 'all' || (kind.replaces ?? []).includes(name);
    const kindOfChange = pb.PropertyDiff.Kind[`${change}${replaces ? '_REPLACE' : ''}`];
    response
      .getDetaileddiffMap()
      .set(path, new pb.PropertyDiff().setKind(kindOfChange).setInputdiff(true));
    if (replaces) response.addReplaces(name);
  }
  for (const name of kind.drifted?.(state) ?? []) {
    names.add(name);
    response.addReplaces(name);
    response
      .getDetaileddiffMap()
      .set(name, new pb.PropertyDiff().setKind(pb.PropertyDiff.Kind.UPDATE_REPLACE));
  }
  const { DIFF_SOME, DIFF_NONE } = pb.DiffResponse.DiffChanges;
  return response.setDiffsList([...names]).setChanges(names.size > 0 ? DIFF_SOME : DIFF_NONE);
}

type Change = 'ADD' | 'DELETE' | 'UPDATE';

/** What differs, by property path; below `prefix`. */
function changedPaths(prefix: string, before: unknown, after: unknown): Record<string, Change> {
  if (isDeepStrictEqual(before, after)) return {};
  if (before === undefined || before === null) return { [prefix]: 'ADD' };
  if (after === undefined || after === null) return { [prefix]: 'DELETE' };
  if (typeof before !== 'object' || typeof after !== 'object') return { [prefix]: 'UPDATE' };
  const lists = Array.isArray(before) && Array.isArray(after);
  if (Array.isArray(before) !== Array.isArray(after)) return { [prefix]: 'UPDATE' };
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return Object.assign(
    {},
    ...[...keys].map((key) => {
      const plain = /^[A-Za-z_]\w*$/.test(key);
      const step = lists ? `[${key}]` : plain ? `${prefix && '.'}${key}` : `["${key}"]`;
      return changedPaths(
        `${prefix}${step}`,
        (before as Properties)[key],
        (after as Properties)[key],
      );
    }),
  ) as Record<string, Change>;
}
