import type * as pulumi from '@pulumi/pulumi';
import type { OpenPort } from './machineFiles';
import type { Blocker } from './preflight/findings';
import type { LookUps } from './preflight/lookUps';
import type { ServerPlan } from './preflight/serverPlan';

export interface MachineArgs {
  /** Fully qualified host name: the server's name and the PTR of both addresses. */
  hostName: string;
  serverType: pulumi.Input<string>;
  /** Hetzner location by name. */
  location: string;
  /** GB. */
  volumeSize: pulumi.Input<number>;
  /** Whether the host has an IPv6 address, too. */
  ipv6: boolean;
  /** Networks in CIDR form that may use SSH. */
  adminNetworks: pulumi.Input<string>[];
  /** TCP ports that its firewall opens. Default: SSH, to `adminNetworks`. */
  ports?: OpenPort[];
  /** The servers, and which of them serves. Default: one of generation 1. */
  servers?: ServerPlan;
  /** Keeps what cannot be made again (volume, addresses, keys) from being deleted. Default: true. */
  protect?: boolean;
  /** Parts that the stack has already, e.g. `volume`: where the plan makes one anew it says what is lost. Default: none. */
  present?: string[];
  /** Whether the checks before the plan know that it makes the server, or puts another in its place. Default: false. */
  serverMade?: boolean;
  /** What `mailhost check` is told, for a standby server that is to serve. Default: nothing, without one. */
  check?: string;
  /** What a new server would miss of the parts that the stack has. Default: nothing. */
  lost?: (lookUps: LookUps) => Promise<Blocker[]>;
}
