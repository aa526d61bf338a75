import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect } from 'vitest';
import own from '../../components/package.json';
import { addresses } from '../../lab/network';
import { Stack } from '../../lab/stack';
import { pulumiHome, type Lab } from '../../lab/state';
import { hostTest } from './hosts';
import { changes, reachable, step } from './testLab';

const root = join(__dirname, '..', '..');
const it = hostTest();
let folder: string | undefined;
afterAll(() => folder && rmSync(folder, { recursive: true }));

/** The components without the rest of the repository, with the packages that they name, as Pulumi installs them. */
async function install(): Promise<string> {
  folder = mkdtempSync(join(tmpdir(), 'package-'));
  for (const part of ['components', 'files', 'tsconfig.json'])
    cpSync(join(root, part), join(folder, part), {
      recursive: true,
      filter: (path) => !path.endsWith('node_modules'),
    });
  const components = join(folder, 'components');
  // The lab's way to the outside.
  const proxy = ['--proxy', '--https-proxy'].flatMap((option) => [
    option,
    `http://${addresses.outside.v4}:3128`,
  ]);
  await promisify(execFile)(
    'npm',
    ['install', '--no-audit', '--no-fund', '--prefer-offline', ...proxy],
    { cwd: components },
  );
  return components;
}
let installed: Promise<string> | undefined;

/** A stack of another program, in a lab that has the plugin. */
async function otherStack(lab: Lab): Promise<Stack> {
  const components = await (installed ??= install());
  // Starts it as the language host does; the lab's is too old to.
  const plugin = join(pulumiHome(lab), 'plugins', `resource-${own.name}-v${own.version}`);
  mkdirSync(plugin, { recursive: true });
  const run = join(components, 'node_modules/@pulumi/pulumi/cmd/run-plugin');
  writeFileSync(
    join(plugin, `pulumi-resource-${own.name}`),
    `#!/bin/sh\ncd '${components}' && exec '${process.execPath}' '${run}' '${components}' "$@"\n`,
    { mode: 0o755 },
  );
  const stack = new Stack(lab, undefined, join(__dirname, 'otherProgram'));
  const { stdout } = await promisify(execFile)('openssl', ['passwd', '-6', 'anna-password']);
  Object.assign(stack.env, {
    MAILHOST_VERSION: own.version,
    MAILHOST_NAME: 'mail.example.org',
    ANNA_HASH: stdout.trim(),
  });
  await stack.select();
  return stack;
}

describe('the package of components', () => {
  it('tells another program of every mistake, before anything is touched', async ({
    freshLab: { lab },
  }) => {
    const stack = await otherStack(lab);
    stack.env.MAILHOST_NAME = 'mail';
    const { status, output } = await stack.up();
    expect(status).not.toBe(0);
    expect(output).toContain('hostName = "mail" is no domain name');
    expect(output).not.toContain('hcloud:');
  });

  it('makes the host of another program, keeps its secrets, and changes nothing where nothing has changed', async ({
    freshLab: { lab },
  }) => {
    const stack = await otherStack(lab);
    await step('it makes the host, and keeps its secrets', async () => {
      const { status, output } = await stack.up();
      expect(status, output).toBe(0);
      const { ipv4, ...others } = stack.outputs();
      expect(others).toEqual({ sshPrivateKey: '[secret]' });
      expect(reachable(lab, ipv4, [25, 993])).toEqual([25, 993]);
      expect(output).not.toContain(stack.env.ANNA_HASH);
    });
    await step('it changes nothing where nothing has changed', async () => {
      const { status, output } = await stack.up();
      expect(status, output).toBe(0);
      expect(Object.keys(changes(output))).toEqual(['unchanged']);
    });
  });
});
