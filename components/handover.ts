import * as pulumi from '@pulumi/pulumi';
import { hostCommand } from './hooks';
import { rootConnection } from './connection';
import type { Handover as Planned } from './preflight/serverPlan';

export interface HandoverArgs {
  handover: Planned;
  access: Record<'sshPrivateKey' | 'sshHostKey', pulumi.Input<string>>;
  /** What `mailhost check` is told. */
  check: pulumi.Input<string>;
}

/**
 * What comes before the addresses move from one server to the other: the one that is to serve is checked, and waits; then the
 * other serves no more. It is kept in the state before it begins, so that a switch which fails is known as begun.
 */
export class Handover extends pulumi.ComponentResource {
  /** What the server that gives up its addresses waits for; none before the first switch. */
  readonly steps: pulumi.Resource[];

  constructor(
    name: string,
    { handover, access, check }: HandoverArgs,
    opts: pulumi.ComponentResourceOptions,
  ) {
    super('mailhost:index:Handover', name, {}, opts);
    const { number, serving } = handover;
    this.registerOutputs({ handover: { number, serving } });
    const steps: pulumi.Resource[] = [];
    const step = (
      what: string,
      ipv4: string | undefined,
      { stdin, unreachable }: { stdin?: pulumi.Input<string>; unreachable?: string },
    ) => {
      if (ipv4 === undefined) return;
      steps.push(
        hostCommand(
          `${name.replace(/handover$/, what)}-${number}`,
          {
            connection: rootConnection({ ipv4, ...access }),
            create: `mailhost ${what}`,
            ...(stdin === undefined ? {} : { stdin }),
          },
          // Once for each switch, wherever that server can be reached later.
          {
            parent: this,
            dependsOn: [...steps],
            ignoreChanges: ['connection', 'stdin', 'create'],
          },
          unreachable,
        ),
      );
    };
    step('ready', handover.steps.ready, { stdin: check });
    step('yield', handover.steps.giveUp, {
      unreachable:
        'If this server is dead, turn it off and detach the volume from it in the Hetzner console, then run `pulumi up` again',
    });
    this.steps = steps;
  }
}
