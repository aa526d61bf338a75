import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PackageDependency } from '@pulumi/pulumi/proto/plugin_pb';
import { project } from '../sources';
import { configVariables, engineAddress, entryPoint, serve } from './languageHost';

/** The folder of the program's virtual environment, as its Pulumi.yaml names it. */
const environment = (folder: string, options: object = {}): string =>
  join(folder, (options as { virtualenv?: string }).virtualenv ?? 'venv');

const python = (folder: string, options?: object): string =>
  join(environment(folder, options), 'bin', 'python');

/** The descriptions of plugins in the packages of a virtual environment. */
function plugins(folder: string): { name: string; version?: string; server?: string }[] {
  const library = join(folder, 'venv', 'lib');
  if (!existsSync(library)) return [];
  return (readdirSync(library, { recursive: true }) as string[])
    .filter((path) => path.endsWith('/pulumi-plugin.json'))
    .map(
      (path) =>
        JSON.parse(readFileSync(join(library, path), 'utf8')) as {
          resource: boolean;
          name: string;
        },
    )
    .filter(({ resource }) => resource);
}

serve({
  name: 'python',
  requiredPackages: (folder) =>
    plugins(folder).map(({ name, version, server = '' }) =>
      new PackageDependency()
        .setName(name)
        .setKind('resource')
        .setVersion(version === undefined ? '' : `v${version}`)
        .setServer(server),
    ),
  program: (request) => {
    const info = request.getInfo()!;
    const settings = {
      monitor: request.getMonitorAddress(),
      engine: engineAddress,
      organization: request.getOrganization(),
      project: request.getProject(),
      root_directory: info.getRootDirectory(),
      stack: request.getStack(),
      parallel: request.getParallel(),
      dry_run: request.getDryrun(),
    };
    return {
      command: python(info.getProgramDirectory(), info.getOptions()?.toJavaScript()),
      args: [
        join(project, 'lab', 'engine', 'run.py'),
        JSON.stringify(settings),
        entryPoint(request),
      ],
      env: configVariables(request),
    };
  },
  install: (folder, options) => [
    { command: 'python3', args: ['-m', 'venv', environment(folder, options)] },
    {
      command: python(folder, options),
      args: ['-m', 'pip', 'install', '--quiet', '--requirement', 'requirements.txt'],
    },
  ],
  link: (folder, _name, path) => appendFileSync(join(folder, 'requirements.txt'), `./${path}\n`),
});
