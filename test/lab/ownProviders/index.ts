import * as cloudflare from '@pulumi/cloudflare';
import * as command from '@pulumi/command';
import * as hcloud from '@pulumi/hcloud';
import * as pulumi from '@pulumi/pulumi';
import * as tls from '@pulumi/tls';
import { MailHost } from '../../../components/mailHost';

const given = (name: string) => pulumi.secret(process.env[name]!);
const providers = {
  cloudflare: new cloudflare.Provider('given', { apiToken: given('GIVEN_CLOUDFLARE') }),
  command: new command.Provider('given'),
  hcloud: new hcloud.Provider('given', { token: given('GIVEN_HCLOUD') }),
  tls: new tls.Provider('given'),
};

new MailHost(
  'mail',
  {
    hostName: 'mail.example.org',
    domains: [{ name: 'example.org' }],
    accounts: [
      { address: 'anna@example.org', passwordHash: `$6$saltsaltsaltsalt$${'a'.repeat(86)}` },
    ],
    postmaster: 'anna@example.org',
    tls: { acceptTerms: true },
  },
  { providers },
);
