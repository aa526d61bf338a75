import { isDeepStrictEqual } from 'node:util';
import * as pulumi from '@pulumi/pulumi';
import { describe, expect, it } from 'vitest';
import type { MailHostArgs } from '../components/mailHostArgs';
import { plannedStep, type Properties } from '../components/review/planned';
import { reviewOf } from '../components/review/review';
import { fieldsOf, itemOf, type Field } from '../components/settings/fields';
import { settingsShape } from '../components/settings/settings';
import { planned } from './cli/wholePlan';
import { example, sshKey } from './example';
import type { Recorded } from './mocks';

/** Every setting that has a value of its own, without the places in lists, e.g. `accounts.quota`. */
function settingsIn(field: Field, path = ''): string[] {
  const inner = Object.entries(fieldsOf(itemOf(field) ?? field));
  return inner.length === 0
    ? [path]
    : inner.flatMap(([name, one]) => settingsIn(one, path ? `${path}.${name}` : name));
}

const plans: [Partial<MailHostArgs>, Promise<Recorded[]>][] = [];
const kept = (args: Partial<MailHostArgs>) => {
  const plan: (typeof plans)[number] = [args, planned(args)];
  plans.push(plan);
  return plan;
};

/** The review in the preview of a change, as the program makes it. */
async function reviewed(before: Partial<MailHostArgs>, after: Partial<MailHostArgs>) {
  const old = await (plans.find(([args]) => isDeepStrictEqual(args, before)) ?? kept(before))[1];
  const next = await planned(after);
  const idOf = ({ type, name }: Recorded) => `${type}::${name}`;
  const properties = ({ inputs }: Recorded): Properties =>
    Object.fromEntries(
      Object.entries(inputs).map(([key, value]) => [
        key,
        {
          value: (pulumi.runtime.isRpcSecret(value)
            ? pulumi.runtime.unwrapRpcSecret(value)
            : value) as unknown,
          isSecret: pulumi.runtime.isRpcSecret(value),
        },
      ]),
    );
  const byId = (all: Recorded[]) => new Map(all.map((one) => [idOf(one), one]));
  const [from, to] = [byId(old), byId(next)];
  const steps = [...new Set([...from.keys(), ...to.keys()])].flatMap((id) => {
    const [one, two] = [from.get(id), to.get(id)];
    if (one && two && isDeepStrictEqual(properties(one), properties(two))) return [];
    const { type, name } = (two ?? one)!;
    const step = plannedStep(
      {
        op: one ? 'update' : 'create',
        urn: `urn:pulumi:test::mail::mailhost:index:MailHost$${id}`,
        type,
        name,
        before: one && properties(one),
        after: properties((two ?? one)!),
      },
      ['mail-'],
    );
    return [two ? step : { ...step, op: 'delete', after: undefined }];
  });
  return reviewOf({ stack: '', steps, diagnostics: [], outputs: {} });
}

interface Change {
  /** Settings before. Default: those of the example. */
  from?: Partial<MailHostArgs>;
  to: Partial<MailHostArgs>;
  says: RegExp;
  /** It changes what others say, too. */
  isAlone?: true;
}

interface NoEffect {
  /** Why nobody notices. */
  noEffect: string;
  from?: Partial<MailHostArgs>;
  to?: Partial<MailHostArgs>;
}

/** Cases of one plan: those that begin alike, and change different settings. */
interface Group {
  from: Partial<MailHostArgs>;
  to: Partial<MailHostArgs>;
  cases: [string, Change | NoEffect][];
}

