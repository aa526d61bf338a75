import type { HostFiles } from '../hostFiles/files';
import { commandOf, pushOf, works, type Work } from './pushes';
import type { Plan, Step } from './plan';
import type { SecretChange } from './secrets';
import { isRecord, recordIn, type RecordChange } from './records';
import { filesIn, isUnknown, secret, textOf, valueAt } from './values';

export type Action = 'add' | 'import' | 'change' | 'replace' | 'remove';

/** One text that changes: a file of a push, a DNS record, or a property of any other resource. */
export interface Edit {
  /** Path of the file, name and type of the record, or name of the property. */
  at: string;
  /** Undefined if it is new. */
  before?: string;
  /** Undefined if it is removed. */
  after?: string;
  /** It changes, and neither text is known: the engine hides both. */
  isSecret?: true;
  /** What the secrets of a push are. */
  secrets?: string;
  /** Which of them change, if that is known. */
  changedSecrets?: SecretChange[];
}

/** What happens to one resource. */
export interface Change {
  urn: string;
  type: string;
  name: string;
  action: Action;
  edits: Edit[];
  replaceReasons: string[];
  /** If it runs the host program: what it pushes, such as `dovecot`, or does, such as `check`. */
  push?: string;
  /** If it is a DNS record. */
  record?: RecordChange;
  /** The resource's inputs. */
  before?: Record<string, unknown>;
  after?: Record<string, unknown>;
}

const actions: Record<string, Action> = {
  create: 'add',
  import: 'import',
  update: 'change',
  delete: 'remove',
  discard: 'remove',
  replace: 'replace',
  'create-replacement': 'replace',
  'delete-replaced': 'replace',
  'import-replacement': 'replace',
  'read-replacement': 'replace',
  'discard-replaced': 'replace',
};

/** Operations that compare or read, and change nothing unless something differs. */
const passive = new Set(['same', 'read', 'refresh', 'diff', 'remove-pending-replace']);

/** Everything that the plan changes; an operation that this program does not know is a change. */
export function changesIn(plan: Plan): Change[] {
  const hosts = plan.steps
    .flatMap(({ urn }) => /(?<=\bmailhost:index:MailHost::).+/.exec(urn) ?? [])
    .map((name) => `${name}-`);
  const known = works();
  const secretsOf = (work: Work | undefined, push: string | undefined) => {
    const what = work?.secrets?.what;
    if (typeof what !== 'function') return what;
    const files = plan.steps
      .filter((step) => pushOf(step, hosts) === push)
      .flatMap(({ before, after }) => [filesIn(before?.inputs.stdin), filesIn(after?.inputs.stdin)])
      .filter((one) => one !== undefined);
    return what(Object.assign({}, ...files) as HostFiles);
  };
  return withoutRepetitions(plan.steps).flatMap((step): Change[] => {
    const push = pushOf(step, hosts);
    const work = known.get(push ?? '');
    const named = plan.reportedSecrets?.get(work?.title ?? '');
    const edits = editsOf(step).map((edit) =>
      edit.isSecret
        ? { secrets: secretsOf(work, push), ...(named ? { changedSecrets: named } : {}), ...edit }
        : edit,
    );
    if (passive.has(step.op) && edits.length === 0) return [];
    if (isFrame(step.type) && edits.length === 0) return [];
    return [
      {
        urn: step.urn,
        type: step.type,
        name: step.name,
        action: actions[step.op] ?? 'change',
        edits,
        replaceReasons: step.replaceReasons,
        push,
        record: isRecord(step.type) ? recordsOf(step) : undefined,
        before: step.before?.inputs,
        after: step.after?.inputs,
      },
    ];
  });
}

/** Undefined if neither side has what makes a record. */
function recordsOf({ before, after }: Step): RecordChange | undefined {
  const record = { before: recordIn(before?.inputs), after: recordIn(after?.inputs) };
  return record.before || record.after ? record : undefined;
}

/** Groups the resources inside it, and has nothing of its own. */
export const isFrame = (type: string) => /^(?:mailhost:index:|pulumi:pulumi:Stack$)/.test(type);

/** The engine may list the parts of a replacement beside it (`--show-replacement-steps`). */
function withoutRepetitions(steps: Step[]): Step[] {
  const replaced = new Map<string, Step>();
  return steps.filter((step) => {
    if (actions[step.op] !== 'replace') return true;
    const first = replaced.get(step.urn);
    if (first === undefined) {
      replaced.set(step.urn, step);
      return true;
    }
    first.before ??= step.before;
    first.after ??= step.after;
    return false;
  });
}

