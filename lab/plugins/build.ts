import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync } from 'esbuild';

export type PluginName = 'command' | 'tls' | 'hcloud' | 'cloudflare';

/**
 * Builds the stand-in for a plugin into a folder of the engine's plugin cache, as one file: the engine starts every
 * plugin at every command, and loading sources one by one would take most of a `pulumi up` that has nothing to do.
 *
 * @returns the executable
 */
export function buildStandIn(name: PluginName, folder: string): string {
  mkdirSync(folder, { recursive: true });
  const bundle = join(folder, 'main.js');
  buildSync({
    entryPoints: [join(__dirname, name, 'main.ts')],
    outfile: `${bundle}.new`,
    bundle: true,
    platform: 'node',
    target: 'node22',
    // Optional parts of ssh2 in machine code, which it does without.
    external: ['cpu-features'],
    loader: { '.node': 'empty' },
    logLevel: 'error',
  });
  renameSync(`${bundle}.new`, bundle);
  const executable = join(folder, `pulumi-resource-${name}`);
  writeFileSync(executable, `#!/bin/sh\nexec '${process.execPath}' '${bundle}' "$@"\n`, {
    mode: 0o755,
  });
  return executable;
}
