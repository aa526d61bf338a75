import { execFileSync } from 'node:child_process';
import type { Stack } from '../../lab/stack';

/** How many resources of each package a stack has; providers are none of the program. */
export function resourceCounts(stack: Stack): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { type } of stack.resources()) {
    const [name] = type.split(':');
    if (name !== 'pulumi') counts[name!] = (counts[name!] ?? 0) + 1;
  }
  return counts;
}

/** A bare program with so many resources of each package, in a stack of its own. */
export class EngineOnly {
  constructor(
    private readonly of: Stack,
    /** As the files `Pulumi.NAME.yaml` beside this one. */
    private readonly name: 'packages' | 'nothing',
    private readonly counts: Record<string, number>,
  ) {}

  create(): void {
    this.pulumi('stack', 'select', '--create');
    this.pulumi('up', '--yes', '--skip-preview');
  }

  /** An `up` that has nothing to do. */
  up(): void {
    this.pulumi('up', '--yes', '--skip-preview', '--expect-no-changes');
  }

  destroy(): void {
    this.pulumi('destroy', '--yes', '--skip-preview');
  }

  private pulumi(...args: string[]): void {
    execFileSync('pulumi', [...args, '--cwd', __dirname, '--stack', this.name], {
      env: {
        ...this.of.env,
        PULUMI_STACK: undefined,
        BENCH_RESOURCES: JSON.stringify(this.counts),
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  }
}
