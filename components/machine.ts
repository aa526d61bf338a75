import type * as command from '@pulumi/command';
import * as hcloud from '@pulumi/hcloud';
import * as pulumi from '@pulumi/pulumi';
import * as tls from '@pulumi/tls';
import { portsOf } from './daemons/catalogue';
import { ssh } from './daemons/ssh';
import { keeping, type Loss } from './hooks';
import { rootConnection } from './connection';
import type { MachineArgs } from './machineArgs';
import { firewallRules, hostAddress, ownerLabel } from './machineFiles';
import { makeServers } from './servers';

/** What is lost with a part that is made anew. */
const losses = (serverMade: boolean): Record<string, Loss> => {
  const server = {
    message:
      'another server takes the place of this one: for some minutes no mail is taken in, and others try again later',
  };
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
    server,
    'second-server': server,
  };
};

/** The VM: server, addresses with reverse DNS, firewall, host key, and the volume for what must outlive the server. */
export class Machine extends pulumi.ComponentResource {
  readonly ipv4: pulumi.Output<string>;
  /** The exact address in use, not the network; none where `ipv6` is false. */
  readonly ipv6?: pulumi.Output<string>;
  readonly serverId: pulumi.Output<string>;
  /** Block device of the volume as the server sees it. */
  readonly volumeDevice: pulumi.Output<string>;
  readonly connection: pulumi.Output<command.types.input.remote.ConnectionArgs>;
  /** The server beside the one that serves, if there is one. */
  readonly standby?: Pick<Machine, 'ipv4' | 'serverId' | 'connection'>;
  /** The stack's own key for SSH; secret. */
  readonly sshPrivateKey: pulumi.Output<string>;
  /** Public part of the host key, of the type ed25519. */
  readonly sshHostKey: pulumi.Output<string>;

  constructor(name: string, args: MachineArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:Machine', name, {}, opts);
    const own = { parent: this };
    const { present = [], serverMade = false, protect = true } = args;
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

    const parts = { sshKey, cloudKey, hostKey, labels, firewall, ipv4, ipv6, kept };
    const { serving, standby } = makeServers(name, args, parts, this);
    const attachment = new hcloud.VolumeAttachment(
      `${name}-volume`,
      { volumeId: volume.id.apply(Number), serverId: serving.id.apply(Number) },
      // A server that goes lets go of the volume once it is off, and not while it writes.
      { parent: this, deleteBeforeReplace: true, deletedWith: serving },
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
    this.serverId = serving.id;
    this.volumeDevice = pulumi.all([volume.linuxDevice, attachment.id]).apply(([device]) => device);
    this.sshPrivateKey = sshKey.privateKeyOpenssh;
    this.sshHostKey = hostKey.publicKeyOpenssh.apply((key) => key.trim());
    this.connection = rootConnection(this);
    this.standby = standby && {
      ipv4: standby.ipv4,
      serverId: standby.server.id,
      connection: rootConnection({
        ipv4: standby.ipv4,
        sshPrivateKey: this.sshPrivateKey,
        sshHostKey: this.sshHostKey,
      }),
    };
    this.registerOutputs({
      ipv4: this.ipv4,
      ipv6: this.ipv6,
      serverId: this.serverId,
      ...(standby ? { standbyServerId: standby.server.id } : {}),
      volumeDevice: this.volumeDevice,
      connection: this.connection,
      sshPrivateKey: this.sshPrivateKey,
      sshHostKey: this.sshHostKey,
    });
  }
}
