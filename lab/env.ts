import { accessSync, constants, existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Lab } from './state';

/** Loopback ports of the lab's two cloud APIs. */
export const ports = (lab: Lab) => ({
  hcloud: 18000 + 10 * lab.index,
  cloudflare: 18001 + 10 * lab.index,
});

const providers = ['command', 'tls', 'hcloud', 'cloudflare'];

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
  mkdirSync(home, { recursive: true });
  // The user's plugin cache stays in use; the rest of the home is the lab's, and goes with it.
  const plugins = join(process.env.PULUMI_HOME ?? join(homedir(), '.pulumi'), 'plugins');
  if (existsSync(plugins) && !existsSync(join(home, 'plugins')))
    symlinkSync(plugins, join(home, 'plugins'));

  const standIns = providers
    .filter((name) => !installed(name, plugins))
    .map((name) => join(__dirname, 'plugins', name));
  const path = [
    engine,
    join(__dirname, '..', 'node_modules', '.bin'),
    process.env.PATH,
    ...standIns,
  ];
  return {
    MAILHOST_LAB: lab.name,
    PATH: path.filter((entry) => entry !== undefined).join(delimiter),
    PULUMI_HOME: home,
    PULUMI_BACKEND_URL: `file://${backend}`,
    PULUMI_CONFIG_PASSPHRASE: 'lab',
    PULUMI_STACK: 'dev',
    PULUMI_SKIP_UPDATE_CHECK: 'true',
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: 'true',
    PULUMI_IGNORE_AMBIENT_PLUGINS: 'false',
    HCLOUD_ENDPOINT: `http://127.0.0.1:${hcloud}/v1`,
    HCLOUD_TOKEN: 'l'.repeat(64),
    CLOUDFLARE_BASE_URL: `http://127.0.0.1:${cloudflare}/client/v4`,
    CLOUDFLARE_API_TOKEN: 'l'.repeat(40),
  };
}

/** Whether the official plugin is on PATH or in the plugin cache: then it is used instead of the stand-in. */
function installed(name: string, plugins: string): boolean {
  const binary = `pulumi-resource-${name}`;
  const onPath = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((dir) => !dir.startsWith(__dirname))
    .some((dir) => executable(join(dir, binary)));
  const cached =
    existsSync(plugins) &&
    readdirSync(plugins).some((entry) => entry.startsWith(`resource-${name}-v`));
  return onPath || cached;
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
