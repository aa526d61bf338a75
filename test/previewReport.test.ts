import * as pulumi from '@pulumi/pulumi';
import { MockMonitor } from '@pulumi/pulumi/runtime/mocks';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { MailHost } from '../components/mailHost';
import type { MailHostArgs } from '../components/mailHostArgs';
import { OwnState } from '../components/preflight/state';
import { changesIn } from '../components/review/changes';
import { plannedStep, removalStep, type Properties } from '../components/review/planned';
import type { Step } from '../components/review/plan';
import { reportOf } from '../components/review/report';
import { parsePlan } from '../cli/review/plan';
import { reviewOf } from '../components/review/review';
import { textReview } from '../components/review/text';
import { changedSecrets, secretsNamedIn } from '../components/review/secrets';
import { unknown } from '../components/review/values';
import { example, hash } from './example';
import { record, type StackState } from './mocks';

const inMailHost = (type: string, name: string) =>
  `urn:pulumi:test::mailhost::mailhost:index:MailHost$${type}::${name}`;
const command = 'command:remote:Command';
const dns = 'cloudflare:index/dnsRecord:DnsRecord';

const plain = (inputs: Record<string, unknown>): Properties =>
  Object.fromEntries(
    Object.entries(inputs).map(([key, value]) => [key, { value, isSecret: false }]),
  );
const files = (texts: Record<string, string>) =>
  JSON.stringify(
    Object.fromEntries(
      Object.entries(texts).map(([path, text]) => [path, { mode: '0640', owner: 'root', text }]),
    ),
  );

/** What a preview has to say of one resource. */
const planned = (
  type: string,
  before: Properties | undefined,
  after: Properties,
  outputs?: Properties,
): Step =>
  plannedStep(
    {
      op: before ? 'update' : 'create',
      urn: inMailHost(type, 'mail-one'),
      type,
      name: 'mail-one',
      before,
      after,
      outputs,
    },
    ['mail-'],
  );
const planOf = (steps: Step[]) => ({
  stack: '',
  steps,
  diagnostics: [],
  resources: 3,
  outputs: {},
});
const editsOf = (...steps: Step[]) => changesIn(planOf(steps)).flatMap(({ edits }) => edits);

describe('a planned step', () => {
  const key = fc.constantFrom('stdin', 'create', 'userData', 'a', 'b');
  const property = fc.record({
    value: fc.oneof(
      fc.string({ minLength: 4 }).map((text) => `secret-${text}`),
      fc.constantFrom(...['x', 'y'].map((text) => files({ '/a': `secret-${text}\n` }))),
      fc.record({ inner: fc.constantFrom('secret-1', 'secret-2') }),
      fc.constant(unknown),
    ),
    isSecret: fc.boolean(),
  });
  const properties = fc.dictionary(key, property, { maxKeys: 5 });

  it('holds no secret: neither one of before, nor one of after, nor one that it once was', () => {
    fc.assert(
      fc.property(properties, properties, properties, (before, after, outputs) => {
        const hidden = (name: string) =>
          [before, after, outputs].some((all) => all[name]?.isSecret === true);
        const step = planned(command, before, after, outputs);
        for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
          const shown = [step.before, step.after].map((state) => state?.inputs[name]);
          if (hidden(name))
            for (const value of shown) expect([undefined, '[secret]']).toContain(value);
        }
        const values = [before, after, outputs].flatMap((all) =>
          Object.entries(all).filter(([name]) => hidden(name)),
        );
        const open = JSON.stringify(
          [before, after, outputs].flatMap((all) =>
            Object.entries(all).filter(([name]) => !hidden(name)),
          ),
        );
        for (const [, { value }] of values) {
          const text = JSON.stringify(value);
          if (value !== unknown && !open.includes(text))
            expect(JSON.stringify(step)).not.toContain(text);
        }
      }),
    );
  });

  it('of a secret says that it differs, and nothing where it is the same', () => {
    const secret = (value: unknown): Properties => ({ userData: { value, isSecret: true } });
    expect(editsOf(planned('a:b:C', secret('one'), secret('two')))).toMatchObject([
      { at: 'userData', isSecret: true },
    ]);
    expect(editsOf(planned('a:b:C', secret('one'), secret(unknown)))).toMatchObject([
      { at: 'userData', isSecret: true },
    ]);
    expect(editsOf(planned('a:b:C', secret('one'), secret('one')))).toEqual([]);
  });

  it('shows what is not known yet as such', () => {
    const inputs = { name: 'a.example', type: 'A', ttl: 300 };
    const [edit] = editsOf(
      planned(
        dns,
        plain({ ...inputs, content: '192.0.2.1' }),
        plain({ ...inputs, content: unknown }),
      ),
    );
    expect(edit!.after).toBe('a.example. 300 A (known after the change)');
  });

  it('shows what was changed outside the stack', () => {
    const wanted = plain({ deleteProtection: true });
    const [edit, ...others] = editsOf(
      planned(
        'hcloud:index/volume:Volume',
        wanted,
        wanted,
        plain({ deleteProtection: false, id: '1' }),
      ),
    );
    expect(edit).toMatchObject({ at: 'deleteProtection', before: 'false', after: 'true' });
    expect(others).toEqual([]);
  });
});

