import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

const folder = join(__dirname, '../../examples/ci');

export const workflowFiles = [
  'github-review.yml',
  'github-apply.yml',
  'gitlab-ci.yml',
  'github-watch.yml',
] as const;
export type WorkflowFile = (typeof workflowFiles)[number];

export const workflow = (file: WorkflowFile): unknown =>
  parse(readFileSync(join(folder, file), 'utf8'));

/** What is said at the head of a workflow. */
export const workflowComments = (file: WorkflowFile): string =>
  readFileSync(join(folder, file), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('#'))
    .join('\n');

/** Every line of a shell script in a workflow. */
export function scriptLines(file: WorkflowFile): string[] {
  const within = (value: unknown, isScript = false): string[] => {
    if (typeof value === 'string') return isScript ? value.split('\n') : [];
    if (Array.isArray(value)) return value.flatMap((item) => within(item, isScript));
    if (value === null || typeof value !== 'object') return [];
    return Object.entries(value).flatMap(([key, inner]) =>
      within(inner, ['run', 'script', 'before_script'].includes(key)),
    );
  };
  return within(workflow(file)).map((line) => line.trim());
}

/** The arguments of each call of a program in a workflow. */
export const callsOf = (program: string, file: WorkflowFile): string[][] =>
  scriptLines(file)
    .filter((line) => line.startsWith(`${program} `))
    .map((line) =>
      line
        .slice(program.length + 1)
        .replace(/ (?:>|\|\|).*$/, '')
        .split(' '),
    );
