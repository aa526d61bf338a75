import * as grpc from '@grpc/grpc-js';
import { EngineClient } from '@pulumi/pulumi/proto/engine_grpc_pb';
import { LogRequest, LogSeverity } from '@pulumi/pulumi/proto/engine_pb';
import { PluginInfo, type PluginAttach } from '@pulumi/pulumi/proto/plugin_pb';
import { ResourceProviderService } from '@pulumi/pulumi/proto/provider_grpc_pb';
import * as pb from '@pulumi/pulumi/proto/provider_pb';
import { Status } from '@pulumi/pulumi/proto/status_pb';
import { Any } from 'google-protobuf/google/protobuf/any_pb';
import { Empty } from 'google-protobuf/google/protobuf/empty_pb';
import { check, diff } from './checkAndDiff';
import type { Context, ResourceKind } from './resource';
import { plain, received, sent, unknown, type Properties } from './values';

/** The provider's own arguments, from the stack's config or the program. */
export type Configuration = Record<string, string | undefined>;

export interface Provider {
  name: string;
  version: string;
  /** By type token. */
  resources: Record<string, ResourceKind>;
  /** By token. */
  functions?: Record<string, (args: Properties) => Promise<Properties>>;
  configure?: (configuration: Configuration) => void;
}

/**
 * Serves a provider as a Pulumi plugin does: to the engine that started this process, whose address is its argument; without
 * one to all that attach to it by `PULUMI_DEBUG_PROVIDERS`, of which it prints its part.
 */
export function serve(provider: Provider): void {
  const engineAddress = process.argv[2];
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1 });
  server.addService(ResourceProviderService, service(provider, engineAddress));
  server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    process.stdout.write(engineAddress === undefined ? `${provider.name}:${port}\n` : `${port}\n`);
  });
  if (engineAddress === undefined) return;
  // An engine that was killed ends no plugin: this one then goes by itself, once what is under way is done.
  const started = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === started) return;
    clearInterval(watch);
    server.tryShutdown(() => undefined);
  }, 1000);
}

/** What is between this plugin and one engine. */
interface Session {
  cancelled: AbortController;
  engine?: EngineClient;
}

function service(provider: Provider, engineAddress: string | undefined) {
  /** By the engine's end of its connection. */
  const sessions = new Map<string, Session>();
  const sessionOf = (call: Call): Session => {
    const peer = call.getPeer();
    const known = sessions.get(peer);
    if (known) return known;
    const engine = engineAddress === undefined ? undefined : engineAt(engineAddress);
    const session = { cancelled: new AbortController(), engine };
    sessions.set(peer, session);
    return session;
  };

  const tokenOf = (urn: string) => urn.split('::')[2]!.split('$').at(-1)!;
  const kindOf = (urn: string): ResourceKind => {
    const kind = provider.resources[tokenOf(urn)];
    if (kind === undefined) throw lacks(`resource ${tokenOf(urn)}`);
    return kind;
  };
  const lacks = (what: string) =>
    new Error(`the stand-in for the plugin ${provider.name} has no ${what}`);

  /** Runs `work` on the resource; returns after the engine has every line that it logged. */
  const working = async <T>(
    urn: string,
    call: Call,
    work: (context: Context) => Promise<T>,
  ): Promise<T> => {
    const { engine, cancelled } = sessionOf(call);
    let logged = Promise.resolve();
    const say = (severity: SeverityValue) => (text: string) => {
      logged = logged.then(() => engine && show(engine, urn, severity, text));
    };
    try {
      return await work({
        log: say(LogSeverity.INFO),
        warn: say(LogSeverity.WARNING),
        signal: cancelled.signal,
      });
    } finally {
      await logged;
    }
  };

  return {
    getPluginInfo: answer(() => new PluginInfo().setVersion(provider.version)),
    attach: answer((request: PluginAttach, call) => {
      sessionOf(call).engine = engineAt(request.getAddress());
      return new Empty();
    }),
    cancel: answer((_request: Empty, call) => {
      sessionOf(call).cancelled.abort(new Error('cancelled'));
      return new Empty();
    }),

    checkConfig: answer((request: pb.CheckRequest) =>
      new pb.CheckResponse().setInputs(request.getNews()),
    ),
    diffConfig: answer((request: pb.DiffRequest) => diff({}, request)),
    configure: answer((request: pb.ConfigureRequest) => {
      provider.configure?.(plain(received(request.getArgs())) as Configuration);
      return new pb.ConfigureResponse()
        .setAcceptsecrets(true)
        .setAcceptresources(true)
        .setAcceptoutputs(true)
        .setSupportspreview(true);
    }),

    check: answer((request: pb.CheckRequest) => check(kindOf(request.getUrn()), request)),
    diff: answer((request: pb.DiffRequest) => diff(kindOf(request.getUrn()), request)),

    create: answer(async (request: pb.CreateRequest, call) => {
      const kind = kindOf(request.getUrn());
      const given = received(request.getProperties());
      const inputs = { ...kind.outputDefaults, ...plain(given) };
      if (request.getPreview()) {
        const outputs = { ...allUnknown(kind.computed), ...inputs };
        return new pb.CreateResponse().setProperties(sent(outputs, given, kind.secrets));
      }
      const made = await working(request.getUrn(), call, (context) => kind.create(inputs, context));
      const state = sent({ ...inputs, ...made.outputs }, given, kind.secrets);
      if (made.failure) throw initFailed(made.id, state, request, made.failure);
      return new pb.CreateResponse().setId(made.id).setProperties(state);
    }),

    update: answer(async (request: pb.UpdateRequest, call) => {
      const kind = kindOf(request.getUrn());
      const given = received(request.getNews());
      const inputs = { ...kind.outputDefaults, ...plain(given) };
      const state = plain(received(request.getOlds()));
      const kept = Object.fromEntries(kind.computed.map((name) => [name, state[name]]));
      const result = (outputs: Properties) =>
        new pb.UpdateResponse().setProperties(sent(outputs, given, kind.secrets));
      if (request.getPreview()) {
        return result({ ...kept, ...allUnknown(kind.changing ?? []), ...inputs });
      }
      if (!kind.update) throw new Error(`${tokenOf(request.getUrn())} cannot be updated`);
      const outputs = await working(request.getUrn(), call, (context) =>
        kind.update!(request.getId(), inputs, state, context),
      );
      return result({ ...kept, ...inputs, ...outputs });
    }),

    delete: answer(async (request: pb.DeleteRequest, call) => {
      const kind = kindOf(request.getUrn());
      const state = plain(received(request.getProperties()));
      await working(request.getUrn(), call, async (context) =>
        kind.delete?.(request.getId(), state, context),
      );
      return new Empty();
    }),

    read: answer(async (request: pb.ReadRequest) => {
      const kind = kindOf(request.getUrn());
      const [was, given] = [received(request.getProperties()), received(request.getInputs())];
      const [state, known] = [plain(was), plain(given)];
      const importing = Object.keys(state).length === 0;
      if (importing && !kind.read) {
        throw new Error(`${tokenOf(request.getUrn())} cannot be imported`);
      }
      const found = kind.read
        ? await kind.read(request.getId(), state)
        : { id: request.getId(), outputs: state };
      if (found === undefined) return new pb.ReadResponse();
      // An input that the program does not give stays out, whatever the resource has there.
      const present = (name: string) => !isEmpty(found.outputs[name]);
      const names = importing
        ? kind.inputs.filter(present)
        : [...new Set([...Object.keys(known), ...(kind.told ?? []).filter(present)])];
      const inputs = Object.fromEntries(
        names.map((name) => [name, (name in found.outputs ? found.outputs : known)[name]]),
      );
      return new pb.ReadResponse()
        .setId(found.id)
        .setProperties(sent({ ...state, ...found.outputs }, was, kind.secrets))
        .setInputs(sent(inputs, given, kind.secrets));
    }),

    invoke: answer(async (request: pb.InvokeRequest) => {
      const handler = provider.functions?.[request.getTok()];
      if (handler === undefined) throw lacks(`function ${request.getTok()}`);
      const args = received(request.getArgs());
      return new pb.InvokeResponse().setReturn(sent(await handler(plain(args)), args));
    }),
  } satisfies grpc.UntypedServiceImplementation;
}

