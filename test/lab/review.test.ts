import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { htmlReview } from '../../cli/review/html';
import { markdownReview } from '../../cli/review/markdown';
import { parsePlan } from '../../cli/review/plan';
import type { Plan, Step } from '../../components/review/plan';
import { isRecord } from '../../components/review/records';
import { reportOf, reportTitle } from '../../components/review/report';
import { reviewOf, type Review } from '../../components/review/review';
import { textReview } from '../../components/review/text';
import { callsOf, type WorkflowFile } from '../cli/workflows';
import { hostTest, type Host } from './hosts';
import { SecretSearch } from './secretSearch';
import { step, type Settings } from './testLab';

const it = hostTest();

const asText = (review: Review) =>
  textReview(review, { isColoured: false, context: 0, isSummary: false });

/** The review of a preview, and the report of the program in it, which must say the same. */
async function reviewed(
  host: Host,
  settings: Settings,
  ...options: string[]
): Promise<{ review: Review; report: string }> {
  const { output } = await host.preview({ ...settings, review: 'full' }, '--json', ...options);
  const plan = parsePlan(output);
  const report = reportIn(output);
  expect(comparable(report)).toEqual(comparable(expectedReport(plan)));
  return { review: reviewOf(plan), report };
}

/** How an example of a workflow calls `pulumi`, with the plan in the folder of the lab. */
const callOf = ({ lab }: Host, verb: string, file: WorkflowFile): string[] =>
  callsOf('pulumi', file)
    .find(([first]) => first === verb)!
    .map((word) => (word === 'plan.json' ? join(lab.dir, word) : word));

