import { isCertificateChain, isPrivateKey } from './certificates';
import { CertificateIssuer, Delivery, DmarcPolicy } from './enums';
import {
  about,
  acmeDirectory,
  address,
  addresses,
  boolean,
  digitsAsText,
  domainName,
  generation,
  later,
  listOf,
  objectOf,
  oneOf,
  plainWord,
  quota,
  recipient,
  recordOf,
  secret,
  spfMechanism,
  sshPublicKey,
  text,
  wholeNumber,
  zone,
} from './forms';

export const domain = objectOf('a domain, with name', {
  name: domainName.meta(
    about({
      description: 'Its name. An international name may be in Unicode; its A-label form is used.',
      example: 'example.org',
    }),
  ),
  zone: zone.optional().meta(
    about({
      description: 'DNS zone of the domain: its name, or its id at Cloudflare.',
      fallback: 'the registrable domain',
      example: 'example.org',
    }),
  ),
  parked: boolean.default(false).meta(
    about({
      description:
        'Publish that the domain has no mail: null MX, SPF that allows no sender, DMARC reject.',
    }),
  ),
  delivery: oneOf('Delivery', Delivery)
    .default('here')
    .meta(
      about({
        description:
          'Where its mail is delivered: `here`; `elsewhere`, before a move, while another host has it: everything is prepared, and the MX and all other records in use stay; or `forward`, after a move to another host: what still arrives here is sent on to its MX. See moving.md.',
      }),
    ),
  catchAll: address.optional().meta(
    about({
      description: 'Catch-all: account or alias that receives mail for unknown recipients.',
      fallback: 'such mail is refused',
      example: 'anna@example.org',
    }),
  ),
  spf: listOf('SPF mechanisms', spfMechanism)
    .default([])
    .meta(
      about({
        description:
          'SPF mechanisms of other systems that send for the domain, published in its one SPF record after this host.',
        example: ['include:_spf.example.com'],
      }),
    ),
  dmarcPolicy: oneOf('DmarcPolicy', DmarcPolicy)
    .default('reject')
    .meta(about({ description: 'Policy for mail in its name that fails DMARC.' })),
  dkimGeneration: generation.optional().meta(
    about({
      description: 'Generation of its DKIM keys that signs.',
      fallback: 'the dkimGeneration of the mail host',
      example: 2,
    }),
  ),
}).meta(about({ title: 'DomainArgs', description: 'A hosted domain.' }));

export const account = objectOf('an account, with address and passwordHash', {
  address: address.meta(
    about({
      description: 'Address of the account, and the user name of its login.',
      example: 'anna@example.org',
    }),
  ),
  passwordHash: secret(
    'a yescrypt, sha512-crypt, sha256-crypt or bcrypt hash',
    isPasswordHash,
    '; make one with `openssl passwd -6`',
  ).meta(
    about({
      description:
        'Hash of its password, as `openssl passwd -6` prints it; yescrypt, sha512-crypt, sha256-crypt or bcrypt.',
      example: '$6$…',
    }),
  ),
  aliases: addresses.default([]).meta(
    about({
      description: 'Further addresses whose mail the account receives, and that it may send as.',
      example: ['info@example.org'],
    }),
  ),
  sendAs: addresses.default([]).meta(
    about({
      description: 'Further addresses that the account may send as, such as those of an alias.',
      example: ['team@example.org'],
    }),
  ),
  quota: quota.optional().meta(
    about({
      description: 'Size limit of its mailbox in MB, 0 for none.',
      fallback: 'the quota of the mail host',
      example: 5000,
    }),
  ),
}).meta(about({ title: 'AccountArgs', description: 'An account: a mailbox with a login.' }));

/** crypt(5): sha512-crypt, sha256-crypt, bcrypt, yescrypt; whole, and of a cost that does not stop the host. */
const hashForms = [
  /^\$6\$(?:rounds=[1-9]\d{3,6}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}$/,
  /^\$5\$(?:rounds=[1-9]\d{3,6}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{43}$/,
  /^\$2[by]\$(?:0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}$/,
  /^\$g?y\$[./A-Za-z0-9]{1,20}\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}$/,
];

/** Whether it is of a crypt(5) form that OpenSMTPD and Dovecot on Debian 13 both verify. */
function isPasswordHash(hash: string): boolean {
  return hashForms.some((form) => form.test(hash));
}

export const alias = objectOf('an alias, with address and recipients', {
  address: address.meta(
    about({ description: 'Address in a hosted domain.', example: 'team@example.org' }),
  ),
  recipients: listOf('mail addresses', recipient)
    .min(1, { error: 'is empty; name at least one address' })
    .meta(
      about({
        description: 'Accounts, aliases or addresses elsewhere that receive its mail.',
        example: ['anna@example.org'],
      }),
    ),
}).meta(
  about({ title: 'AliasArgs', description: 'An address whose mail is forwarded to recipients.' }),
);

export const smarthost = objectOf('a smarthost, with host, username and password', {
  host: later(domainName).meta(
    about({ description: 'Its name, as in its certificate.', example: 'smtp.example.com' }),
  ),
  port: later(wholeNumber(1, 65535))
    .default(587)
    .meta(
      about({
        description: 'TCP port: 465 with TLS from the start, any other with mandatory STARTTLS.',
        example: 465,
      }),
    ),
  username: later(
    digitsAsText(
      text(
        'text of 1 to 200 printable ASCII characters without a space or colon',
        /^[!-9;-~]{1,200}$/,
      ),
    ),
  ).meta(
    about({
      description: 'User name that this host logs in with.',
      shown: false,
      example: 'user@example.com',
    }),
  ),
  password: plainWord(200).meta(
    about({ description: 'Password of that user.', example: 'correct-horse-battery' }),
  ),
}).meta(
  about({ title: 'SmarthostArgs', description: 'A mail server that relays all outgoing mail.' }),
);

