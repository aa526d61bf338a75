import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { apiAccess } from './apis';
import { bundle } from './bundle';
import { project } from './sources';
import { cacheRoot, pulumiHome, stateRoot, type Lab } from './state';

const providers = ['command', 'tls', 'hcloud', 'cloudflare'] as const;

/** The folder, in the form of the engine's plugin cache, of what stands in for a plugin. */
export const standIn = (name: (typeof providers)[number]): string =>
  bundle(`lab/plugins/${name}/main`, `pulumi-resource-${name}`);

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
  // The user's plugin cache stays in use, and only read; the rest of the home is the lab's, and goes with it.
  const cache = userPlugins();
  for (const entry of existsSync(cache) ? readdirSync(cache) : []) {
    linkPlugin(join(cache, entry), join(plugins, entry));
  }
  for (const name of missingPlugins()) linkPlugin(standIn(name), join(plugins, cacheFolder(name)));

  const languageHosts = () => [
    bundle('lab/engine/nodejs', 'pulumi-language-nodejs'),
    bundle('lab/engine/python', 'pulumi-language-python'),
  ];
  const path = [
    ...(engine === undefined ? [] : [...languageHosts(), engine]),
    join(project, 'node_modules', '.bin'),
    pathOutsideLabs(),
  ];
  return {
    MAILHOST_LAB: lab.name,
    PATH: path.join(delimiter),
    PULUMI_HOME: home,
    // Else Pulumi keeps a file beside the state, and cannot read the state where it was killed while it wrote that.
    PULUMI_BACKEND_URL: `file://${backend}?metadata=skip`,
    PULUMI_CONFIG_PASSPHRASE: 'lab',
    PULUMI_STACK: 'dev',
    // The program's modules are compiled once, not at every command: an eighth of the CPU time of one without a change.
    NODE_COMPILE_CACHE: join(cacheRoot, 'compiled'),
    PULUMI_SKIP_UPDATE_CHECK: 'true',
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: 'true',
    PULUMI_IGNORE_AMBIENT_PLUGINS: 'false',
    ...apiAccess(lab),
  };
}

/** The official plugins that are neither on PATH nor in the user's cache. */
export const missingPlugins = () =>
  providers.filter((name) => !onPath(name) && !existsSync(join(userPlugins(), cacheFolder(name))));

/** The user's plugin cache; in a shell of a lab PULUMI_HOME is that lab's. */
function userPlugins(): string {
  const given = process.env.PULUMI_HOME;
  const home = given && !given.startsWith(stateRoot) ? resolve(given) : join(homedir(), '.pulumi');
  return join(home, 'plugins');
}

/** PATH without the `bin` of any lab: its `pulumi` is for a shell outside, and would start itself. */
export const pathOutsideLabs = (): string =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.startsWith(`${stateRoot}/`))
    .join(delimiter);

/** The engine takes no link for a plugin's folder, but links in it. What the folder has stays where it is the same. */
function linkPlugin(from: string, to: string): void {
  // A link may lead nowhere.
  if (!statSync(from, { throwIfNoEntry: false })?.isDirectory()) return;
  const links = readdirSync(from).map((file) => [join(to, file), join(from, file)] as const);
  if (links.every(([link, target]) => linkTarget(link) === target)) return;
  // Of links alone: nothing is ever written through one into the user's cache.
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to);
  for (const [link, target] of links) symlinkSync(target, link);
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
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
