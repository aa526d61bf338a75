import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { works } from '../../components/review/pushes';
import { heldMail, replacedServer } from '../../components/review/measured';
import { parsePlan } from '../../cli/review/plan';
import { reviewOf } from '../../components/review/review';
import { push, reviewOfSteps, sampleNames, sampleReview, step } from './samples';

const record = (type: string, name: string, ttl = 300) => ({
  type,
  name,
  ttl,
  content: '192.0.2.1',
});
const dns = 'cloudflare:index/dnsRecord:DnsRecord';
const server = 'hcloud:index/server:Server';
const signing = 'cloudflare:index/zoneDnssec:ZoneDnssec';

describe('the mark', () => {
  it('of each real preview is', () => {
    expect(Object.fromEntries(sampleNames.map((name) => [name, sampleReview(name).mark]))).toEqual({
      adminNetworks: 'risky',
      antivirus: 'harmless',
      blocked: 'blocked',
      dkimGeneration: 'harmless',
      hostName: 'risky',
      invalidSettings: 'blocked',
      newAccount: 'harmless',
      newDomain: 'harmless',
      newPassword: 'harmless',
      nothing: 'harmless',
      removedDomain: 'risky',
      serverGeneration: 'risky',
      serverType: 'risky',
      spamTagLevel: 'harmless',
      threeChanges: 'risky',
      volumeSize: 'harmless',
      webOff: 'risky',
    });
  });

  it.each<[string, string, object | undefined, object | undefined, string]>([
    ['a new record', dns, undefined, record('MX', 'a.example'), 'harmless'],
    ['a record that is gone', dns, record('TXT', 'a.example'), undefined, 'risky'],
    ['another address', dns, record('A', 'a.example'), record('A', 'a.example', 60), 'risky'],
    ['another TXT', dns, record('TXT', 'a.example'), record('TXT', 'a.example', 60), 'harmless'],
    [
      'another DKIM record',
      dns,
      record('TXT', 's1._domainkey.a.example'),
      record('TXT', 's1._domainkey.a.example', 60),
      'risky',
    ],
    ['a server that is resized', server, { serverType: 'a' }, { serverType: 'b' }, 'risky'],
    ['a server that is renamed', server, { name: 'a' }, { name: 'b' }, 'harmless'],
    ['a server that is gone', server, {}, undefined, 'risky'],
    ['a larger volume', 'hcloud:index/volume:Volume', { size: 1 }, { size: 2 }, 'harmless'],
    ['a volume that is gone', 'hcloud:index/volume:Volume', {}, undefined, 'risky'],
    ['an address that is gone', 'hcloud:index/primaryIp:PrimaryIp', {}, undefined, 'risky'],
    ['a key that is gone', 'tls:index/privateKey:PrivateKey', {}, undefined, 'risky'],
    ['a new key', 'tls:index/privateKey:PrivateKey', undefined, {}, 'harmless'],
    [
      'DNSSEC that Cloudflare confirms',
      signing,
      { status: 'pending' },
      { status: 'active' },
      'harmless',
    ],
    ['DNSSEC that is switched off', signing, { status: 'active' }, { status: 'disabled' }, 'risky'],
    ['firewall rules', 'hcloud:index/firewall:Firewall', { rules: [1] }, { rules: [] }, 'risky'],
    ['a resource without a rule', 'aws:s3/bucket:Bucket', undefined, {}, 'risky'],
    [
      'a push without a rule',
      'command:remote:Command',
      { create: 'mailhost activate telepathy', stdin: 'a' },
      { create: 'mailhost activate telepathy', stdin: 'b' },
      'risky',
    ],
    [
      'a push that is no longer wanted',
      'command:remote:Command',
      { create: 'mailhost activate web' },
      undefined,
      'risky',
    ],
  ])('of %s', (_, type, before, after, mark) => {
    const op = before && after ? 'update' : before ? 'delete' : 'create';
    const review = reviewOfSteps(step(type, op, before as never, after as never));
    expect(review.sections.flatMap(({ changes }) => changes.map((one) => one.mark))).toEqual([
      mark,
    ]);
    expect(review.mark).toBe(mark);
  });

  it.each(['Server', 'Volume', 'PrimaryIp', 'Rdns', 'Firewall', 'SshKey', 'VolumeAttachment'])(
    'of a replaced %s is risky',
    (kind) => {
      const type = `hcloud:index/${kind[0]!.toLowerCase()}${kind.slice(1)}:${kind}`;
      expect(reviewOfSteps(step(type, 'replace', { a: 1 }, { a: 2 })).mark).toBe('risky');
    },
  );

  it.each([
    ['error', 'blocked'],
    ['warning', 'risky'],
    ['info', 'harmless'],
    ['info#err', 'harmless'],
  ])(
    'of a change with a message of severity %s is %s, and the message is in it',
    (severity, mark) => {
      const plan = {
        steps: [step('tls:index/certRequest:CertRequest', 'update', { a: 1 }, { a: 2 })],
        diagnostics: [{ severity, message: `${severity}: look at this\n` }],
      };
      const review = reviewOf(parsePlan(JSON.stringify(plan)));
      expect(review.mark).toBe(mark);
      // Where nothing changes, a warning is nothing that a review could stop.
      const unchanged = reviewOf(parsePlan(JSON.stringify({ ...plan, steps: [] })));
      expect(unchanged.mark).toBe(severity === 'error' ? 'blocked' : 'harmless');
      expect([...review.blockers, ...review.warnings, ...review.notes].join()).toContain(
        'look at this',
      );
    },
  );
});

