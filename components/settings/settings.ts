import { closest, distance } from 'fastest-levenshtein';
import { z } from 'zod';
import { normalSpfMechanism } from '../dns/spf';
import { isCertificateChain, isPrivateKey } from './certificates';
import { durationForm } from './duration';
import {
  AccountKind,
  CertificateIssuer,
  DmarcPolicy,
  Dns,
  DriftAction,
  MtaSts,
  SpamAction,
  VirusAction,
} from './enums';
import {
  normalAddress,
  normalDomain,
  normalNetwork,
  normalRecipient,
  ownInLowerCase,
  normalZone,
  registrableDomain,
} from './names';
import { settingsMistakes } from './settingsRules';

/** A value that the plan may know only later, such as a secret of the stack: checked only where it is plain text. */
type Later = object;

/** Whether it is one line of authorized_keys(5) whose key is whole and of the type that stands before it (RFC 4253, section 6.6). */
function isSshPublicKey(text: string): boolean {
  const [, type, base64] =
    /^((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+) ([A-Za-z0-9+/]+={0,2})(?: [ -~]*)?$/.exec(
      text,
    ) ?? [];
  if (type === undefined || base64 === undefined) return false;
  const key = Buffer.from(base64, 'base64');
  const fields: Buffer[] = [];
  let at = 0;
  for (; at + 4 <= key.length; at += 4 + fields.at(-1)!.length) {
    const length = key.readUInt32BE(at);
    if (at + 4 + length > key.length) return false;
    fields.push(key.subarray(at + 4, at + 4 + length));
  }
  return at === key.length && fields.length > 1 && fields[0]!.toString('latin1') === type;
}

/** The words for a value that is missing or of another type. */
const expected = (what: string) => ({
  error: ({ input }: { input?: unknown }) =>
    `${input === undefined ? 'is missing: ' : ''}must be ${what}`,
});

/** Text in the form that `normal` gives it, or the mistake `message`. */
const normalised = (what: string, normal: (text: string) => string | undefined, message: string) =>
  z.string(expected(what)).transform((text, context) => {
    const form = normal(text);
    if (form === undefined) context.addIssue({ code: 'custom', message });
    return form ?? z.NEVER;
  });

const domainName = normalised(
  'a domain name, e.g. example.org',
  normalDomain,
  'is no domain name: write letters, digits, hyphens and dots, at most 63 octets for a part and 235 for all, e.g. example.org',
);

const address = normalised(
  'a mail address, e.g. anna@example.org',
  normalAddress,
  "is no mail address: write letters, digits and . - _ ' & before the @, without a +tag, e.g. anna@example.org",
);

const recipient = normalised(
  'a mail address, e.g. anna@example.org',
  normalRecipient,
  'is no mail address that mail can be sent on to, e.g. anna@example.org',
);

const network = normalised(
  'a network, e.g. 192.0.2.0/24',
  normalNetwork,
  'must be a network, e.g. 192.0.2.0/24 or 2001:db8::/32',
);

const makeHash =
  'make one with `openssl passwd -6`, and set it with `pulumi config set --secret --path`';

/** crypt(5): sha512-crypt, sha256-crypt, bcrypt, yescrypt; whole, and of a cost that does not stop the host. */
const hashForms = [
  /^\$6\$(?:rounds=[1-9]\d{3,6}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}$/,
  /^\$5\$(?:rounds=[1-9]\d{3,6}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{43}$/,
  /^\$2[by]\$(?:0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}$/,
  /^\$g?y\$[./A-Za-z0-9]{1,20}\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}$/,
];

/** Whether it is of a crypt(5) form that OpenSMTPD and Dovecot on Debian 13 both verify. */
export const isPasswordHash = (text: string): boolean => hashForms.some((form) => form.test(text));

export const passwordHashForm = `must be a yescrypt, sha512-crypt, sha256-crypt or bcrypt hash: ${makeHash}`;

/** Whether it can stand in a table of OpenSMTPD as `name:password`. */
export const isSmarthostPassword = (text: string): boolean => /^[!-~]{1,200}$/.test(text);

export const smarthostPasswordForm =
  'must be 1 to 200 printable ASCII characters without a space: set it with `pulumi config set --secret --path`';

const secret = (isRight: (text: string) => boolean, form: string) =>
  z
    .custom<string | Later>(
      (value) =>
        typeof value === 'string' ? isRight(value) : typeof value === 'object' && value !== null,
      { error: ({ input }) => `${input === undefined ? 'is missing: ' : ''}${form}` },
    )
    .meta({ secret: true });

/** A number, or the text of one as stack config has it: neither an empty value nor a truth value counts as one. */
const numberOf = (form: RegExp, minimum: number, maximum: number, error: string) =>
  z
    .union([z.number(), z.string()], { error })
    .refine((value) => form.test(String(value)), { error, abort: true })
    .transform(Number)
    .pipe(z.number().min(minimum, { error }).max(maximum, { error }));

/** A score: SpamAssassin's have at most three decimal places. */
const score = (minimum: number, maximum: number) =>
  numberOf(
    /^\d{1,4}(?:\.\d{1,3})?$/,
    minimum,
    maximum,
    `must be a number from ${minimum} to ${maximum}, with at most three decimal places`,
  ).meta({ type: 'number', minimum, maximum });

const wholeNumber = (minimum: number, maximum: number, unit = '') =>
  numberOf(
    /^\d{1,9}$/,
    minimum,
    maximum,
    `must be a whole number from ${minimum} to ${maximum}${unit}`,
  ).meta({ type: 'number', minimum, maximum });

const duration = z
  .string(expected('a time, e.g. 21d'))
  .regex(durationForm, { error: 'must be a whole number and its unit (s, m, h, d), e.g. 21d' });

const generation = wholeNumber(1, 1000);

const truth = z.union([z.boolean(), z.stringbool()], { error: 'must be true or false' });

const oneOf = <const T extends Record<string, string>>(values: T) =>
  z.enum(
    values,
    expected(
      Object.values(values)
        .map((value) => `"${value}"`)
        .join(' or '),
    ),
  );

const listOf = <T extends z.ZodType>(item: T, what: string) => z.array(item, expected(what));

const addresses = listOf(address, 'a list of mail addresses: set [0], [1] … with --path');

const quota = wholeNumber(0, 1_000_000, ' MB, 0 for none');

const domain = z.strictObject(
  {
    name: domainName.meta({
      description:
        'Its name. An international one may be written as such; it is used in A-label form.',
    }),
    zone: normalised(
      'a zone, e.g. example.org',
      normalZone,
      'is no zone: write its name, e.g. example.org, or its id at Cloudflare, 32 hexadecimal digits',
    )
      .optional()
      .meta({
        description:
          'The DNS zone that it lies in, by name or by its id at Cloudflare. Without it: the registrable domain.',
      }),
    parked: truth.default(false).meta({
      description: 'It has no mail, and says so: null MX, SPF that allows nobody, DMARC reject.',
    }),
    catchAll: address.optional().meta({
      description: 'The account or alias that gets mail for every address that nobody has.',
    }),
    spf: listOf(
      normalised(
        'an SPF mechanism',
        normalSpfMechanism,
        'is not an SPF mechanism: write e.g. include:_spf.example.com or ip4:192.0.2.1 (RFC 7208, section 5)',
      ),
      'a list of SPF mechanisms: set [0], [1] … with --path',
    )
      .default([])
      .meta({
        description:
          'SPF mechanisms of other systems that send for it. They are put into the one SPF record, behind this host.',
      }),
    dmarcPolicy: oneOf(DmarcPolicy).default('reject').meta({
      description:
        'What receivers are to do with mail in its name that fails DMARC: `reject`, `quarantine` or `none`.',
    }),
    dkimGeneration: generation.optional().meta({
      description: 'Generation of its DKIM keys that signs. Without it: that of all.',
    }),
  },
  expected('a domain, with name'),
);

const account = z.strictObject(
  {
    address: address.meta({ description: 'Its address, and the user name to log in with.' }),
    passwordHash: secret(isPasswordHash, passwordHashForm).meta({
      description:
        'From `openssl passwd -6`; yescrypt, sha512-crypt, sha256-crypt or bcrypt. A secret.',
    }),
    aliases: addresses.default([]).meta({
      description: 'Further addresses of it: their mail comes here, and it may send as them.',
    }),
    sendAs: addresses.default([]).meta({
      description: 'Further addresses that it may send as, such as those of an alias.',
    }),
    quota: quota.optional().meta({
      description: 'MB that its mailbox may hold, 0 for no limit. Without it: the quota of all.',
    }),
  },
  expected('an account, with address and passwordHash'),
);

const alias = z.strictObject(
  {
    address: address.meta({ description: 'An address in a hosted domain.' }),
    recipients: listOf(recipient, 'a list of mail addresses: set [0], [1] … with --path')
      .min(1, { error: 'is empty: name at least one address' })
      .meta({
        description: 'Who gets its mail: accounts, aliases, or addresses elsewhere.',
      }),
  },
  expected('an alias, with address and recipients'),
);

const smarthost = z.strictObject(
  {
    host: domainName.meta({ description: 'Its name, as in its certificate.' }),
    port: wholeNumber(1, 65535).default(587).meta({
      description: '465 speaks TLS from the start; on any other STARTTLS is demanded.',
    }),
    username: z
      // What looks like a number is made one by `pulumi config set --path`.
      .preprocess(
        (value) => (typeof value === 'number' ? String(value) : value),
        z.string(expected('a user name')).regex(/^[!-9;-~]{1,200}$/, {
          error: 'must be 1 to 200 printable ASCII characters without a space or colon',
        }),
      )
      .meta({ description: 'Who this host logs in as.' }),
    password: secret(isSmarthostPassword, smarthostPasswordForm).meta({
      description: 'The password to that. A secret.',
    }),
  },
  expected('a smarthost, with host, username and password'),
);

/** A password of the user's or of a back end: one line of a file that restic, systemd and a shell read the same way. */
export const isBackupSecret = (text: string): boolean => /^[!-~]{1,1000}$/.test(text);

export const backupSecretForm =
  'must be 1 to 1000 printable ASCII characters without a space: set it with `pulumi config set --secret --path`';

/** Variables by which restic's back ends are let in. */
const backupVariable =
  /^(?:AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|DEFAULT_REGION)|B2_ACCOUNT_(?:ID|KEY)|AZURE_ACCOUNT_(?:NAME|KEY|SAS)|AZURE_ENDPOINT_SUFFIX|(?:OS|ST)_[A-Z_]+|RESTIC_REST_(?:USERNAME|PASSWORD))$/;

