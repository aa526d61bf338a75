import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { workflow, type WorkflowFile } from './workflows';

const mark = '<!-- mailhost review -->';

/** Stands in for a program: it notes how it is called. */
const standIns: Record<string, string> = {
  npm: '',
  // It writes as much of a preview and a plan as it could make.
  pulumi: `[ "$1" = up ] && exit 0
[ "$PREVIEW" = fails ] && exit 1
[ "$PREVIEW" ] || echo reviewed > plan.json
echo '{}'
[ -z "$PREVIEW" ]`,
  npx: `[ -s preview.json ] || exit 1
[ "$5" = markdown ] && printf '${mark}\\n### Mail host review: a & b + c\\n' > "$7"
exit "\${STATUS:-0}"`,
  gh: `case "$*" in
  *comments\\ --jq*) [ -z "$COMMENT" ] || echo "$COMMENT" ;;
  run\\ list*) echo "$RUN" ;;
esac`,
};

let folder: string;
const within = (name: string) => join(folder, name);
const written = (name: string) => readFileSync(within(name), 'utf8');

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'workflow-'));
  mkdirSync(within('bin'));
  writeFileSync(within('calls'), '');
  for (const [name, script] of Object.entries(standIns))
    writeFileSync(within(`bin/${name}`), `#!/bin/bash\necho "${name} $*" >> calls\n${script}\n`, {
      mode: 0o755,
    });
});
afterEach(() => rmSync(folder, { recursive: true }));

/** How the programs were called. */
const calls = (program: string) =>
  written('calls')
    .split('\n')
    .filter((line) => line.startsWith(`${program} `));

/** Runs a script as the runner does. */
async function run(options: string[], script: string, variables: NodeJS.ProcessEnv) {
  writeFileSync(within('script'), script);
  const child = spawn('bash', [...options, 'script'], {
    cwd: folder,
    env: { PATH: `${within('bin')}:${process.env.PATH}`, HOME: folder, ...variables },
  });
  const [output, errors] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { status: child.exitCode, output: output + errors };
}

describe('the workflows for GitHub', () => {
  /** Runs the scripts of all steps until one fails. */
  async function job(file: WorkflowFile, name: string, variables: NodeJS.ProcessEnv) {
    const { jobs } = workflow(file) as {
      jobs: Record<string, { steps: { run?: string; env?: Record<string, string> }[] }>;
    };
    writeFileSync(within('output'), '');
    let result: Awaited<ReturnType<typeof run>> = { status: 0, output: '' };
    for (const { run: script, env = {} } of jobs[name]!.steps) {
      if (script === undefined || result.status !== 0) continue;
      const [, status] = /^status=(.*)$/m.exec(written('output')) ?? [];
      // What the runner would fill in is given by the test.
      const own = Object.keys(env).includes('STATUS') ? { STATUS: status } : {};
      result = await run(['-e'], script, {
        GITHUB_OUTPUT: within('output'),
        GITHUB_STEP_SUMMARY: within('summary'),
        GITHUB_REPOSITORY: 'o/r',
        PULL_REQUEST: '5',
        REVIEWED: 'c0ffee',
        ...variables,
        ...own,
      });
    }
    return result;
  }
  const review = (variables: NodeJS.ProcessEnv) => job('github-review.yml', 'review', variables);
  const commented = () => calls('gh').at(-1)!;

  it('write a comment, and update it with the next push', async () => {
    expect((await review({ STATUS: '2' })).status).toBe(0);
    expect(commented()).toBe('gh api repos/o/r/issues/5/comments -F body=@review.md');
    expect(written('summary')).toContain('a & b + c');
    expect((await review({ COMMENT: '42\n43' })).status).toBe(0);
    expect(commented()).toBe(
      'gh api --method PATCH repos/o/r/issues/comments/42 -F body=@review.md',
    );
  });

  it.each(['1', '3'])('fail a review that ends with %s, once it is written', async (STATUS) => {
    expect((await review({ STATUS, PREVIEW: 'blocked' })).status).toBe(1);
    expect(commented()).toContain('body=@review.md');
    expect(written('review.md')).toContain('a & b + c');
  });

  it('fail a preview that leaves no plan, though its review knows no reason', async () => {
    expect((await review({ PREVIEW: 'violates a policy' })).status).toBe(1);
  });

  it('replace a comment that is no longer true if there is no preview', async () => {
    expect((await review({ PREVIEW: 'fails', COMMENT: '42' })).status).toBe(1);
    expect(commented()).toContain('--method PATCH');
    expect(written('review.md')).toMatch(new RegExp(`^${mark}\n### Mail host review: none\n`));
  });

  it('apply the plan of the run that reviewed the commit, and none without one', async () => {
    expect((await job('github-apply.yml', 'apply', { RUN: '77' })).status).toBe(0);
    expect(calls('gh').join()).toMatch(/--commit c0ffee --status success .*run download 77 /);
    expect(calls('pulumi')).toEqual(['pulumi up --yes --non-interactive --plan plan.json']);
    const refused = await job('github-apply.yml', 'apply', { RUN: '' });
    expect(refused).toMatchObject({
      status: 1,
      output: expect.stringContaining('c0ffee') as string,
    });
    expect(calls('pulumi')).toHaveLength(1);
  });
});

