import * as pulumi from '@pulumi/pulumi';
import { Daemon, type HostAccess } from '../daemon';
import { backup } from '../daemons/backup';
import type { DaemonSpec, FilesFrom, Given, Plan, Secrets } from '../daemons/spec';
import type { HostFiles } from '../hostFiles/files';

/** Values as they become known, each by itself. */
type Later<V> = { [K in keyof V]: pulumi.Input<V[K]> };

export interface PushesArgs {
  host: HostAccess;
  /** Daemons that the settings ask for, in order. */
  daemons: DaemonSpec[];
  plan: Plan;
  given: Later<Given>;
  secrets: Partial<Later<Secrets>>;
  /** What daemons wait for besides each other, by name. */
  milestones: Record<string, () => pulumi.Resource[]>;
}

/** The pushes of the daemons. Each is made when it is asked for first, and before it those that it waits for. */
export class Pushes {
  private readonly made = new Map<string, Daemon>();

  /** @param name of the MailHost */
  constructor(
    private readonly name: string,
    private readonly args: PushesArgs,
    private readonly opts: pulumi.ComponentResourceOptions,
  ) {}

  /**
   * The same to a server beside the host, which has no volume: it needs none but the daemons, and makes no backup.
   *
   * @param name that those of its resources begin with
   */
  beside(name: string, host: HostAccess, opts: pulumi.ComponentResourceOptions): Pushes {
    return new Pushes(
      name,
      {
        ...this.args,
        host,
        daemons: this.args.daemons.filter((spec) => spec !== backup),
        milestones: { volume: () => [], records: () => [] },
      },
      opts,
    );
  }

  /** In order. */
  all(): Daemon[] {
    return this.args.daemons.map((spec) => this.push(spec));
  }

  /** What these are, by names as in DaemonSpec.waitsFor: nothing of a daemon that is not wanted. */
  of(...names: string[]): pulumi.Resource[] {
    return names.flatMap((name) => {
      const milestone = this.args.milestones[name];
      if (milestone) return milestone();
      return this.args.daemons.filter((spec) => spec.name === name).map((spec) => this.push(spec));
    });
  }

  /**
   * @param more secrets that only the caller knows
   * @param parent in the place of the mail host
   */
  push(spec: DaemonSpec, more: Partial<Later<Secrets>> = {}, parent = this.opts.parent): Daemon {
    const before = this.made.get(spec.name);
    if (before) return before;
    const { host, plan, given, secrets } = this.args;
    const daemon = new Daemon(
      `${this.name}-${spec.name}`,
      {
        push: spec.name,
        host,
        files:
          typeof spec.files === 'function' ? spec.files(plan) : filesOf(spec.files, plan, given),
        secrets: spec.secrets && filesOf(spec.secrets, plan, { ...secrets, ...more }),
        after: this.of(...spec.waitsFor),
      },
      { ...this.opts, parent },
    );
    this.made.set(spec.name, daemon);
    return daemon;
  }
}

const filesOf = <V>(
  { from, files }: FilesFrom<V>,
  plan: Plan,
  values: Partial<Later<V>>,
): pulumi.Output<HostFiles> =>
  pulumi
    .output(Object.fromEntries(from.map((name) => [name, values[name]])))
    .apply((known) => files(plan, known as V));
