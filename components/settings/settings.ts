import type { z } from 'zod';
import {
  AccountKind,
  Dns,
  DriftAction,
  MtaSts,
  ReviewDetail,
  SpamAction,
  VirusAction,
} from './enums';
import {
  about,
  address,
  boolean,
  domainName,
  duration,
  generation,
  later,
  listOf,
  network,
  objectOf,
  oneOf,
  quota,
  score,
  sshPublicKey,
  text,
  wholeNumber,
} from './forms';
import { machine, server } from './machine';
import { account, alias, backup, domain, smarthost, tls } from './parts';

/**
 * Every setting, once: its form, default and documentation. The types, the arguments of MailHost, Pulumi.yaml,
 * docs/settings.md and the error texts follow from it.
 */
export const settingsShape = objectOf('an object of settings', {
  hostName: domainName
    .refine((name) => name.length <= 63, {
      error: 'is too long; a server and a certificate take at most 63 octets',
    })
    .meta(
      about({
        description:
          'Fully qualified name of the host, below one of the domains: for MX, HELO, reverse DNS and the certificate.',
        example: 'mail.example.org',
      }),
    ),
  domains: listOf('domains', domain)
    .min(1, { error: 'is empty; name at least one domain' })
    .meta(
      about({
        description:
          'Hosted domains. A subdomain that sends or receives mail is a domain of its own; its zone is found automatically.',
        example: [{ name: 'example.org' }],
      }),
    ),
  accounts: listOf('accounts', account)
    .default([])
    .meta(
      about({
        description: 'Accounts: mailboxes with a login.',
        example: [{ address: 'anna@example.org', passwordHash: '$6$…' }],
      }),
    ),
  aliases: listOf('aliases', alias)
    .default([])
    .meta(
      about({
        description: 'Addresses whose mail goes to several recipients, or to addresses elsewhere.',
        example: [{ address: 'team@example.org', recipients: ['anna@example.org'] }],
      }),
    ),
  postmaster: address.meta(
    about({
      description:
        'Address that receives mail for root and for the role addresses of every domain: abuse, hostmaster, postmaster.',
      example: 'anna@example.org',
    }),
  ),
  accountKind: oneOf('AccountKind', AccountKind)
    .default('virtual')
    .meta(
      about({
        description:
          'Form of the accounts: `virtual`, in tables of the mail daemons; `system`, system users with PAM and /etc/passwd.',
      }),
    ),
  quota: quota
    .default(2000)
    .meta(about({ description: 'Size limit of a mailbox in MB, 0 for none.', example: 5000 })),
  messageSize: wholeNumber(1, 150, ' MB')
    .default(35)
    .meta(
      about({
        description: 'Size limit of a message in MB as transmitted: attachments grow by a third.',
        example: 50,
      }),
    ),
  spamTagLevel: score(0, 100)
    .default(2)
    .meta(
      about({
        description: 'SpamAssassin score from which the headers of a message mark it as spam.',
        example: 3.5,
      }),
    ),
  spamJunkLevel: score(1, 100)
    .default(5)
    .meta(
      about({
        description: 'SpamAssassin score from which `spamAction` applies to incoming mail.',
        example: 6.5,
      }),
    ),
  spamAction: oneOf('SpamAction', SpamAction)
    .default('file')
    .meta(
      about({
        description:
          'Action on incoming spam: `file` into Junk, `hold` on the host for 30 days, or `drop`.',
      }),
    ),
  antivirus: boolean.default(false).meta(
    about({
      description: 'Scan mail for viruses with ClamAV. The server needs 4 GB of memory for it.',
    }),
  ),
  virusAction: oneOf('VirusAction', VirusAction)
    .default('hold')
    .meta(
      about({
        description: 'Action on incoming viruses: `hold` on the host for 30 days, or `drop`.',
      }),
    ),
  enforceDmarc: boolean.default(true).meta(
    about({
      description:
        'Treat incoming mail as spam if it fails DMARC and the policy of its domain is to reject it.',
    }),
  ),
  messagesPerHour: wholeNumber(1, 1_000_000)
    .default(200)
    .meta(about({ description: 'Limit of messages that a login sends in an hour.', example: 500 })),
  recipientsPerDay: wholeNumber(1, 1_000_000)
    .default(1000)
    .meta(
      about({ description: 'Limit of recipients that a login sends to in a day.', example: 2000 }),
    ),
  newRecipientsPerDay: wholeNumber(1, 1_000_000)
    .default(200)
    .meta(
      about({
        description: 'Limit of recipients in a day that the login has never sent to before.',
        example: 500,
      }),
    ),
  smarthost: smarthost.optional().meta(
    about({
      description: 'Mail server that relays all outgoing mail, for a provider that blocks port 25.',
      fallback: 'mail goes directly to the MX of its recipients',
      example: { host: 'smtp.example.com', username: 'user@example.com', password: '…' },
    }),
  ),
  tls: tls.prefault({}).meta(
    about({
      description: 'TLS certificates of the host and their issuer.',
      fallback: "certificates of Let's Encrypt, which need `acceptTerms`",
      example: { acceptTerms: true },
    }),
  ),
  web: boolean.default(true).meta(
    about({
      description:
        'Run a small web server that mail clients get their configuration from. Required for MTA-STS.',
    }),
  ),
  metrics: boolean.default(false).meta(
    about({
      description:
        'Serve figures about mail to Prometheus, at `https://HOSTNAME/metrics`, to `adminNetworks` alone. Needs `web`.',
    }),
  ),
  dns: oneOf('Dns', Dns)
    .default('cloudflare')
    .meta(
      about({
        description:
          'Publisher of the DNS records: `cloudflare`, this stack; `manual`, the operator, from the output `zoneFile`. The host checks that they are published.',
      }),
    ),
  dnssec: boolean.default(true).meta(
    about({
      description: 'Sign the zones at Cloudflare. A zone that was signed once stays signed.',
    }),
  ),
  dmarcReports: address.optional().meta(
    about({
      description: 'Address that receives DMARC reports.',
      fallback: 'dmarc-reports of each domain, which the host reads itself',
      example: 'dmarc@example.org',
    }),
  ),
  mtaSts: oneOf('MtaSts', MtaSts)
    .default('testing')
    .meta(
      about({
        description:
          'MTA-STS policy for senders if TLS to this host fails: `none`, `testing` (deliver and report) or `enforce` (do not deliver). Needs a public certificate and `web`.',
      }),
    ),
  dkimGeneration: generation.default(1).meta(
    about({
      description: 'DKIM key generation that signs. Increment to rotate, decrement to roll back.',
      example: 2,
    }),
  ),
  dkimCompromised: listOf('generations', generation)
    .default([])
    .meta(
      about({
        description:
          'DKIM key generations that are compromised: their records are published as revoked. Rotate first.',
        example: [1],
      }),
    ),
  dkimRetention: duration.default('21d').meta(
    about({
      description:
        'Time for which a DKIM key stays published after it signed last, and for which a signature is valid. At least `queueLifetime`.',
      example: '30d',
    }),
  ),
  queueLifetime: duration.default('4d').meta(
    about({
      description: 'Time after which an undelivered message is returned to its sender.',
      example: '2d',
    }),
  ),
  tlsGeneration: generation.default(1).meta(
    about({
      description:
        'TLS key generation that is served. Increment to rotate, decrement to roll back. The TLSA record of the next one is published in advance.',
      example: 2,
    }),
  ),
  backup: backup.optional().meta(
    about({
      description: 'Repository that mail is backed up to each night, with restic. See backups.md.',
      fallback: 'mail is not backed up',
      example: { repository: 'sftp:backup@backup.example:/mail', password: '…' },
    }),
  ),
  restore: text('a snapshot', /^(?:latest|[0-9a-f]{8,64})$/, '; set latest, or its id')
    .optional()
    .meta(
      about({
        description:
          'Snapshot of the backup that an empty volume is restored from before any daemon runs: `latest`, or its id.',
        fallback: 'nothing is restored',
        example: '4bba301e',
      }),
    ),
  ...server,
  machine: machine.optional().meta(
    about({
      description:
        'Machine that exists, for the mail host to be put on. Nothing is made or asked at Hetzner. See own-machine.md.',
      fallback: 'a server at Hetzner, which the stack makes',
      example: { ipv4: '192.0.2.1', sshHostKey: 'ssh-ed25519 AAAA…', sshPrivateKey: '…' },
    }),
  ),
  adminSshKeys: listOf('OpenSSH public keys', later(sshPublicKey('an OpenSSH public key')))
    .default([])
    .meta(
      about({
        description: 'OpenSSH public keys that may log in as root, besides the key of the stack.',
        example: ['ssh-ed25519 AAAA… anna'],
      }),
    ),
  adminNetworks: listOf('networks', later(network))
    .min(1, { error: 'is empty; name the networks that may use SSH' })
    .default(['0.0.0.0/0', '::/0'])
    .meta(
      about({
        description:
          'Networks in CIDR form that may use SSH. They include that of the machine that runs Pulumi.',
        example: ['192.0.2.0/24'],
      }),
    ),
  drift: oneOf('DriftAction', DriftAction)
    .default('ignore')
    .meta(
      about({
        description:
          'Action of each `pulumi up` if the host differs from what was deployed: `ignore`, `stop` before anything is deployed, or `mend` by deploying everything again.',
      }),
    ),
  driftAccepted: listOf(
    'differences',
    text(
      'a difference',
      /^(?!- |\s)[^\p{Cc}\p{Zl}\p{Zp}]+$/u,
      '; write one line as `mailhost drift` prints it, without the hyphen',
    ),
  )
    .default([])
    .meta(
      about({
        description:
          'Differences on the host that are no drift, each as `mailhost drift` prints it.',
        example: ["the user anna can log in, and is not the plan's"],
      }),
    ),
  protect: boolean
    .default(true)
    .meta(about({ description: 'Protect volume, addresses and SSH keys from deletion.' })),
  review: oneOf('ReviewDetail', ReviewDetail)
    .default('summary')
    .meta(
      about({
        description:
          'Report of each preview on what it changes and what that does to mail: `full` with every line and the lines around it, `summary`, or `off`.',
      }),
    ),
  confirm: listOf('changes', text('a change', /^[^\p{Cc}\p{Zl}\p{Zp}]*$/u))
    .default([])
    .meta(
      about({
        description: 'Blocked changes to allow, each as the preview that blocked it prints it.',
        example: ['remove anna@example.org'],
      }),
    ),
}).meta(
  about({
    title: 'MailHostArgs',
    description:
      'Settings of a mail host. Every mistake in them is reported at once, before anything is changed. The order of a list never matters. A value that is not an `Input` decides which resources there are, or is judged with others before the plan, so it cannot be an output of another resource.',
  }),
);

/** Settings as the schema gives them. */
export type Shape = z.output<typeof settingsShape>;

/** What a mail host is made from, checked and complete, with every list in an order of its own. */
export type Settings = Omit<Shape, 'accounts' | 'domains'> & {
  domains: (Shape['domains'][number] & { zone: string })[];
  accounts: (Shape['accounts'][number] & { quota: number })[];
};
