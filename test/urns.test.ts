import * as pulumi from '@pulumi/pulumi';
import { expect, it } from 'vitest';
import { MailHost } from '../components/mailHost';
import type { MailHostArgs } from '../components/mailHostArgs';
import { example, sshKey } from './example';
import { record } from './mocks';

const promised = (output: pulumi.Output<string>) =>
  new Promise<string>((resolve) => output.apply(resolve));

async function urns(change: Partial<MailHostArgs>): Promise<string[]> {
  const resources: pulumi.Resource[] = [];
  const collect: pulumi.ResourceTransformation = ({ resource }) => {
    resources.push(resource);
    return undefined;
  };
  await record(({ transformations }) => {
    new MailHost(
      'mail',
      { ...example, ...change },
      { transformations: [...transformations!, collect] },
    );
  });
  return Promise.all(resources.map(({ urn }) => promised(urn)));
}

// A resource whose URN changes is made anew, and the one that a state has is deleted.
it('names every resource as before', async () => {
  const backup = {
    repository: 'sftp:user@backup.example:/mail',
    password: 'x'.repeat(20),
    hostKey: sshKey,
  };
  const parked = { name: 'example.com', parked: true };
  const all = new Set([
    ...(await urns({ antivirus: true, domains: [...example.domains, parked] })),
    ...(await urns({ accountKind: 'system' })),
    ...(await urns({ tls: { acceptTerms: true } })),
    ...(await urns({ backup, restore: 'latest', drift: 'stop' })),
    ...(await urns({ dns: 'manual' })),
    ...(await urns({ tlsGeneration: 2, dkimGeneration: 2 })),
    ...(await urns({ dmarcReports: 'reports@collector.example' })),
  ]);
  expect([...all].sort()).toMatchSnapshot();
});
