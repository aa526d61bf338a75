import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { environment } from './env';
import { project } from './sources';
import type { Lab } from './state';

/** What the stack `dev` says of itself, secrets aside. */
export interface StackOutputs {
  ipv4: string;
  ipv6: string;
  caCertPem: string;
  dsRecords: Record<string, string>;
  zoneFile: string;
  openTasks: string[];
  mailClient: { incoming: { host: string } };
  nextSteps: string;
  standbyServer?: { generation: number; ipv4: string; state: string; proof: string };
}

/** A resource as the state has it; a component has neither `id` nor outputs of a plugin. */
export interface StateResource {
  urn: string;
  type: string;
  id?: string;
  outputs?: Record<string, unknown>;
}

export interface Result {
  status: number;
  /** Standard output and error in the order in which they came. */
  output: string;
}

/** The folder of the engine that the lab built, or undefined where the system's is used. Builds it where it is missing. */
export function engine(): string | undefined {
  const built = execFileSync(join(project, 'lab/engine/build'), {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return built.trim() || undefined;
}

/** The stack `dev` in a lab, driven by the real engine. */
export class Stack {
  readonly env: Record<string, string | undefined>;

  /**
   * @param configFile instead of the project's Pulumi.dev.yaml
   * @param folder of another project
   */
  constructor(
    protected readonly lab: Lab,
    readonly configFile?: string,
    private readonly folder = project,
  ) {
    this.env = { ...process.env, ...environment(lab, engine()) };
  }

  arguments(args: string[]): string[] {
    const takesConfig = ['config', 'destroy', 'import', 'preview', 'refresh', 'up'].includes(
      args[0]!,
    );
    const config = takesConfig && this.configFile ? ['--config-file', this.configFile] : [];
    return [...args, '--cwd', this.folder, ...config];
  }

  /** Runs one command to its end; `onOutput` sees what it prints as it comes. */
  run(args: string[], onOutput?: (text: string, kill: () => void) => void): Promise<Result> {
    const child = spawn('pulumi', this.arguments([...args, '--non-interactive', '--color=never']), {
      env: this.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let output = '';
    const kill = () => {
      if (child.exitCode === null) process.kill(-child.pid!, 'SIGKILL');
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        onOutput?.(text, kill);
      });
    }
    return new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status) => resolve({ status: status ?? -1, output }));
    });
  }

  /** Makes the stack where the lab's backend has none yet. */
  async select(name = 'dev'): Promise<void> {
    const { status, output } = await this.run(['stack', 'select', '--create', name]);
    if (status !== 0) throw new Error(output);
  }

  up(onOutput?: (text: string, kill: () => void) => void): Promise<Result> {
    return this.run(['up', '--yes', '--skip-preview'], onOutput);
  }

  /** The whole state as the backend keeps it. */
  state(): string {
    const project = parse(readFileSync(join(this.folder, 'Pulumi.yaml'), 'utf8')) as {
      name: string;
    };
    const file = `pulumi/.pulumi/stacks/${project.name}/${this.env.PULUMI_STACK}.json`;
    return readFileSync(join(this.lab.dir, file), 'utf8');
  }

  /** What the state has, providers among it; nothing once all is destroyed. */
  resources(): StateResource[] {
    const { checkpoint } = JSON.parse(this.state()) as {
      checkpoint: { latest: { resources?: StateResource[] } };
    };
    return checkpoint.latest.resources ?? [];
  }

  outputs(): StackOutputs {
    const stack = this.resources().find(({ type }) => type === 'pulumi:pulumi:Stack');
    // A secret is an object with a key of the engine's.
    const secret = '4dabf18193072939515e22adb298388d';
    return Object.fromEntries(
      Object.entries(stack?.outputs ?? {}).map(([name, value]) => [
        name,
        value !== null && typeof value === 'object' && secret in value ? '[secret]' : value,
      ]),
    ) as unknown as StackOutputs;
  }
}
