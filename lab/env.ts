import { randomBytes } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { buildStandIn, type PluginName } from './plugins/build';
import { pulumiHome, stateRoot, type Lab } from './state';

/** Loopback ports of the lab's two cloud APIs. */
export const ports = (lab: Lab) => ({
  hcloud: 18000 + 10 * lab.index,
  cloudflare: 18001 + 10 * lab.index,
});

/** What the lab's two APIs let in, of the form that the official plugins ask for; made at the first call. */
export function apiTokens(labDir: string): { hcloud: string; cloudflare: string } {
  const file = join(labDir, 'tokens.json');
  if (!existsSync(file)) {
    const random = (length: number) => randomBytes(length / 2).toString('hex');
    const tokens = { hcloud: random(64), cloudflare: random(40) };
    writeFileSync(file, JSON.stringify(tokens), { mode: 0o600 });
  }
  return JSON.parse(readFileSync(file, 'utf8')) as ReturnType<typeof apiTokens>;
}

/** Where the plugins find the two APIs, and what these let in. */
export function apiAccess(lab: Lab) {
  const { hcloud, cloudflare } = ports(lab);
  const tokens = apiTokens(lab.dir);
  return {
    HCLOUD_ENDPOINT: `http://127.0.0.1:${hcloud}/v1`,
    HCLOUD_TOKEN: tokens.hcloud,
    CLOUDFLARE_BASE_URL: `http://127.0.0.1:${cloudflare}/client/v4`,
    CLOUDFLARE_API_TOKEN: tokens.cloudflare,
  };
}

const project = join(__dirname, '..');
const providers: PluginName[] = ['command', 'tls', 'hcloud', 'cloudflare'];

/**
 * The environment in which plain `pulumi` works on the stack `dev` in this lab.
 *
 * @param engine folder of the engine that the lab built; undefined where the system's is used
 */
export function environment(lab: Lab, engine: string | undefined): Record<string, string> {
  const home = pulumiHome(lab);
  const backend = join(lab.dir, 'pulumi');
  mkdirSync(backend, { recursive: true });
  const plugins = join(home, 'plugins');
  mkdirSync(plugins, { recursive: true });
  // The user's plugin cache stays in use; the rest of the home is the lab's, and goes with it. In a shell of a lab
  // PULUMI_HOME is that lab's.
  const given = process.env.PULUMI_HOME;
  const userHome = given && !given.startsWith(stateRoot) ? given : join(homedir(), '.pulumi');
  const cache = join(userHome, 'plugins');
  for (const entry of existsSync(cache) ? readdirSync(cache) : []) {
    linkPlugin(join(cache, entry), join(plugins, entry));
  }
  for (const name of providers) {
    const folder = cacheFolder(name);
    if (!onPath(name) && !existsSync(join(cache, folder)))
      buildStandIn(name, join(plugins, folder));
  }

  const path = [engine, join(project, 'node_modules', '.bin'), process.env.PATH];
  return {
    MAILHOST_LAB: lab.name,
    PATH: path.filter((entry) => entry !== undefined).join(delimiter),
    PULUMI_HOME: home,
    // Else Pulumi keeps a file beside the state, and cannot read the state where it was killed while it wrote that.
    PULUMI_BACKEND_URL: `file://${backend}?metadata=skip`,
    PULUMI_CONFIG_PASSPHRASE: 'lab',
    PULUMI_STACK: 'dev',
    // The lab's language host is older than the option of that name in Pulumi.yaml.
    PULUMI_NODEJS_TSCONFIG_PATH: join(project, 'tsconfig.run.json'),
    PULUMI_SKIP_UPDATE_CHECK: 'true',
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: 'true',
    PULUMI_IGNORE_AMBIENT_PLUGINS: 'false',
    ...apiAccess(lab),
  };
}

/** The engine takes no link for a plugin's folder, but links in it. */
function linkPlugin(from: string, to: string): void {
  if (!statSync(from).isDirectory() || existsSync(to)) return;
  mkdirSync(to);
  for (const file of readdirSync(from)) symlinkSync(join(from, file), join(to, file));
}

/** Name of a plugin's folder: the engine takes it for the version that the program's SDK asks for, and no other. */
function cacheFolder(name: string): string {
  const sdk = readFileSync(join(project, 'node_modules', '@pulumi', name, 'package.json'), 'utf8');
  return `resource-${name}-v${(JSON.parse(sdk) as { version: string }).version}`;
}

/** The engine looks there first. */
function onPath(name: string): boolean {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .some((dir) => executable(join(dir, `pulumi-resource-${name}`)));
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