/** A plan takes a second, so that one has all that fits into it. */
function groupsOf(all: typeof table): [string, Group][] {
  const groups: (Group & { isFull: boolean })[] = [];
  for (const [setting, one] of Object.entries(all)) {
    const { from = {}, to } = one;
    if (to === undefined) continue;
    const isSilent = !('says' in one);
    const changed = Object.keys({ ...from, ...to }).filter(
      (key) => !isDeepStrictEqual(from[key as never], to[key as never]),
    );
    const isAlone = 'says' in one && (one.isAlone === true || changed.some((key) => key in from));
    const group = groups.find(
      ({ from: before, to: after, cases, isFull }) =>
        !isFull &&
        !isAlone &&
        isDeepStrictEqual(before, from) &&
        cases.every(([, other]) => 'says' in other !== isSilent) &&
        changed.every((key) => !(key in after)),
    );
    if (group) {
      Object.assign(group.to, to);
      group.cases.push([setting, one]);
    } else groups.push({ from, to: { ...to }, cases: [[setting, one]], isFull: isAlone });
  }
  return groups.map((group) => [group.cases.map(([setting]) => setting).join(', '), group]);
}

const [anna, bert] = example.accounts!;
const [org, net] = example.domains;
const withAnna = (more: Partial<NonNullable<typeof anna>>) => ({
  accounts: [{ ...anna!, ...more }, bert!],
});
const withOrg = (more: Partial<NonNullable<typeof org>>) => ({
  domains: [{ ...org!, ...more }, net!],
});
const team = (...recipients: string[]) => ({
  aliases: [{ address: 'team@example.org', recipients }],
});
const senders = example.domains.map((domain) => ({ ...domain, spf: ['ip4:192.0.2.1'] }));
const smarthost = (more: object = {}) => ({
  domains: senders,
  smarthost: { host: 'smtp.remote.example', username: 'one', password: 'word-1', ...more },
});
const backup = (more: object = {}) => ({
  backup: {
    repository: 'sftp:backup@backup.example:/mail',
    password: 'first-password',
    hostKey: sshKey,
    ...more,
  },
});
const acme = (more: object = {}) => ({
  tls: { issuer: 'acme' as const, acceptTerms: true, ...more },
});
const machine = (more: object = {}) => ({
  machine: {
    ipv4: '192.0.2.7',
    ipv6: '2001:db8::7',
    sshHostKey: sshKey,
    sshPrivateKey: openSsh('one'),
    ...more,
  },
});
const openSsh = (end: string) =>
  `-----BEGIN OPENSSH PRIVATE KEY-----\n${Buffer.from(`openssh-key-v1\0\0\0\0\x04none ${end} and more`, 'latin1').toString('base64')}\n-----END OPENSSH PRIVATE KEY-----`;
const other = `$6$saltsaltsaltsalt$${'b'.repeat(86)}`;

