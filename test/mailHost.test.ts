import * as pulumi from '@pulumi/pulumi';
import { describe, expect, it, vi } from 'vitest';
import { Backup } from '../components/backup';
import { Daemon, sha256 } from '../components/daemon';
import { wantedDaemons } from '../components/daemons/catalogue';
import { publicKeyHash } from '../components/dns/dnsRecords';
import type { HostFiles } from '../components/hostFiles/files';
import { MailHost } from '../components/mailHost';
import type { MailHostArgs } from '../components/mailHostArgs';
import { publishedKey } from '../components/publishedKey';
import type { DriftAction } from '../components/settings/enums';
import { example, exampleMail, hash, sshKey } from './example';
import { newKeyPair, publicKey, record, type Recorded, type StackState } from './mocks';

vi.mock('../components/publishedKey', { spy: true });

const build = (change: Partial<MailHostArgs> = {}, preview = false) =>
  record((opts) => void new MailHost('mail', { ...example, ...change }, opts), preview);
const commands = (resources: Recorded[]) =>
  resources.filter(({ type }) => type === 'command:remote:Command');
const isSecret = (value: unknown) => pulumi.runtime.isRpcSecret(value);
const opened = (value: unknown): unknown => pulumi.runtime.unwrapRpcSecret(value);

describe('MailHost', () => {
  it('pins the host key in every connection, and waits for a host that boots', async () => {
    const all = commands(await build());
    const pushed = wantedDaemons(exampleMail()).flatMap(({ name, secrets }) =>
      secrets ? [name, `${name}-secrets`] : [name],
    );
    expect(all.map(({ name }) => name).sort()).toEqual(
      [...pushed, 'check', 'host-program', 'host-system'].map((name) => `mail-${name}`).sort(),
    );
    for (const { name, inputs } of all) {
      expect(isSecret(inputs.connection), name).toBe(true);
      expect(opened(inputs.connection), name).toMatchObject({
        hostKey: 'ssh-ed25519 AAAA',
        dialErrorLimit: name === 'mail-host-program' ? 68 : 10,
      });
      expect(inputs.triggers, name).toHaveLength(1);
      expect(inputs, name).not.toHaveProperty('delete');
    }
  });

  it('looks at the host before it pushes anything, or pushes everything again, where it is told so', async () => {
    const triggers = async (drift: DriftAction) =>
      commands(await build({ drift })).map(({ name, inputs }) => [
        name,
        (inputs.triggers as string[]).length,
      ]);
    const ignored = await triggers('ignore');
    expect(await triggers('stop')).toEqual([['mail-host-drift', 2], ...ignored]);
    expect(await triggers('mend')).toEqual(ignored.map(([name]) => [name, 2]));
  });

  it.each<DriftAction>(['stop', 'mend'])(
    'has no time in a preview, to which a saved plan would hold the update: %s',
    async (drift) => {
      const texts = async (preview: boolean) => JSON.stringify(await build({ drift }, preview));
      const year = `${new Date().getUTCFullYear()}-`;
      expect(await texts(true)).not.toContain(year);
      expect(await texts(false)).toContain(year);
    },
  );

  it.each([{}, { accountKind: 'system', web: false }] as const)(
    'tells the host what is pushed to it, so that it ends the rest: %j',
    async (change) => {
      const all = commands(await build(change));
      const pushed = all.flatMap(
        ({ inputs }) =>
          /^mailhost activate ([a-z0-9]+)/.exec(opened(inputs.create) as string)?.[1] ?? [],
      );
      const system = all.find(({ name }) => name === 'mail-host-system')!;
      const files = JSON.parse(system.inputs.stdin as string) as HostFiles;
      expect(files['/etc/mailhost/pushes']!.text.trim().split('\n').sort()).toEqual(pushed.sort());
      expect(files['/etc/mailhost/packages']!.text.includes('\nnginx\n')).toBe(
        pushed.includes('web'),
      );
    },
  );

  it('repeats what was cut off, also where it is taken back', async () => {
    const createOf = (resources: Recorded[], command: string) =>
      opened(commands(resources).find(({ name }) => name === command)!.inputs.create) as string;
    const begun = ['mail-opensmtpd', 'mail-firewall', 'mail-host-program', 'mail-host-system'];
    const state = (digests: Record<string, string>): StackState =>
      Object.fromEntries(
        Object.entries(digests).map(([command, digest]) => {
          const component = command.startsWith('mail-host-') ? 'Host' : 'Daemon';
          const type = `mailhost:index:${component}`;
          const changes = { [command]: { digest, number: 4 } };
          return [`urn:pulumi:test::mailhost::${type}::${command}`, { type, outputs: { changes } }];
        }),
      );
    const others = await record(
      (opts) => void new MailHost('mail', example, opts),
      false,
      state(Object.fromEntries(begun.map((command) => [command, 'of another content']))),
    );
    for (const command of begun) expect(createOf(others, command)).toMatch(/ --change 5$/);
    expect(createOf(others, 'mail-amavis')).toMatch(/ --change 1$/);

    const firewall = commands(others).find(({ name }) => name === 'mail-firewall')!;
    const digest = sha256(`mailhost activate firewall\n${firewall.inputs.stdin as string}`);
    const same = await record(
      (opts) => void new MailHost('mail', example, opts),
      false,
      state({ 'mail-firewall': digest }),
    );
    expect(createOf(same, 'mail-firewall')).toMatch(/ --change 4$/);
  });

  const backup = {
    repository: 'sftp:mail@backup.example:/mail',
    password: 'marker-password',
    environment: { AWS_SECRET_ACCESS_KEY: 'marker-variable' },
    hostKey: sshKey,
  };

  it('backs up with secrets that are seen nowhere, and by a key of its own', async () => {
    const resources = await build({ backup });
    const all = commands(resources);
    const text = ({ inputs }: Recorded) => inputs.stdin as string;
    const pushed = JSON.parse(text(all.find(({ name }) => name === 'mail-backup')!)) as HostFiles;
    expect(pushed['/etc/mailhost/restic.env']!.text).toContain('RESTIC_REPOSITORY=sftp:');
    expect(pushed['/etc/mailhost/restic.known_hosts']!.text).toBe(
      `backup.example ${backup.hostKey}\n`,
    );
    const staged = all.find(({ name }) => name === 'mail-backup-secrets')!;
    const secrets = JSON.parse(opened(staged.inputs.stdin) as string) as HostFiles;
    expect(Object.values(secrets).map(({ mode }) => mode)).toEqual(['0600', '0600', '0600']);
    expect(secrets['/etc/mailhost/restic-secrets.env']!.text).toBe(
      'AWS_SECRET_ACCESS_KEY=marker-variable\n',
    );
    const open = all.filter((one) => one !== staged).map(({ inputs }) => inputs);
    expect(JSON.stringify(open)).not.toContain('marker-');
    expect(resources.some(({ name }) => name === 'mail-backup-ssh-key')).toBe(true);
    expect(all.some(({ name }) => name === 'mail-backup-restore')).toBe(false);
    const elsewhere = await build({
      backup: { ...backup, repository: '/mnt/backup', hostKey: undefined },
    });
    expect(elsewhere.some(({ name }) => name === 'mail-backup-ssh-key')).toBe(false);
  });

  it.each<Partial<MailHostArgs>>([
    { backup, restore: 'latest' },
    { tls: { acceptTerms: true } },
    { accountKind: 'system', antivirus: true, serverType: 'cx33' },
    { dns: 'manual', drift: 'stop' },
  ])(
    'speaks to no host but the one whose key it made, and undoes nothing there: %j',
    async (change) => {
      for (const { name, inputs } of commands(await build(change))) {
        expect(isSecret(inputs.connection), name).toBe(true);
        expect(opened(inputs.connection), name).toMatchObject({
          hostKey: 'ssh-ed25519 AAAA',
          perDialTimeout: 5,
          dialErrorLimit: ['mail-host-program', 'mail-host-drift'].includes(name) ? 68 : 10,
        });
        expect(inputs, name).not.toHaveProperty('delete');
        expect(inputs.environment, name).toBeUndefined();
      }
    },
  );

  it.each([undefined, 'latest'])(
    'lets no daemon come before what is restored: %s',
    async (restore) => {
      const resources = await build({ backup, restore });
      const first = commands(resources).filter(({ name }) =>
        ['mail-resolver', 'mail-tls'].includes(name),
      );
      expect(first).toHaveLength(2);
      for (const { options } of first) {
        const before = [options.dependsOn].flat() as pulumi.Resource[];
        expect(before.some((resource) => resource instanceof Backup)).toBe(restore !== undefined);
      }
      const command = commands(resources).find(({ name }) => name === 'mail-backup-restore');
      expect(command?.inputs.create).toBe(
        restore && `mailhost restore volume --snapshot ${restore}`,
      );
    },
  );

  it('sends secrets by a secret standard input alone, and logs nothing of that', async () => {
    const all = commands(await build());
    for (const { name, inputs, options } of all) {
      const readable = JSON.stringify([
        inputs.create,
        inputs.update,
        inputs.environment,
        inputs.triggers,
      ]);
      expect(readable).not.toContain('PRIVATE KEY');
      expect(readable).not.toContain(hash);
      const secret = name.endsWith('-secrets');
      expect(isSecret(inputs.stdin), name).toBe(secret);
      if (secret) {
        expect(inputs.logging, name).toBe('none');
        expect(options.additionalSecretOutputs, name).toEqual(
          expect.arrayContaining(['stdout', 'stderr']),
        );
      } else {
        expect(inputs.stdin, name).not.toContain(hash);
        expect(inputs.stdin, name).not.toContain('PRIVATE KEY');
      }
    }
    const secrets = all.map(({ inputs }) => opened(inputs.stdin)).join('');
    expect(secrets).toContain(hash);
    expect(secrets).toContain('PRIVATE KEY');
  });

  it('shows every readable file in a preview in which no provider has answered yet', async () => {
    const [known, unknown] = [await build(), await build({}, true)];
    expect(unknown.map(({ name }) => name).sort()).toEqual(known.map(({ name }) => name).sort());
    for (const { name, inputs } of commands(unknown)) {
      if (name.endsWith('-secrets')) continue;
      expect(typeof inputs.stdin, name).toBe('string');
      expect(JSON.parse(inputs.stdin as string)).toBeTypeOf('object');
    }
  });

  it('publishes whole names, quoted texts, and addresses that are never proxied', async () => {
    const records = (await build()).filter(({ type }) => type.endsWith(':DnsRecord'));
    // The host's with two TLS keys, and for each domain two keys.
    expect(records).toHaveLength(3 + 2 + 2 * (10 + 2));
    for (const { name, inputs } of records) {
      expect(inputs.name, name).toMatch(/(^|\.)example\.(org|net)$/);
      expect(inputs.ttl, name).toBe(300);
      if (inputs.type === 'TXT')
        expect(inputs.content, name).toMatch(/^"[^"]{1,255}"( "[^"]{1,255}")*$/);
      if (['A', 'AAAA', 'CNAME'].includes(inputs.type as string))
        expect(inputs.proxied, name).toBe(false);
      if (inputs.type === 'SRV') expect(Object.keys(inputs), name).not.toContain('content');
      expect('data' in inputs, name).toBe(['SRV', 'TLSA'].includes(inputs.type as string));
    }
  });

  it('signs each zone once, and never ends that', async () => {
    const domains = [...example.domains, { name: 'sub.example.org' }];
    const zones = (resources: Recorded[]) =>
      resources
        .filter(({ type }) => type.endsWith(':ZoneDnssec'))
        .map(({ name, inputs, options }) => [name, inputs, options.retainOnDelete]);
    expect(zones(await build({ domains }))).toEqual(
      ['mail-example.org', 'mail-example.net'].map((name) => [
        name,
        { zoneId: `id of ${name.slice(5)}`, status: 'active' },
        true,
      ]),
    );
    expect(zones(await build({ domains, dnssec: false }))).toEqual([]);
  });

  it('says which setting to look at where a zone cannot be signed', async () => {
    const log = vi.spyOn(pulumi.log, 'error').mockResolvedValue();
    const [, signing] = (await build()).filter(({ type }) => type.endsWith(':ZoneDnssec'));
    const failed = { name: signing!.name, errors: ['{"message":"Authentication error"}'] };
    const [hook] = signing!.options.hooks!.onError!;
    expect(await hook!.callback(failed as unknown as pulumi.ErrorHookArgs)).toBe(false);
    expect(log.mock.calls[0]![0]).toBe(
      'the zone example.net cannot be signed at Cloudflare: Authentication error. Give the API token, cloudflare:apiToken (or CLOUDFLARE_API_TOKEN), DNS:Edit for it, or set dnssec to false',
    );
    log.mockRestore();
  });

  it('asks Cloudflare nothing where a person publishes the records, and lets the host look', async () => {
    const resources = await build({ dns: 'manual' });
    expect(resources.filter(({ type }) => type.startsWith('cloudflare:'))).toEqual([]);
    const [look] = commands(resources).filter(({ name }) => name === 'mail-check-records');
    const records = JSON.parse(look!.inputs.stdin as string) as Record<string, string>[];
    expect(records).toContainEqual({
      name: 'example.net',
      type: 'MX',
      data: '10 mail.example.org.',
    });
    expect(records).toHaveLength(3 + 2 + 2 * (10 + 2));
    expect(commands(await build()).map(({ name }) => name)).not.toContain('mail-check-records');
  });

  it('lets the host look for records that only others can publish', async () => {
    const resources = await build({ dmarcReports: 'reports@collector.example' });
    const [look] = commands(resources).filter(({ name }) => name === 'mail-check-records');
    expect(JSON.parse(look!.inputs.stdin as string)).toEqual(
      ['example.net', 'example.org'].map((domain) => ({
        name: `${domain}._report._dmarc.collector.example`,
        type: 'TXT',
        data: '"v=DMARC1"',
        others: true,
      })),
    );
  });

  it('announces no TLS key before one is served, and each later one before it is', async () => {
    const waitsFor = async (name?: string) => {
      const type = 'cloudflare:index/dnsRecord:DnsRecord';
      const urn = `urn:pulumi:test::mailhost::mailhost:index:MailHost$mailhost:index:HostDns$${type}::mail-mail.example.org/tlsa-1`;
      const state: StackState = name ? { [urn]: { type, outputs: { type: 'TLSA', name } } } : {};
      const resources = await record(
        (opts) => void new MailHost('mail', example, opts),
        false,
        state,
      );
      return resources
        .filter(({ inputs }) => inputs.type === 'TLSA')
        .map(({ options }) => [options.dependsOn ?? []].flat().map((one) => one instanceof Daemon));
    };
    expect(await waitsFor()).toEqual([[true], [true]]);
    expect(await waitsFor('_25._tcp.old.example.org')).toEqual([[true], [true]]);
    expect(await waitsFor('_25._tcp.mail.example.org')).toEqual([[], []]);
  });

  it('announces no policy of MTA-STS before it is served', async () => {
    const announcing = (await build({ tls: { acceptTerms: true } })).filter(({ name }) =>
      name.endsWith('/mta-sts'),
    );
    expect(announcing).toHaveLength(2);
    for (const { options } of announcing)
      expect([options.dependsOn].flat().map((one) => one instanceof Daemon)).toEqual([true]);
  });

  it('has one record give way to another before that is made, at each name', async () => {
    const records = (await build()).filter(({ type }) => type.endsWith(':DnsRecord'));
    for (const { options } of records)
      expect(options).toMatchObject({
        deleteBeforeReplace: true,
        replaceOnChanges: ['data', 'type'],
      });
  });

  it('issues its own certificate again two months before it ends, and says how long keys are', async () => {
    const resources = await build();
    const certificate = resources.find(({ type }) => type.endsWith(':LocallySignedCert'))!;
    expect(certificate.inputs).toMatchObject({
      earlyRenewalHours: 60 * 24,
      validityPeriodHours: 397 * 24,
    });
    const lengths: Record<string, string> = { RSA: 'rsaBits', ECDSA: 'ecdsaCurve' };
    for (const { name, inputs } of resources.filter(({ type }) => type.endsWith(':PrivateKey'))) {
      const length = lengths[inputs.algorithm as string];
      if (length !== undefined) expect(inputs, name).toHaveProperty(length);
    }
  });

  it('brings private keys to the host with one newline at the end', async () => {
    const pushed = commands(await build()).filter(({ name }) => name.endsWith('-secrets'));
    const pems = pushed
      .flatMap(({ inputs }) =>
        Object.entries(JSON.parse(opened(inputs.stdin) as string) as HostFiles),
      )
      .filter(([path]) => /(privkey|\.s\d+)\.pem$/.test(path));
    expect(pems).toHaveLength(3);
    for (const [path, { text }] of pems) expect(text, path).toMatch(/[^\n]\n$/);
  });

  it('prints all records as a zone file', async () => {
    let text: pulumi.Output<string> | undefined;
    await record((opts) => {
      text = new MailHost('mail', example, opts).zoneFile;
    });
    const file = await new Promise<string>((resolve) => text!.apply(resolve));
    expect(file).toMatch(/^; example\.net\n/);
    expect(file).toContain('\nexample.org. 300 IN MX 10 mail.example.org.\n');
    expect(file).not.toMatch(/undefined|\[object/);
  });

  it('has its name confirmed forward and back, by the exact addresses that it uses', async () => {
    const resources = await build();
    const pointers = resources
      .filter(({ type }) => type === 'hcloud:index/rdns:Rdns')
      .map(({ inputs }) => [inputs.ipAddress, inputs.dnsPtr]);
    const addresses = resources
      .filter(({ inputs }) => ['A', 'AAAA'].includes(inputs.type as string))
      .map(({ inputs }) => [inputs.content, inputs.name]);
    expect(pointers).toEqual([
      ['192.0.2.1', 'mail.example.org'],
      ['2001:db8::1', 'mail.example.org'],
    ]);
    expect(addresses).toEqual(pointers);
  });

  it('publishes the generation that signs, and the next', async () => {
    const selectors = (resources: Recorded[]) =>
      resources.flatMap(
        ({ inputs }) =>
          /^s\d+(?=\._domainkey\.example\.org$)/.exec(String(inputs.name as string)) ?? [],
      );
    expect(selectors(await build())).toEqual(['s1', 's2']);
    expect(selectors(await build({ dkimGeneration: 7 }))).toEqual(['s7', 's8']);
  });

  describe('with keys in the state', () => {
    const type = 'tls:index/privateKey:PrivateKey';
    const key = (domain: string, generation: number): [string, StackState[string]] => [
      `urn:pulumi:test::mailhost::mailhost:index:MailHost$mailhost:index:Dkim$${type}::mail-${domain}-s${generation}`,
      { type, outputs: { publicKeyPem: publicKey } },
    ];
    const history = (signs: number | undefined, ...generations: number[]) => ({
      ...(signs === undefined ? {} : { signs, since: '2026-01-01T00:00:00.000Z' }),
      keys: generations.map((generation) => ({ generation, signed: '2026-01-01T00:00:00.000Z' })),
    });
    const summaryUrn =
      'urn:pulumi:test::mailhost::mailhost:index:MailHost$mailhost:index:Summary::mail-summary';
    const state: StackState = {
      ...Object.fromEntries([
        ...[2, 3, 4].map((n) => key('example.org', n)),
        ...[5, 6].map((n) => key('example.net', n)),
        ...[4, 5].map((n) => key('gone.example', n)),
      ]),
      [summaryUrn]: {
        type: 'mailhost:index:Summary',
        outputs: {
          summary: {
            dkim: {
              'example.org': history(3, 2, 3, 4),
              'example.net': history(5, 5, 6),
              'gone.example': history(undefined, 4, 5),
            },
          },
        },
      },
    };
    const keysOf = (resources: Recorded[]) =>
      resources
        .filter(({ name }) => /\.[a-z]+-s\d+$/.test(name))
        .map(({ name }) => name)
        .sort();
    const change = {
      domains: [{ name: 'example.org', dkimGeneration: 3 }, { name: 'example.net' }],
      dkimGeneration: 5,
      dkimCompromised: [2],
    };
    const again = () =>
      record((opts) => void new MailHost('mail', { ...example, ...change }, opts), false, state);

    it('keeps those of a domain that is gone, without a record of them', async () => {
      const resources = await again();
      expect(keysOf(resources)).toEqual([
        'mail-example.net-s5',
        'mail-example.net-s6',
        'mail-example.org-s2',
        'mail-example.org-s3',
        'mail-example.org-s4',
        'mail-gone.example-s4',
        'mail-gone.example-s5',
      ]);
      const records = resources.filter(({ type: t }) => t.endsWith(':DnsRecord'));
      expect(records.filter(({ name }) => name.includes('gone.example'))).toEqual([]);
    });

    it('publishes one that nobody may trust as revoked', async () => {
      const contents = (await again())
        .filter(({ name }) => /example\.org\/dkim-/.test(name))
        .map(({ name, inputs }) => `${name} ${String(inputs.content).slice(0, 18)}`);
      expect(contents).toEqual([
        'mail-example.org/dkim-s2 "v=DKIM1; p="',
        'mail-example.org/dkim-s3 "v=DKIM1; k=rsa; p',
        'mail-example.org/dkim-s4 "v=DKIM1; k=rsa; p',
      ]);
    });

    it('protects those that sign or will, and makes none anew for another default', async () => {
      const options = Object.fromEntries(
        (await again()).map(({ name, options: given }) => [name, given]),
      );
      const isProtected = (name: string) => options[name]!.protect;
      expect(isProtected('mail-example.org-s2')).toBe(false);
      for (const name of ['org-s3', 'org-s4', 'net-s5'])
        expect(isProtected(`mail-example.${name}`), name).toBe(true);
      expect(options['mail-example.org-s3']!.ignoreChanges).toEqual(['algorithm', 'rsaBits']);
    });

    it('has each one that it publishes judged by the one in the state', async () => {
      vi.mocked(publishedKey).mockClear();
      await again();
      const judged = vi.mocked(publishedKey).mock.calls.filter(([what]) => what.includes('DKIM'));
      expect(judged.map(([what, , before]) => [what, before])).toEqual(
        ['s5 of example.net', 's6 of example.net', 's3 of example.org', 's4 of example.org'].map(
          (what) => [`the DKIM key ${what}`, publicKeyHash(publicKey)],
        ),
      );
    });

    it('goes by the one that a host got, where the state has another that none did', async () => {
      const other = newKeyPair().publicKey;
      const [replaced] = key('example.org', 4);
      const { type: summaryType, outputs } = state[summaryUrn]!;
      const { summary } = outputs as { summary: object };
      const publicKeys = { 'example.org-s4': publicKeyHash(publicKey) };
      vi.mocked(publishedKey).mockClear();
      await record((opts) => void new MailHost('mail', { ...example, ...change }, opts), false, {
        ...state,
        [replaced]: { type, outputs: { publicKeyPem: other } },
        [summaryUrn]: { type: summaryType, outputs: { summary: { ...summary, publicKeys } } },
      });
      expect(vi.mocked(publishedKey).mock.calls).toContainEqual([
        'the DKIM key s4 of example.org',
        publicKey,
        publicKeyHash(publicKey),
      ]);
    });

    it('has the TLS keys judged so, too, and makes none anew for another default', async () => {
      const path = `mailhost:index:MailHost$mailhost:index:Certificate$${type}`;
      const urn = `urn:pulumi:test::mailhost::${path}::mail-certificate-key`;
      vi.mocked(publishedKey).mockClear();
      const resources = await record((opts) => void new MailHost('mail', example, opts), false, {
        [urn]: { type, outputs: { publicKeyPem: publicKey } },
      });
      const judged = vi.mocked(publishedKey).mock.calls.filter(([what]) => what.includes('TLS'));
      expect(judged.map(([what, , before]) => [what, before])).toEqual([
        ['the TLS key of generation 1', publicKeyHash(publicKey)],
        ['the TLS key of generation 2', undefined],
      ]);
      const served = resources.find(({ name }) => name === 'mail-certificate-key')!;
      expect(served.options.ignoreChanges).toEqual(['algorithm', 'ecdsaCurve']);
    });

    it('gives the host the key that signs, and what is out', async () => {
      const amavis = commands(await again()).filter(({ name }) => name.startsWith('mail-amavis'));
      const files = amavis.map(
        ({ inputs }) => JSON.parse(opened(inputs.stdin) as string) as HostFiles,
      );
      const all = Object.assign({}, ...files) as HostFiles;
      expect(Object.keys(all).filter((path) => path.endsWith('.pem'))).toEqual([
        '/etc/amavis/dkim/example.net.s5.pem',
        '/etc/amavis/dkim/example.org.s3.pem',
      ]);
      const publicKeys = JSON.parse(all['/etc/mailhost/dkim-keys.json']!.text) as Record<
        string,
        object
      >;
      expect(Object.keys(publicKeys['example.org']!)).toEqual(['s3', 's4']);
    });
  });

  it('finds the zone of the host name by the nearest domain', async () => {
    const resources = await build({
      domains: [...example.domains, { name: 'sub.example.org', zone: 'sub.example.org' }],
      hostName: 'mail.sub.example.org',
    });
    const address = resources.find(({ inputs }) => inputs.type === 'A')!;
    expect(address.inputs).toMatchObject({
      name: 'mail.sub.example.org',
      zoneId: 'id of sub.example.org',
    });
  });

  it('can stand twice in one program', async () => {
    const resources = await record((opts) => {
      new MailHost('one', example, opts);
      new MailHost('two', example, opts);
    });
    const names = resources.map(({ type, name }) => `${type} ${name}`);
    expect(names).toEqual([...new Set(names)]);
  });
});
