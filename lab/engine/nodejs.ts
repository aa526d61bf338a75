import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { PackageDependency } from '@pulumi/pulumi/proto/plugin_pb';
import { project } from '../sources';
import { configVariables, engineAddress, entryPoint, serve } from './languageHost';

interface PackageJson {
  version: string;
  dependencies?: Record<string, string>;
  pulumi?: { resource?: boolean; name?: string; version?: string; server?: string };
}

const packageJson = (folder: string): PackageJson | undefined => {
  const file = join(folder, 'package.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as PackageJson) : undefined;
};

const inSdk = (folder: string, module: string) =>
  createRequire(join(folder, 'package.json')).resolve(`@pulumi/pulumi/${module}`);

/** Variables for the loaders of the SDK. */
const loaderVariables = (options: object = {}): Record<string, string> => {
  const { typescript, tsconfig } = options as { typescript?: boolean; tsconfig?: string };
  return {
    ...(typescript === false ? {} : { PULUMI_NODEJS_TYPESCRIPT: 'true' }),
    ...(tsconfig === undefined ? {} : { PULUMI_NODEJS_TSCONFIG_PATH: tsconfig }),
  };
};

serve({
  name: 'nodejs',
  requiredPackages: (folder) =>
    Object.keys(packageJson(folder)?.dependencies ?? {}).flatMap((name) => {
      const installed = packageJson(join(folder, 'node_modules', name));
      if (installed?.pulumi?.resource !== true) return [];
      const {
        name: plugin = name.replace(/^.*\//, ''),
        version = installed.version,
        server = '',
      } = installed.pulumi;
      return [
        new PackageDependency()
          .setName(plugin)
          .setKind('resource')
          .setVersion(`v${version}`)
          .setServer(server),
      ];
    }),
  program: (request) => {
    const folder = request.getInfo()?.getProgramDirectory() || request.getPwd();
    const options = {
      monitor: request.getMonitorAddress(),
      engine: engineAddress,
      organization: request.getOrganization(),
      project: request.getProject(),
      stack: request.getStack(),
      pwd: request.getPwd(),
      parallel: String(request.getParallel()),
    };
    // Loading its modules one by one takes longer than all that the program does.
    const bundled = relative(project, folder) === '' ? process.env.MAILHOST_LAB_PROGRAM : undefined;
    return {
      command: 'node',
      args: [
        bundled ?? inSdk(folder, 'cmd/run'),
        ...Object.entries(options).flatMap(([name, value]) => (value ? [`--${name}`, value] : [])),
        ...(request.getDryrun() ? ['--dry-run'] : []),
        entryPoint(request),
        ...request.getArgsList(),
      ],
      env: {
        ...(bundled === undefined
          ? loaderVariables(request.getInfo()?.getOptions()?.toJavaScript())
          : {}),
        ...configVariables(request),
      },
    };
  },
  plugin: (request) => {
    const info = request.getInfo()!;
    const folder = info.getProgramDirectory();
    return {
      command: 'node',
      args: [inSdk(folder, 'cmd/run-plugin'), folder, ...request.getArgsList()],
      env: loaderVariables(info.getOptions()?.toJavaScript()),
    };
  },
  install: (_folder, options) => [
    {
      command: 'npm',
      args: ['install', ...('production' in options ? ['--omit=dev'] : [])],
    },
  ],
  link: (folder, name, path) => {
    const file = join(folder, 'package.json');
    const text = packageJson(folder)!;
    text.dependencies = { ...text.dependencies, [`@pulumi/${name}`]: `file:${path}` };
    writeFileSync(file, `${JSON.stringify(text, null, 2)}\n`);
  },
});
