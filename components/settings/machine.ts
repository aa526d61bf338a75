import { isPrivateKey } from './certificates';
import {
  about,
  boolean,
  digitsAsText,
  ipAddress,
  later,
  objectOf,
  secret,
  sshPublicKey,
  text,
  wholeNumber,
} from './forms';

/** The server that the stack makes, unless it is given a machine. */
export const server = {
  serverGeneration: wholeNumber(1, 1_000_000)
    .default(1)
    .meta(
      about({
        description:
          'Server generation. Increment to replace the server, or to switch to the standby server; mail, queue, addresses and keys are kept.',
        example: 2,
      }),
    ),
  standbyServer: boolean.default(false).meta(
    about({
      description:
        'Prepare a second server beside the one that serves. Increment serverGeneration to switch to it, and set this back to false to delete the one that does not serve. See new-server.md.',
      example: true,
    }),
  ),
  serverType: later(text('a Hetzner server type', /^[a-z]+\d+$/, '; set one such as cx23'))
    .default('cx23')
    .meta(
      about({
        description: 'Hetzner server type. A change turns the server off for some minutes.',
        example: 'cx33',
      }),
    ),
  location: text(
    'a Hetzner location',
    /^[a-z]{3}\d?$/,
    '; set its name, such as fsn1, and not a number or data center',
  )
    .default('fsn1')
    .meta(about({ description: 'Hetzner location.', example: 'nbg1' })),
  volumeSize: later(wholeNumber(10, 10_240, ' GB'))
    .default(20)
    .meta(
      about({
        description: 'Size of the volume for mail and queue in GB. It can only grow.',
        example: 100,
      }),
    ),
  ipv6: boolean.default(true).meta(about({ description: 'Give the host an IPv6 address, too.' })),
};

/** Whether a key without a passphrase, in OpenSSH's own form or in PEM. */
function isSshPrivateKey(key: string): boolean {
  const [, base64] =
    /^-----BEGIN OPENSSH PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END OPENSSH PRIVATE KEY-----$/.exec(
      key.trim(),
    ) ?? [];
  if (base64 === undefined) return isPrivateKey(key);
  // The name of its cipher stands first (PROTOCOL.key of OpenSSH).
  const start = Buffer.from('openssh-key-v1\0\0\0\0\x04none', 'latin1');
  return Buffer.from(base64, 'base64').subarray(0, start.length).equals(start);
}

export const machine = objectOf('a machine, with ipv4, sshHostKey and sshPrivateKey', {
  ipv4: later(ipAddress('ipv4', '192.0.2.1')).meta(
    about({
      description: 'Public IPv4 address, which Pulumi connects to.',
      example: '192.0.2.1',
    }),
  ),
  ipv6: later(ipAddress('ipv6', '2001:db8::1'))
    .optional()
    .meta(
      about({
        description: 'Public IPv6 address.',
        fallback: 'the host has none',
        example: '2001:db8::1',
      }),
    ),
  sshHostKey: later(
    sshPublicKey('a host key as ssh-keyscan prints it, without the host name').regex(
      /^ssh-ed25519 /,
      { error: 'is not of the type ed25519; write that of /etc/ssh/ssh_host_ed25519_key.pub' },
    ),
  ).meta(
    about({
      description: 'SSH host key, of the type ed25519. Every connection pins it.',
      example: 'ssh-ed25519 AAAA…',
    }),
  ),
  sshPrivateKey: secret('an SSH private key without a passphrase', isSshPrivateKey).meta(
    about({
      description: 'SSH private key without a passphrase, by which root can log in.',
      file: 'id_ed25519',
      example: '-----BEGIN OPENSSH PRIVATE KEY-----…',
    }),
  ),
  volumeDevice: later(
    text('a block device', /^\/dev\/[\w./:-]+$/, '; write its path, e.g. /dev/disk/by-label/mail'),
  )
    .optional()
    .meta(
      about({
        description: 'Block device with an ext4 file system, which is mounted for mail and queue.',
        fallback: 'what the machine has at `/srv/mailhost`: a mount of its own, or its disk',
        example: '/dev/disk/by-label/mail',
      }),
    ),
  serverId: later(digitsAsText(text('an id', /^[!-~]{1,200}$/)))
    .optional()
    .meta(
      about({
        description: 'Id of the machine. Everything is deployed again if it changes.',
        fallback: 'its `sshHostKey`',
        example: '42',
      }),
    ),
}).meta(
  about({
    title: 'ExistingMachineArgs',
    description: 'A machine that exists, with Debian 13. The outputs of a `Machine` fit.',
  }),
);
