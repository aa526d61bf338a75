import * as pulumi from '@pulumi/pulumi';
import { describe, expect, it } from 'vitest';
import type { PublicRecord } from '../components/dns/recordForms';
import type { HostFiles } from '../components/hostFiles/files';
import { MailHost } from '../components/mailHost';
import type { ExistingMachineArgs, MailHostArgs } from '../components/mailHostArgs';
import { LookUps } from '../components/preflight/lookUps';
import { judgeChanges } from '../components/preflight/changes';
import { OwnState } from '../components/preflight/state';
import { summaryOf } from '../components/preflight/summary';
import { reverseName } from '../components/settings/names';
import { parseSettings } from '../components/settings/parse';
import { judgeMachine } from '../components/preflight/machine';
import { example, sshKey } from './example';
import { record } from './mocks';

const openSsh = (start: string) =>
  `-----BEGIN OPENSSH PRIVATE KEY-----\n${Buffer.from(start, 'latin1').toString('base64')}\n-----END OPENSSH PRIVATE KEY-----`;
const machine: ExistingMachineArgs = {
  ipv4: '192.0.2.7',
  ipv6: '2001:DB8:0::7',
  sshHostKey: sshKey,
  sshPrivateKey: openSsh('openssh-key-v1\0\0\0\0\x04none and more'),
};

/** What a plan registers, and what it asks of providers. */
async function plan(change: Partial<MailHostArgs>, preview = false) {
  const calls: string[] = [];
  let host: MailHost | undefined;
  const resources = await record(
    (opts) => (host = new MailHost('mail', { ...example, ...change }, opts)),
    preview,
    {},
    (token) => {
      calls.push(token);
      return undefined;
    },
  );
  const command = (name: string) => {
    const { inputs } = resources.find(
      (one) => one.type === 'command:remote:Command' && one.name === `mail-${name}`,
    )!;
    const opened = (key: string): unknown => pulumi.runtime.unwrapRpcSecret(inputs[key]);
    return { inputs, create: opened('create') as string, stdin: opened('stdin') as string };
  };
  return { calls, resources, command, host: host! };
}

const recordsIn = ({ resources }: Awaited<ReturnType<typeof plan>>, type: string) =>
  resources.flatMap(({ inputs }) => (inputs.type === type ? [inputs.content] : []));

describe('a machine that is given', () => {
  it('takes the place of all at Hetzner, which is not asked either', async () => {
    const { calls, resources, command, host } = await plan({ machine });
    expect(calls.length).toBeGreaterThan(0);
    for (const token of [...calls, ...resources.map(({ type }) => type)])
      expect(token).not.toMatch(/^hcloud:|:Machine$/);
    const connection: unknown = pulumi.runtime.unwrapRpcSecret(
      command('host-program').inputs.connection,
    );
    expect(connection).toMatchObject({ host: '192.0.2.7', user: 'root', hostKey: sshKey });
    expect(pulumi.runtime.isRpcSecret(command('host-program').inputs.connection)).toBe(true);
    expect(command('tls').inputs.triggers).toEqual([sshKey]);
    expect(await pulumi.isSecret(host.sshPrivateKey)).toBe(true);
  });

  it('has its addresses in DNS, and its PTR records with whoever gave them', async () => {
    const made = await plan({ machine });
    expect([recordsIn(made, 'A'), recordsIn(made, 'AAAA')]).toEqual([
      ['192.0.2.7'],
      ['2001:db8::7'],
    ]);
    const awaited = JSON.parse(made.command('check-records').stdin) as PublicRecord[];
    expect(awaited).toEqual(
      ['192.0.2.7', '2001:db8::7'].map((address) => ({
        name: reverseName(address),
        type: 'PTR',
        data: 'mail.example.org.',
        others: true,
      })),
    );
    const { ipv6, ...withoutIpv6 } = machine;
    expect(ipv6).toBeDefined();
    const other = await plan({ machine: withoutIpv6 });
    expect(recordsIn(other, 'AAAA')).toEqual([]);
    expect(JSON.parse(other.command('check-records').stdin)).toHaveLength(1);
  });

  it('mounts a volume where one is given, and else leaves the mail where it has the folder', async () => {
    const unit = '/etc/systemd/system/srv-mailhost.mount';
    const prepared = async (change: Partial<MailHostArgs>) => {
      const { create, stdin } = (await plan(change)).command('host-system');
      return [create.split(' --program')[0], unit in (JSON.parse(stdin) as HostFiles)];
    };
    expect(await prepared({ machine })).toEqual(['mailhost prepare', false]);
    const volumeDevice = '/dev/disk/by-label/mail';
    expect(await prepared({ machine: { ...machine, volumeDevice } })).toEqual([
      `mailhost prepare --volume-device ${volumeDevice}`,
      true,
    ]);
  });

  it('may be known only later, and is another one by its id', async () => {
    const later = Object.fromEntries(
      Object.entries({ ...machine, volumeDevice: '/dev/sdb', serverId: '42' }).map(
        ([key, value]) => [key, pulumi.output(value)],
      ),
    ) as unknown as ExistingMachineArgs;
    const made = await plan({ machine: later });
    expect(recordsIn(made, 'AAAA')).toEqual(['2001:db8::7']);
    expect(made.command('host-system').create).toContain('--volume-device /dev/sdb ');
    expect(made.command('tls').inputs.triggers).toEqual(['42']);
    await plan({ machine: later }, true);
  });

  describe('in the place of a server, or the other way round,', () => {
    const made = parseSettings(example);
    const given = parseSettings({ ...example, machine });
    const type = 'mailhost:index:Summary';
    const changes = (before: object, after: typeof made) => {
      const outputs = { summary: before };
      const urn = `urn:pulumi:dev::mail::${type}::mail-summary`;
      const state = new OwnState('mail', [{ urn, type, outputs }]);
      return judgeChanges(after, state, new Map(), new Date()).blockers.map(
        ({ confirmation }) => confirmation,
      );
    };

    it('loses the mail, and is blocked', () => {
      const { machine: kind, ...earlier } = summaryOf(made, {});
      expect(kind).toBe('made');
      for (const before of [summaryOf(made, {}), earlier])
        expect(changes(before, given)).toEqual(['delete the server with its volume']);
      expect(changes(summaryOf(given, {}), made)).toEqual(['leave the mail on the machine']);
    });

    it('is none where it stays', () => {
      expect(changes(summaryOf(made, {}), made)).toEqual([]);
      expect(changes(summaryOf(given, {}), given)).toEqual([]);
    });
  });

  it('is not judged by offers of Hetzner', async () => {
    const settings = parseSettings({ ...example, machine });
    const found = await judgeMachine(
      settings,
      new OwnState('mail', []),
      new LookUps({}),
      new Date(),
    );
    expect(found).toMatchObject({ blockers: [], warnings: [], present: [], serverMade: false });
  });
});
