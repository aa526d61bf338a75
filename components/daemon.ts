import { createHash, createHmac } from 'node:crypto';
import type * as command from '@pulumi/command';
import * as pulumi from '@pulumi/pulumi';
import { hostCommand } from './hooks';
import type { HostFiles } from './hostFiles/files';

/** How to reach the host, and which host it is. */
export interface HostAccess {
  /** Pins the host key; its `privateKey` is a secret. */
  connection: pulumi.Input<command.types.input.remote.ConnectionArgs>;
  /** Every push is repeated where one of them changes, as the server's id does. */
  triggers: pulumi.Input<string>[];
  /** What a command brought to the host last, or was about to, by the name of its resource. */
  changeBefore: (command: string) => Change | undefined;
}

/** What a command brings to the host. */
export interface Change {
  /** Of all that it brings. */
  digest: string;
  /** One more with each other digest. */
  number: number;
}

/**
 * A component keeps it in the state before the command begins, and the command has the number: a command that was cut off
 * is not the one of the state, so that it is also repeated where what it brought is taken back.
 */
export function nextChange(before: Change | undefined, digest: string): Change {
  const number = before === undefined ? 1 : before.number + (before.digest === digest ? 0 : 1);
  return { digest, number };
}

export interface DaemonArgs {
  /** Name of the push that the host program knows, e.g. `opensmtpd`. */
  push: string;
  host: HostAccess;
  /** Readable files: a preview shows each path with a line diff of its text. Holds no secret. */
  files: pulumi.Input<HostFiles>;
  /** Files with secrets: staged by a command of their own, put in place together with `files`. */
  secrets?: pulumi.Input<HostFiles>;
  /** What has to be in force before these files are. Default: nothing. Secrets are staged without waiting for it. */
  after?: pulumi.Resource[];
}

/**
 * The files of one daemon, pushed to the host as one transaction: checked by the daemon itself, swapped in, and undone
 * where the daemon does not answer afterwards.
 */
export class Daemon extends pulumi.ComponentResource {
  /** Resolves when the daemon answers with this configuration; changes whenever something of it does. */
  readonly fingerprint: pulumi.Output<string>;

  constructor(name: string, args: DaemonArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:Daemon', name, {}, opts);
    const { connection, triggers } = args.host;
    const text = pulumi.output(args.files).apply((files) => JSON.stringify(files));

    let activate = pulumi.output(`mailhost activate ${args.push}`);
    let staged: command.remote.Command | undefined;
    if (args.secrets !== undefined) {
      const secretText = pulumi.secret(args.secrets).apply((files) => JSON.stringify(files));
      const tag = pulumi.unsecret(
        pulumi
          .all([connection, secretText])
          .apply(([{ privateKey }, secret]) => tagOf(secret, privateKey!)),
      );
      staged = hostCommand(
        `${name}-secrets`,
        {
          connection,
          create: pulumi.interpolate`mailhost stage ${args.push} --tag ${tag}`,
          stdin: secretText,
          triggers,
          logging: 'none',
        },
        { parent: this, additionalSecretOutputs: ['stdout', 'stderr'] },
      );
      activate = pulumi.interpolate`${activate} --secrets ${tag}`;
    }

    const change = pulumi
      .all([activate, text])
      .apply(([of, brought]) =>
        nextChange(args.host.changeBefore(name), sha256(`${of}\n${brought}`)),
      );
    this.registerOutputs({ changes: { [name]: change } });
    const create = pulumi.interpolate`${activate} --change ${change.number}`;
    const activated = hostCommand(
      name,
      { connection, create, stdin: text, triggers },
      { parent: this, dependsOn: [...(args.after ?? []), ...(staged ? [staged] : [])] },
    );
    this.fingerprint = pulumi
      .all([create, text, activated.id])
      .apply(([created, brought]) => sha256(`${created}\n${brought}`));
  }
}

/**
 * Names secrets by what changes with them, so that a change of secrets alone is activated too. It tells nothing of them:
 * a hash without a key would let anybody who reads the state try short passwords.
 */
function tagOf(secret: string, key: string): string {
  return createHmac('sha256', key).update(secret).digest('hex').slice(0, 32);
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
