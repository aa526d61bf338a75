import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { LanguageRuntimeService } from '@pulumi/pulumi/proto/language_grpc_pb';
import * as pb from '@pulumi/pulumi/proto/language_pb';
import { PackageDependency, PluginInfo } from '@pulumi/pulumi/proto/plugin_pb';

/** The exit status of a program that has said itself what is wrong. */
const hasSaid = 32;

/** The engine's address stands behind the flags. */
const engineAddress = process.argv.at(-1)!;

interface PackageJson {
  version: string;
  dependencies?: Record<string, string>;
  pulumi?: { resource?: boolean; name?: string; version?: string };
}

const packageJson = (folder: string): PackageJson | undefined => {
  const file = join(folder, 'package.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as PackageJson) : undefined;
};

/** The packages of a program that come with a plugin. */
function requiredPackages(folder: string): PackageDependency[] {
  return Object.keys(packageJson(folder)?.dependencies ?? {}).flatMap((name) => {
    const installed = packageJson(join(folder, 'node_modules', name));
    if (installed?.pulumi?.resource !== true) return [];
    const { name: plugin = name.replace(/^.*\//, ''), version = installed.version } =
      installed.pulumi;
    return [new PackageDependency().setName(plugin).setKind('resource').setVersion(`v${version}`)];
  });
}

/** Starts the program with the SDK's own loader, and gives what the engine has to know of its end. */
function run(request: pb.RunRequest): Promise<pb.RunResponse> {
  const folder = request.getInfo()?.getProgramDirectory() || request.getPwd();
  const loader = createRequire(join(folder, 'package.json')).resolve('@pulumi/pulumi/cmd/run');
  const options = {
    monitor: request.getMonitorAddress(),
    engine: engineAddress,
    organization: request.getOrganization(),
    project: request.getProject(),
    stack: request.getStack(),
    pwd: request.getPwd(),
    parallel: String(request.getParallel()),
  };
  const args = [
    loader,
    ...Object.entries(options).flatMap(([name, value]) => (value ? [`--${name}`, value] : [])),
    ...(request.getDryrun() ? ['--dry-run'] : []),
    request.getInfo()?.getEntryPoint() || request.getProgram() || '.',
    ...request.getArgsList(),
  ];
  const { tsconfig } = (request.getInfo()?.getOptions()?.toJavaScript() ?? {}) as {
    tsconfig?: string;
  };
  const child = spawn('node', args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      PULUMI_NODEJS_TYPESCRIPT: 'true',
      ...(tsconfig === undefined ? {} : { PULUMI_NODEJS_TSCONFIG_PATH: tsconfig }),
      PULUMI_CONFIG: JSON.stringify(Object.fromEntries(request.getConfigMap().toArray())),
      PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(request.getConfigsecretkeysList()),
    },
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => {
      const response = new pb.RunResponse().setBail(status === hasSaid);
      if (status !== 0 && status !== hasSaid)
        response.setError(`Program exited with non-zero exit code: ${status}`);
      resolve(response);
    });
  });
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

/**
 * The engine's host for programs in Node.js. The one that Go modules have is from 2023, and hands on no call to the engine
 * that came since, as those that register hooks.
 */
const server = new grpc.Server({ 'grpc.max_receive_message_length': -1 });
server.addService(LanguageRuntimeService, {
  getPluginInfo: answer(() => new PluginInfo().setVersion('0.0.0')),
  getRequiredPackages: answer((request: pb.GetRequiredPackagesRequest) =>
    new pb.GetRequiredPackagesResponse().setPackagesList(
      requiredPackages(request.getInfo()!.getProgramDirectory()),
    ),
  ),
  run: answer(run),
  getProgramDependencies: answer(() => new pb.GetProgramDependenciesResponse()),
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
