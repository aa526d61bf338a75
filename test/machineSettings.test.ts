import { expect, it } from 'vitest';
import { SettingsError } from '../components/settings/mistakes';
import { reverseName } from '../components/settings/names';
import { parseSettings } from '../components/settings/parse';
import { example, sshKey } from './example';

const openSsh = (start: string) =>
  `-----BEGIN OPENSSH PRIVATE KEY-----\n${Buffer.from(start, 'latin1').toString('base64')}\n-----END OPENSSH PRIVATE KEY-----`;
const rsaKey = `ssh-rsa ${Buffer.from('\0\0\0\x07ssh-rsa\0\0\0\x01\x03', 'latin1').toString('base64')}`;
const machine = {
  ipv4: '192.0.2.7',
  ipv6: '2001:DB8:0::7',
  sshHostKey: sshKey,
  sshPrivateKey: openSsh('openssh-key-v1\0\0\0\0\x04none and more'),
};

const mistakesOf = (change: Record<string, unknown>): string[] => {
  try {
    parseSettings({ ...example, ...change });
  } catch (error) {
    return (error as SettingsError).message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
  return [];
};

it('a given machine excludes every setting of a server, and one error lists them all', () => {
  const ofServer = {
    serverGeneration: 2,
    serverType: 'cx33',
    location: 'nbg1',
    volumeSize: 30,
    ipv6: false,
    adminNetworks: ['192.0.2.0/24'],
  };
  expect(mistakesOf(ofServer)).toEqual([]);
  const mistakes = mistakesOf({ ...ofServer, machine: { ...machine, ipv4: '192.0.2' } });
  for (const name of Object.keys(ofServer))
    expect(mistakes).toContainEqual(expect.stringMatching(`^${name}.* and machine is given; `));
  expect(mistakes).toContainEqual(expect.stringMatching(/^machine\.ipv4: "192\.0\.2" is not an /));
  expect(mistakes).toHaveLength(Object.keys(ofServer).length + 1);
  // As Pulumi.yaml has the defaults.
  const defaults = { serverType: 'cx23', volumeSize: '20', ipv6: 'true', protect: 'false' };
  expect(mistakesOf({ ...defaults, machine })).toEqual([]);
});

it.each([
  ['ipv4', '2001:db8::1'],
  ['ipv4', '127.1'],
  ['ipv6', '192.0.2.1'],
  ['ipv6', '::ffff:192.0.2.1'],
  ['ipv6', 'fe80::1%eth0'],
  ['sshHostKey', 'ssh-ed25519 AAAA'],
  ['sshHostKey', rsaKey],
  ['sshPrivateKey', openSsh('openssh-key-v1\0\0\0\0\x0aaes256-ctr')],
  ['sshPrivateKey', sshKey],
  ['volumeDevice', '/dev/sdb; reboot'],
  ['volumeDevice', '/srv/mailhost'],
  ['serverId', 'a b'],
])('a given machine cannot have this %s: %s', (key, value) => {
  const mistakes = mistakesOf({ machine: { ...machine, [key]: value } });
  expect(mistakes).toHaveLength(1);
  expect(mistakes[0]).toMatch(new RegExp(`^machine\\.${key}`));
  if (key === 'sshPrivateKey') expect(mistakes[0]).not.toContain(value.slice(40));
});

it.each([
  ['192.0.2.7', '7.2.0.192.in-addr.arpa'],
  ['2001:db8::7', '7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa'],
])('the PTR record of %s has the name %s', (address, name) => {
  expect(reverseName(address)).toBe(name);
});