/** Variables that restic's back ends take their credentials from. */
const backupVariable =
  /^(?:AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|DEFAULT_REGION)|B2_ACCOUNT_(?:ID|KEY)|AZURE_ACCOUNT_(?:NAME|KEY|SAS)|AZURE_ENDPOINT_SUFFIX|(?:OS|ST)_[A-Z_]+|RESTIC_REST_(?:USERNAME|PASSWORD))$/;

export const backup = objectOf('a backup, with repository and password', {
  repository: later(
    text(
      'a repository of restic',
      /^(?:\/|(?:sftp|s3|rest|b2|azure|swift):)[!-~]+$/,
      '; write a path, sftp:user@host:/path, s3:https://host/bucket, rest:https://host/, b2:bucket:path, azure:container:/path or swift:container:/path',
    )
      .refine((url) => !/:\/\/[^/]*:[^/]*@/.test(url), {
        error: 'holds a password; set it as RESTIC_REST_PASSWORD in backup.environment',
      })
      .refine(
        (url) =>
          !/^rest:http:\/\//.test(url) ||
          /^rest:http:\/\/(?:127(?:\.\d{1,3}){3}|\[::1\])(?:[:/]|$)/.test(url),
        {
          error: 'sends the password unencrypted; write rest:https://',
        },
      ),
  ).meta(
    about({
      description:
        'Repository in the form of restic: `sftp:user@host:/path`, `s3:https://host/bucket`, `rest:https://host/`, `b2:bucket:path`, `azure:container:/path`, `swift:container:/path`, or a path on the host outside its disk and volume.',
      shown: false,
      example: 'sftp:backup@backup.example:/mail',
    }),
  ),
  password: plainWord(1000).meta(
    about({
      description: 'Password that encrypts the backups: they cannot be read without it.',
      example: 'correct-horse-battery',
    }),
  ),
  environment: recordOf(
    'an object of variables, e.g. AWS_ACCESS_KEY_ID',
    {
      pattern: backupVariable,
      error: 'is not a variable that a back end of restic reads, such as AWS_ACCESS_KEY_ID',
    },
    plainWord(1000),
  )
    .default({})
    .meta(
      about({
        description:
          "Credentials for the server of the repository, by the names of restic's variables.",
        secret: true,
        example: { AWS_ACCESS_KEY_ID: 'AKIA…' },
      }),
    ),
  hostKey: later(sshPublicKey('a host key as ssh-keyscan prints it, without the host name'))
    .optional()
    .meta(
      about({
        description: 'SSH host key of the server of an `sftp:` repository, which needs it.',
        example: 'ssh-ed25519 AAAA…',
      }),
    ),
  keepDaily: wholeNumber(1, 1000)
    .default(7)
    .meta(about({ description: 'Number of days whose last snapshot is kept.', example: 14 })),
  keepWeekly: wholeNumber(0, 1000)
    .default(5)
    .meta(about({ description: 'Number of weeks whose last snapshot is kept.', example: 8 })),
  keepMonthly: wholeNumber(0, 1000)
    .default(12)
    .meta(about({ description: 'Number of months whose last snapshot is kept.', example: 24 })),
}).meta(
  about({
    title: 'BackupSettingsArgs',
    description: 'Where the mail is backed up to, with restic.',
  }),
);

export const tls = objectOf('an object, with issuer', {
  issuer: oneOf('CertificateIssuer', CertificateIssuer)
    .default('acme')
    .meta(
      about({
        description:
          'Issuer of the certificates: `acme`, a public CA; `selfSigned`, a CA of the stack; `provided`, `chain` and `privateKey` are given.',
      }),
    ),
  directory: acmeDirectory.default('https://acme-v02.api.letsencrypt.org/directory').meta(
    about({
      description: "Directory of the ACME CA. The default is Let's Encrypt's.",
      example: 'https://acme-staging-v02.api.letsencrypt.org/directory',
    }),
  ),
  contact: recipient.optional().meta(
    about({
      description: 'Address that the ACME CA may write to.',
      fallback: 'the postmaster',
      example: 'anna@example.org',
    }),
  ),
  acceptTerms: boolean.default(false).meta(
    about({
      description: 'Accept the terms of the ACME CA. Required for `acme`.',
    }),
  ),
  chain: secret('the PEM of the certificate followed by those of its issuers', isCertificateChain)
    .optional()
    .meta(
      about({
        description: 'With `provided`: PEM of the certificate followed by those of its issuers.',
        secret: false,
        shown: false,
        file: 'fullchain.pem',
        example: '-----BEGIN CERTIFICATE-----…',
      }),
    ),
  privateKey: secret('the PEM of an unencrypted private key', isPrivateKey)
    .optional()
    .meta(
      about({
        description: 'With `provided`: PEM of the private key, not encrypted.',
        file: 'privkey.pem',
        example: '-----BEGIN PRIVATE KEY-----…',
      }),
    ),
}).meta(about({ title: 'TlsArgs', description: 'The TLS certificates of the host.' }));
