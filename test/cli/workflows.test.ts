import { describe, expect, it } from 'vitest';
import { doctorCommand } from '../../cli/doctor/command';
import { reviewCommand } from '../../cli/review/command';
import { markdownReview } from '../../cli/review/markdown';
import { sampleReview } from './samples';
import {
  callsOf,
  scriptLines,
  workflow,
  workflowComments,
  workflowFiles,
  type WorkflowFile,
} from './workflows';

const [githubReview, githubApply, gitlab, githubWatch] = workflowFiles;

describe.each<[string, WorkflowFile, WorkflowFile]>([
  ['GitHub', githubReview, githubApply],
  ['GitLab', gitlab, gitlab],
])('the example of a workflow for %s', (_, review, apply) => {
  it('calls the review with options that it has, on the preview that it saves', () => {
    const calls = callsOf('npx mailhost review', review);
    const formats = calls.map((words) => {
      const command = reviewCommand().exitOverride();
      expect(command.parseOptions(words)).toEqual({ operands: ['preview.json'], unknown: [] });
      const { format, output } = command.opts<{ format: string; output: string }>();
      return [format, output];
    });
    expect(formats).toEqual([
      ['markdown', 'review.md'],
      ['html', 'review.html'],
    ]);
    const [saving] = scriptLines(review).filter((line) => line.startsWith('pulumi preview '));
    expect(saving).toContain(' > preview.json');
  });

  it('applies nothing but the plan that it saved', () => {
    const [preview, ...others] = callsOf('pulumi', review).filter(([verb]) => verb === 'preview');
    expect(others).toEqual([]);
    const plan = preview![preview!.indexOf('--save-plan') + 1]!;
    expect(callsOf('pulumi', apply).filter(([verb]) => verb === 'up')).toEqual([
      ['up', '--yes', '--non-interactive', '--plan', plan],
    ]);
    expect(JSON.stringify(workflow(apply))).not.toContain('--skip-preview');
  });

  it('finds its comment by what the review begins with', () => {
    const [mark] = markdownReview(sampleReview('nothing')).split('\n');
    // Once to find it, and once for what takes its place where there is no review.
    const found = scriptLines(review).filter((line) => line.includes(mark!));
    expect(
      found.filter((line) => line.includes('startsWith') || line.includes('startswith')),
    ).toHaveLength(1);
    expect(found.filter((line) => line.includes('printf'))).toHaveLength(1);
    expect(scriptLines(review).join('\n')).toMatch(/--paginate|page=\$page/);
  });

  it('lets what is blocked fail, and what is risky pass', () => {
    const last = scriptLines(review)
      .filter((line) => line.startsWith('[ '))
      .at(-1);
    expect(last).toMatch(
      /^\[ -s plan\.json \] && \{ \[ "\$(\w+)" = 0 \] \|\| \[ "\$\1" = 2 \]; \}$/,
    );
  });

  it('names each variable that it needs, and stops where there is no reviewed plan', () => {
    const comments = [review, apply].map(workflowComments).join('\n');
    const needed = JSON.stringify([workflow(review), workflow(apply)]).matchAll(
      /(?:secrets|vars)\.(\w+)|\$(REVIEW_TOKEN)/g,
    );
    for (const [, name, token] of needed) expect(comments).toContain(name ?? token);
    for (const name of ['PULUMI_BACKEND_URL', 'AWS_SECRET_ACCESS_KEY'])
      expect(comments).toContain(name);
    expect(scriptLines(apply).join('\n')).toMatch(
      /if \[ -z "\$(run|request)" \]; then\n.*\nexit 1/,
    );
  });

  it('runs no code of a fork with secrets', () => {
    const texts = JSON.stringify([workflow(review), workflow(apply)]);
    expect(texts).not.toContain('pull_request_target');
    const guard =
      review === gitlab
        ? '$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID'
        : 'github.event.pull_request.head.repo.full_name == github.repository';
    expect(JSON.stringify(workflow(review))).toContain(guard);
  });
});

describe('a workflow for GitHub', () => {
  it('watches by options that the doctor has, without a secret, and keeps its state before it fails', () => {
    const command = doctorCommand().exitOverride();
    const [words, ...others] = callsOf('npx mailhost doctor', githubWatch);
    expect(others).toEqual([]);
    expect(command.parseOptions(words!)).toEqual({ operands: [], unknown: [] });
    expect(command.opts()).toEqual({ plan: 'doctor-plan.json', watch: 'watch.json' });
    const { jobs } = workflow(githubWatch) as {
      jobs: { watch: { steps: { uses?: string; run?: string; with?: { path?: string } }[] } };
    };
    const { steps } = jobs.watch;
    const at = (match: (step: (typeof steps)[number]) => boolean) => steps.findIndex(match);
    const saves = at(({ uses }) => uses?.startsWith('actions/cache/save') ?? false);
    expect(steps[saves]!.with!.path).toBe('watch.json');
    expect(at(({ run }) => run?.startsWith('[ "$STATUS"') ?? false)).toBeGreaterThan(saves);
    expect(JSON.stringify(workflow(githubWatch))).not.toContain('secrets.');
  });

  it.each([githubReview, githubApply, githubWatch])(
    'puts no value of the event into a script: %s',
    (file) => {
      expect(scriptLines(file).filter((line) => line.includes('${{'))).toEqual([]);
    },
  );
});
