import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect } from 'vitest';
import { Stack } from '../../lab/stack';
import { type Lab } from '../../lab/state';
import own from '../../package.json';
import { hostTest } from './hosts';
import { registries } from './registries';
import { changes, reachable, step } from './testLab';

const root = join(__dirname, '..', '..');
const command = promisify(execFile);
const it = hostTest();
const folder = mkdtempSync(join(tmpdir(), 'package-'));
afterAll(() => rmSync(folder, { recursive: true }));

type Language = 'yaml' | 'python' | 'typescript';
const tarball = join(folder, `${own.name}-${own.version}.tgz`);
/** The package, unpacked. */
const unpacked = join(folder, 'package');

/** Packs the package, once. */
async function pack(): Promise<void> {
  if (existsSync(tarball)) return;
  await command('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: root });
  await command('tar', ['-xzf', tarball, '-C', folder]);
}

/** A copy of an example, for the package that was packed, with a certificate that the lab can have. */
async function copy(language: Language): Promise<string> {
  await pack();
  const copied = join(folder, language);
  cpSync(join(root, 'examples', language), copied, { recursive: true });
  edit(join(copied, 'Pulumi.yaml'), [
    [/^name: .*/, 'name: example'],
    [/packages:\n.*\n/, language === 'yaml' ? pluginOfYaml : ''],
  ]);
  edit(join(copied, sources[language]), [
    [/acceptTerms: true/, language === 'yaml' ? 'issuer: selfSigned' : "issuer: 'selfSigned'"],
    ['"accept_terms": True', '"issuer": "selfSigned"'],
  ]);
  if (language === 'typescript')
    edit(join(copied, 'package.json'), [[/git\+https:[^"]*/, `file:${tarball}`]]);
  return copied;
}
/** The host for YAML that Go modules have is older than the linking of `pulumi package add`. */
const pluginOfYaml = `plugins:\n  providers:\n    - { name: mailhost, path: ${unpacked} }\n`;
const sources: Record<Language, string> = {
  yaml: 'Pulumi.yaml',
  python: '__main__.py',
  typescript: 'index.ts',
};

function edit(file: string, changes: [RegExp | string, string][]): void {
  const text = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    changes.reduce((all, [from, to]) => all.replace(from, to), text),
  );
}

/** The stack `dev` of a program in a language, with the config that they share. */
class Example extends Stack {
  constructor(lab: Lab, where: string) {
    super(lab, join(folder, 'Pulumi.dev.yaml'), where);
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
  it('makes one host for programs in Python, YAML and TypeScript, and each can go on with it', async ({
    freshLab: { lab },
  }) => {
    const { stdout: hash } = await command('openssl', ['passwd', '-6', 'anna-password']);
    const config = {
      hostName: 'mail.example.org',
      domain: 'example.org',
      postmaster: 'anna@example.org',
    };
    const python = new Example(lab, await copy('python'));
    await step('it is added to a program in Python', async () => {
      await python.must('package', 'add', unpacked);
      await python.must('install');
      await python.select();
      for (const [key, value] of Object.entries(config))
        await python.must('config', 'set', key, value);
      await python.must('config', 'set', '--secret', 'passwordHash', hash.trim());
    });
    await step('every mistake is reported before anything is touched', async () => {
      await python.must('config', 'set', 'hostName', 'mail');
      await python.must('config', 'set', 'postmaster', 'anna');
      const { status, output } = await python.run(['preview']);
      expect(status).not.toBe(0);
      expect(output).toContain('hostName: "mail" is not a valid domain name');
      expect(output).toContain('postmaster: "anna"');
      expect(output).not.toContain('hcloud:');
      await python.must('config', 'set', 'hostName', config.hostName);
      await python.must('config', 'set', 'postmaster', config.postmaster);
    });
    await step('it makes the host, keeps its secrets, and then has nothing to change', async () => {
      expect(await python.must('preview')).toContain('mailhost:index:MailHost');
      const output = await python.must('up', '--yes', '--skip-preview');
      const { ipv4, ...others } = python.outputs();
      expect(others).toMatchObject({ sshPrivateKey: '[secret]' });
      expect(reachable(lab, ipv4, [25, 993])).toEqual([25, 993]);
      expect(output).not.toContain(hash.trim());
      await noChange(python);
    });
    await step('a change of the program in Python is deployed', () =>
      changeSize(python, 'python', 36),
    );
    await step('a program in YAML goes on with the same host', async () => {
      const yaml = new Example(lab, await copy('yaml'));
      setSize('yaml', 36);
      await noChange(yaml);
      await changeSize(yaml, 'yaml', 37);
    });
    await step('a program in TypeScript imports it, and goes on with the same host', async () => {
      const typescript = new Example(lab, await copy('typescript'));
      await typescript.must('install');
      setSize('typescript', 37);
      await noChange(typescript);
      await changeSize(typescript, 'typescript', 38);
    });
  });
});

const setSize = (language: Language, megabytes: number) =>
  edit(join(folder, language, sources[language]), [
    [/(message_?size[=:] ?)\d+/i, `$1${megabytes}`],
  ]);

const noChange = (stack: Example) => stack.must('preview', '--expect-no-changes');

async function changeSize(stack: Example, language: Language, megabytes: number): Promise<void> {
  setSize(language, megabytes);
  const output = await stack.must('up', '--yes', '--skip-preview');
  expect(Object.keys(changes(output)).sort(), output).toEqual(['unchanged', 'updated']);
}
