import * as pulumi from '@pulumi/pulumi';
import { describe, expect, it } from 'vitest';
import {
  checkedSettings,
  credentialsOf,
  givenOf,
  pairOf,
  smarthostLoginOf,
} from '../components/settings/checked';
import { argumentNames, type FrontEnd } from '../components/settings/mistakes';
import { parseSettings } from '../components/settings/parse';
import type { Settings } from '../components/settings/settings';
import { selfSigned } from '../lab/selfSigned';
import { stackConfig } from '../settings';
import { example, hash, sshKey } from './example';

const errorOf = (work: () => unknown): string => {
  try {
    work();
    return '';
  } catch (error) {
    expect(error).toBeInstanceOf(pulumi.RunError);
    return (error as Error).message;
  }
};

const smarthost = { host: 'smtp.example.com', username: 'user' };
const domains = example.domains.map((domain) => ({ ...domain, spf: ['include:example.com'] }));

/** The input with one value that is known only later. */
const withHash = (passwordHash: pulumi.Input<string>) => ({
  ...example,
  accounts: [{ ...example.accounts![0]!, passwordHash }],
});

const late = (value: string) => pulumi.output(Promise.resolve(value));
/** The value of an output, of which the rest is rejected with it. */
const settled = (given: unknown): Promise<unknown> => {
  const output = given as Record<'isKnown' | 'isSecret', Promise<boolean>> & {
    promise(): Promise<unknown>;
    allResources(): Promise<unknown>;
  };
  for (const fact of [output.isKnown, output.isSecret, output.allResources()])
    fact.catch(() => undefined);
  return output.promise();
};

describe('mistakes', () => {
  const mistakes = {
    ...example,
    quota: 5,
    serverTyp: 'cx33',
    colour: 'blue',
    accounts: [{ address: 'anna@example.org' }],
    domains: [{ name: 'example.org', parked: true, catchAll: "o'neill@example.org" }],
  };

  it('are printed with the arguments of a component, and no command', () => {
    const text = errorOf(() => checkedSettings(mistakes));
    expect(text).toContain('\n  quota: 5 is less than messageSize, 35');
    expect(text).toContain('raise it, or lower messageSize: set quota to 35');
    expect(text).toContain('\n  serverTyp is not a setting; did you mean serverType?');
    expect(text).toContain('remove it, or correct its name: remove colour');
    expect(text).toContain('set accounts[0].passwordHash to a secret');
    expect(text).not.toContain('pulumi');
    expect(text).not.toContain('mailhost:');
  });

  it('are printed with the keys and commands of stack config', () => {
    const text = errorOf(() => checkedSettings(mistakes, stackConfig));
    expect(text).toContain('\n  mailhost:quota: 5 is less than messageSize, 35');
    for (const command of [
      'pulumi config set mailhost:quota 35',
      'pulumi config rm mailhost:colour',
      "pulumi config set --secret --path 'mailhost:accounts[0].passwordHash'",
      "pulumi config rm --path 'mailhost:domains[0].catchAll'",
    ])
      expect(text).toContain(`: ${command}`);
  });

  it.each([
    [
      ['confirm', 0],
      "remove o'neill@example.org",
      `'mailhost:confirm[0]' 'remove o'\\''neill@example.org'`,
    ],
    [['tls', 'issuer'], 'acme', 'mailhost:tls.issuer acme'],
    [['tls', 'issuer'], '$(reboot)', `mailhost:tls.issuer '$(reboot)'`],
  ])('quote for a shell what it would read otherwise: %j', (path, value, words) => {
    expect(stackConfig.instruction({ path, value })).toBe(`pulumi config set --path ${words}`);
  });

  it('count the settings that are wrong', () => {
    const wrong = { ...example, quota: 'x', colour: 'blue' };
    expect(errorOf(() => checkedSettings(wrong))).toMatch(/^2 settings are invalid; nothing was/);
    expect(errorOf(() => checkedSettings({ ...example, quota: 'x' }))).toMatch(/^1 setting is /);
  });
});