const backup = z.strictObject(
  {
    repository: z
      .string(expected('a repository as restic takes it, e.g. sftp:user@host:/path'))
      .regex(/^(?:\/|(?:sftp|s3|rest|b2|azure|swift):)[!-~]+$/, {
        error:
          'is no repository of restic: write a path, sftp:user@host:/path, s3:https://host/bucket, rest:https://host/, b2:bucket:path, azure:container:/path or swift:container:/path',
      })
      .refine((text) => !/:\/\/[^/]*:[^/]*@/.test(text), {
        error:
          'holds a password: set it as RESTIC_REST_PASSWORD in backup.environment, with --secret',
      })
      .refine(
        (text) =>
          !/^rest:http:\/\//.test(text) ||
          /^rest:http:\/\/(?:127(?:\.\d{1,3}){3}|\[::1\])(?:[:/]|$)/.test(text),
        {
          error: 'sends the password in the clear: write rest:https://',
        },
      )
      .meta({
        description:
          'As restic takes it: `sftp:user@host:/path`, `s3:https://host/bucket`, `rest:https://host/`, `b2:bucket:path`, `azure:container:/path`, `swift:container:/path`, or a path on the host that is elsewhere than its disk and volume.',
      }),
    password: secret(isBackupSecret, backupSecretForm).meta({
      description: 'Encrypts the backups: without it nobody can read them. A secret.',
    }),
    environment: z
      .record(
        z.string().regex(backupVariable, {
          error: 'is no variable by which a back end of restic lets in, e.g. AWS_ACCESS_KEY_ID',
        }),
        secret(isBackupSecret, backupSecretForm),
        expected('a structure of variables, e.g. AWS_ACCESS_KEY_ID'),
      )
      .default({})
      .meta({
        secret: true,
        description:
          'What the server of the repository asks for, e.g. `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`. Secrets.',
      }),
    hostKey: z
      .string(expected('the host key of the SSH server, e.g. "ssh-ed25519 AAAA…"'))
      .refine(isSshPublicKey, {
        error: 'must be type and key as ssh-keyscan prints them, e.g. "ssh-ed25519 AAAA…"',
      })
      .optional()
      .meta({ description: 'Host key of an `sftp:` server, e.g. `ssh-ed25519 AAAA…`.' }),
    keepDaily: wholeNumber(1, 1000).default(7).meta({
      description: 'Days of which the last snapshot is kept.',
    }),
    keepWeekly: wholeNumber(0, 1000).default(5).meta({
      description: 'Weeks of which the last snapshot is kept.',
    }),
    keepMonthly: wholeNumber(0, 1000).default(12).meta({
      description: 'Months of which the last snapshot is kept.',
    }),
  },
  expected('where to back up to, with repository and password'),
);

