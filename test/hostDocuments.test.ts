import * as pulumi from '@pulumi/pulumi';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { caaValue } from '../components/acmeAccount';
import { $defs } from '../components/hostDocuments.schema.json';
import type { HostFiles } from '../components/hostFiles/files';
import { MailHost } from '../components/mailHost';
import type { MailHostArgs } from '../components/mailHostArgs';
import { example } from './example';
import { record } from './mocks';

type Name = keyof typeof $defs;

const documentOf = (name: Name) =>
  z.fromJSONSchema({ $ref: `#/$defs/${name}`, $defs } as Parameters<typeof z.fromJSONSchema>[0]);

/** Which document of the schema a command takes, by its first words. */
const ofCommand: [command: RegExp, name: Name][] = [
  [/^timeout 600 cloud-init .* python3 -c /, 'files'],
  [/^mailhost (prepare|stage|activate) /, 'files'],
  [/^mailhost check /, 'mail'],
  [/^mailhost records$/, 'records'],
];
const ofFile: Record<string, Name> = {
  '/etc/mailhost/certificates.json': 'certificates',
  '/etc/mailhost/dkim.json': 'dkim',
  '/etc/mailhost/dkim-keys.json': 'dkimKeys',
  '/usr/local/lib/mailhost/specs.json': 'specs',
};

/** Every document that a plan hands to the host, with where it was found. */
async function documents(change: Partial<MailHostArgs>) {
  const resources = await record(
    (opts) => void new MailHost('mail', { ...example, ...change }, opts),
  );
  return resources
    .filter(({ inputs }) => inputs.stdin !== undefined)
    .flatMap(({ name: place, inputs }) => {
      const command = pulumi.runtime.unwrapRpcSecret(inputs.create) as string;
      const document = JSON.parse(pulumi.runtime.unwrapRpcSecret(inputs.stdin) as string) as object;
      const [, name] = ofCommand.find(([pattern]) => pattern.test(command)) ?? [];
      const inFiles = Object.entries(name === 'files' ? (document as HostFiles) : {}).flatMap(
        ([path, { text }]) =>
          path in ofFile
            ? [{ place: path, name: ofFile[path], document: JSON.parse(text) as object }]
            : [],
      );
      return [{ place: `${place}: ${command.slice(0, 60)}`, name, document }, ...inFiles];
    });
}

describe('what the package hands to the host', () => {
  let all: Awaited<ReturnType<typeof documents>>;
  beforeAll(async () => {
    all = [
      ...(await documents({ dmarcReports: 'reports@collector.example' })),
      ...(await documents({
        accountKind: 'system',
        antivirus: true,
        serverType: 'cx33',
        dns: 'manual',
        tls: { issuer: 'acme', acceptTerms: true },
        backup: { repository: '/mnt/backup', password: 'x' },
      })),
    ];
  });

  it('is as the schema has it, which the host program is held to by documents_test.py', () => {
    for (const { place, name, document } of all) {
      expect(name, `${place} is not in the schema`).toBeDefined();
      expect(documentOf(name!).safeParse(document).error, place).toBeUndefined();
    }
  });

  it('is each document of the schema', () => {
    const given = new Set(all.map(({ name }) => name));
    const others = ['file', 'account', 'findings', 'figures', 'figuresSpan'];
    const ofImport = ['importJob', 'importFilesJob', 'importCopies', 'importLine', 'importNamed'];
    expect([...given, ...others, ...ofImport].sort()).toEqual(Object.keys($defs).sort());
  });
});

it('takes the account at the CA as the schema has it', () => {
  const uri = 'https://ca.example/acct/1';
  const account = { uri, caaIdentities: ['ca.example', 'other.example'] };
  expect(documentOf('account').parse(account)).toEqual(account);
  expect(caaValue('https://acme.ca.example/dir', JSON.stringify(account))).toBe(
    `ca.example; accounturi=${uri}; validationmethods=http-01`,
  );
});