function reportIn(output: string): string {
  const { diagnostics } = JSON.parse(output.slice(output.search(/^\{/m))) as {
    diagnostics: { message: string }[];
  };
  const reports = diagnostics.filter(({ message }) => message.includes(reportTitle));
  expect(reports).toHaveLength(1);
  return reports[0]!.message.trimEnd();
}

/** The report that the engine's own diff makes, as far as the program can know it. */
function expectedReport({ steps, reportedSecrets }: Plan): string {
  const known = steps.map((step): Step => {
    const isCommand = step.type === 'command:remote:Command';
    const isLost = step.op === 'delete' && !isRecord(step.type) && !isCommand;
    return {
      ...step,
      // The state has the outputs alone of what is deleted.
      before: isLost ? { inputs: {}, outputs: {}, protect: false } : step.before,
      // Providers keep secrets in another form among their outputs, so that those of before are not known.
      differing: step.op === 'replace' && !isCommand ? [] : step.differing,
      // A hook is not given them.
      replaceReasons: [],
    };
  });
  const review = reviewOf({
    stack: '',
    steps: known,
    diagnostics: [],
    outputs: {},
    reportedSecrets,
  });
  return reportOf(review, { resources: 0, files: 0, records: 0 }, 'full', false);
}

/** The program counts the resources of its mail host alone. */
const comparable = (report: string): string[] =>
  report
    .slice(report.indexOf(reportTitle))
    .replace(/; (?:\d+ resources of the mail host compared)?$/m, '')
    .split('\n');

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** Of every readable file that was pushed, as it is on the host. */
function hashes(host: Host): Map<string, string> {
  const paths = host.stack
    .resources()
    .flatMap(({ outputs }) =>
      typeof outputs?.stdin === 'string' && outputs.stdin.startsWith('{"/')
        ? Object.keys(JSON.parse(outputs.stdin) as object)
        : [],
    );
  const lines = host.shell(`sha256sum ${paths.map((path) => `'${path}'`).join(' ')} || true`);
  return new Map(
    lines
      .trim()
      .split('\n')
      .map((line) => [line.slice(66), line.slice(0, 64)]),
  );
}

describe('a review', () => {
  it('has each file that an `up` of its plan changes, with its text before and after, and no other', async ({
    freshHost: host,
  }) => {
    const settings: Settings = {
      spamTagLevel: '3',
      dkimGeneration: '2',
      'accounts[1].passwordHash': { secret: `$6$other$${'b'.repeat(86)}` },
      messageSize: '50',
      postmaster: 'bert@example.net',
      'adminNetworks[0]': '0.0.0.0/1',
      'aliases[0].address': 'team@example.org',
      'aliases[0].recipients[0]': 'anna@example.org',
    };
    const [, ...saving] = callOf(host, 'preview', 'github-review.yml');
    const { review } = await reviewed(host, settings, ...saving);
    const before = hashes(host);
    await step('an up of something else is refused, and touches nothing', async () => {
      const others: Settings[] = [
        { spamTagLevel: '4' },
        { 'accounts[1].passwordHash': { secret: `$6$other$${'c'.repeat(86)}` } },
      ];
      for (const other of others)
        await host.stack.temporarily(async () => {
          await host.stack.setAll({ ...settings, ...other });
          const { status, output } = await host.stack.run(callOf(host, 'up', 'github-apply.yml'));
          expect(status).not.toBe(0);
          expect(output).toContain('violates plan');
        });
      expect(hashes(host)).toEqual(before);
    });
    await step('an up of the plan is not', async () => {
      await host.stack.setAll(settings);
      const { status, output } = await host.stack.run(callOf(host, 'up', 'github-apply.yml'));
      expect(status, output).toBe(0);
    });
    const after = hashes(host);
    const changed = [...new Set([...before.keys(), ...after.keys()])].filter(
      (path) => before.get(path) !== after.get(path),
    );
    const edits = review.sections
      .flatMap(({ changes }) => changes.flatMap((change) => change.edits))
      .filter(({ at }) => at.startsWith('/'));
    expect(edits.map(({ at }) => at).sort()).toEqual(changed.sort());
    expect(edits.length).toBeGreaterThan(6);
    for (const edit of edits) {
      expect([edit.at, sha256(edit.before!)]).toEqual([edit.at, before.get(edit.at)]);
      expect([edit.at, sha256(edit.after!)]).toEqual([edit.at, after.get(edit.at)]);
    }
  });

  it('holds no secret, in none of its forms', async ({ host }) => {
    const secrets = {
      'accounts[1].passwordHash': `$6$other$${'b'.repeat(86)}`,
      'smarthost.password': `it's"the-same"/\\$&`,
      'backup.password': 'backup-password',
      'backup.environment.RESTIC_REST_PASSWORD': 'repository-password',
    };
    const search = new SecretSearch({ ...secrets, 'a private key': 'PRIVATE KEY-----' });
    const { review, report } = await reviewed(host, {
      ...Object.fromEntries(Object.entries(secrets).map(([key, secret]) => [key, { secret }])),
      'smarthost.host': 'smtp.remote.example',
      'smarthost.username': 'mailhost',
      'domains[0].spf[0]': 'ip4:192.0.2.1',
      'domains[1].spf[0]': 'ip4:192.0.2.1',
      'backup.repository': 'rest:http://127.0.0.1/.well-known/acme-challenge/',
      dkimGeneration: '2',
      tlsGeneration: '2',
    });
    expect(review.blockers).toEqual([]);
    const written = [asText(review), markdownReview(review), htmlReview(review)];
    expect([...written, report].map((text) => search.in(text))).toEqual([[], [], [], []]);
    expect(report).toContain('changed secret: password of bert@example.net');
    for (const text of written)
      expect(text).toContain('changed secret: password of bert@example.net');
  });

  it('is reported in the preview itself, in one line where nothing changes', async ({ host }) => {
    const { output } = await host.preview({ spamTagLevel: '3' });
    expect(output).toContain('Review: Harmless: 3 changed; ');
    expect(output).toMatch(/- required_score 2\s+\+ required_score 3/);
    const unchanged = await host.preview({}, '--expect-no-changes');
    const [, diagnostics = ''] = unchanged.output.split('Diagnostics:');
    expect(diagnostics).toMatch(/Review: the stack has what the program wants: .* compared\n\n/);
  });

  it('has each resource, record and line that a plan removes or replaces', async ({ host }) => {
    const { review } = await reviewed(host, {
      web: 'false',
      tlsGeneration: '2',
      'domains[1].name': 'example.com',
      'accounts[1].address': 'bert@example.com',
      'confirm[0]': 'remove example.net',
      'confirm[1]': 'remove bert@example.net',
      volumeSize: '20',
    });
    expect(review.blockers).toEqual([]);
    expect(Object.keys(review.counts).sort()).toEqual(['add', 'change', 'remove', 'replace']);
    expect((await reviewed(host, { serverGeneration: '2' })).review.counts).toEqual({
      replace: expect.any(Number) as number,
    });
  });
});
