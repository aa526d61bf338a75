import * as pulumi from '@pulumi/pulumi';
import { Check } from '../check';
import { Host } from '../host';
import { otherSlot } from '../preflight/serverPlan';
import type { Deployment } from './deployment';
import type { Pushes } from './pushes';
import { handoverTrigger, type HostMachine } from './server';

/** The server beside the one that serves. */
export interface StandbyReport {
  /** Its generation. */
  generation: number;
  /** Its own address, which is not in DNS. */
  ipv4: string;
  /** What it is for now: `prepared` to serve next, or `idle` after it has served. */
  state: string;
  /** What its check said, without the volume. Empty while it is idle. */
  proof: string;
}

interface StandbyArgs {
  deployment: Deployment;
  machine: HostMachine;
  /** To the host that serves. */
  pushes: Pushes;
}

/** Everything that a server needs to serve but the volume, and the check of that. */
export class Standby extends pulumi.ComponentResource {
  readonly report: pulumi.Output<StandbyReport>;

  constructor(
    name: string,
    { deployment, machine, pushes }: StandbyArgs,
    opts: pulumi.ComponentResourceOptions,
  ) {
    super('mailhost:index:Standby', name, {}, opts);
    const { settings, mail, found } = deployment;
    const { serving, generations } = found.machine.servers;
    const generation = generations[otherSlot(serving)]!;
    const { ipv4, serverId, connection } = machine.standby!;
    const report = { generation, ipv4 };
    if (generation < generations[serving]!) {
      this.report = pulumi.output({ ...report, state: 'idle', proof: '' });
      this.registerOutputs({});
      return;
    }
    const own = { parent: this };
    const host = {
      connection,
      triggers: [
        serverId,
        pulumi.output(settings.serverType),
        ...handoverTrigger(deployment),
        ...(settings.drift === 'mend' ? [deployment.time] : []),
      ],
      changeBefore: found.before.changeOf,
    };
    const system = new Host(
      `${name}-host`,
      {
        access: host,
        mail,
        adminSshKeys: settings.adminSshKeys,
        driftAccepted: settings.driftAccepted,
        standby: true,
      },
      own,
    );
    const pushed = pushes.beside(name, host, { ...own, dependsOn: [system] }).all();
    const check = new Check(
      `${name}-check`,
      { host, mail, records: [], pushes: pushed },
      { ...own, dependsOn: pushed },
    );
    this.report = pulumi.output({
      ...report,
      state: 'prepared',
      proof: check.output.apply((text) => text.trim()),
    });
    // It can be switched to once the state has this.
    this.registerOutputs({ prepared: check.output.apply(() => generation) });
  }
}

/** The server beside the one that serves, once all is as planned on that; none without one. */
export const makeStandby = (
  deployment: Deployment,
  machine: HostMachine,
  pushes: Pushes,
): Standby[] =>
  machine.standby === undefined
    ? []
    : [
        new Standby(
          `${deployment.name}-standby`,
          { deployment, machine, pushes },
          { ...deployment.own, dependsOn: pushes.all() },
        ),
      ];