describe('secrets of a push', () => {
  const users = (lines: string[]) => files({ '/etc/dovecot/passwords': lines.join('\n') });
  const [anna, bert] = ['anna@example.org:{CRYPT}$6$a$x', 'bert@example.net:{CRYPT}$6$b$y'];

  it.each([
    [
      'a new password',
      users([anna, bert]),
      users([anna, `${bert}z`]),
      [{ how: 'changed', what: 'password of bert@example.net' }],
    ],
    [
      'a new account',
      users([anna]),
      users([anna, bert]),
      [{ how: 'new', what: 'password of bert@example.net' }],
    ],
    [
      'a removed account',
      users([anna, bert]),
      users([anna]),
      [{ how: 'removed', what: 'password of bert@example.net' }],
    ],
    [
      'all',
      users([anna, bert]),
      users([]),
      [{ how: 'removed', what: 'password of anna@example.org, bert@example.net' }],
    ],
    [
      'three kinds at once',
      users([anna, bert]),
      users([`${anna}z`, 'carl@example.org:{CRYPT}$6$c$z']),
      [
        { how: 'new', what: 'password of carl@example.org' },
        { how: 'changed', what: 'password of anna@example.org' },
        { how: 'removed', what: 'password of bert@example.net' },
      ],
    ],
    ['nothing', users([anna]), users([anna]), []],
    ['what is not known yet', users([anna]), unknown, undefined],
  ])('of %s', (_, before, after, names) => {
    expect(changedSecrets('dovecot', before, after)).toEqual(names);
  });

  it('that are no passwords are named by their files', () => {
    expect(
      changedSecrets(
        'opensmtpd',
        files({ '/etc/smtpd/smarthost': 'login a:b' }),
        files({ '/etc/smtpd/smarthost': 'login a:c' }),
      ),
    ).toEqual([{ how: 'changed', what: '/etc/smtpd/smarthost' }]);
  });

  /** What the program plans, and its report as the engine writes it beside the same plan with secrets hidden. */
  it.each([
    ['a new password', [anna, bert], [anna, `${bert}z`], 'changed secret: password of bert'],
    ['an account more', [anna], [anna, bert], 'new secret: password of bert'],
    ['an account less', [anna, bert], [anna], 'removed secret: password of bert'],
  ])('are the same in `mailhost review` as in the report: %s', (_, before, after, words) => {
    const secretInputs = (lines: string[], tag: number): Properties => ({
      ...plain({ create: `mailhost stage dovecot --tag ${tag}` }),
      stdin: { value: users(lines), isSecret: true },
    });
    const { changedSecrets: _hidden, ...step } = planned(
      command,
      secretInputs(before, 1),
      secretInputs(after, 2),
    );
    const long = Array.from({ length: 50 }, (_line, i) => `line ${i}\n`).join('');
    const logins = planned(
      command,
      plain({ create: 'mailhost activate dovecot --change 1', stdin: files({ '/a': '' }) }),
      plain({ create: 'mailhost activate dovecot --change 2', stdin: files({ '/a': long }) }),
    );
    const own = reviewOf(planOf([logins, { ...step, changedSecrets: _hidden }]));
    const report = reportOf(own, { resources: 2, files: 1, records: 0 }, 'summary', false);
    const digest = {
      steps: [logins, step].map(({ before: old, after: next, differing, ...rest }) => ({
        ...rest,
        oldState: old,
        newState: next,
        diffReasons: differing,
      })),
      diagnostics: [{ severity: 'info', message: `info: ${report}\n` }],
    };
    const read = reviewOf(parsePlan(JSON.stringify(digest)));
    expect(report).toContain(words);
    expect(read.effects).toEqual(own.effects);
    expect(textReview(read, { isColoured: false, context: 0, isSummary: true })).toContain(words);
  });
});

it('takes no line of a file in a report for the name of a secret', () => {
  const line = 'changed secret: password of anna@example.org';
  const texts = ['a', 'b'].map((word) => `${line}\n${word}\n`);
  const [before, after] = texts.map((text) =>
    plain({ create: 'mailhost activate dovecot', stdin: files({ '/a': text }) }),
  );
  const review = reviewOf(planOf([planned(command, before, after!)]));
  const report = reportOf(review, { resources: 1, files: 1, records: 0 }, 'full', false);
  expect(report).toContain(line);
  expect([...secretsNamedIn(report)]).toEqual([]);
});

