import type * as command from '@pulumi/command';
import * as hcloud from '@pulumi/hcloud';
import * as pulumi from '@pulumi/pulumi';
import * as tls from '@pulumi/tls';
import { portsOf } from './daemons/catalogue';
import { ssh } from './daemons/ssh';
import { beforeCreate, explaining, keeping, type Loss } from './hooks';
import {
  firewallRules,
  hostAddress,
  image,
  ownerLabel,
  userData,
  type OpenPort,
} from './machineFiles';
import type { Blocker } from './preflight/findings';
import { knownValue } from './settings/forms';
import { LookUps } from './preflight/lookUps';
import { serverFailure, serverOffer } from './preflight/offers';

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
  /** Server generation. Increment to replace the server. Default: 1. */
  serverGeneration?: number;
  /** Keeps what cannot be made again (volume, addresses, keys) from being deleted. Default: true. */
  protect?: boolean;
  /** Parts that the stack has already, e.g. `volume`: where the plan makes one anew it says what is lost. Default: none. */
  present?: string[];
  /** Whether the checks before the plan know that it makes the server, or puts another in its place. Default: false. */
  serverMade?: boolean;
  /** What a new server would miss of the parts that the stack has. Default: nothing. */
  lost?: (lookUps: LookUps) => Promise<Blocker[]>;
}

/** What is lost with a part that is made anew. */
const losses = (serverMade: boolean): Record<string, Loss> => {
  const ofServer = (what: string) => ({
    message: `${what} would be made anew, and the server knows the one before only: nothing could be brought to it any more. Increment serverGeneration with it`,
    // Another server learns of it.
    isRefused: !serverMade,
  });
  const address = (family: string) => ({
    message: `the host would get another ${family} address: its records, its PTR and what others think of the one before are lost`,
  });
  return {
    'ssh-key': ofServer('the SSH key of the stack'),
    'host-key': ofServer('the host key'),
    ipv4: address('IPv4'),
    ipv6: address('IPv6'),
    volume: {
      message:
        'the volume would be made anew, and empty: all mail on it is lost but for what a backup has (docs/backups.md)',
    },
    server: {
      message:
        'another server takes the place of this one: for some minutes no mail is taken in, and others try again later',
    },
  };
};

/** How to reach root on a machine. */
export const rootConnection = (machine: {
  ipv4: pulumi.Input<string>;
  sshPrivateKey: pulumi.Input<string>;
  sshHostKey: pulumi.Input<string>;
}): pulumi.Output<command.types.input.remote.ConnectionArgs> =>
  pulumi.output({
    host: machine.ipv4,
    user: 'root',
    privateKey: machine.sshPrivateKey,
    hostKey: machine.sshHostKey,
    // It has been reached before: half a minute where the port is shut, and about a minute where nothing answers.
    dialErrorLimit: 10,
    perDialTimeout: 5,
  });

/** The VM: server, addresses with reverse DNS, firewall, host key, and the volume for what must outlive the server. */
export class Machine extends pulumi.ComponentResource {
  readonly ipv4: pulumi.Output<string>;
  /** The exact address in use, not the network; none where `ipv6` is false. */
  readonly ipv6?: pulumi.Output<string>;
  readonly serverId: pulumi.Output<string>;
  /** Block device of the volume as the server sees it. */
  readonly volumeDevice: pulumi.Output<string>;
  readonly connection: pulumi.Output<command.types.input.remote.ConnectionArgs>;
  /** The stack's own key for SSH; secret. */
  readonly sshPrivateKey: pulumi.Output<string>;
  /** Public part of the host key, of the type ed25519. */
  readonly sshHostKey: pulumi.Output<string>;