type Call = Pick<grpc.ServerUnaryCall<unknown, unknown>, 'getPeer'>;

/** A method of the service, by what it answers to a request. */
function answer<Q, A>(handler: (request: Q, call: Call) => A | Promise<A>) {
  return (call: grpc.ServerUnaryCall<Q, A>, reply: grpc.sendUnaryData<A>): void => {
    const failed = (error: Error & { metadata?: grpc.Metadata }) =>
      reply({ code: grpc.status.UNKNOWN, details: error.message, metadata: error.metadata });
    Promise.resolve(call.request)
      .then((request) => handler(request, call))
      .then((result) => reply(null, result), failed);
  };
}

const engineAt = (address: string) => new EngineClient(address, grpc.credentials.createInsecure());

type SeverityValue = Parameters<LogRequest['setSeverity']>[0];

/** Information is progress, which is shown beside the resource and then gone. */
function show(
  engine: EngineClient,
  urn: string,
  severity: SeverityValue,
  text: string,
): Promise<void> {
  const request = new LogRequest().setUrn(urn).setSeverity(severity).setMessage(text);
  request.setEphemeral(severity === LogSeverity.INFO);
  // Progress is not worth a failure.
  return new Promise((resolve) => engine.log(request, () => resolve()));
}

const allUnknown = (names: string[]): Properties =>
  Object.fromEntries(names.map((name) => [name, unknown]));

const isEmpty = (value: unknown) =>
  value === undefined ||
  value === null ||
  value === '' ||
  (typeof value === 'object' && Object.keys(value).length === 0);

function initFailed(
  id: string,
  state: ReturnType<typeof sent>,
  request: pb.CreateRequest,
  cause: Error,
): Error {
  const detail = new pb.ErrorResourceInitFailed()
    .setId(id)
    .setProperties(state)
    .setInputs(request.getProperties())
    .setReasonsList([cause.message]);
  const packed = new Any();
  packed.pack(detail.serializeBinary(), 'pulumirpc.ErrorResourceInitFailed');
  const status = new Status().setCode(grpc.status.UNKNOWN).setMessage(cause.message);
  status.addDetails(packed);
  const metadata = new grpc.Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from(status.serializeBinary()));
  return Object.assign(new Error(cause.message, { cause }), { metadata });
}