export const chainForm =
  'must be the PEM of the certificate followed by those of its issuers: pulumi config set --secret --path mailhost:tls.chain < fullchain.pem';

export const privateKeyForm =
  'must be the PEM of an unencrypted private key: pulumi config set --secret --path mailhost:tls.privateKey < privkey.pem';

const tls = z.strictObject(
  {
    issuer: oneOf(CertificateIssuer).default('acme').meta({
      description:
        'Who issues the certificates: `acme`, a public CA that the host asks; `selfSigned`, a CA of the stack; `provided`, somebody else.',
    }),
    directory: z
      .string(expected('the URL of an ACME directory'))
      .regex(/^https:\/\/[a-z0-9.-]+(?::\d{1,5})?\/[!-&(-~]*$/, {
        error: 'must be the https URL of an ACME directory',
      })
      .default('https://acme-v02.api.letsencrypt.org/directory')
      .meta({ description: 'With `acme`: the directory of the CA. It is that of Let’s Encrypt.' }),
    contact: recipient.optional().meta({
      description: 'With `acme`: whom the CA may write to. Without it: the postmaster.',
    }),
    acceptTerms: truth.default(false).meta({
      description: 'With `acme`: whether you agree to the terms of the CA. Must be true.',
    }),
    chain: secret(isCertificateChain, chainForm).optional().meta({
      secret: false,
      description: 'With `provided`: PEM of the certificate followed by those of its issuers.',
    }),
    privateKey: secret(isPrivateKey, privateKeyForm).optional().meta({
      description: 'With `provided`: PEM of the private key. A secret.',
    }),
  },
  expected('a structure, with issuer'),
);

/** Every setting, with its form, default and description: Pulumi.yaml and docs/settings.md are made from it. */
export const settingsShape = z.strictObject({
  hostName: domainName
    .refine((name) => name.length <= 63, {
      error: 'is too long: a server and a certificate take at most 63 octets',
    })
    .meta({
      description:
        'Fully qualified name of the host, below one of the domains, e.g. mail.example.org: as in MX, HELO, reverse DNS and the certificate.',
    }),
  domains: listOf(
    domain,
    'a list of domains: pulumi config set --path "mailhost:domains[0].name" example.org',
  )
    .min(1, {
      error: 'is empty: pulumi config set --path "mailhost:domains[0].name" example.org',
    })
    .meta({
      description:
        'Hosted domains, in any order. A sub-domain that sends or receives is one of them, and its zone is found by itself.',
    }),
  accounts: listOf(account, 'a list of accounts, each with address and passwordHash')
    .default([])
    .meta({ description: 'Mailboxes with a login, in any order.' }),
  aliases: listOf(alias, 'a list of aliases, each with address and recipients').default([]).meta({
    description: 'Addresses whose mail goes to several recipients, or to others elsewhere.',
  }),
  postmaster: address.meta({
    description:
      'Who reads mail for root and, in every domain, abuse, dmarc-reports, hostmaster, postmaster and tls-reports.',
  }),
  accountKind: oneOf(AccountKind).default('virtual').meta({
    description: '`virtual`, or `system` for system users with PAM and /etc/passwd.',
  }),
  quota: quota.default(2000).meta({
    description: 'MB that a mailbox may hold, 0 for no limit.',
  }),
  messageSize: wholeNumber(1, 150, ' MB').default(35).meta({
    description: 'MB that one message may have, as it is on the wire: attachments grow by a third.',
  }),
  spamTagLevel: score(0, 100).default(2).meta({
    description: 'SpamAssassin score from which a message is marked as spam in its headers.',
  }),
  spamJunkLevel: score(1, 100).default(5).meta({
    description: 'SpamAssassin score from which `spamAction` happens to a message from outside.',
  }),
  spamAction: oneOf(SpamAction).default('file').meta({
    description:
      'What happens to spam from outside: `file` into Junk, `hold` on the host for 30 days, or `drop`.',
  }),
  antivirus: truth.default(false).meta({
    description: 'Scan for viruses with ClamAV. The server then needs 4 GB of memory.',
  }),
  virusAction: oneOf(VirusAction).default('hold').meta({
    description: 'What happens to a virus from outside: `hold` on the host for 30 days, or `drop`.',
  }),
  enforceDmarc: truth.default(true).meta({
    description: 'Treat as spam what fails DMARC of a domain that asks for it to be rejected.',
  }),
  messagesPerHour: wholeNumber(1, 1_000_000).default(200).meta({
    description: 'Messages that one login may send in an hour.',
  }),
  recipientsPerDay: wholeNumber(1, 1_000_000).default(1000).meta({
    description: 'Recipients that one login may send to in a day.',
  }),
  newRecipientsPerDay: wholeNumber(1, 1_000_000).default(200).meta({
    description: 'Recipients of these that the login may never have written to before.',
  }),
  smarthost: smarthost.optional().meta({
    description:
      'Another mail server that takes all mail to others, where the provider closes port 25.',
  }),
  tls: tls.prefault({}).meta({ description: 'The certificates, and who issues them.' }),
  web: truth.default(true).meta({
    description: 'A small web server, from which mail clients learn their settings.',
  }),
  dns: oneOf(Dns).default('cloudflare').meta({
    description:
      '`cloudflare`, or `manual`: a person publishes the records of the output `zoneFile`, and the host looks whether they are there.',
  }),
  dnssec: truth.default(true).meta({
    description: 'Sign the zones at Cloudflare. What was signed once stays so.',
  }),
  dmarcReports: address.optional().meta({
    description:
      'Who gets reports on DMARC. Without it: in each domain its own dmarc-reports, which is the postmaster.',
  }),
  mtaSts: oneOf(MtaSts).default('testing').meta({
    description:
      'Whether others hold mail back where TLS fails: `none`, `testing` (report), `enforce`. Needs a public certificate and `web`.',
  }),
  dkimGeneration: generation.default(1).meta({
    description: 'Generation of DKIM keys that signs. One more rotates, one less rolls back.',
  }),
  dkimCompromised: listOf(generation, 'a list of generations: set [0], [1] … with --path')
    .default([])
    .meta({
      description:
        'Generations of DKIM keys that nobody may trust any more. While their records are out, they say so. Rotate first.',
    }),
  dkimRetention: duration.default('21d').meta({
    description:
      'How long a DKIM key stays in DNS after it signed last, and how long a signature is valid. At least the queueLifetime.',
  }),
  queueLifetime: duration.default('4d').meta({
    description: 'How long a message is tried before it goes back to its sender.',
  }),
  tlsGeneration: generation.default(1).meta({
    description:
      'Generation of the TLS key that is served. One more rotates, one less rolls back; TLSA records go ahead of it.',
  }),
  backup: backup.optional().meta({
    description: 'Where the mail is backed up to each night, with restic. See backups.md.',
  }),
  restore: z
    .string(expected('a snapshot: latest, or its id'))
    .regex(/^(?:latest|[0-9a-f]{8,64})$/, { error: 'must be a snapshot: latest, or its id' })
    .optional()
    .meta({
      description:
        'Snapshot of the backup that an empty volume is filled from, before any daemon runs: `latest`, or its id.',
    }),
  serverGeneration: wholeNumber(1, 1_000_000).default(1).meta({
    description:
      'Another number puts a new server in the place of this one. Mail, queue, addresses and keys stay.',
  }),
  serverType: z
    .string(expected('a Hetzner server type, e.g. cx23'))
    .regex(/^[a-z]+\d+$/, { error: 'must be a Hetzner server type, e.g. cx23' })
    .default('cx23')
    .meta({ description: 'Hetzner server type. A change turns the server off for a while.' }),
  location: z
    .string(expected('a Hetzner location by name, e.g. fsn1'))
    .regex(/^[a-z]{3}\d?$/, {
      error: 'must be a Hetzner location by name, e.g. fsn1 (no number, no data center)',
    })
    .default('fsn1')
    .meta({ description: 'Hetzner location, by name.' }),
  volumeSize: wholeNumber(10, 10_240, ' GB').default(20).meta({
    description: 'GB of the volume for mail and queue. It can only grow.',
  }),
  ipv6: truth.default(true).meta({ description: 'Whether the host has an IPv6 address, too.' }),
  adminSshKeys: listOf(
    z.string(expected('one line of OpenSSH public key')).refine(isSshPublicKey, {
      error: 'must be one whole line of OpenSSH public key, e.g. "ssh-ed25519 AAAA… anna"',
    }),
    'a list of OpenSSH public keys: set [0], [1] … with --path',
  )
    .default([])
    .meta({
      description: 'OpenSSH public keys that may log in as root, besides the key of the stack.',
    }),
  adminNetworks: listOf(network, 'a list of networks, e.g. ["192.0.2.0/24"]')
    .min(1, { error: 'is empty: name the networks that may use SSH, e.g. ["192.0.2.0/24"]' })
    .default(['0.0.0.0/0', '::/0'])
    .meta({
      description:
        'Networks in CIDR form that may use SSH, among them that of the machine that runs Pulumi.',
    }),
  drift: oneOf(DriftAction).default('ignore').meta({
    description:
      'What each `pulumi up` does about a host that is not as the plan has it: `ignore` it, `stop` before anything is pushed, or `mend` it by pushing everything again.',
  }),
  driftAccepted: listOf(
    z
      .string(expected('a difference in the words of `mailhost drift`'))
      .regex(/^(?!- |\s)[^\p{Cc}\p{Zl}\p{Zp}]+$/u, {
        error: 'is no difference: write one line as `mailhost drift` tells it, without the hyphen',
      }),
    'a list of differences: set [0], [1] … with --path',
  )
    .default([])
    .meta({
      description:
        'What may differ on the host and is no drift, each in the words of `mailhost drift`, e.g. "the user anna can log in, and is not the plan\'s".',
    }),
  protect: truth.default(true).meta({
    description: 'Keep volume, addresses and SSH keys from being deleted.',
  }),
  confirm: listOf(z.string(expected('a change in the words of its refusal')), 'a list of changes')
    .default([])
    .meta({
      description:
        'Dangerous changes that may go on, each in the words with which it was refused, e.g. "remove anna@example.org".',
    }),
});

type Shape = z.output<typeof settingsShape>;

/** What a mail host is made from, checked and complete, with every list in an order of its own. */
export type Settings = Omit<Shape, 'accounts' | 'domains'> & {
  domains: (Shape['domains'][number] & { zone: string })[];
  accounts: (Shape['accounts'][number] & { quota: number })[];
};

/** One thing wrong with the settings: the key's path, and what is wrong with it and what to write instead. */
export interface Mistake {
  path: string;
  message: string;
}

/** Every mistake in a set of settings at once; `message` has one line for each. */
export class SettingsError extends Error {
  constructor(
    readonly mistakes: Mistake[],
    prefix: string,
  ) {
    const lines = mistakes.map(({ path, message }) => `  ${prefix}${path} ${message}`);
    super(
      `the settings have ${mistakes.length} ${mistakes.length === 1 ? 'mistake' : 'mistakes'}; nothing was changed:\n${lines.join('\n')}`,
    );
    this.name = 'SettingsError';
  }
}

/**
 * Checks `input` as a whole and completes it with what can be derived. Names are brought into one form (lower case,
 * A-labels) and lists into one order, so that neither spelling nor order in the input ever changes anything.
 *
 * @param prefix put before each key in the messages, e.g. `mailhost:`
 * @param found mistakes that were found elsewhere, to be told with the others
 * @throws SettingsError with every mistake, never only the first
 */
export function parseSettings(input: unknown, prefix = '', found: Mistake[] = []): Settings {
  const parsed = settingsShape.safeParse(input);
  const mistakes = [
    ...(parsed.error?.issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) => ({
            path: pathText([...issue.path, key]),
            message: `is no setting: ${nameRemedy(key, issue.path)}`,
          }))
        : [
            {
              path: pathText(issue.path),
              message: `${shownValue(input, issue.path)}${issue.message}`,
            },
          ],
    ) ?? []),
    ...settingsMistakes(input),
    ...found,
  ];
  if (!parsed.success || mistakes.length > 0) throw new SettingsError(mistakes, prefix);
  const { domains, accounts, aliases, dkimCompromised, ...rest } = parsed.data;
  const ownDomains = [rest.hostName, ...domains.map(({ name }) => name)];
  return {
    ...rest,
    domains: sortedBy('name', domains).map((d) => ({
      ...d,
      zone: d.zone ?? registrableDomain(d.name),
      spf: set(d.spf),
    })),
    accounts: sortedBy('address', accounts).map((a) => ({
      ...a,
      aliases: a.aliases.sort(),
      sendAs: a.sendAs.sort(),
      quota: a.quota ?? rest.quota,
    })),
    aliases: sortedBy('address', aliases).map((a) => ({
      ...a,
      recipients: a.recipients.map((r) => ownInLowerCase(r, ownDomains)).sort(),
    })),
    dkimCompromised: [...new Set(dkimCompromised)].sort((a, b) => a - b),
    adminSshKeys: set(rest.adminSshKeys),
    adminNetworks: set(rest.adminNetworks),
    driftAccepted: set(rest.driftAccepted),
  };
}