describe('the effects', () => {
  const effects = (name: string) =>
    sampleReview(name).effects.map(({ what, after }) => `${after ?? ''} ${what}`.trim());

  it('of a push name what is restarted, and what is not, not', () => {
    expect(effects('spamTagLevel')).toEqual([
      `restarts spamd once and amavis twice; mail waits in the queue until amavis answers (measured: up to ${heldMail.spamassassin} s, then ${heldMail.amavis} s)`,
      'marks mail as spam in its headers from a score of 3 instead of 2',
      'checks at the end that mail works',
    ]);
  });

  it('of files that a daemon takes over while it runs name no restart', () => {
    const effectsOf = (...steps: Parameters<typeof reviewOfSteps>) =>
      reviewOfSteps(...steps).effects.map(({ what }) => what);
    const users = '/etc/dovecot/users';
    const [reread, restarted] = [
      /^updates the accounts of Dovecot while it runs/,
      /^restarts Dove/,
    ];
    expect(effectsOf(push({ [users]: 'a' }, { [users]: 'b' }))).toEqual([
      expect.stringMatching(reread),
    ]);
    expect(effectsOf(push({ [users]: 'a' }, { [users]: 'b', '/etc/dovecot/x': '' }))).toEqual([
      expect.stringMatching(restarted),
    ]);
    // A new server has no files yet.
    const again = step(
      'command:remote:Command',
      'replace',
      { create: 'mailhost activate dovecot', stdin: '{}' },
      { create: 'mailhost activate dovecot', stdin: '{}' },
    );
    expect(effectsOf(again)).toEqual([expect.stringMatching(restarted)]);
    expect(effects('newAccount').filter((what) => what.startsWith('restarts'))).toEqual([]);
  });

  it('say what a change means to people', () => {
    const dovecot = sampleReview('removedDomain').sections.find(({ title }) => title === 'Dovecot');
    expect(dovecot!.changes.map(({ mark }) => mark)).toContain('risky');
    const meaning = (name: string) =>
      effects(name).filter(
        (what) => !/^\d|^(?:restarts|reloads|updates the|checks|replaces the rules)/.test(what),
      );
    expect(meaning('newAccount')).toEqual([
      'adds the account carl@example.org: it can log in, and receives mail',
    ]);
    expect(meaning('removedDomain')).toEqual([
      'removes the account bert@example.net: logins end, and mail is no longer delivered to the mailbox',
      'refuses mail for example.net',
      'other systems no longer send mail for example.net to mail.example.org',
    ]);
    expect(meaning('threeChanges')).toEqual([
      'mail for root and for the role addresses goes to bert@example.net instead of anna@example.org',
      'marks mail as spam in its headers from a score of 3 instead of 2',
      'senders at ip4:192.0.2.1 may send as example.org (SPF)',
    ]);
    expect(meaning('nothing')).toEqual([]);
  });

  it('of another key name it for each domain, and the time from which all find its record', () => {
    expect(effects('dkimGeneration').slice(1, 3)).toEqual([
      'signs with the DKIM key s2 instead of s1, whose record stays for mail that is on its way: example.net, example.org',
      '1800 every resolver finds the new s3._domainkey.example.net TXT, s3._domainkey.example.org TXT',
    ]);
    const { calendar } = sampleReview('dkimGeneration');
    expect(calendar).toMatchObject([
      { domain: 'example.net', signs: 's1', next: 's2', retired: {} },
      { domain: 'example.org', signs: 's1', next: 's2', retired: {} },
    ]);
    for (const { since } of calendar) expect(since).toMatch(/^2026-11-30T/);
  });

  it('say that a DKIM key is revoked, of all domains in one sentence', () => {
    const key = (domain: string, text: string) => ({
      type: 'TXT',
      name: `s1._domainkey.${domain}`,
      ttl: 300,
      content: `"v=DKIM1; ${text}"`,
    });
    const { effects: found } = reviewOfSteps(
      ...['a.example', 'b.example'].map((domain) =>
        step(dns, 'update', key(domain, 'k=rsa; p=MII'), key(domain, 'p=')),
      ),
    );
    expect(found.map(({ what }) => what)).toContain(
      'revokes the DKIM key s1 of a.example, b.example: its signatures are no longer valid',
    );
  });

  it('come in the order of what they stop, what others remember, and notes', () => {
    for (const name of sampleNames) {
      const found = sampleReview(name).effects.map(({ kind }) => kind);
      const order = ['stops', 'means', 'remembered', 'note'];
      expect([...found].sort((a, b) => order.indexOf(a) - order.indexOf(b))).toEqual(found);
    }
    expect(effects('webOff')[0]).toBe('stops nginx');
    expect(effects('newPassword')[0]).toMatch(
      /^changes passwords of accounts: mail clients log in/,
    );
  });

  it('of records go by the TTL of the old ones, in the order of time', () => {
    const review = reviewOfSteps(
      ...[7200, 60, 1].map((ttl) =>
        step(dns, 'update', record('A', `t${ttl}.example`, ttl), record('A', `t${ttl}.example`, 5)),
      ),
    );
    expect(review.effects.map(({ after, what }) => [after, what])).toEqual([
      [60, 'every resolver has the change of t60.example A'],
      [300, 'every resolver has the change of t1.example A'],
      [7200, 'every resolver has the change of t7200.example A'],
    ]);
  });

  it('name the times that were measured, and no other', () => {
    const [replaced, restarted] = reviewOfSteps(
      push({ '/a': 'a' }, { '/a': 'b' }),
      step(server, 'replace'),
    ).effects.map(({ what }) => what);
    expect(replaced).toContain(
      `(measured: up to ${replacedServer} s; a server at Hetzner boots more slowly)`,
    );
    expect(heldMail.dovecot).toBeUndefined();
    expect(restarted).toMatch(/^restarts Dovecot: /);
    expect(restarted).not.toContain('measured');
  });
});