/** Each setting, and what a change of it means to people, or why it means nothing to them. */
const table: Record<string, Change | NoEffect> = {
  hostName: {
    isAlone: true,
    to: { hostName: 'mx.example.org' },
    says: /^the host is mx\.example\.org instead of mail\.example\.org: mail clients/,
  },
  'domains.name': {
    to: { domains: [...example.domains, { name: 'example.com' }] },
    says: /^accepts mail for example\.com$/,
  },
  'domains.zone': { noEffect: 'the same records are in a zone of another name or id' },
  'domains.parked': {
    to: { domains: [org!, { ...net!, parked: true }], accounts: [{ ...anna!, aliases: [] }] },
    says: /^other systems send no mail to example\.net, which has a null MX$/,
  },
  'domains.delivery': {
    from: withOrg({ delivery: 'elsewhere' }),
    to: {},
    says: /^mail that begins here for example\.org is delivered here$/,
  },
  'domains.catchAll': {
    to: withOrg({ catchAll: 'anna@example.org' }),
    says: /^mail for unknown recipients of example\.org goes to anna@example\.org$/,
  },
  'domains.spf': {
    to: withOrg({ spf: ['ip4:192.0.2.1'] }),
    says: /^senders at ip4:192\.0\.2\.1 may send as example\.org \(SPF\)$/,
  },
  'domains.dmarcPolicy': {
    to: withOrg({ dmarcPolicy: 'none' }),
    says: /^receivers are asked to let pass mail in the name of example\.org that fails DMARC, instead of to reject it$/,
  },
  'domains.dkimGeneration': {
    to: withOrg({ dkimGeneration: 2 }),
    says: /^signs with the DKIM key s2 instead of s1: example\.org$/,
  },
  'accounts.address': {
    isAlone: true,
    to: { accounts: [anna!] },
    says: /^removes the account bert@example\.net: logins end/,
  },
  'accounts.passwordHash': {
    to: withAnna({ passwordHash: other }),
    says: /^changes the password of anna@example\.org: mail clients log in again, with the new one$/,
  },
  'accounts.aliases': {
    to: withAnna({ aliases: [...anna!.aliases!, 'new@example.org'] }),
    says: /^mail for new@example\.org goes to anna@example\.org$/,
  },
  'accounts.sendAs': {
    to: { ...team('bert@example.net'), ...withAnna({ sendAs: ['team@example.org'] }) },
    says: /^anna@example\.org may send as team@example\.org$/,
  },
  'accounts.quota': {
    to: withAnna({ quota: 5000 }),
    says: /^gives the mailbox of anna@example\.org 5000 MB instead of 2000 MB/,
  },
  'aliases.address': {
    from: team('anna@example.org'),
    to: {},
    says: /^mail for team@example\.org is refused$/,
  },
  'aliases.recipients': {
    from: team('anna@example.org'),
    to: team('anna@example.org', 'bert@example.net'),
    says: /^mail for team@example\.org goes to anna@example\.org, bert@example\.net instead of anna@example\.org$/,
  },
  postmaster: {
    to: { postmaster: 'bert@example.net' },
    says: /^mail for root and for the role addresses goes to bert@example\.net/,
  },
  accountKind: {
    isAlone: true,
    to: { accountKind: 'system' },
    says: /^makes each account a system user of the host$/,
  },
  quota: {
    to: { quota: 0 },
    says: /^gives the mailboxes of anna@example\.org, bert@example\.net no limit instead of 2000 MB$/,
  },
  messageSize: {
    to: { messageSize: 50 },
    says: /^refuses messages larger than 50 MB, received or sent; the limit was 35 MB$/,
  },
  spamTagLevel: {
    to: { spamTagLevel: 3 },
    says: /^marks mail as spam in its headers from a score of 3 /,
  },
  spamJunkLevel: { to: { spamJunkLevel: 9 }, says: /^treats mail as junk from a score of 9 / },
  spamAction: { to: { spamAction: 'hold' }, says: /^junk is held instead of filed into Junk$/ },
  antivirus: { to: { antivirus: true }, says: /^ClamAV scans all mail for viruses/ },
  virusAction: {
    from: { antivirus: true },
    to: { antivirus: true, virusAction: 'drop' },
    says: /^mail with a virus is dropped instead of held$/,
  },
  enforceDmarc: {
    to: { enforceDmarc: false },
    says: /^no longer treats mail as spam because it fails DMARC$/,
  },
  messagesPerHour: {
    to: { messagesPerHour: 100 },
    says: /^a login may send 100 messages in an hour instead of 200$/,
  },
  recipientsPerDay: {
    to: { recipientsPerDay: 2000 },
    says: /^a login may send to 2000 recipients in a day instead of 1000$/,
  },
  newRecipientsPerDay: {
    to: { newRecipientsPerDay: 50 },
    says: /^a login may send to 50 recipients in a day that it never wrote to, instead of 200$/,
  },
  'smarthost.host': {
    from: { domains: senders },
    to: smarthost(),
    says: /^sends all mail through smtp\.remote\.example:587 instead of directly/,
  },
  'smarthost.port': {
    from: smarthost(),
    to: smarthost({ port: 465 }),
    says: /^sends all mail through smtp\.remote\.example:465 instead of smtp\.remote\.example:587$/,
  },
  'smarthost.username': {
    from: smarthost(),
    to: smarthost({ username: 'two' }),
    says: /^the host logs in at the smarthost with other credentials$/,
  },
  'smarthost.password': {
    from: smarthost(),
    to: smarthost({ password: 'word-2' }),
    says: /^the host logs in at the smarthost with other credentials$/,
  },
  'tls.issuer': { isAlone: true, to: acme(), says: /^gets certificates for mail\.example\.org, / },
  'tls.directory': {
    from: acme(),
    to: acme({ directory: 'https://acme-staging-v02.api.letsencrypt.org/directory' }),
    says: /^certificates come from https:\/\/acme-staging-v02/,
  },
  'tls.contact': {
    from: acme(),
    to: acme({ contact: 'bert@example.net' }),
    says: /^the certificate authority writes to bert@example\.net instead of anna@example\.org$/,
  },
  'tls.acceptTerms': { noEffect: 'without it nothing is deployed' },
  'tls.chain': { noEffect: 'its private key changes with it, and says more' },
  'tls.privateKey': { noEffect: 'as tlsGeneration: the TLS key is another one' },
  web: {
    isAlone: true,
    to: { web: false },
    says: /^mail clients no longer find their configuration at autoconfig and autodiscover/,
  },
  metrics: {
    from: { adminNetworks: ['192.0.2.0/24'] },
    to: { adminNetworks: ['192.0.2.0/24'], metrics: true },
    says: /^serves figures about mail to Prometheus, at \/metrics, to the networks in adminNetworks$/,
  },
  dns: { noEffect: 'the operator publishes the same records' },
  dnssec: {
    from: { dnssec: false },
    to: {},
    says: /^signs the zone: DNSSEC counts once its DS record is at the registrar$/,
  },
  dmarcReports: {
    to: { dmarcReports: 'bert@example.net' },
    says: /^DMARC reports on example\.net, example\.org go to bert@example\.net$/,
  },
  mtaSts: {
    from: acme(),
    to: { ...acme(), mtaSts: 'enforce' },
    says: /^the MTA-STS policy is enforce instead of testing: senders that follow it do not deliver/,
  },
  dkimGeneration: {
    to: { dkimGeneration: 2 },
    says: /^signs with the DKIM key s2 instead of s1: example\.net, example\.org$/,
  },
  dkimCompromised: {
    noEffect: 'it needs a record that is published already: test/cli/risk.test.ts has its effect',
  },
  dkimRetention: {
    to: { dkimRetention: '30d' },
    says: /^DKIM signatures are valid for 30 days instead of 21 days$/,
  },
  queueLifetime: {
    to: { queueLifetime: '36h' },
    says: /^returns what cannot be delivered to its sender after 36 hours instead of 4 days$/,
  },
  tlsGeneration: { noEffect: 'all keys are one under mocks: the last test has its effect' },
  'backup.repository': {
    from: backup(),
    to: backup({ repository: 'sftp:backup@other.example:/mail' }),
    says: /^backs up to sftp:backup@other\.example:\/mail instead of /,
  },
  'backup.password': {
    from: backup(),
    to: backup({ password: 'second-password' }),
    says: /^backups are opened with another password/,
  },
  'backup.environment': {
    from: backup({ environment: { AWS_ACCESS_KEY_ID: 'first-key' } }),
    to: backup({ environment: { AWS_ACCESS_KEY_ID: 'second-key' } }),
    says: /^the host logs in at the repository's server with other credentials$/,
  },
  'backup.hostKey': {
    from: backup(),
    to: backup({ hostKey: sshKey.replace('IIGPhV', 'IIGPhW') }),
    says: /^expects another SSH host key of the repository's server$/,
  },
  'backup.keepDaily': {
    from: backup(),
    to: backup({ keepDaily: 14 }),
    says: /^keeps 14 daily snapshots of the backup instead of 7$/,
  },
  'backup.keepWeekly': {
    from: backup(),
    to: backup({ keepWeekly: 1 }),
    says: /^keeps 1 weekly snapshots of the backup instead of 5$/,
  },
  'backup.keepMonthly': {
    from: backup(),
    to: backup({ keepMonthly: 1 }),
    says: /^keeps 1 monthly snapshots of the backup instead of 12$/,
  },
  restore: {
    from: backup(),
    to: { ...backup(), restore: 'latest' },
    says: /^an empty volume is filled from the snapshot latest of the backup$/,
  },
  serverGeneration: {
    noEffect: 'the engine replaces the server: test/cli/risk.test.ts has its effect',
  },
  standbyServer: { noEffect: 'a warning says what the step does: test/servers.test.ts' },
  serverType: {
    to: { serverType: 'cx33' },
    says: /^turns the server off and on to resize it/,
  },
  location: { noEffect: 'a change of what exists is blocked' },
  volumeSize: {
    to: { volumeSize: 50 },
    says: /^mail and queue have 50 GB of room instead of 20 GB$/,
  },
  ipv6: { to: { ipv6: false }, says: /^the host no longer has its IPv6 address$/ },
  'machine.ipv4': {
    from: machine(),
    to: machine({ ipv4: '192.0.2.8' }),
    says: /^every resolver has the change of mail\.example\.org A/,
  },
  'machine.ipv6': {
    from: machine(),
    to: machine({ ipv6: '2001:db8::8' }),
    says: /^every resolver has the change of mail\.example\.org AAAA/,
  },
  'machine.sshHostKey': {
    noEffect: 'only Pulumi logs in with it',
    from: machine(),
    to: machine({ sshHostKey: sshKey.replace('IIGPhV', 'IIGPhW') }),
  },
  'machine.sshPrivateKey': {
    noEffect: 'only Pulumi logs in with it',
    from: machine(),
    to: machine({ sshPrivateKey: openSsh('two') }),
  },
  'machine.volumeDevice': { noEffect: 'a change of what exists stops the update' },
  'machine.serverId': {
    noEffect: 'everything is deployed again, as it is',
  },
  adminSshKeys: {
    to: { adminSshKeys: [`${sshKey} admin`] },
    says: /^root can log in by SSH with one more key: …\S+ admin$/,
  },
  adminNetworks: {
    to: { adminNetworks: ['192.0.2.0/24'] },
    says: /^SSH can be reached from 192\.0\.2\.0\/24 instead of 0\.0\.0\.0\/0, ::\/0$/,
  },
  drift: { noEffect: 'it is about the next update', to: { drift: 'stop' } },
  driftAccepted: { noEffect: 'it is about the next update', to: { driftAccepted: ['a user'] } },
  protect: { noEffect: 'it is about what the engine may delete', to: { protect: false } },
  review: { noEffect: 'it is about previews', to: { review: 'full' } },
  confirm: { noEffect: 'it allows other changes', to: { confirm: ['remove x@example.org'] } },
};

