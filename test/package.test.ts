import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { ResourceProviderClient } from '@pulumi/pulumi/proto/provider_grpc_pb';
import { GetSchemaRequest } from '@pulumi/pulumi/proto/provider_pb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type * as components from '../components';
import { MailHost } from '../components';
import type { MailHostArgs } from '../components/mailHostArgs';
import { parseSettings } from '../components/settings/parse';
import { packageSchema } from '../docs/packageSchema';
import own from '../package.json';
import { example, hash } from './example';
import { record } from './mocks';

const root = join(__dirname, '..');

it('has schema.json as `make docs` makes it, in which every change of the public interface shows', () => {
  expect(readFileSync(join(root, 'schema.json'), 'utf8')).toBe(packageSchema());
});

it('has a lock file that names no registry', () => {
  expect(readFileSync(join(root, 'package-lock.json'), 'utf8')).not.toContain('"resolved"');
});

interface Schema {
  resources: Record<string, { inputProperties: Record<string, Property> }>;
  types: Record<string, { properties?: Record<string, Property> }>;
}
interface Property {
  description?: string;
  default?: unknown;
  $ref?: string;
  items?: { $ref?: string };
}

/** Arguments as a generated SDK sends them: with each default that the schema has. */
function withDefaults(given: object, properties: Record<string, Property>, { types }: Schema) {
  const all: Record<string, unknown> = { ...given };
  for (const [name, property] of Object.entries(properties)) {
    all[name] ??= property.default;
    const type = types[(property.$ref ?? property.items?.$ref ?? '').replace('#/types/', '')];
    const inner = (value: object) => withDefaults(value, type?.properties ?? {}, schema);
    const value = all[name];
    if (Array.isArray(value) && property.items?.$ref) all[name] = (value as object[]).map(inner);
    else if (type?.properties && value !== undefined) all[name] = inner(value as object);
  }
  return all;
}
const schema = JSON.parse(readFileSync(join(root, 'schema.json'), 'utf8')) as Schema;

it('describes every argument', () => {
  const { inputProperties } = schema.resources['mailhost:index:MailHost']!;
  const bare = Object.entries({
    MailHost: { properties: inputProperties },
    ...schema.types,
  }).flatMap(([type, { properties = {} }]) =>
    Object.entries(properties)
      .filter(([, { description }]) => !description)
      .map(([name]) => `${type}.${name}`),
  );
  expect(bare).toEqual([]);
});

it.each<Partial<MailHostArgs>>([
  {},
  { web: false },
  { dns: 'manual' },
  { accountKind: 'system' },
  { tls: { acceptTerms: true }, web: false },
  { domains: [...example.domains, { name: 'example.com', parked: true }], dkimGeneration: 3 },
  {
    smarthost: { host: 'relay.example', username: 'x', password: 'y' },
    domains: [{ name: 'example.org', spf: ['include:relay.example'] }],
    accounts: [{ address: 'anna@example.org', passwordHash: hash }],
  },
])('is the same host where an SDK fills in the defaults: %j', (change) => {
  const args = { ...example, ...change };
  const filled = withDefaults(
    args,
    schema.resources['mailhost:index:MailHost']!.inputProperties,
    schema,
  );
  expect(filled.quota).toBe(2000);
  expect(parseSettings(filled)).toEqual(parseSettings(args));
});

describe('the packed package, in an empty folder', () => {
  const folder = mkdtempSync(join(tmpdir(), 'package-'));
  const installed = join(folder, 'node_modules', own.name);
  afterAll(() => rmSync(folder, { recursive: true }));

  // As npm installs it: with the dependencies that it names, and no other.
  beforeAll(() => {
    execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: root });
    mkdirSync(installed, { recursive: true });
    const tarball = join(folder, `${own.name}-${own.version}.tgz`);
    execFileSync('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1']);
    for (const name of Object.keys(own.dependencies)) {
      const link = join(installed, 'node_modules', name);
      mkdirSync(dirname(link), { recursive: true });
      symlinkSync(join(root, 'node_modules', name), link);
    }
  }, 120_000);

  it('has what it needs, and neither tests nor the lab', () => {
    expect(readdirSync(installed).sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'PulumiPlugin.yaml',
      'README.md',
      'cli',
      'components',
      'dist',
      'docs',
      'files',
      'node_modules',
      'package.json',
      'schema.json',
      'tsconfig.build.json',
      'tsconfig.json',
    ]);
  });

  it('plans the same host, file by file, as the sources', async () => {
    const packed = createRequire(join(folder, 'program.js'))(own.name) as typeof components;
    const plan = async (Component: typeof MailHost) =>
      (await record((opts) => void new Component('mail', example, opts))).map(
        ({ type, name, inputs }) => [type, name, inputs.stdin],
      );
    expect(packed.MailHost).not.toBe(MailHost);
    expect(await plan(packed.MailHost)).toEqual(await plan(MailHost));
  });

  it('has the command of the operator', () => {
    const { status, stdout } = spawnSync(
      process.execPath,
      [join(installed, own.bin.mailhost), 'review', join(__dirname, 'cli/samples/serverType.json')],
      { encoding: 'utf8' },
    );
    expect(stdout).toMatch(/^Risky: 1 changed; 91 resources of the stack mailhost\/dev compared\n/);
    expect(status).toBe(2);
  });

  it('is the plugin of its schema', async () => {
    const run = join(root, 'node_modules/@pulumi/pulumi/cmd/run-plugin');
    const plugin = spawn(process.execPath, [run, installed, '127.0.0.1:1'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const [port] = (await once(plugin.stdout, 'data')) as [Buffer];
      const client = new ResourceProviderClient(
        `127.0.0.1:${port.toString().trim()}`,
        grpc.credentials.createInsecure(),
        { 'grpc.max_receive_message_length': -1 },
      );
      const schema = await new Promise<string>((resolve, reject) =>
        client.getSchema(new GetSchemaRequest(), (error, response) =>
          error ? reject(error) : resolve(response.getSchema()),
        ),
      );
      client.close();
      expect(schema).toBe(readFileSync(join(root, 'schema.json'), 'utf8'));
    } finally {
      plugin.kill();
    }
  });
});
