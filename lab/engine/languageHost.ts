import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { LanguageRuntimeService } from '@pulumi/pulumi/proto/language_grpc_pb';
import * as pb from '@pulumi/pulumi/proto/language_pb';
import { PluginInfo, type PackageDependency } from '@pulumi/pulumi/proto/plugin_pb';

/** The exit status of a program that has said itself what is wrong. */
const hasSaid = 32;

/** The engine's address stands behind the flags. */
export const engineAddress = process.argv.at(-1)!;

/** A command line, with the variables that it gets beside those of the host. */
export interface Command {
  command: string;
  args: string[];
  env?: Record<string, string>;
}

/** What programs of a language need. */
export interface Language {
  /** As the generator of SDKs calls it. */
  name: 'nodejs' | 'python';
  /** The packages of a program that come with a plugin. */
  requiredPackages: (folder: string) => PackageDependency[];
  /** Runs a program. */
  program: (request: pb.RunRequest) => Command;
  /** Runs a plugin; undefined where plugins in this language are not supported. */
  plugin?: (request: pb.RunPluginRequest) => Command;
  /** Installs what a program, or a plugin, depends on, in its folder. */
  install: (folder: string, options: object) => Command[];
  /** Makes an SDK a dependency of a program. */
  link: (folder: string, name: string, path: string) => void;
}

const start = (
  { command, args, env }: Command,
  cwd?: string,
  output: 'pipe' | 'inherit' = 'pipe',
): ChildProcess =>
  spawn(command, args, { cwd, stdio: ['ignore', output, output], env: { ...process.env, ...env } });

const ended = (child: ChildProcess): Promise<number> =>
  new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve(status ?? -1));
  });

/** Starts the program with the SDK's own loader, and gives what the engine has to know of its end. */
async function run(command: Command): Promise<pb.RunResponse> {
  const status = await ended(start(command, undefined, 'inherit'));
  const response = new pb.RunResponse().setBail(status === hasSaid);
  if (status !== 0 && status !== hasSaid)
    response.setError(`Program exited with non-zero exit code: ${status}`);
  return response;
}

type Printed = { setStdout(data: Buffer): unknown; setStderr(data: Buffer): unknown };

/** Hands on what a command prints, to its end. */
function hand<T extends Printed>(
  child: ChildProcess,
  call: grpc.ServerWritableStream<unknown, T>,
  message: () => T,
): Promise<number> {
  child.stdout!.on('data', (data: Buffer) => call.write(printed(message(), 'setStdout', data)));
  child.stderr!.on('data', (data: Buffer) => call.write(printed(message(), 'setStderr', data)));
  call.on('cancelled', () => child.kill());
  return ended(child);
}

function printed<T extends Printed>(message: T, stream: keyof Printed, data: Buffer): T {
  message[stream](data);
  return message;
}

/** The language host of the version that the CLI has, in so far as the lab's programs use it. */
export function serve(language: Language): void {
  const { name, requiredPackages, program, plugin, install, link } = language;
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1 });
  const folderOf = (info: pb.ProgramInfo) => info.getProgramDirectory();
  server.addService(LanguageRuntimeService, {
    getPluginInfo: answer(() => new PluginInfo().setVersion('0.0.0')),
    getRequiredPackages: answer((request: pb.GetRequiredPackagesRequest) =>
      new pb.GetRequiredPackagesResponse().setPackagesList(
        requiredPackages(folderOf(request.getInfo()!)),
      ),
    ),
    run: answer((request: pb.RunRequest) => run(program(request))),
    getProgramDependencies: answer(() => new pb.GetProgramDependenciesResponse()),
    installDependencies: streamed(
      async (
        call: grpc.ServerWritableStream<
          pb.InstallDependenciesRequest,
          pb.InstallDependenciesResponse
        >,
      ) => {
        const info = call.request.getInfo()!;
        const options = info.getOptions()?.toJavaScript() ?? {};
        for (const command of install(folderOf(info), options)) {
          const child = start(command, folderOf(info));
          const status = await hand(child, call, () => new pb.InstallDependenciesResponse());
          if (status !== 0) throw new Error(`${command.command} failed: exit status ${status}`);
        }
      },
    ),
    runPlugin: streamed(
      async (call: grpc.ServerWritableStream<pb.RunPluginRequest, pb.RunPluginResponse>) => {
        if (plugin === undefined) throw new Error(`plugins in ${name} are not supported`);
        const child = start(plugin(call.request), call.request.getPwd());
        const status = await hand(child, call, () => new pb.RunPluginResponse());
        call.write(new pb.RunPluginResponse().setExitcode(status));
      },
    ),
    generatePackage: answer((request: pb.GeneratePackageRequest) => {
      // `lab/engine/build` puts it beside the CLI.
      execFileSync('mailhost-lab-sdk', [name, request.getDirectory()], {
        input: request.getSchema(),
        stdio: ['pipe', 'ignore', 'inherit'],
      });
      return new pb.GeneratePackageResponse();
    }),
    link: answer((request: pb.LinkRequest) => {
      for (const dependency of request.getPackagesList()) {
        const sdk = dependency.getPackage()!.getName();
        link(folderOf(request.getInfo()!), sdk, dependency.getPath());
      }
      return new pb.LinkResponse();
    }),
  });
  server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    process.stdout.write(`${port}\n`);
  });
  // An engine that was killed ends no plugin.
  const engine = process.ppid;
  setInterval(() => {
    if (process.ppid !== engine) process.exit();
  }, 1000).unref();
}

function answer<Q, A>(handler: (request: Q) => A | Promise<A>) {
  return (call: grpc.ServerUnaryCall<Q, A>, reply: grpc.sendUnaryData<A>): void => {
    Promise.resolve(call.request)
      .then(handler)
      .then(
        (result) => reply(null, result),
        (error: Error) => reply({ code: grpc.status.UNKNOWN, details: error.message }),
      );
  };
}

/** A call whose answers come one by one, until `handler` ends. */
function streamed<Q, A>(handler: (call: grpc.ServerWritableStream<Q, A>) => Promise<void>) {
  return (call: grpc.ServerWritableStream<Q, A>): void => {
    handler(call).then(
      () => call.end(),
      ({ message }: Error) => call.emit('error', { code: grpc.status.UNKNOWN, details: message }),
    );
  };
}

/** The variables by which the SDKs learn a stack's config. */
export const configVariables = (request: pb.RunRequest): Record<string, string> => ({
  PULUMI_CONFIG: JSON.stringify(Object.fromEntries(request.getConfigMap().toArray())),
  PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(request.getConfigsecretkeysList()),
});

/** The absolute path of what a program begins with: a file, or its folder. */
export const entryPoint = (request: pb.RunRequest): string => {
  const folder = request.getInfo()?.getProgramDirectory() || request.getPwd();
  return join(folder, request.getInfo()?.getEntryPoint() || request.getProgram() || '.');
};