describe('a review', () => {
  it('knows each setting', () => {
    expect(Object.keys(table).sort()).toEqual(settingsIn(settingsShape).sort());
  });

  it.each(groupsOf(table))(
    'says what a change means to people, of each of %s',
    async (_, { from, to, cases }) => {
      const { effects } = await reviewed(from, to);
      const found = effects.filter(({ kind }) => kind !== 'note').map(({ what }) => what);
      for (const [setting, one] of cases)
        if ('says' in one)
          expect(
            found.filter((what) => one.says.test(what)),
            `${setting}: ${found.join('\n')}`,
          ).toHaveLength(1);
        else expect([setting, found]).toEqual([setting, []]);
    },
  );

  it('says that the TLS key is another one', () => {
    const inputs = (text: string): Properties => ({
      create: { value: `mailhost stage tls --tag ${text}`, isSecret: false },
      stdin: {
        value: JSON.stringify({
          '/etc/ssl/mailhost/privkey.pem': { mode: '0600', owner: 'root:root', text },
        }),
        isSecret: true,
      },
    });
    const step = plannedStep(
      {
        op: 'update',
        urn: 'urn:pulumi:test::mail::mailhost:index:MailHost$command:remote:Command::mail-tls-secrets',
        type: 'command:remote:Command',
        name: 'mail-tls-secrets',
        before: inputs('a1'),
        after: inputs('b2'),
      },
      ['mail-'],
    );
    const { effects } = reviewOf({ stack: '', steps: [step], diagnostics: [], outputs: {} });
    expect(effects.map(({ what }) => what)).toContainEqual(
      expect.stringMatching(/^the TLS key is another one/),
    );
  });
});
