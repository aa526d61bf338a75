import { describe, expect, it } from 'vitest';
import type { Change } from '../../components/review/changes';
import { push, reviewOfSteps, sampleReview, step } from './samples';

/** What changes, by part: each text with its place. */
const editsOf = (changes: Change[]) =>
  changes.flatMap(({ edits }) =>
    edits.map(({ at, before, after, isSecret }) => (isSecret ? [at] : [at, before, after])),
  );
const partsOf = (name: string) =>
  Object.fromEntries(sampleReview(name).sections.map(({ title, changes }) => [title, changes]));
const only = (...steps: object[]) => reviewOfSteps(...steps).sections.flatMap((s) => s.changes);

const secret = '[secret]';
const unknown = '04da6b54-80e4-46f7-96ec-b56ff0331ba9';
const bucket = 'aws:s3/bucket:Bucket';

describe('a real preview', () => {
  it('of another spam level has two files of two daemons', () => {
    const parts = partsOf('spamTagLevel');
    expect(Object.keys(parts)).toEqual(['SpamAssassin', 'amavis']);
    expect(editsOf(parts.SpamAssassin!).map(([at]) => at)).toEqual(['/etc/spamassassin/local.cf']);
    expect(editsOf(parts.amavis!).map(([at]) => at)).toEqual(['/etc/amavis/conf.d/60-mailhost']);
  });

  it('of another password has the secrets of two daemons, and no file', () => {
    expect(editsOf(Object.values(partsOf('newPassword')).flat())).toEqual([['stdin'], ['stdin']]);
  });

  it('of another domain has each of its records, its keys and its signing', () => {
    const parts = partsOf('newDomain');
    expect(editsOf(parts.DNS!)).toEqual(
      expect.arrayContaining([
        ['example.com MX', undefined, 'example.com. 300 MX 10 mail.example.org'],
        [
          '_imaps._tcp.example.com SRV',
          undefined,
          '_imaps._tcp.example.com. 300 SRV 0 1 993 mail.example.org',
        ],
        [
          's1._domainkey.example.com TXT',
          undefined,
          's1._domainkey.example.com. 300 TXT (known after the change)',
        ],
      ]),
    );
    expect(parts.DNS!.map(({ action }) => action)).toEqual(parts.DNS!.map(() => 'add'));
    expect(parts.DNS!.filter(({ record }) => record)).toHaveLength(12);
    expect(parts['Keys and certificates']!.map(({ name }) => name)).toEqual([
      'mail-example.com-s1',
      'mail-example.com-s2',
    ]);
  });

  it('of another host name has its reverse DNS and each record with its old and new content', () => {
    const { DNS, Server } = partsOf('hostName');
    expect(editsOf(DNS!)).toContainEqual([
      'example.org MX',
      'example.org. 300 MX 10 mail.example.org',
      'example.org. 300 MX 10 mx.example.org',
    ]);
    expect(editsOf(Server!)).toContainEqual(['dnsPtr', 'mail.example.org', 'mx.example.org']);
  });

  it('of a new server has the server and its volume, and names the pushes that are repeated', () => {
    const review = sampleReview('serverGeneration');
    expect(review.sections.map(({ title }) => title)).toEqual(['Server']);
    expect(review.sections[0]!.changes.map(({ type, action }) => [type, action])).toEqual([
      ['hcloud:index/server:Server', 'replace'],
      ['hcloud:index/volumeAttachment:VolumeAttachment', 'replace'],
    ]);
    expect(review.effects.map(({ what }) => what)).toContainEqual(
      expect.stringMatching(/^sets up the new host in 12 steps: .*OpenSMTPD, nginx$/),
    );
  });

  it('without a change has nothing', () => {
    expect(sampleReview('nothing')).toMatchObject({ sections: [], effects: [], resources: 91 });
  });
});