/** What to do about a name that no setting at that place has. */
function nameRemedy(key: string, path: PropertyKey[]): string {
  const place = path.reduce<Schema>(
    (at, part) => (typeof part === 'number' ? at.items : at.properties?.[String(part)]) ?? {},
    settingsSchema as Schema,
  );
  const near = Object.keys(place.properties ?? {}).filter((name) => {
    const [given, known] = [key.toLowerCase(), name.toLowerCase()];
    return known.startsWith(given) || distance(given, known) <= given.length / 3;
  });
  return near.length > 0 ? `write ${closest(key, near)}` : 'remove it, or mend its name';
}

/** Each once, in one order. */
const set = (items: string[]): string[] => [...new Set(items)].sort();

/** By code units, so that no locale has a say. */
const sortedBy = <K extends string, T extends Record<K, string>>(key: K, items: T[]): T[] =>
  [...items].sort((a, b) => (a[key] < b[key] ? -1 : 1));

interface Schema {
  secret?: boolean;
  properties?: Record<string, Schema>;
  items?: Schema;
}

/** The settings as JSON Schema, as somebody writes them. */
export const settingsSchema = z.toJSONSchema(settingsShape, {
  io: 'input',
  unrepresentable: 'any',
});

/** The settings that are secrets, e.g. `accounts.passwordHash`. */
export const secretSettings: string[] = secretsOf(settingsSchema as Schema);

