import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect } from 'vitest';
import { apiAccess } from '../../lab/apis';
import { engine, Stack } from '../../lab/stack';
import { run, type Lab } from '../../lab/state';
import own from '../../package.json';
import { hash } from '../example';
import { hostTest } from './hosts';
import { registries } from './registries';
import { changes, reachable, step } from './testLab';

const root = join(__dirname, '..', '..');
const command = promisify(execFile);
const it = hostTest();
const folder = mkdtempSync(join(tmpdir(), 'package-'));
afterAll(() => rmSync(folder, { recursive: true }));

type Language = 'yaml' | 'python' | 'typescript' | 'go';
const tarball = join(folder, `${own.name}-${own.version}.tgz`);
/** The package, unpacked. */
const unpacked = join(folder, 'package');

/** Packs the package, once. */
async function pack(): Promise<void> {
  if (existsSync(tarball)) return;
  await command('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: root });
  await command('tar', ['-xzf', tarball, '-C', folder]);
}

/** A copy of an example, for the package that was packed. */
async function copy(language: Language, name: string = language): Promise<string> {
  await pack();
  const copied = join(folder, name);
  cpSync(join(root, 'examples', language), copied, { recursive: true });
  edit(join(copied, 'Pulumi.yaml'), [
    [/^name: .*/, 'name: example'],
    [packages, language === 'yaml' ? pluginOfYaml : `packages:\n  mailhost: ${unpacked}\n`],
  ]);
  if (language === 'typescript')
    edit(join(copied, 'package.json'), [[/git\+https:[^"]*/, `file:${tarball}`]]);
  return copied;
}
const packages = /packages:\n.*\n/;
/** Asks for a certificate that the lab can have. */
const sign = (language: Language) =>
  edit(join(folder, language, sources[language]), [
    [/acceptTerms: true/, language === 'yaml' ? 'issuer: selfSigned' : "issuer: 'selfSigned'"],
    ['"accept_terms": True', '"issuer": "selfSigned"'],
  ]);
/** The host for YAML that Go modules have is older than the linking of `pulumi package add`. */
const pluginOfYaml = `plugins:\n  providers:\n    - { name: mailhost, path: ${unpacked} }\n`;
const sources: Record<Language, string> = {
  yaml: 'Pulumi.yaml',
  python: '__main__.py',
  typescript: 'index.ts',
  go: 'main.go',
};

function edit(file: string, changes: [RegExp | string, string][]): void {
  const text = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    changes.reduce((all, [from, to]) => all.replace(from, to), text),
  );
}

/** The stack `dev` of a program in a language, with the config of the one in Python. */
class Example extends Stack {
  constructor(lab: Lab, where: string) {
    super(lab, join(folder, 'python', 'Pulumi.dev.yaml'), where);
    Object.assign(this.env, registries);
  }

  /** @throws Error with what the engine printed, where it fails */
  async must(...args: string[]): Promise<string> {
    const { status, output } = await this.run(args);
    if (status !== 0) throw new Error(output);
    return output;
  }
}

describe('the package', () => {
  it('makes one host for a new project in Python, which programs in YAML and TypeScript go on with', async ({
    freshLab: { lab },
  }) => {
    const config = {
      hostName: 'mail.example.org',
      domain: 'example.org',
      postmaster: 'anna@example.org',
    };
    const { HCLOUD_TOKEN, CLOUDFLARE_API_TOKEN } = apiAccess(lab);
    const secrets = {
      passwordHash: hash,
      'hcloud:token': HCLOUD_TOKEN,
      'cloudflare:apiToken': CLOUDFLARE_API_TOKEN,
    };
    const template = await copy('python', 'template');
    const where = join(folder, 'python');
    mkdirSync(where);
    const python = new Example(lab, where);
    await step('`pulumi new` makes a project of the example, whose preview passes', async () => {
      await python.must(
        ...['new', template, '--yes', '--name', 'example', '--stack', 'dev'],
        ...Object.entries(config).flatMap(([key, value]) => ['--config', `${key}=${value}`]),
      );
      // At a terminal it asks for these, too, and encrypts them; what --config gives it is plain.
      await python.must('config', 'set-all', ...options('secret', secrets));
      expect(await python.must('preview')).toContain('mailhost:index:MailHost');
    });
    await step('it is added to a program that exists', async () => {
      edit(join(where, 'Pulumi.yaml'), [[packages, '']]);
      rmSync(join(where, 'sdks'), { recursive: true });
      await python.must('package', 'add', unpacked);
    });
    await step('every mistake is reported before anything is touched', async () => {
      const wrong = { hostName: 'mail', postmaster: 'anna' };
      await python.must('config', 'set-all', ...options('plaintext', wrong));
      const { status, output } = await python.run(['preview']);
      expect(status).not.toBe(0);
      expect(output).toContain('hostName: "mail" is not a valid domain name');
      expect(output).toContain('postmaster: "anna"');
      expect(output).not.toContain('hcloud:');
      await python.must('config', 'set-all', ...options('plaintext', config));
    });
    await step('it makes the host, and keeps its secrets', async () => {
      sign('python');
      const output = await python.must('up', '--yes', '--skip-preview');
      const { ipv4, ...others } = python.outputs();
      expect(others).toMatchObject({ sshPrivateKey: '[secret]' });
      expect(reachable(lab, ipv4, [25, 993])).toEqual([25, 993]);
      for (const secret of Object.values(secrets)) expect(output).not.toContain(secret);
    });
    await step('a change of the program in Python is deployed', () =>
      changeSize(python, 'python', 36),
    );
    await step('a program in YAML goes on with the same host', async () => {
      const yaml = new Example(lab, await copy('yaml'));
      sign('yaml');
      setSize('yaml', 36);
      await noChange(yaml);
      await changeSize(yaml, 'yaml', 37);
    });
    await step('a program in TypeScript imports it, and plans the same host', async () => {
      const typescript = new Example(lab, await copy('typescript'));
      sign('typescript');
      await typescript.must('install');
      setSize('typescript', 37);
      await noChange(typescript);
    });
    await step('a program in Go compiles with its SDK', async () => {
      const generator = engine();
      // Pulumi's own engine has one of its own.
      if (generator !== undefined) await compile(await copy('go'), generator);
    });
  });
});

const setSize = (language: Language, megabytes: number) =>
  edit(join(folder, language, sources[language]), [
    [/(message_?size[=:] ?)\d+/i, `$1${megabytes}`],
  ]);

/** Options of `pulumi config set-all`. */
const options = (kind: 'plaintext' | 'secret', values: Record<string, string>): string[] =>
  Object.entries(values).flatMap(([key, value]) => [`--${kind}`, `${key}=${value}`]);

/** Compiles a program in Go with the SDK that `pulumi package add` gives it, and the modules that the engine was built from. */
async function compile(program: string, generator: string): Promise<void> {
  const schema = JSON.parse(readFileSync(join(unpacked, 'schema.json'), 'utf8')) as object;
  const asked = JSON.stringify({ ...schema, meta: { supportPack: true } });
  run(join(generator, 'mailhost-lab-sdk'), ['go', join(program, 'sdks/mailhost')], asked);
  const built = join(root, 'lab/engine/cli');
  const modules = readFileSync(join(built, 'go.mod'), 'utf8').match(/^require \([^]*?^\)/gm)!;
  edit(join(program, 'go.mod'), [[/$/, `\n${modules.join('\n')}\n`]]);
  cpSync(join(built, 'go.sum'), join(program, 'go.sum'));
  const go = (...args: string[]) =>
    command('go', args, {
      cwd: program,
      // The build of the engine has left most modules in the cache of Go.
      env: {
        ...process.env,
        GOFLAGS: '-mod=mod',
        HTTP_PROXY: registries.npm_config_proxy,
        HTTPS_PROXY: registries.npm_config_https_proxy,
      },
    });
  const sdk = 'git.example.org/mailhost/mailhost/sdk/go';
  await go('mod', 'edit', `-require=${sdk}@v0.0.0`, `-replace=${sdk}=./sdks/mailhost`);
  await go('build', '-o', 'program', '.');
}

const noChange = (stack: Example) => stack.must('preview', '--expect-no-changes');

async function changeSize(stack: Example, language: Language, megabytes: number): Promise<void> {
  setSize(language, megabytes);
  const output = await stack.must('up', '--yes', '--skip-preview');
  expect(Object.keys(changes(output)).sort(), output).toEqual(['unchanged', 'updated']);
}