it('gives for a push that is no daemon the reason that is its own', () => {
  const reasonOf = (push: string) =>
    reviewOfSteps(
      step(
        'command:remote:Command',
        'update',
        { create: `mailhost ${push}`, stdin: 'a' },
        { create: `mailhost ${push}`, stdin: 'b' },
      ),
    ).sections.flatMap(({ changes }) => changes.map(({ reason }) => reason));
  expect(reasonOf('prepare')).toEqual([expect.stringMatching(/^It restarts no daemon/)]);
  expect(reasonOf('activate firewall')).toEqual([expect.stringMatching(/^nft checks the rules/)]);
  expect(reasonOf('activate dovecot')).toEqual([expect.stringMatching(/^The daemon checks/)]);
});

it('has a rule for each push of the host program', () => {
  const folder = join(__dirname, '../../files/usr/local/lib/mailhost/daemons');
  const names = readdirSync(folder).flatMap(
    (file) => /^ {4}name = "(\w+)"$/m.exec(readFileSync(join(folder, file), 'utf8'))?.[1] ?? [],
  );
  expect(names.length).toBeGreaterThan(10);
  const pushes = [...works()].filter(([, { isTask }]) => !isTask).map(([name]) => name);
  expect(pushes.sort()).toEqual([...names, 'program', 'system'].sort());
});