describe('a resource that is removed', () => {
  it('has the content of its record as the stack had written it', () => {
    const outputs = {
      name: 'example.org',
      type: 'CAA',
      ttl: 300,
      content: '0 issue "ca.example"',
      data: { flags: 0, tag: 'issue', value: 'ca.example', port: null },
      proxied: false,
    };
    const [edit] = editsOf(removalStep(inMailHost(dns, 'mail-x'), dns, 'mail-x', outputs));
    expect(edit).toEqual({
      at: 'example.org CAA',
      before: 'example.org. 300 CAA 0 issue ca.example',
    });
  });

  it.each([
    [command, { create: 'mailhost stage dovecot --tag 1', stdin: files({ '/a': 'hunter2' }) }],
    [command, { create: null, stdin: files({ '/a': 'hunter2' }) }],
    ['tls:index/privateKey:PrivateKey', { privateKeyPem: 'hunter2' }],
    ['hcloud:index/server:Server', { userData: 'hunter2' }],
  ])('shows no secret of %s', (type, outputs) => {
    const step = removalStep(inMailHost(type, 'mail-x'), type, 'mail-x', outputs);
    expect(JSON.stringify(step)).not.toContain('hunter2');
  });

  it('names the secrets of a push, as one that is new does', () => {
    const create = 'mailhost stage backup --tag 1';
    const stdin = files({ '/etc/mailhost/restic.password': 'hunter2' });
    const removed = removalStep(inMailHost(command, 'mail-x'), command, 'mail-x', {
      create,
      stdin,
    });
    const added = planned(command, undefined, {
      ...plain({ create }),
      stdin: { value: stdin, isSecret: true },
    });
    const lines = [added, removed].map((step) =>
      textReview(reviewOf(planOf([step])), { isColoured: false, context: 0, isSummary: false })
        .split('\n')
        .find((line) => line.includes('secret')),
    );
    const path = '/etc/mailhost/restic.password';
    expect(lines).toEqual([`  new secret: ${path}`, `  removed secret: ${path}`]);
  });
});

describe('a report', () => {
  const compared = { resources: 3, files: 2, records: 1 };
  const lines = (count: number, word: string) =>
    Array.from({ length: count }, (_, i) => `${word} ${i}\n`).join('');
  const push = (before: string, after: string) =>
    planned(
      command,
      plain({ create: 'mailhost activate dovecot --change 1', stdin: files({ '/a': before }) }),
      plain({ create: 'mailhost activate dovecot --change 2', stdin: files({ '/a': after }) }),
    );
  const report = (step: Step, detail: 'full' | 'summary', isNew = false) =>
    reportOf(reviewOf(planOf([step])), compared, detail, isNew).split('\n');

  it('of nothing is one line, which says what was compared', () => {
    expect(reportOf(reviewOf(planOf([])), compared, 'summary', false)).toBe(
      'Review: the stack has what the program wants: 3 resources, 2 files and 1 record compared',
    );
  });

  it('has at most 20 lines of each part in a summary, and all of them in full', () => {
    const long = push('', lines(50, 'new'));
    const summary = report(long, 'summary');
    expect(summary.filter((line) => /^ {4}[+-]/.test(line))).toHaveLength(19);
    expect(summary.at(-1)).toBe('  … 31 more lines: set review to full, or run `mailhost review`');
    expect(report(long, 'full').filter((line) => /^ {4}\+ new/.test(line))).toHaveLength(50);
  });

  it('is cut between hunks in a summary', () => {
    const text = lines(60, 'line');
    const changed = text.replace('line 0\n', 'new\n').replace(/line 2\d\n/g, '');
    const more = changed.replace(/line 4\d\n/g, '');
    expect(report(push(text, more), 'summary').slice(-14)).toEqual([
      '  /a',
      '    - line 0',
      '    + new',
      ...Array.from({ length: 10 }, (_, i) => `    - line 2${i}`),
      '  … 10 more lines: set review to full, or run `mailhost review`',
    ]);
  });

  it('has up to three lines around a change in full', () => {
    const text = lines(9, 'line');
    const full = report(push(text, text.replace('line 4', 'other')), 'full');
    expect(full.slice(-9)).toEqual([
      '  /a',
      ...[1, 2, 3].map((i) => `      line ${i}`),
      '    - line 4',
      '    + other',
      ...[5, 6, 7].map((i) => `      line ${i}`),
    ]);
  });

  it('of a new mail host has its effects alone', () => {
    const step = planned(
      dns,
      undefined,
      plain({ name: 'a.example', type: 'MX', ttl: 300, content: 'b.example', priority: 10 }),
    );
    expect(report(step, 'summary', true)).toEqual([
      'Review: Harmless: 1 created; 3 resources of the mail host compared',
      'Effects',
      '  - other systems send mail for a.example to b.example',
      '  - after 30 min: every resolver finds the new a.example MX',
    ]);
    expect(report(step, 'full', true).at(-1)).toContain('+ a.example. 300 MX 10 b.example');
  });

  it('has nothing that the engine takes for a colour', () => {
    expect(report(push('a', '<{%fg 999%}>'), 'summary').at(-1)).toBe('    + <{ %fg 999%}>');
  });
});