  constructor(name: string, args: MachineArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:Machine', name, {}, opts);
    const own = { parent: this };
    const { present = [], serverMade = false, protect = true, location } = args;
    const lasting = { parent: this, protect };
    const kept = (part: string) =>
      keeping(
        `${name}-${part}`,
        present.includes(part) ? losses(serverMade)[part] : undefined,
        this,
      );
    const apiProtection = { deleteProtection: protect };

    // A server that exists knows the first ones only.
    const sshKey = new tls.PrivateKey(
      `${name}-ssh-key`,
      { algorithm: 'ED25519' },
      { ...lasting, hooks: kept('ssh-key') },
    );
    const hostKey = new tls.PrivateKey(
      `${name}-host-key`,
      { algorithm: 'ED25519' },
      { ...lasting, hooks: kept('host-key') },
    );
    const labels = sshKey.publicKeyOpenssh.apply(ownerLabel);
    const cloudKey = new hcloud.SshKey(
      `${name}-ssh-key`,
      {
        name: args.hostName,
        labels,
        publicKey: sshKey.publicKeyOpenssh.apply((key) => key.trim()),
      },
      // Its name is taken as long as it exists.
      { ...own, deleteBeforeReplace: true },
    );

    const address = (type: 'ipv4' | 'ipv6') =>
      new hcloud.PrimaryIp(
        `${name}-${type}`,
        {
          name: `${args.hostName}-${type}`,
          labels,
          type,
          location: args.location,
          autoDelete: false,
          ...apiProtection,
        },
        { ...lasting, hooks: kept(type) },
      );
    const ipv4 = address('ipv4');
    const ipv6 = args.ipv6 ? address('ipv6') : undefined;

    const firewall = new hcloud.Firewall(
      `${name}-firewall`,
      {
        name: args.hostName,
        labels,
        rules: pulumi
          .all(args.adminNetworks)
          .apply((networks) => firewallRules(networks, args.ports ?? portsOf(ssh))),
      },
      own,
    );
    const volume = new hcloud.Volume(
      `${name}-volume`,
      {
        name: args.hostName,
        labels,
        size: args.volumeSize,
        location: args.location,
        format: 'ext4',
        ...apiProtection,
      },
      // It was made with a file system, or it was adopted; the API does not tell of that.
      { ...lasting, hooks: kept('volume'), ignoreChanges: ['format'] },
    );

    const checkOffer = async () => {
      const serverType = await knownValue(args.serverType);
      if (serverType === undefined) return;
      const lookUps = new LookUps(own);
      const change = { serverType, location, replaced: true };
      const { mistakes, warnings } = await serverOffer(change, lookUps, new Date());
      for (const message of warnings) await pulumi.log.warn(message, this);
      const lost = (await args.lost?.(lookUps)) ?? [];
      const all = [...lookUps.mistakes(), ...mistakes, ...lost.map(({ message }) => message)];
      if (all.length > 0) throw new Error(all.join('; '));
    };
    // What the checks before the plan foresee they have judged; the engine alone knows what it is told to replace.
    const unforeseen = pulumi.runtime.isDryRun() && !serverMade;
    const offered = unforeseen ? beforeCreate(`${name}-server: offered`, checkOffer) : {};
    const forced = unforeseen ? kept('server') : {};
    const failure = explaining(
      // The engine shows this name where it deletes without the program, and has no hook.
      `${name}-server (pulumi destroy --run-program shows the cause)`,
      async ({ failedOperation, errors }) =>
        serverFailure(
          failedOperation,
          errors[0] ?? '',
          { serverType: (await knownValue(args.serverType))!, location },
          new Date(),
          new LookUps(own),
        ),
      this,
    );
    const server = new hcloud.Server(
      `${name}-server`,
      {
        name: args.hostName,
        labels,
        serverType: args.serverType,
        image,
        location: args.location,
        sshKeys: [cloudKey.id],
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
          .all([hostKey.privateKeyOpenssh, hostKey.publicKeyOpenssh])
          .apply(([privateKey, publicKey]) => userData(privateKey, publicKey)),
        // What was taken in is all on the volume then.
        shutdownBeforeDeletion: true,
      },
      {
        ...own,
        // Nothing lasts on it, so it needs no protection, which would stand in the way of a new one.
        replacementTrigger: args.serverGeneration ?? 1,
        // The addresses can belong to one server at a time.
        deleteBeforeReplace: true,
        // Only the first boot reads these; a later change must not replace the server.
        ignoreChanges: ['sshKeys', 'userData'],
        additionalSecretOutputs: ['userData'],
        hooks: {
          ...failure,
          beforeCreate: [...(offered.beforeCreate ?? []), ...(forced.beforeCreate ?? [])],
        },
      },
    );
    const attachment = new hcloud.VolumeAttachment(
      `${name}-volume`,
      { volumeId: volume.id.apply(Number), serverId: server.id.apply(Number) },
      // A server that goes lets go of the volume once it is off, and not while it writes.
      { parent: this, deleteBeforeReplace: true, deletedWith: server },
    );

    const pointer = (
      family: 'ipv4' | 'ipv6',
      ip: hcloud.PrimaryIp,
      ipAddress: pulumi.Input<string>,
    ) =>
      new hcloud.Rdns(
        `${name}-${family}-ptr`,
        { primaryIpId: ip.id.apply(Number), ipAddress, dnsPtr: args.hostName },
        own,
      );
    pointer('ipv4', ipv4, ipv4.ipAddress);
    // It does not hang on the server, which may be another.
    const ipv6Address = ipv6?.ipAddress.apply(hostAddress);
    if (ipv6 && ipv6Address) pointer('ipv6', ipv6, ipv6Address);

    this.ipv4 = ipv4.ipAddress;
    this.ipv6 = ipv6Address;
    this.serverId = server.id;
    this.volumeDevice = pulumi.all([volume.linuxDevice, attachment.id]).apply(([device]) => device);
    this.sshPrivateKey = sshKey.privateKeyOpenssh;
    this.sshHostKey = hostKey.publicKeyOpenssh.apply((key) => key.trim());
    this.connection = rootConnection(this);
    this.registerOutputs({
      ipv4: this.ipv4,
      ipv6: this.ipv6,
      serverId: this.serverId,
      volumeDevice: this.volumeDevice,
      connection: this.connection,
      sshPrivateKey: this.sshPrivateKey,
      sshHostKey: this.sshHostKey,
    });
  }
}
