import * as pulumi from '@pulumi/pulumi';

/** As `pulumi package add` writes it, which the lab's language host is too old for. */
class MailHost extends pulumi.ComponentResource {
  declare readonly ipv4: pulumi.Output<string>;
  declare readonly sshPrivateKey: pulumi.Output<string>;

  constructor(name: string, args: pulumi.Inputs) {
    const outputs = { ipv4: undefined, sshPrivateKey: undefined };
    const version = process.env.MAILHOST_VERSION!;
    super('mailhost:index:MailHost', name, { ...args, ...outputs }, { version }, true);
  }
}

const host = new MailHost('mail', {
  hostName: process.env.MAILHOST_NAME!,
  domains: [{ name: 'example.org' }],
  // The password is anna-password.
  accounts: [{ address: 'anna@example.org', passwordHash: pulumi.secret(process.env.ANNA_HASH!) }],
  postmaster: 'anna@example.org',
  protect: false,
  tls: { issuer: 'selfSigned' },
});

export const ipv4 = host.ipv4;
export const sshPrivateKey = host.sshPrivateKey;
