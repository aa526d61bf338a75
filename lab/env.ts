import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { buildStandIn, type PluginName } from './plugins/build';
import { stateRoot, type Lab } from './state';

/** Loopback ports of the lab's two cloud APIs. */
export const ports = (lab: Lab) => ({
  hcloud: 18000 + 10 * lab.index,
  cloudflare: 18001 + 10 * lab.index,
});

const project = join(__dirname, '..');
const providers: PluginName[] = ['command', 'tls', 'hcloud', 'cloudflare'];

/**
 * The environment in which plain `pulumi` works on the stack `dev` in this lab.
 *
 * @param engine folder of the engine that the lab built; undefined where the system's is used
 */
export function environment(lab: Lab, engine: string | undefined): Record<string, string> {
  const { hcloud, cloudflare } = ports(lab);
  const home = join(lab.dir, 'pulumi-home');
  const backend = join(lab.dir, 'pulumi');
  mkdirSync(backend, { recursive: true });
  const plugins = join(home, 'plugins');
  mkdirSync(plugins, { recursive: true });
  // The user's plugin cache stays in use; the rest of the home is the lab's, and goes with it.
  linkAll(join(process.env.PULUMI_HOME ?? join(homedir(), '.pulumi'), 'plugins'), plugins);
  for (const name of providers) {
    if (!installed(name, plugins)) buildStandIn(name, cacheFolder(name, plugins));
  }

  const path = [engine, join(project, 'node_modules', '.bin'), process.env.PATH];
  return {
    MAILHOST_LAB: lab.name,
    PATH: path.filter((entry) => entry !== undefined).join(delimiter),
    PULUMI_HOME: home,
    PULUMI_BACKEND_URL: `file://${backend}`,
    PULUMI_CONFIG_PASSPHRASE: 'lab',
    PULUMI_STACK: 'dev',
    // The lab's language host is older than the option of that name in Pulumi.yaml.
    PULUMI_NODEJS_TSCONFIG_PATH: join(project, 'tsconfig.run.json'),
    PULUMI_SKIP_UPDATE_CHECK: 'true',
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: 'true',
    PULUMI_IGNORE_AMBIENT_PLUGINS: 'false',
    HCLOUD_ENDPOINT: `http://127.0.0.1:${hcloud}/v1`,
    HCLOUD_TOKEN: 'l'.repeat(64),
    CLOUDFLARE_BASE_URL: `http://127.0.0.1:${cloudflare}/client/v4`,
    CLOUDFLARE_API_TOKEN: 'l'.repeat(40),
  };
}

function linkAll(from: string, to: string): void {
  // In a shell of a lab the home is that lab's, and goes with it.
  if (from.startsWith(stateRoot) || !existsSync(from)) return;
  for (const entry of readdirSync(from)) {
    if (!existsSync(join(to, entry))) symlinkSync(join(from, entry), join(to, entry));
  }
}

/** Folder of a plugin in the cache: the engine takes it for the version that the program's SDK asks for, and no other. */
function cacheFolder(name: string, plugins: string): string {
  const sdk = readFileSync(join(project, 'node_modules', '@pulumi', name, 'package.json'), 'utf8');
  return join(plugins, `resource-${name}-v${(JSON.parse(sdk) as { version: string }).version}`);
}

/** Whether the official plugin is on PATH, which the engine looks at first, or in the cache: what is linked is no stand-in. */
function installed(name: string, plugins: string): boolean {
  const onPath = (process.env.PATH ?? '')
    .split(delimiter)
    .some((dir) => executable(join(dir, `pulumi-resource-${name}`)));
  const cached = lstatSync(cacheFolder(name, plugins), { throwIfNoEntry: false });
  return onPath || cached?.isSymbolicLink() === true;
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