describe('a resource of any provider', () => {
  it('is shown by the properties that differ, whatever they are', () => {
    const tags = { owner: 'anna', list: [1, 2] };
    expect(
      editsOf(
        only(
          step(
            bucket,
            'update',
            { acl: 'private', tags, size: 3, __defaults: [] },
            { acl: 'public-read', tags: { ...tags, list: [1] }, size: 3, __defaults: ['a'] },
          ),
        ),
      ),
    ).toEqual([
      ['acl', 'private', 'public-read'],
      ['tags', 'list:\n  - 1\n  - 2\nowner: anna', 'list:\n  - 1\nowner: anna'],
    ]);
  });

  it.each(['create', 'update', 'delete', 'replace', 'import', 'discard', 'some-future-operation'])(
    'is shown where the engine would %s it, even if no property differs',
    (op) => {
      expect(only(step(bucket, op, {}, {}))).toHaveLength(1);
    },
  );

  it.each(['same', 'read', 'refresh'])('is not shown where the engine would %s it', (op) => {
    expect(only(step(bucket, op, { a: 1 }, { a: 1 }))).toEqual([]);
  });

  it('is one change where the engine lists the parts of its replacement, too', () => {
    const parts = ['create-replacement', 'replace', 'delete-replaced'];
    expect(only(...parts.map((op) => step(bucket, op, { a: 1 }, { a: 2 })))).toHaveLength(1);
  });

  it('that loses its protection is shown, and is risky', () => {
    const state = (protect: boolean) => ({ inputs: {}, protect });
    const [change] = only(
      step(bucket, 'same', undefined, undefined, { oldState: state(true), newState: state(false) }),
    );
    expect(change).toMatchObject({ mark: 'risky', edits: [{ at: 'protect', after: 'false' }] });
  });

  it('that was changed outside the stack is shown as it is, and as it would be', () => {
    const given = { zone: 'a', status: 'active' };
    const drifted = step(bucket, 'update', undefined, undefined, {
      oldState: { inputs: given, outputs: { ...given, status: 'off', id: 'x' } },
      newState: { inputs: given },
      detailedDiff: { status: { kind: 'update', inputDiff: false } },
    });
    expect(editsOf(only(drifted))).toEqual([['status', 'off', 'active']]);
  });

  it.each([
    ['by itself', 'password', { password: secret }],
    ['inside another property', 'login.password', { login: { user: 'a', password: secret } }],
    ['in a list', 'logins[0]', { logins: [secret, 'b'] }],
    ['of a name with a dot', 'data["a.b"]', { data: { 'a.b': secret } }],
  ])('with a secret that changes, %s, names the secret alone', (_, at, inputs) => {
    const detailedDiff = { [at]: { kind: 'update', inputDiff: true } };
    expect(editsOf(only(step(bucket, 'update', inputs, inputs, { detailedDiff })))).toEqual([[at]]);
  });

  it('with a secret beside what else changes in a property tells the two apart', () => {
    const login = (user: string) => ({ login: { user, password: secret } });
    const change = (reported: string[]) =>
      step(bucket, 'update', login('a'), login('b'), {
        detailedDiff: Object.fromEntries(reported.map((at) => [at, { kind: 'update' }])),
        diffReasons: ['login'],
      });
    const visible = ['login', `password: "${secret}"\nuser: a`, `password: "${secret}"\nuser: b`];
    expect(editsOf(only(change(['login.user'])))).toEqual([visible]);
    expect(editsOf(only(change(['login.user', 'login.password'])))).toEqual([
      visible,
      ['login.password'],
    ]);
  });

  it('with an object that the engine marks shows nothing of it', () => {
    const marked = (plaintext: string) => ({
      '4dabf18193072939515e22adb298388d': '1b47061264138c4ac30d75fd1eb44270',
      plaintext,
    });
    const inputs = (text: string) => ({ a: [marked(text)], b: text.length });
    const change = step(bucket, 'update', inputs('hunter2'), inputs('correct horse'), {
      diffReasons: ['a', 'b'],
    });
    expect(editsOf(only(change))).toEqual([['b', '7', '13'], ['a']]);
  });

  it('with a value that is not known yet says so', () => {
    expect(editsOf(only(step(bucket, 'create', undefined, { a: unknown, b: [unknown] })))).toEqual([
      ['a', undefined, '(known after the change)'],
      ['b', undefined, '- (known after the change)'],
    ]);
  });
});

describe('a record', () => {
  const dns = 'cloudflare:index/dnsRecord:DnsRecord';
  const mx = { name: 'a.example', type: 'MX', content: 'mail.a.example', priority: 10, ttl: 300 };

  it('that another resource takes over means nothing to others, and is shown and risky', () => {
    const review = reviewOfSteps(step(dns, 'delete', mx), step(dns, 'create', undefined, mx));
    expect(review).toMatchObject({ effects: [], mark: 'risky', counts: { add: 1, remove: 1 } });
    const other = { ...mx, content: 'mx.a.example' };
    const changed = reviewOfSteps(step(dns, 'delete', mx), step(dns, 'create', undefined, other));
    expect(changed.effects.map(({ what }) => what)).toContain(
      'other systems send mail for a.example to mx.a.example',
    );
  });

  it('names the record of a property that is not in its line', () => {
    const a = { name: 'a.example', type: 'A', content: '192.0.2.1', proxied: false };
    expect(editsOf(only(step(dns, 'update', a, { ...a, proxied: true })))).toEqual([
      ['a.example A proxied', 'false', 'true'],
    ]);
  });

  it('is the same in an older version of the provider, which has another name for its content', () => {
    const { content: value, ...rest } = mx;
    const old = step('cloudflare:index/record:Record', 'update', { ...rest, value }, mx);
    expect(editsOf(only({ ...old, detailedDiff: { content: {}, value: {} } }))).toEqual([]);
  });

  it('of which neither name nor type is known is a resource as any other', () => {
    const [change] = only(step(dns, 'create', undefined, { zoneId: 'z' }));
    expect(change).toMatchObject({ mark: 'risky', edits: [{ at: 'zoneId', after: 'z' }] });
    expect(editsOf(only(step(dns, 'create', undefined, { ...mx, name: unknown })))).toEqual([
      [
        '(known after the change) MX',
        undefined,
        '(known after the change). 300 MX 10 mail.a.example',
      ],
    ]);
  });
});

