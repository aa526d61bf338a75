import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { apiAccess } from '../../lab/apis';
import { bundledProgram, programCommand } from '../../lab/bundle';
import { missingPlugins } from '../../lab/env';
import { entry } from '../../lab/lifecycle';
import { Stack, type Result } from '../../lab/stack';
import { run, startUntil, type Lab } from '../../lab/state';

/** Lets a zone's registrar hand on its DS record, as a person does after an `up`. */
export function passDsOn(name: string, zone: string): void {
  execFileSync(entry, ['registrar', zone, '--lab', name], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/**
 * Paths below `mailhost:` in the stack's config, with values as `pulumi config set` takes them. Hosts are kept by them: the
 * same ones in each run, so a salt or a key in one is a fixed one.
 */
export type Settings = Record<string, string | { secret: string }>;

/** The stack `dev` in a lab, with a copy of its config that tests may change; a copy of a lab has that of the lab. */
export class TestStack extends Stack {
  private leanEnv?: Stack['env'];

  constructor(lab: Lab) {
    const config = join(lab.dir, 'Pulumi.dev.yaml');
    if (!existsSync(config)) copyFileSync(join(__dirname, '..', '..', 'Pulumi.dev.yaml'), config);
    super(lab, config);
  }

  /** Half of the CPU time of a run as users have it: one file is the program, which is built once, and plugins stay up. */
  lean(): this {
    this.env.MAILHOST_LAB_PROGRAM = bundledProgram();
    // The engine's garbage collector and its threads, of which none has a core of its own here.
    this.env.GOGC = '400';
    this.env.GOMAXPROCS = '1';
    this.leanEnv = { ...this.env };
    return this;
  }

  override async run(...[args, onOutput]: Parameters<Stack['run']>): Promise<Result> {
    // Plugins that stay up have the environment from before.
    if (!isDeepStrictEqual(this.env, this.leanEnv)) return super.run(args, onOutput);
    this.env.PULUMI_DEBUG_PROVIDERS = await attachedPlugins(this.lab);
    const result = super.run(args, onOutput);
    delete this.env.PULUMI_DEBUG_PROVIDERS;
    return result;
  }

  /** Sets what stands below `mailhost:`, by paths. */
  async setAll(settings: Settings): Promise<void> {
    if (Object.keys(settings).length === 0) return;
    const options = Object.entries(settings).flatMap(([path, value]) =>
      typeof value === 'string'
        ? ['--plaintext', `mailhost:${path}=${value}`]
        : ['--secret', `mailhost:${path}=${value.secret}`],
    );
    const { status, output } = await this.run(['config', 'set-all', '--path', ...options]);
    if (status !== 0) throw new Error(output);
  }

  async set(key: string, value: string, ...options: string[]): Promise<void> {
    const { status, output } = await this.run(['config', 'set', ...options, key, value]);
    if (status !== 0) throw new Error(output);
  }

  async unset(key: string): Promise<void> {
    const { status, output } = await this.run(['config', 'rm', '--path', key]);
    if (status !== 0) throw new Error(output);
  }

  /** Does something with settings that it changes; afterwards they are what they were. */
  async temporarily<T>(work: () => Promise<T>): Promise<T> {
    const original = readFileSync(this.configFile!);
    try {
      return await work();
    } finally {
      writeFileSync(this.configFile!, original);
    }
  }
}

const attached = new Map<string, Promise<string>>();

/** Starts what stands in for the plugins, once for a lab, which it ends with; gives what lets an engine attach to it. */
function attachedPlugins(lab: Lab): Promise<string> {
  const start = async () => {
    const log = join(lab.dir, 'log/plugins.log');
    // The lab may be a copy.
    rmSync(log, { force: true });
    const ports = () => readFileSync(log, 'utf8').match(/^[a-z]+:\d+$/gm) ?? [];
    const program = programCommand('lab/plugins/attached');
    await startUntil(lab, 'plugins', program, [], () => ports().length === 4);
    const missing: string[] = missingPlugins();
    return ports()
      .filter((port) => missing.includes(port.split(':')[0]!))
      .join();
  };
  const started = attached.get(lab.name) ?? start();
  attached.set(lab.name, started);
  return started;
}

/** Some mailboxes of a list are only the folder of others. */
export const holdsMail = ({ flags }: { flags: Set<string> }): boolean =>
  !['\\Noselect', '\\NonExistent'].some((flag) => flags.has(flag));

/** A step of a test that is one story; its name stands in the error. */
export async function step<T>(name: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Error) error.message = `${name}: ${error.message}`;
    throw error;
  }
}

/** The ports of those given on which somebody at that address answers to a part of the lab. */
export function reachable(of: Lab, address: string, ports: number[], from = 'remote'): number[] {
  // A port that is filtered answers nothing at all.
  const connects = `timeout 10 bash -c 'exec 3<>/dev/tcp/${address}/'$port 2>/dev/null`;
  const script = `for port in ${ports.join(' ')}; do ${connects} && echo $port & done; wait`;
  const answer = run('ip', ['netns', 'exec', from, 'bash', '-c', script]);
  const open = answer.split('\n').filter(Boolean).map(Number);
  return ports.filter((port) => open.includes(port));
}

/** What the engine says that it did, e.g. `{ created: 3, unchanged: 58 }`. */
export function changes(output: string): Record<string, number> {
  const summary = output.slice(output.lastIndexOf('Resources:'));
  return Object.fromEntries(
    [...summary.matchAll(/(\d+) (created|updated|replaced|deleted|unchanged|errored)/g)].map(
      ([, count, what]) => [what!, Number(count)],
    ),
  );
}

/** A zone of the lab's Cloudflare account, as a person sees it there. */
export async function zoneOf(lab: Lab, name: string) {
  const { CLOUDFLARE_BASE_URL: base, CLOUDFLARE_API_TOKEN: token } = apiAccess(lab);
  const call = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const response = await fetch(`${base}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body ? { 'content-type': 'application/json' } : {}),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    if (!response.ok) throw new Error(await response.text());
    return ((await response.json()) as { result: T }).result;
  };
  const [zone] = await call<{ id: string }[]>('GET', `/zones?name=${name}`);
  const records = `/zones/${zone!.id}/dns_records`;
  return {
    id: zone!.id,
    list: () => call<object[]>('GET', `${records}?per_page=1000`),
    /** @returns the record's id */
    create: async (record: object) => (await call<{ id: string }>('POST', records, record)).id,
    delete: (id: string) => call('DELETE', `${records}/${id}`),
    /** @returns the id of the one record of that name */
    find: async (record: string) =>
      (await call<{ id: string }[]>('GET', `${records}?name=${record}`))[0]!.id,
  };
}