it('knows the resources of one mail host from those of another whose name begins alike', () => {
  const resources = ['mail-machine-server', 'mail-2-machine-server', 'mail-2', 'other-x'].map(
    (name) => ({ urn: inMailHost('a:b:C', name), type: 'a:b:C', outputs: {} }),
  );
  const hosts = ['mail', 'mail-2'].map((name) => ({
    urn: `urn:pulumi:test::mailhost::mailhost:index:MailHost::${name}`,
    type: 'mailhost:index:MailHost',
    outputs: {},
  }));
  const names = (host: string) =>
    new OwnState(host, [...resources, ...hosts]).own.map(({ urn }) => urn.split('::').at(-1));
  expect(names('mail')).toEqual(['mail-machine-server', 'mail-2']);
  expect(names('mail-2')).toEqual(['mail-2-machine-server']);
});

describe('a mail host', () => {
  afterEach(() => vi.restoreAllMocks());

  /** What it logs while it is planned or made. */
  const logged = async (
    change: Partial<MailHostArgs>,
    preview: boolean,
    state: StackState = {},
  ) => {
    const [info, warn] = (['info', 'warn'] as const).map((level) =>
      vi.spyOn(pulumi.log, level).mockClear().mockResolvedValue(),
    );
    const resources = await record(
      (opts) => void new MailHost('mail', { ...example, ...change }, opts),
      preview,
      state,
    );
    const messages = (spy: typeof info) => spy!.mock.calls.map(([message]) => message);
    return { resources, info: messages(info), warn: messages(warn) };
  };
  const old = (type: string, name: string, outputs: object): StackState => ({
    [inMailHost(type, name)]: { type, outputs },
  });

  it('reports in a preview what the state has and the program does not register', async () => {
    const { info } = await logged({}, true, {
      ...old(dns, 'mail-old/mx', {
        name: 'old.example',
        type: 'A',
        ttl: 300,
        content: '192.0.2.1',
      }),
      ...old(command, 'mail-old-secrets', {
        create: 'mailhost stage web --tag 1',
        stdin: files({ '/a': hash }),
      }),
    });
    expect(info).toHaveLength(1);
    expect(info[0]).toMatch(
      /^Review: Risky: 2 deleted; \d\d resources of the mail host compared\n/,
    );
    expect(info[0]).toContain('    - old.example. 300 A 192.0.2.1');
    expect(info[0]).not.toContain(hash);
  });

  it('reports that nothing changes in one line, in each preview and no `up`', async () => {
    const { info } = await logged({}, true);
    expect(info).toEqual([
      expect.stringMatching(
        /^Review: the stack has what the program wants: \d\d resources, 1\d\d files and \d\d records compared$/,
      ),
    ]);
    expect((await logged({}, false)).info).toEqual([]);
  });

  it('reports nothing where that is set', async () => {
    expect((await logged({ review: 'off' }, true)).info).toEqual([]);
  });

  it('says that there is no report where the engine runs no hooks', async () => {
    const { registerErrorHook } = MockMonitor.prototype as unknown as Record<string, unknown>;
    Object.assign(MockMonitor.prototype, { registerErrorHook: undefined });
    const { info, warn } = await logged({}, true).finally(() =>
      Object.assign(MockMonitor.prototype, { registerErrorHook }),
    );
    expect(info).toEqual([
      expect.stringMatching(/^Review: none, as this version of the Pulumi CLI/),
    ]);
    expect(warn).toEqual([]);
  });

  it('warns of a report that fails, and is planned all the same', async () => {
    const broken = { ...old(command, 'mail-old', {}) };
    broken[inMailHost(command, 'mail-old')]!.outputs = null as unknown as object;
    const { resources, info, warn } = await logged({}, true, broken);
    expect(info).toEqual([]);
    expect(warn).toEqual([
      expect.stringMatching(/^this preview has no review: .*The plan itself is not affected/),
    ]);
    expect(resources.length).toBe((await logged({ review: 'off' }, true)).resources.length);
  });
});
