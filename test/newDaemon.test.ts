import * as pulumi from '@pulumi/pulumi';
import { describe, expect, it } from 'vitest';
import { Daemon } from '../components/daemon';
import { daemons } from '../components/daemons';
import { hostSpecs } from '../components/daemons/catalogue';
import type { DaemonSpec } from '../components/daemons/spec';
import { secretFiles } from '../components/daemons/spec';
import { hostFile, type HostFiles } from '../components/hostFiles/files';
import { MailHost } from '../components/mailHost';
import type { MailHostArgs } from '../components/mailHostArgs';
import { daemonsReference } from '../docs/daemonsReference';
import { example, hash } from './example';
import { record, type Recorded } from './mocks';

/** What a developer adds, and nothing else. */
const gopher: DaemonSpec = {
  name: 'gopher',
  title: 'gopherd',
  effect: 'restarts gopherd',
  unit: 'gopherd',
  timers: ['gopherd-rotate.timer'],
  isWanted: (mail) => mail.web,
  packages: () => ['gopherd'],
  users: [{ name: 'gopherd', id: 990, home: '/nonexistent' }],
  ports: {
    gopher: {
      number: 70,
      protocol: 'HTTP',
      security: 'TLS',
      purpose: 'gopher',
      from: 'everyone',
      isForClients: true,
    },
    'gopher-cache': { number: 10070, protocol: 'HTTP', purpose: 'cache', from: 'host' },
  },
  waitsFor: ['tls', 'antivirus'],
  files: ({ mail }) => ({ '/etc/gopherd.conf': hostFile(`name ${mail.hostName}\n`) }),
  secrets: secretFiles('the passwords', ['credentials'], (_plan, { credentials }) => ({
    '/etc/gopherd.secrets': hostFile(`${credentials.length} ${credentials[0]!.passwordHash}\n`),
  })),
};
(daemons as DaemonSpec[]).push(gopher);

const build = (change: Partial<MailHostArgs> = {}) =>
  record((opts) => void new MailHost('mail', { ...example, ...change }, opts));
const one = (resources: Recorded[], type: string, name: string) =>
  resources.find((resource) => resource.type === type && resource.name === name);
const command = (resources: Recorded[], name: string) =>
  one(resources, 'command:remote:Command', name);
const pushed = (resources: Recorded[], name: string) =>
  JSON.parse(
    pulumi.runtime.unwrapRpcSecret(command(resources, name)!.inputs.stdin) as string,
  ) as HostFiles;
const lines = (files: HostFiles, path: string) => files[path]!.text.trim().split('\n');

describe('a daemon with a spec and nothing else', () => {
  it('is pushed with its files and secrets, once what it waits for is there', async () => {
    const resources = await build();
    expect(pushed(resources, 'mail-gopher')).toEqual({
      '/etc/gopherd.conf': { mode: '0644', owner: 'root:root', text: 'name mail.example.org\n' },
    });
    expect(pushed(resources, 'mail-gopher-secrets')['/etc/gopherd.secrets']!.text).toBe(
      `2 ${hash}\n`,
    );
    const { create } = command(resources, 'mail-gopher')!.inputs;
    expect(pulumi.runtime.unwrapRpcSecret(create)).toMatch(/^mailhost activate gopher --secrets /);
    const after = [command(resources, 'mail-gopher')!.options.dependsOn].flat();
    // Of these, antivirus is not wanted.
    expect(after.filter((resource) => resource instanceof Daemon)).toHaveLength(1);
  });

  it('is installed, and known to the host', async () => {
    const files = pushed(await build(), 'mail-host-system');
    expect(lines(files, '/etc/mailhost/packages')).toContain('gopherd');
    expect(lines(files, '/etc/mailhost/pushes').at(-1)).toBe('gopher');
    expect(hostSpecs()).toMatchObject({
      daemons: {
        gopher: {
          unit: 'gopherd',
          timers: ['gopherd-rotate.timer'],
          ports: [
            { number: 70, protocol: 'HTTP', public: true, security: 'TLS' },
            { number: 10070, protocol: 'HTTP', public: false },
          ],
        },
      },
    });
    expect((await daemonsReference())['files/etc/sysusers.d/mailhost.conf']).toMatch(
      /^u +gopherd +990 +- +\/nonexistent +\/usr\/sbin\/nologin$/m,
    );
  });

  it('can be reached through both firewalls, but for what is the host’s own', async () => {
    const resources = await build();
    const cloud = one(resources, 'hcloud:index/firewall:Firewall', 'mail-machine-firewall')!;
    const rules = cloud.inputs.rules as { port?: string; description: string }[];
    expect(rules).toContainEqual(expect.objectContaining({ port: '70', description: 'gopher' }));
    expect(rules.map(({ port }) => port)).not.toContain('10070');
    const nftables = pushed(resources, 'mail-firewall')['/etc/nftables.conf']!.text;
    expect(nftables).toMatch(/^ *tcp dport \{ 22, 25, 70, 80, .*, 4190 \} accept$/m);
  });

  it('is announced to mail clients in each domain', async () => {
    const resources = await build();
    for (const domain of ['example.org', 'example.net'])
      expect(
        one(resources, 'cloudflare:index/dnsRecord:DnsRecord', `mail-${domain}/gopher`)!.inputs,
      ).toMatchObject({ name: `_gopher._tcp.${domain}`, type: 'SRV', data: { port: 70 } });
  });

  it('is followed by a check', async () => {
    const words = (resources: Recorded[]) =>
      (
        pulumi.runtime.unwrapRpcSecret(command(resources, 'mail-check')!.inputs.create) as string
      ).split(' ');
    const all = await build();
    const pushes = lines(pushed(all, 'mail-host-system'), '/etc/mailhost/pushes');
    expect(words(all)).toHaveLength('mailhost check'.split(' ').length + pushes.length);
  });

  it('has its ports in the table of the documentation', async () => {
    const page = (await daemonsReference())['docs/hardening.md']!;
    expect(page).toMatch(/^\| 70 .* gopherd .* everyone +\|$/m);
    expect(page).toMatch(/^\| 10070 .* gopherd .* this host +\|$/m);
  });

  it('leaves no trace where it is not wanted', async () => {
    const resources = await build({ web: false });
    const hasTrace = ({ name, inputs }: Recorded) =>
      /gopher/.test(JSON.stringify([name, inputs])) && !name.endsWith('-program');
    expect(resources.filter(hasTrace).map(({ name }) => name)).toEqual([]);
  });
});