describe('a push', () => {
  it('shows files that come, change, go, and get other rights', () => {
    const file = (text: string, mode = '0644') => ({ mode, owner: 'root:root', text });
    const stdin = (files: object) => ({
      create: 'mailhost activate amavis --change 3',
      stdin: JSON.stringify(files),
    });
    const change = step(
      'command:remote:Command',
      'update',
      stdin({ '/a': file('old\n'), '/b': file('b\n'), '/c': file('c\n'), '/d': file('d\n') }),
      stdin({ '/a': file('new\n'), '/c': file('c\n', '0600'), '/d': file('d\n'), '/e': file('') }),
    );
    expect(editsOf(only(change))).toEqual([
      ['/a', 'old\n', 'new\n'],
      ['/b', 'b\n', undefined],
      ['/c (mode and owner)', '0644 root:root', '0600 root:root'],
      ['/e', undefined, ''],
    ]);
  });

  it('shows no number of a change, tag, address or repetition as a change', () => {
    const inputs = (n: number) => ({
      create: `mailhost activate dovecot --secrets ${String(n).repeat(32)} --change ${n}`,
      stdin: JSON.stringify({ '/a': { mode: '0644', owner: 'root:root', text: 'a\n' } }),
      connection: n === 1 ? secret : unknown,
      triggers: [String(n)],
    });
    expect(only(step('command:remote:Command', 'replace', inputs(1), inputs(2)))).toEqual([]);
  });

  it('of a command that is not known here is shown with its lines', () => {
    const command = step(
      'command:remote:Command',
      'update',
      { create: 'apt-get install a', update: 'x' },
      { create: 'apt-get install b', update: 'x' },
    );
    expect(only(command)).toMatchObject([
      { mark: 'risky', edits: [{ before: 'apt-get install a', after: 'apt-get install b' }] },
    ]);
  });

  it('that is repeated without a change is named by the effects, or by itself if it is not known here', () => {
    const run = (create: string) =>
      reviewOfSteps(step('command:remote:Command', 'replace', { create }, { create }));
    const known = run('mailhost drift');
    expect(known).toMatchObject({ sections: [], counts: { replace: 1 } });
    expect(known.effects).toHaveLength(1);
    const [section] = run('mailhost activate telepathy').sections;
    expect(section).toMatchObject({ title: 'Other resources', changes: [{ mark: 'risky' }] });
  });

  it('of text that looks like files and is not is shown with its lines', () => {
    const change = step(
      'command:remote:Command',
      'update',
      { create: 'mailhost activate amavis', stdin: '{"/a": {"text": 1}}' },
      { create: 'mailhost activate amavis', stdin: '{"/a": {"text": 2}}' },
    );
    expect(editsOf(only(change))).toEqual([['stdin', '/a:\n  text: 1', '/a:\n  text: 2']]);
  });

  it('is found by its name while its command is not known', () => {
    const urn = (type: string, name: string) => `urn:pulumi:prod::mail::${type}::${name}`;
    const review = reviewOfSteps(
      { op: 'create', urn: urn('mailhost:index:MailHost', 'post'), newState: {} },
      {
        op: 'create',
        urn: urn(
          'mailhost:index:MailHost$mailhost:index:Daemon$command:remote:Command',
          'post-amavis-secrets',
        ),
        newState: { inputs: { create: unknown, stdin: secret } },
      },
    );
    expect(review.sections.map(({ title }) => title)).toEqual(['amavis']);
  });

  it('gets its own line only where something of it changes', () => {
    expect(only(push({ '/a': 'a\n' }, { '/a': 'a\n' }))).toEqual([]);
    expect(only(push({ '/a': 'a\n' }, { '/a': 'b\n' }))).toHaveLength(1);
  });
});
