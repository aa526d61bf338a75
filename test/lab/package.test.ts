import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import own from '../../components/package.json';
import { Stack } from '../../lab/stack';
import { pulumiHome, type Lab } from '../../lab/state';
import { changes, endLab, reachable, startLab } from './testLab';

const root = join(__dirname, '..', '..');

/** The components without the rest of the repository, with the packages that they name, as Pulumi installs them. */
function installed(lab: Lab): string {
  const folder = join(lab.dir, 'package');
  for (const part of ['components', 'files', 'tsconfig.json'])
    cpSync(join(root, part), join(folder, part), {
      recursive: true,
      filter: (path) => !path.endsWith('node_modules'),
    });
  const components = join(folder, 'components');
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], {
    cwd: components,
    stdio: 'inherit',
  });
  return components;
}

/** Starts it as the language host does; the lab's is too old to. */
function makePlugin(lab: Lab, components: string): void {
  const folder = join(pulumiHome(lab), 'plugins', `resource-${own.name}-v${own.version}`);
  mkdirSync(folder, { recursive: true });
  const run = join(components, 'node_modules/@pulumi/pulumi/cmd/run-plugin');
  writeFileSync(
    join(folder, `pulumi-resource-${own.name}`),
    `#!/bin/sh\ncd '${components}' && exec '${process.execPath}' '${run}' '${components}' "$@"\n`,
    { mode: 0o755 },
  );
}

describe('the package of components', () => {
  let lab: Lab;
  let stack: Stack;

  beforeAll(async () => {
    lab = startLab('package');
    stack = new Stack(lab, undefined, join(__dirname, 'otherProgram'));
    Object.assign(stack.env, {
      MAILHOST_VERSION: own.version,
      MAILHOST_NAME: 'mail.example.org',
      ANNA_HASH: execFileSync('openssl', ['passwd', '-6', 'anna-password'], {
        encoding: 'utf8',
      }).trim(),
    });
    makePlugin(lab, installed(lab));
    await stack.select();
  });
  afterAll(() => endLab('package'));

  it('tells another program of every mistake, before anything is touched', async () => {
    const { MAILHOST_NAME: right } = stack.env;
    stack.env.MAILHOST_NAME = 'mail';
    const { status, output } = await stack.up();
    stack.env.MAILHOST_NAME = right;
    expect(status).not.toBe(0);
    expect(output).toContain('hostName = "mail" is no domain name');
    expect(output).not.toContain('hcloud:');
  });

  it('makes the host of another program, and keeps its secrets', async () => {
    const { status, output } = await stack.up();
    expect(status, output).toBe(0);
    const { ipv4, ...others } = stack.outputs();
    expect(others).toEqual({ sshPrivateKey: '[secret]' });
    expect(reachable(lab, ipv4, [25, 993])).toEqual([25, 993]);
    expect(output).not.toContain(stack.env.ANNA_HASH);
  });

  it('changes nothing where nothing has changed', async () => {
    const { status, output } = await stack.up();
    expect(status, output).toBe(0);
    expect(Object.keys(changes(output))).toEqual(['unchanged']);
  });
});
