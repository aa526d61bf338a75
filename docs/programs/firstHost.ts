import type * as pulumi from '@pulumi/pulumi';
declare const config: pulumi.Config;
import { MailHost } from 'mailhost';

new MailHost('mail', {
  hostName: 'mail.example.org',
  domains: [{ name: 'example.org' }],
  accounts: [{ address: 'anna@example.org', passwordHash: config.requireSecret('annaHash') }],
  postmaster: 'anna@example.org',
  tls: { acceptTerms: true },
});