function secretsOf({ secret: isSecret, properties = {}, items }: Schema, path = ''): string[] {
  return [
    ...(isSecret ? [path] : []),
    ...(items ? secretsOf(items, path) : []),
    ...Object.entries(properties).flatMap(([key, inner]) =>
      secretsOf(inner, path ? `${path}.${key}` : key),
    ),
  ];
}

const namesSecret = (path: PropertyKey[]) => {
  const name = path.filter((part) => typeof part !== 'number').join('.');
  return secretSettings.some((secret) => `${name}.`.startsWith(`${secret}.`));
};

/** The wrong value as the message shows it, where it is short text, and neither a secret nor what may hold one. */
function shownValue(input: unknown, path: PropertyKey[]): string {
  const [key, ...inside] = path;
  const mayHoldSecret =
    (['accounts', 'smarthost', 'tls'].includes(String(key)) && inside.length < 2) ||
    key === 'backup';
  const isOpen =
    (key === 'smarthost' && ['host', 'port'].includes(String(inside[0]))) ||
    (key === 'backup' && /^keep|hostKey/.test(String(inside[0]))) ||
    (key === 'tls' &&
      ['issuer', 'directory', 'contact', 'acceptTerms'].includes(String(inside[0])));
  if (namesSecret(path) || (mayHoldSecret && !isOpen)) return '';
  const value = valueAt(input, path);
  if (!['string', 'number', 'boolean'].includes(typeof value)) return '';
  const text = JSON.stringify(value);
  return `= ${text.length > 80 ? `${text.slice(0, 80)}…` : text} `;
}

/** What stands at `path` in a structure; undefined where nothing does. */
export const valueAt = (input: unknown, path: PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (value, part) => (value as Record<PropertyKey, unknown> | null | undefined)?.[part],
    input,
  );

/** A path as `pulumi config set --path` takes it, e.g. `accounts[0].aliases`. */
export function pathText(path: PropertyKey[]): string {
  return path
    .map((p, i) => (typeof p === 'number' ? `[${p}]` : `${i > 0 ? '.' : ''}${String(p)}`))
    .join('');
}