function editsOf(step: Step): Edit[] {
  const before = actions[step.op] === 'add' ? undefined : step.before;
  const after = actions[step.op] === 'remove' ? undefined : step.after;
  const of = { before: before?.inputs ?? {}, after: after?.inputs ?? {} };
  const edits: Edit[] = [];
  const add = (at: string, old: string | undefined, next: string | undefined) => {
    if (old !== next) edits.push({ at, before: old, after: next });
  };

  const handled = new Set(['__defaults']);
  const [old, next] = isRecord(step.type) ? [recordIn(of.before), recordIn(of.after)] : [];
  const title = (next ?? old)?.title;
  if (title !== undefined) {
    add(title, old?.line, next?.line);
    for (const key of ['content', 'data', 'name', 'priority', 'ttl', 'type', 'value'])
      handled.add(key);
    // Of a record that is made or deleted the rest says nothing more.
    if (!old || !next) for (const key of ['zoneId', 'proxied']) handled.add(key);
  }
  const [oldFiles, newFiles] = [filesIn(of.before.stdin), filesIn(of.after.stdin)];
  if (isCommand(step.type)) {
    // How the host is reached, and when to repeat: both follow from changes that are shown.
    for (const key of ['connection', 'triggers', 'logging', 'addPreviousOutputInEnv'])
      handled.add(key);
    const commands = [commandOf(of.before.create), commandOf(of.after.create)];
    handled.add('create');
    if (before && after && !isUnknown(of.after.create)) add('command', commands[0], commands[1]);
    if ((oldFiles ?? newFiles) && [of.before.stdin, of.after.stdin].every(isFilesOrNothing)) {
      handled.add('stdin');
      edits.push(...fileEdits(oldFiles ?? {}, newFiles ?? {}));
    }
    if (!(before && after) && [of.before.stdin, of.after.stdin].includes(secret)) {
      handled.add('stdin');
      edits.push(secretEdit('stdin', step));
    }
  }

  const keys = [...new Set([...Object.keys(of.before), ...Object.keys(of.after)])].sort();
  for (const key of keys.filter((one) => !handled.has(one)))
    add(
      title === undefined ? key : `${title} ${key}`,
      textOf(of.before[key]),
      textOf(of.after[key]),
    );
  if (before && after) {
    add('protect', String(before.protect), String(after.protect));
    edits.push(...reportedEdits(step, handled, edits));
  }
  return edits;
}

const secretEdit = (at: string, { changedSecrets }: Step): Edit => ({
  at,
  isSecret: true,
  ...(changedSecrets ? { changedSecrets } : {}),
});

export const isCommand = (type: string) => type === 'command:remote:Command';
const isFilesOrNothing = (value: unknown) => value === undefined || filesIn(value) !== undefined;

function fileEdits(
  before: NonNullable<ReturnType<typeof filesIn>>,
  after: NonNullable<ReturnType<typeof filesIn>>,
): Edit[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].sort().flatMap((path) => {
    const [old, next] = [before[path], after[path]];
    const rights = [old, next].map((file) => file && `${file.mode} ${file.owner}`);
    return [
      ...(old?.text === next?.text ? [] : [{ at: path, before: old?.text, after: next?.text }]),
      ...(old && next && rights[0] !== rights[1]
        ? [{ at: `${path} (mode and owner)`, before: rights[0], after: rights[1] }]
        : []),
    ];
  });
}

/** What the provider reports as differing though the inputs read the same: secrets, and what was changed outside the stack. */
function reportedEdits(step: Step, handled: Set<string>, shown: Edit[]) {
  const { before, after, differing } = step;
  const edits: Edit[] = [];
  for (const path of new Set(differing)) {
    const [key = path] = /^[^.[]+/.exec(path) ?? [];
    const [old, next] = [before, after].map((state) => textOf(valueAt(state?.inputs, path)));
    const isShown = [...shown, ...edits].some(({ at }) => /^[^.[]+/.exec(at)?.[0] === key);
    if (key === 'connection' || (isShown && !(old === secret && next === secret))) continue;
    if (old === next && next?.includes(secret)) edits.push(secretEdit(path, step));
    else if (!handled.has(key)) {
      const [real, wanted] = [textOf(before?.outputs[key]), textOf(after?.inputs[key])];
      if (real !== wanted) edits.push({ at: key, before: real, after: wanted });
    }
  }
  return edits;
}