describe('what is known only later', () => {
  it.each([
    ['a plain secret', hash],
    ['an output', late(hash)],
    ['a promise', Promise.resolve(hash)],
  ])('is a secret output, as is %s', async (_, value) => {
    const [account] = checkedSettings(withHash(value)).accounts;
    expect(await pulumi.isSecret(account!.passwordHash as pulumi.Output<string>)).toBe(true);
    expect(await settled(account!.passwordHash)).toBe(hash);
  });

  it.each<[string, FrontEnd, string]>([
    ['an argument', argumentNames, 'set accounts[0].passwordHash to a secret'],
    ['stack config', stackConfig, "--path 'mailhost:accounts[0].passwordHash'"],
  ])('is checked once it is, as %s, and not shown', async (_, frontEnd, remedy) => {
    const [account] = checkedSettings(withHash(late('hunter2')), frontEnd).accounts;
    const message = await settled(account!.passwordHash).catch((error: Error) => error.message);
    expect(message).toContain(remedy);
    expect(message).toContain('is not a yescrypt');
    expect(message).not.toContain('hunter2');
  });

  it.each([
    ['smarthost', { smarthost: { ...smarthost, password: late('two words') } }],
    ['backup', { backup: { repository: '/mnt/b', password: late('two\nlines') } }],
  ])('is checked in %s', async (key, change) => {
    const settings = checkedSettings({ ...example, domains, ...change });
    const { password } = settings[key as 'smarthost' | 'backup']!;
    await expect(settled(password)).rejects.toThrow(`${key}.password is not text of 1 to`);
  });

  it('is handed on with the address of its account, as a secret', async () => {
    const credentials = credentialsOf(checkedSettings(withHash(late(hash))));
    expect(await pulumi.isSecret(credentials)).toBe(true);
    expect(await settled(credentials)).toEqual([
      { address: example.accounts![0]!.address, passwordHash: hash },
    ]);
  });

  it('is checked in each variable of a backup', async () => {
    const environment = { AWS_ACCESS_KEY_ID: late('right'), AWS_SECRET_ACCESS_KEY: late('a b') };
    const backup = { repository: '/mnt/b', password: 'x', environment };
    const { AWS_ACCESS_KEY_ID: right, AWS_SECRET_ACCESS_KEY: wrong } = checkedSettings({
      ...example,
      backup,
    }).backup!.environment;
    expect(await settled(right)).toBe('right');
    await expect(settled(wrong)).rejects.toThrow('backup.environment.AWS_SECRET_ACCESS_KEY is not');
  });

  it.each([
    [
      'smarthost.host: "mail.example.org" is this host itself',
      { smarthost: { ...smarthost, host: late('MAIL.example.org'), password: 'x' } },
      (settings: Settings) => settings.smarthost!.host,
    ],
    [
      'backup.hostKey is missing; set the host key',
      { backup: { repository: late('sftp:backup.example:/mail'), password: 'x' } },
      (settings: Settings) => settings.backup!.repository,
    ],
    [
      'backup.hostKey applies only to a repository that begins with sftp:',
      { backup: { repository: late('s3:https://b.example/b'), hostKey: sshKey, password: 'x' } },
      (settings: Settings) => settings.backup!.repository,
    ],
    [
      'adminNetworks has no IPv4 network',
      { adminNetworks: [late('2001:db8::/32')] },
      (settings: Settings) => settings.adminNetworks[0],
    ],
    [
      'volumeSize: 5 is out of range',
      { volumeSize: pulumi.output(Promise.resolve(5)) },
      (settings: Settings) => settings.volumeSize,
    ],
  ])('is judged by the rules between settings once it is: %s', async (message, change, value) => {
    const settings = checkedSettings({ ...example, domains, ...change });
    await expect(settled(value(settings))).rejects.toThrow(message);
  });

  it('is named by its place in the input, whatever the order of settings', async () => {
    const [anna, bert] = example.accounts!;
    const accounts = [
      { ...bert!, passwordHash: hash },
      { ...anna!, passwordHash: late('x') },
    ];
    const [first] = checkedSettings({ ...example, accounts }).accounts;
    expect(first!.address).toBe(anna!.address);
    await expect(settled(first!.passwordHash)).rejects.toThrow('accounts[1].passwordHash is not');
  });

  it('is refused where the plan has to know it', () => {
    const domain = { name: late('example.org') };
    expect(errorOf(() => checkedSettings({ ...example, domains: [domain] }))).toContain(
      'domains[0].name is an output of another resource, which may be known too late; set a plain value',
    );
  });

  it('is left out of the rules between settings until then', () => {
    const tls = { issuer: 'provided', chain: late('x'), privateKey: late('y') };
    expect(() => parseSettings({ ...example, tls })).not.toThrow();
    const alone = { ...example, tls: { ...tls, privateKey: undefined } };
    expect(errorOf(() => checkedSettings(alone))).toBe(
      [
        '1 setting is invalid; nothing was changed:',
        '  tls.privateKey is missing, and tls.issuer is provided; set it: set tls.privateKey to the content of privkey.pem, as a secret',
      ].join('\n'),
    );
  });

  it('is a certificate that is judged with its key', async () => {
    const [own, other] = [selfSigned(example.hostName), selfSigned(example.hostName)];
    const given = (key: string) =>
      checkedSettings({
        ...example,
        tls: { issuer: 'provided', chain: late(own.cert), privateKey: late(key) },
      });
    const pair = { chainPem: own.cert, privateKeyPem: own.key };
    expect(await settled(pairOf(given(own.key)))).toEqual(pair);
    const wrong = given(other.key);
    await expect(settled(wrong.tls.chain)).rejects.toThrow(
      'tls.chain does not belong to the privateKey',
    );
    // Those of another issuer have neither.
    const none = { chainPem: '\n', privateKeyPem: '\n' };
    expect(await settled(pairOf(checkedSettings(example)))).toEqual(none);
  });
});

describe('what the files of the daemons are given', () => {
  const repository = 'sftp:backup@backup.example.com:/mail';
  const given = checkedSettings({
    ...example,
    domains,
    adminNetworks: [late('192.0.2.0/24'), '198.51.100.0/24', late('192.0.2.0/24')],
    smarthost: { ...smarthost, port: 587, password: 'smarthost-password' },
    backup: { repository, hostKey: sshKey, password: 'backup-password' },
  });

  it('has each network once, and no secret', async () => {
    const { adminNetworks, smarthost: relay, repository: place } = givenOf(given);
    expect(await settled(adminNetworks)).toEqual(['192.0.2.0/24', '198.51.100.0/24']);
    expect(await settled(relay!)).toEqual({ host: 'smtp.example.com', port: 587 });
    expect(await settled(place!)).toEqual({ url: repository, hostKey: sshKey });
  });

  it('is a login at the smarthost, which is secret', async () => {
    const login = smarthostLoginOf(given)!;
    expect(await settled(login)).toBe('user:smarthost-password');
    expect(await pulumi.isSecret(login)).toBe(true);
  });

  it('is nothing without a smarthost or a backup', () => {
    const without = checkedSettings(example);
    expect(givenOf(without)).toMatchObject({ smarthost: undefined, repository: undefined });
    expect(smarthostLoginOf(without)).toBeUndefined();
  });
});
