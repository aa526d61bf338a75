import type * as pulumi from '@pulumi/pulumi';
import type * as tls from '@pulumi/tls';
import { MailHost } from 'mailhost';

declare const config: pulumi.Config;
declare const vm: { publicIp: pulumi.Output<string>; id: pulumi.Output<string> };
declare const hostKey: tls.PrivateKey;
declare const key: tls.PrivateKey;

new MailHost('mail', {
  hostName: 'mail.example.org',
  domains: [{ name: 'example.org' }],
  postmaster: 'anna@example.org',
  accounts: [{ address: 'anna@example.org', passwordHash: config.requireSecret('annaHash') }],
  tls: { acceptTerms: true },
  machine: {
    ipv4: vm.publicIp,
    sshHostKey: hostKey.publicKeyOpenssh.apply((text) => text.trim()),
    sshPrivateKey: key.privateKeyOpenssh,
    serverId: vm.id,
  },
});
