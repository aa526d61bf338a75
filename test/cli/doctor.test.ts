import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { catalogue, insideCodes } from '../../cli/doctor/catalogue';
import { ofDomains, statusOf } from '../../cli/doctor/command';
import { findingsOf } from '../../cli/doctor/finding';
import { lookFromInside } from '../../cli/doctor/inside';
import { textReport } from '../../cli/doctor/report';
import { hostIn } from '../../cli/stack';
import { $defs } from '../../components/hostDocuments.schema.json';
import { stack } from './doctorPlan';

const root = join(__dirname, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'doctor-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** As the engine writes a secret that is shown. */
const secret = (value: unknown) => ({
  '4dabf18193072939515e22adb298388d': '1b47061264138c4ac30d75fd1eb44270',
  plaintext: JSON.stringify(value),
});
const privateKey =
  '-----BEGIN OPENSSH PRIVATE KEY-----\nmarker\n-----END OPENSSH PRIVATE KEY-----\n';
const urn = (type: string, name: string) => `urn:pulumi:prod::mailhost::${type}::${name}`;

/** A state as `pulumi stack export --show-secrets` writes it. */
function state(name = 'mail', without?: string) {
  const resources = [
    {
      type: 'mailhost:index:MailHost',
      part: '',
      outputs: {
        ipv4: '192.0.2.10',
        ipv6: '2001:db8::10',
        sshPrivateKey: secret(privateKey),
        zoneFile: '; example.org\nexample.org. 300 IN MX 10 mail.example.org.\n',
        dsRecords: { 'example.org': 'example.org. 3600 IN DS 1 13 2 AB' },
      },
    },
    {
      type: 'mailhost:index:Summary',
      part: '-summary',
      outputs: {
        summary: {
          hostName: 'mail.example.org',
          mtaSts: 'testing',
          domains: ['example.org'],
          parked: [],
          zones: { 'example.org': 'example.org' },
          dkim: {},
        },
      },
    },
    {
      type: 'command:remote:Command',
      part: '-check',
      inputs: {
        connection: secret({
          host: '192.0.2.10',
          user: 'root',
          hostKey: 'ssh-ed25519 AAAA',
          privateKey,
        }),
        stdin: '{"hostName":"mail.example.org","domains":[]}',
      },
    },
  ];
  return resources
    .filter(({ part }) => part !== without)
    .map(({ part, ...resource }) => ({ ...resource, urn: urn(resource.type, `${name}${part}`) }));
}
const exported = (...resources: object[]) =>
  JSON.stringify({ version: 3, deployment: { resources: resources.flat() } });

describe('the state of a stack', () => {
  it('has the mail host with its records and how it is reached', () => {
    expect(hostIn(exported(state()))).toMatchObject({
      stack: 'mailhost/prod',
      hostName: 'mail.example.org',
      ipv4: '192.0.2.10',
      records: [
        { zone: 'example.org', name: 'example.org', type: 'MX', data: '10 mail.example.org.' },
      ],
      connection: { host: '192.0.2.10', user: 'root', privateKey },
    });
  });

  it.each<[string, object[][], string | undefined, RegExp]>([
    ['no host', [], undefined, /the stack has no mail host. Run `pulumi up`/],
    [
      'two',
      [state(), state('other')],
      undefined,
      /2 mail hosts: mail, other. Name one with --host/,
    ],
    ['another', [state()], 'other', /no mail host other, but mail/],
    ['an unfinished one', [state('mail', '-check')], undefined, /did not finish: its state lacks/],
  ])('with %s is refused', (_, resources, host, words) => {
    expect(() => hostIn(exported(...resources), host)).toThrow(words);
  });

  it('may have several, of which one is named, and leftovers of a replacement', () => {
    const old = state().map((resource) => ({ ...resource, delete: true }));
    expect(hostIn(exported(old, state(), state('other')), 'other').stack).toBe('mailhost/prod');
  });
});

describe('the domains of a check', () => {
  it('are all, or those that are named, with the records of the host', () => {
    expect(ofDomains(stack, [])).toBe(stack);
    const one = ofDomains(stack, ['Example.net.']);
    expect(one).toMatchObject({ domains: ['example.net'], parked: [] });
    expect(JSON.parse(one.mail)).toMatchObject({ domains: [{ name: 'example.net' }] });
    const names = one.records.map(({ name }) => name);
    expect(names).toContain('mail.example.org');
    expect(names).toContain('_dmarc.example.net');
    expect(names).not.toContain('_dmarc.example.org');
    expect(() => ofDomains(stack, ['other.example'])).toThrow(/other.example is not a domain of/);
  });
});

describe('from inside', () => {
  const look = (status: number | null, stdout: string, stderr = '') =>
    lookFromInside(stack, () => Promise.resolve({ status, stdout, stderr }));

  it('the host names its findings by the codes of the catalogue', async () => {
    expect([...$defs.findings.items.properties.code.enum].sort()).toEqual([...insideCodes].sort());
    expect(await look(0, '[]')).toEqual([]);
    expect(await look(0, '[{"code":"disk-full","evidence":"of / 6% are left"}]')).toEqual([
      { code: 'disk-full', about: 'mail.example.org', evidence: 'of / 6% are left' },
    ]);
  });

  it.each<[string, number | null, string, string, object]>([
    [
      'cannot be reached',
      255,
      '',
      'Permission denied',
      { code: 'ssh-failed', evidence: 'Permission denied' },
    ],
    [
      'is being changed',
      1,
      '',
      'mailhost: the host is being changed',
      { why: expect.stringContaining('being changed') as string },
    ],
    ['hangs', null, '', '', { why: 'it did not answer in 120 s' }],
    [
      'is older',
      2,
      '',
      "mailhost: error: invalid choice: 'doctor' (choose",
      { why: expect.stringContaining('run `pulumi up`') as string },
    ],
    [
      'is newer',
      0,
      '[{"code":"new","evidence":""}]',
      '',
      { why: expect.stringContaining('another version') as string },
    ],
    [
      'says something else',
      0,
      'motd',
      '',
      { why: expect.stringContaining('another version') as string },
    ],
  ])('a host that %s', async (_, status, stdout, stderr, expected) => {
    expect(await look(status, stdout, stderr)).toEqual([expect.objectContaining(expected)]);
  });
});

describe('the report', () => {
  const findings = findingsOf([
    { code: 'reboot-due', about: 'mail.example.org', evidence: 'updates (linux)\u001b[2J' },
    {
      code: 'port-closed',
      about: 'mail.example.org',
      place: 'port 25 of 192.0.2.1',
      evidence: 'refused',
    },
    {
      code: 'port-closed',
      about: 'mail.example.org',
      place: 'port 25 of 2001:db8::1',
      evidence: 'refused',
    },
  ]);
  const report = {
    ...stack,
    time: '',
    seconds: 1.5,
    findings,
    unchecked: [{ unchecked: 'the list', why: 'it is silent' }],
  };

  it('has the worst first, what several places show once, and no control characters', () => {
    const text = textReport(report, false);
    expect(text).toMatch(/^1 problem, 1 warning: mail.example.org of mailhost\/prod, in 1.5 s\n/);
    expect(text).toContain('found:   port 25 of 192.0.2.1, port 25 of 2001:db8::1: refused\n');
    expect(text).toMatch(
      /problem port-closed[^]+see: {5}docs\/runbook.md#port-closed[^]+warning reboot-due/,
    );
    expect(text).toContain('Not checked\n  - the list: it is silent\n');
    expect(text).not.toContain('\u001b');
    expect(textReport(report, true)).toContain('\u001b[');
  });

  it('gives the exit status', () => {
    const of = (...severities: string[]) =>
      statusOf({ findings: findings.filter(({ severity }) => severities.includes(severity)) });
    expect([of(), of('warning'), of('problem'), of('warning', 'problem')]).toEqual([0, 2, 3, 3]);
  });
});

/** Codes with the text of their sections. */
const sections = new Map(
  readFileSync(join(root, 'docs/runbook.md'), 'utf8')
    .split(/^### /m)
    .slice(1)
    .map((text) => [text.slice(0, text.indexOf('\n')).trim(), text]),
);

describe('the runbook', () => {
  it('has one section for each finding, and for nothing else', () => {
    expect([...sections.keys()].sort()).toEqual(Object.keys(catalogue).sort());
  });

  it.each(Object.keys(catalogue))(
    'says of %s what it means, how to inspect, repair and verify',
    (code) => {
      const section = sections.get(code)!;
      for (const part of ['Means', 'Inspect', 'Repair', 'Verify'])
        expect(section, code).toMatch(new RegExp(`^- \\*\\*${part}:\\*\\*\\n? +\\S`, 'm'));
    },
  );
});

/** Runs `mailhost doctor` with a pulumi and an ssh of its own. */
function doctor(words: string[], { pulumi = exported(state()), ssh = 'echo "[]"' } = {}) {
  const bin = mkdtempSync(join(folder, 'bin-'));
  const put = (name: string, script: string) =>
    writeFileSync(
      join(bin, name),
      `#!/bin/sh\nprintf '%s\\n' "$@" >${bin}/${name}.words\n${script}\n`,
      { mode: 0o755 },
    );
  writeFileSync(join(bin, 'state'), pulumi);
  put('pulumi', `cat ${bin}/state`);
  put('ssh', ssh.replaceAll('BIN', bin));
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', join(root, 'cli/main.ts'), 'doctor', ...words],
    {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
    },
  );
  const read = (name: string) => readFileSync(join(bin, name), 'utf8');
  return { status, stdout, stderr, read };
}

describe('mailhost doctor', () => {
  it('reaches the host with its key in a file of this user alone, and leaves none', () => {
    const { status, stdout, stderr, read } = doctor(
      ['--only', 'inside', '--json', '--stack', 'prod'],
      {
        ssh: `key=$(printf '%s\\n' "$@" | grep -A1 '^-i$' | tail -1)
        stat -c '%a %n' "$key" "$(dirname "$key")" >BIN/rights
        cat "$key" "$(dirname "$key")/known_hosts" - >BIN/seen
        env >BIN/env
        echo '[{"code":"reboot-due","evidence":"updates"}]'`,
      },
    );
    expect({ status, stderr }).toEqual({ status: 2, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({
      stack: 'mailhost/prod',
      findings: [
        { code: 'reboot-due', severity: 'warning', runbook: 'docs/runbook.md#reboot-due' },
      ],
      unchecked: [],
    });
    expect(read('pulumi.words').split('\n')).toEqual(
      expect.arrayContaining(['stack', 'export', '--show-secrets', '--stack', 'prod']),
    );
    expect(read('ssh.words')).toMatch(
      /StrictHostKeyChecking=yes\n[^]*root@192.0.2.10\nmailhost doctor\n$/,
    );
    expect(read('seen')).toBe(
      `${privateKey}mailhost ssh-ed25519 AAAA\n{"hostName":"mail.example.org","domains":[]}`,
    );
    const [file, dir] = read('rights')
      .trim()
      .split('\n')
      .map((line) => line.split(' '));
    expect([file![0], dir![0]]).toEqual(['600', '700']);
    expect(existsSync(dir![1]!)).toBe(false);
    for (const text of [stdout, read('ssh.words'), read('env')])
      expect(text).not.toContain('marker');
  });

  it('exits with 3 where the host cannot be reached, and with 0 where nothing is found', () => {
    const unreached = doctor(['--only', 'inside'], {
      ssh: 'echo "Connection refused" >&2; exit 255',
    });
    expect(unreached.status).toBe(3);
    expect(unreached.stdout).toMatch(/^1 problem[^]+ssh-failed[^]+Connection refused/);
    expect(doctor(['--only', 'inside'])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^No findings/) as string,
    });
  });

  it.each<[string, string[], object, RegExp]>([
    ['an unknown domain', ['other.example'], {}, /other.example is not a domain of mailhost\/prod/],
    ['a resolver by name', ['--resolver', 'dns.example'], {}, /Give an IPv4 or IPv6 address/],
    ['another view', ['--only', 'above'], {}, /Allowed choices are outside, inside/],
    ['a stack without a mail host', [], { pulumi: exported() }, /the stack has no mail host/],
    ['no state', [], { pulumi: '' }, /pulumi stack export failed .* wrote no state/],
    [
      'no resolver',
      ['--only', 'outside', '--resolver', '127.0.0.254'],
      {},
      /127.0.0.254 does not answer/,
    ],
  ])('of %s exits with 1, and says why in one line', (_, words, options, message) => {
    const { status, stdout, stderr } = doctor(words, options);
    expect(stderr.trim().split('\n').at(-1)).toMatch(message);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  });
});
