import * as hcloud from '@pulumi/hcloud';
import * as pulumi from '@pulumi/pulumi';
import type * as tls from '@pulumi/tls';
import { Handover } from './handover';
import { beforeCreate, explaining } from './hooks';
import type { MachineArgs } from './machineArgs';
import {
  firewallRules,
  image,
  serverName,
  standbyNames,
  userData,
  type ownerLabel,
  type Slot,
} from './machineFiles';
import { portsOf } from './daemons/catalogue';
import { ssh } from './daemons/ssh';
import { LookUps } from './preflight/lookUps';
import { serverFailure, serverOffer } from './preflight/offers';
import { oneServer, otherSlot } from './preflight/serverPlan';
import { knownValue } from './settings/forms';

/** What every server of a machine is made with. */
export interface ServerParts {
  sshKey: tls.PrivateKey;
  cloudKey: hcloud.SshKey;
  hostKey: tls.PrivateKey;
  labels: pulumi.Output<ReturnType<typeof ownerLabel>>;
  firewall: hcloud.Firewall;
  /** The host's own. */
  ipv4: hcloud.PrimaryIp;
  ipv6?: hcloud.PrimaryIp;
  /** Tells where a server is made anew that the stack has. */
  kept: (part: Slot) => pulumi.ResourceHookBinding;
}

/** Addresses that a server has. */
type Addresses = Pick<ServerParts, 'ipv4' | 'ipv6'>;

/** The server that serves, and the one beside it with the address to reach that at. */
export interface MadeServers {
  serving: hcloud.Server;
  standby?: { server: hcloud.Server; ipv4: pulumi.Output<string> };
}

/** Makes the servers of a machine. With two, each has addresses of its own for the time in which it does not serve. */
export function makeServers(
  name: string,
  args: MachineArgs,
  parts: ServerParts,
  parent: pulumi.Resource,
): MadeServers {
  const { servers = oneServer(1), hostName } = args;
  const { serving, generations, handover } = servers;
  const other = otherSlot(serving);
  if (generations[other] === undefined || handover === undefined)
    return { serving: new ServerOf(name, args, parts, parent).make(serving, parts) };

  const own = { server: ownAddresses('server'), 'second-server': ownAddresses('second-server') };
  const closed = new hcloud.Firewall(
    `${name}-standby-firewall`,
    {
      name: standbyNames.firewall(hostName),
      labels: parts.labels,
      rules: pulumi.all(args.adminNetworks).apply((nets) => firewallRules(nets, portsOf(ssh))),
    },
    { parent },
  );
  const { steps } = new Handover(
    `${name}-handover`,
    {
      handover,
      access: {
        sshPrivateKey: parts.sshKey.privateKeyOpenssh,
        sshHostKey: parts.hostKey.publicKeyOpenssh.apply((key) => key.trim()),
      },
      check: args.check ?? '',
    },
    { parent },
  );
  const make = new ServerOf(name, args, parts, parent);
  // A server that has served has nothing that listens, so what protects it need not change before its addresses do.
  const isPrepared = generations[other] > generations[serving]!;
  const beside = make.make(other, own[other], isPrepared ? closed : parts.firewall, steps);
  return {
    // An address comes to a server once the other has given it up.
    serving: make.make(serving, parts, parts.firewall, steps.length > 0 ? [beside] : []),
    standby: { server: beside, ipv4: own[other].ipv4.ipAddress },
  };

  function ownAddresses(slot: Slot): Addresses {
    const address = (type: 'ipv4' | 'ipv6') =>
      new hcloud.PrimaryIp(
        `${name}-${slot}-${type}`,
        {
          name: standbyNames.address(hostName, slot, type),
          labels: parts.labels,
          type,
          location: args.location,
          autoDelete: false,
        },
        { parent },
      );
    return { ipv4: address('ipv4'), ...(args.ipv6 ? { ipv6: address('ipv6') } : {}) };
  }
}

class ServerOf {
  constructor(
    private readonly name: string,
    private readonly args: MachineArgs,
    private readonly parts: ServerParts,
    private readonly parent: pulumi.Resource,
  ) {}

  make(
    slot: Slot,
    { ipv4, ipv6 }: Addresses,
    firewall = this.parts.firewall,
    dependsOn: pulumi.Resource[] = [],
  ): hcloud.Server {
    const { args, parts, parent, name } = this;
    const { servers = oneServer(1), location } = args;
    const generation = servers.generations[slot]!;
    const isOlder = Object.values(servers.generations).some((one) => one > generation);
    return new hcloud.Server(
      `${name}-${slot}`,
      {
        name: serverName(args.hostName, slot),
        labels: parts.labels,
        serverType: args.serverType,
        image,
        location,
        sshKeys: [parts.cloudKey.id],
        publicNets: [
          {
            ipv4Enabled: true,
            ipv4: ipv4.id.apply(Number),
            ipv6Enabled: args.ipv6,
            ...(ipv6 ? { ipv6: ipv6.id.apply(Number) } : {}),
          },
        ],
        firewallIds: [firewall.id.apply(Number)],
        userData: pulumi
          .all([parts.hostKey.privateKeyOpenssh, parts.hostKey.publicKeyOpenssh])
          .apply(([privateKey, publicKey]) => userData(privateKey, publicKey)),
        // What was taken in is all on the volume then.
        shutdownBeforeDeletion: true,
      },
      {
        parent,
        dependsOn,
        // Nothing lasts on it, so it needs no protection, which would stand in the way of a new one.
        replacementTrigger: generation,
        // The addresses can belong to one server at a time.
        deleteBeforeReplace: true,
        // Only the first boot reads keys and user data; a later change must not replace the server. What a new server is made
        // with must not touch the one whose place it takes.
        ignoreChanges: ['sshKeys', 'userData', ...(isOlder ? ['serverType', 'image'] : [])],
        additionalSecretOutputs: ['userData'],
        hooks: this.hooks(slot),
      },
    );
  }

  private hooks(slot: Slot): pulumi.ResourceHookBinding {
    const { args, parts, parent, name } = this;
    const { servers = oneServer(1), location, serverMade = false } = args;
    const isStandby = slot !== servers.serving;
    const checkOffer = async () => {
      const serverType = await knownValue(args.serverType);
      if (serverType === undefined) return;
      const lookUps = new LookUps({ parent });
      const change = { serverType, location, replaced: true };
      const { mistakes, warnings } = await serverOffer(change, lookUps, new Date());
      for (const message of warnings) await pulumi.log.warn(message, parent);
      const lost = (await args.lost?.(lookUps)) ?? [];
      const all = [...lookUps.mistakes(), ...mistakes, ...lost.map(({ message }) => message)];
      if (all.length > 0) throw new Error(all.join('; '));
    };
    // What the checks before the plan foresee they have judged; the engine alone knows what it is told to replace.
    const unforeseen = pulumi.runtime.isDryRun() && !serverMade && !isStandby;
    const offered = unforeseen ? beforeCreate(`${name}-${slot}: offered`, checkOffer) : {};
    const forced = unforeseen ? parts.kept(slot) : {};
    const failure = explaining(
      // The engine shows this name where it deletes without the program, and has no hook.
      `${name}-${slot} (pulumi destroy --run-program shows the cause)`,
      async ({ failedOperation, errors }) =>
        serverFailure(
          failedOperation,
          errors[0] ?? '',
          { serverType: (await knownValue(args.serverType))!, location, isStandby },
          new Date(),
          new LookUps({ parent }),
        ),
      parent,
    );
    return {
      ...failure,
      beforeCreate: [...(offered.beforeCreate ?? []), ...(forced.beforeCreate ?? [])],
    };
  }
}
