import type * as command from '@pulumi/command';
import * as pulumi from '@pulumi/pulumi';

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