describe('the pipeline for GitLab', () => {
  const own = 7;
  let notes: { id: number; author: { id: number }; body: string }[] = [];
  let requests: { iid: number; state: string }[] = [];
  let asked: string[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const { pathname, searchParams } = new URL(request.url!, 'http://localhost');
      const body = await text(request);
      asked.push(
        [request.method, request.url, decodeURIComponent(body.replaceAll('+', ' '))]
          .join(' ')
          .trim(),
      );
      const page = Number(searchParams.get('page') ?? 1);
      if (request.headers.authorization !== 'Bearer token') response.statusCode = 401;
      if (page * 2 < notes.length) response.setHeader('X-Next-Page', page + 1);
      const answers: [end: string, answer: string][] = [
        ['/user', JSON.stringify({ id: own })],
        ['/c0ffee/merge_requests', JSON.stringify(requests)],
        ['/plan.json', 'the plan'],
        ['/notes', JSON.stringify(notes.slice((page - 1) * 2, page * 2))],
      ];
      response.end(answers.find(([end]) => pathname.endsWith(end))?.[1]);
    })();
  });
  beforeAll(() => once(server.listen(0, '127.0.0.1'), 'listening'));
  afterAll(() => void server.close());
  beforeEach(() => {
    [notes, requests, asked] = [[], [], []];
  });

  const { variables, ...pipeline } = workflow('gitlab-ci.yml') as {
    variables: Record<string, string>;
    default: { before_script: string[] };
    review: { script: string[] };
    apply: { script: string[] };
  };
  const job = (name: 'review' | 'apply', more: NodeJS.ProcessEnv = {}) => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const filled = { CI_API_V4_URL: url, CI_PROJECT_ID: '3' };
    return run(
      ['-eo', 'pipefail'],
      [...pipeline.default.before_script, ...pipeline[name].script].join('\n'),
      {
        ...filled,
        PROJECT: variables.PROJECT!.replace('$CI_API_V4_URL', url).replace('$CI_PROJECT_ID', '3'),
        REVIEW_TOKEN: 'token',
        CI_MERGE_REQUEST_IID: '5',
        CI_COMMIT_SHA: 'c0ffee',
        ...more,
      },
    );
  };
  const comment = `body=${mark}\n### Mail host review: a & b + c`;

  it('has lines alone in its scripts, as GitLab asks for', () => {
    const lines = [pipeline.default.before_script, pipeline.review.script, pipeline.apply.script];
    for (const line of lines.flat()) expect(line).toBeTypeOf('string');
  });

  it('writes a comment, and updates its own with the next push', async () => {
    expect(await job('review', { STATUS: '2' })).toMatchObject({ status: 0 });
    expect(asked.at(-1)).toBe(`POST /projects/3/merge_requests/5/notes ${comment}`);
    notes = [
      { id: 40, author: { id: 8 }, body: `${mark} of another person` },
      { id: 41, author: { id: own }, body: `About ${mark}` },
      { id: 42, author: { id: own }, body: `${mark}\n### Mail host review: earlier` },
    ];
    expect(await job('review')).toMatchObject({ status: 0 });
    expect(asked.at(-1)).toBe(`PUT /projects/3/merge_requests/5/notes/42 ${comment}`);
  });

  it.each(['1', '3'])('fails a review that ends with %s, once it is written', async (STATUS) => {
    expect(await job('review', { STATUS, PREVIEW: 'blocked' })).toMatchObject({ status: 1 });
    expect(asked.at(-1)).toBe(`POST /projects/3/merge_requests/5/notes ${comment}`);
  });

  it('fails a preview that leaves no plan, though its review knows no reason', async () => {
    expect(await job('review', { PREVIEW: 'violates a policy' })).toMatchObject({ status: 1 });
  });

  it('replaces a comment that is no longer true if there is no preview', async () => {
    notes = [{ id: 42, author: { id: own }, body: mark }];
    expect(await job('review', { PREVIEW: 'fails' })).toMatchObject({ status: 1 });
    expect(asked.at(-1)).toContain(`notes/42 body=${mark}\n### Mail host review: none\n`);
  });

  it('applies the plan of the request that is merged, and none without one', async () => {
    requests = [
      { iid: 4, state: 'closed' },
      { iid: 5, state: 'merged' },
    ];
    expect(await job('apply')).toMatchObject({ status: 0 });
    expect(asked.at(-1)).toBe(
      'GET /projects/3/jobs/artifacts/refs%2Fmerge-requests%2F5%2Fhead/raw/plan.json?job=review',
    );
    expect(written('plan.json')).toBe('the plan');
    expect(calls('pulumi')).toEqual(['pulumi up --yes --non-interactive --plan plan.json']);
    requests = [];
    expect(await job('apply')).toMatchObject({
      status: 1,
      output: expect.stringContaining('c0ffee comes from no merge request') as string,
    });
    expect(calls('pulumi')).toHaveLength(1);
  });

  it('stops where GitLab refuses the token', async () => {
    expect(await job('review', { REVIEW_TOKEN: 'other' })).toMatchObject({ status: 22 });
    expect(await job('apply', { REVIEW_TOKEN: 'other' })).toMatchObject({ status: 22 });
    expect(calls('pulumi').filter((line) => line.includes(' up '))).toEqual([]);
  });
});
