import * as pulumi from '@pulumi/pulumi';
import { expect, it } from 'vitest';
import { MailHost } from '../components/mailHost';
import type { MailHostArgs } from '../components/mailHostArgs';
import { example, sshKey } from './example';
import { record, type Answers, type Recorded } from './mocks';

const domains = example.domains.map((domain) => ({ ...domain, spf: ['ip4:192.0.2.1'] }));

/** Every setting that another resource may give, but for those of a machine and the secrets. */
const given = {
  serverType: 'cx33',
  volumeSize: 50,
  adminSshKeys: [sshKey],
  adminNetworks: ['192.0.2.0/24'],
  smarthost: { host: 'smtp.example.com', port: 465, username: 'user', password: 'secret' },
  backup: { repository: 'sftp:mail@backup.example:/mail', hostKey: sshKey, password: 'secret' },
};

/** The same values, each the output of a resource, which a preview does not know. */
function asOutputs(): Partial<MailHostArgs> {
  class Other extends pulumi.CustomResource {
    declare readonly value: pulumi.Output<unknown>;
    constructor(name: string, value: unknown) {
      super('other:index:Other', name, { text: JSON.stringify(value), value: undefined });
    }
  }
  let count = 0;
  const output = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(output);
    if (typeof value === 'object')
      return Object.fromEntries(Object.entries(value!).map(([key, one]) => [key, output(one)]));
    const { id } = new Other(`other-${++count}`, value);
    return id.apply(() => value);
  };
  return output(given) as Partial<MailHostArgs>;
}

const build = (change: () => Partial<MailHostArgs>, preview = false, answers?: Answers) =>
  record(
    (opts) => void new MailHost('mail', { ...example, domains, ...change() }, opts),
    preview,
    {},
    answers,
  );

const own = (resources: Recorded[]) => resources.filter(({ type }) => !type.startsWith('other:'));
const named = (resources: Recorded[], name: string, type = 'command:remote:Command') =>
  resources.find((one) => one.name === name && one.type === type)!.inputs;

it('may be given by other resources, and come to the same', async () => {
  const plain = await build(() => given);
  const outputs = own(await build(asOutputs));
  const inputsOf = (resources: Recorded[]) =>
    Object.fromEntries(
      resources.map(({ type, name, inputs }) => [
        `${type} ${name}`,
        JSON.parse(JSON.stringify(inputs), (key, value: unknown) =>
          // The ids of the mocks are in the order of registration.
          /^(?:triggers|sshKeys|ipv[46])$|Ids?$/.test(key)
            ? 'id'
            : (pulumi.runtime.unwrapRpcSecret(value) as unknown),
        ) as unknown,
      ]),
    );
  expect(inputsOf(outputs)).toEqual(inputsOf(plain));
  expect(named(outputs, 'mail-machine-server', 'hcloud:index/server:Server')).toMatchObject({
    serverType: 'cx33',
  });
});

it('leave only what has them unknown in a preview', async () => {
  const plain = await build(() => given, true);
  const outputs = own(await build(asOutputs, true));
  expect(outputs.map(({ name }) => name).sort()).toEqual(plain.map(({ name }) => name).sort());
  const unknown = outputs.flatMap(({ type, name, inputs }) =>
    type === 'command:remote:Command' && typeof inputs.stdin !== 'string' ? [name] : [],
  );
  const before = plain.flatMap(({ type, name, inputs }) =>
    type === 'command:remote:Command' && typeof inputs.stdin !== 'string' ? [name] : [],
  );
  expect(unknown.filter((name) => !before.includes(name)).sort()).toEqual([
    'mail-backup',
    'mail-fail2ban',
    'mail-host-system',
    'mail-opensmtpd',
    'mail-ssh',
    // It names them for metrics.
    'mail-web',
  ]);
});

it('are judged by Hetzner’s offers as soon as they are known', async () => {
  const asked: unknown[] = [];
  const answers: Answers = (token, { name }) => {
    if (token === 'hcloud:index/getServerType:getServerType') asked.push(name);
    return undefined;
  };
  await build(asOutputs, true, answers);
  expect(asked).toEqual([]);
  await build(asOutputs, false, answers);
  expect(asked).toEqual(['cx33']);
});
