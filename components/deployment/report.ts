import * as pulumi from '@pulumi/pulumi';
import { observing } from '../hooks';
import type { Preflight } from '../preflight/preflight';
import type { Step } from '../review/plan';
import { plannedStep, removalStep, type Planned, type Properties } from '../review/planned';
import { noReport, reportOf, type Compared } from '../review/report';
import { isCommand, isFrame } from '../review/changes';
import { isRecord } from '../review/records';
import { reviewOf } from '../review/review';
import { filesIn, unknown } from '../review/values';
import type { ReviewDetail } from '../settings/enums';

/** What the SDK's types leave out of an output. */
interface Inspectable {
  promise(withUnknowns: boolean): Promise<unknown>;
  isSecret: Promise<boolean>;
}

/** A resource as the program registers it. */
interface Registered {
  resource: pulumi.Resource;
  type: string;
  name: string;
  props: pulumi.Inputs;
}

/** The report of a preview, unless it is off. */
export const previewReport = (name: string, detail: ReviewDetail): PreviewReport | undefined =>
  pulumi.runtime.isDryRun() && detail !== 'off' ? new PreviewReport(name, detail) : undefined;

/**
 * Reports in a preview what the engine is about to do to the resources of one mail host.
 *
 * The engine runs hooks before it makes or changes a resource, with the inputs before and after: so the report has what it
 * has found out itself. They are bound in previews alone, and leave no trace in the state. Resources that are deleted are
 * those of the state that the program does not register.
 */
export class PreviewReport {
  private readonly registered: Registered[] = [];
  private readonly planned: Promise<Planned>[] = [];
  private hooks: ReturnType<typeof observing>;

  /** @param name of the MailHost */
  constructor(
    private readonly name: string,
    private readonly detail: Exclude<ReviewDetail, 'off'>,
  ) {}

  /** Of the MailHost, which each resource below it inherits. */
  readonly transformations: pulumi.ResourceTransformation[] = [
    ({ resource, type, name, props, opts }) => {
      this.registered.push({ resource, type, name, props });
      const hooks = isFrame(type) ? undefined : this.observed(opts.hooks);
      return hooks && { props, opts: { ...opts, hooks } };
    },
  ];

  private observed(given: pulumi.ResourceHookBinding = {}): pulumi.ResourceHookBinding | undefined {
    this.hooks ??= observing(`${this.name}: review`, (args) => {
      const planned = plannedOf(args);
      // It is reported with the others, if the preview comes to that.
      planned.catch(() => undefined);
      this.planned.push(planned);
    });
    return (
      this.hooks && {
        ...given,
        beforeCreate: [...(given.beforeCreate ?? []), ...this.hooks.beforeCreate],
        beforeUpdate: [...(given.beforeUpdate ?? []), ...this.hooks.beforeUpdate],
      }
    );
  }

  /** Reports once the engine has compared every resource. What fails here fails no preview. */
  async print(found: Preflight, parent: pulumi.Resource): Promise<void> {
    const done = pulumi.runtime.rpcKeepAlive();
    try {
      await pulumi.log.info(await this.text(found), parent);
    } catch (error) {
      await pulumi.log.warn(
        `this preview has no review: ${(error as Error).message}. The plan itself is not affected. Use \`mailhost review\`, or set review to off`,
        parent,
      );
    } finally {
      done();
    }
  }

  private async text({ before: { own }, adopted, warnings }: Preflight): Promise<string> {
    const resources = this.registered.filter(({ type }) => !isFrame(type));
    const urns = await Promise.all(
      this.registered.map(async ({ resource }) => String((await inspect(resource.urn)).value)),
    );
    if (this.hooks === undefined) return noReport;
    const outputs = new Map(own.map((resource) => [resource.urn, resource.outputs]));
    const imported = resources
      .filter(({ type, name }) => adopted.ids.has(`${type} ${name}`))
      .map(importOf);
    const planned = await Promise.all([...imported, ...this.planned]);
    // The names of the mail host's resources begin with its own.
    const frames = urns
      .filter((urn) => urn.endsWith(`mailhost:index:MailHost::${this.name}`))
      .map((urn) => unchanged(urn));
    const removed = own.filter(({ urn, type }) => !urns.includes(urn) && !isFrame(type));
    const review = reviewOf({
      stack: '',
      steps: [
        ...frames,
        ...planned.map((one) => plannedStep(replacing(one, outputs), [`${this.name}-`])),
        ...removed.map(({ urn, type, outputs: last }) =>
          removalStep(urn, type, urn.split('::').slice(3).join('::'), last),
        ),
      ],
      diagnostics: warnings.map((message) => ({ severity: 'warning', message })),
      resources: resources.length + removed.length,
      outputs: {},
    });
    return reportOf(review, await comparedIn(resources), this.detail, own.length === 0);
  }
}

async function comparedIn(resources: Registered[]): Promise<Compared> {
  const inputs = await Promise.all(resources.map(({ props }) => inspect(props.stdin)));
  return {
    resources: resources.length,
    records: resources.filter(({ type }) => isRecord(type)).length,
    files: inputs
      .filter(({ isSecret }) => !isSecret)
      .reduce((sum, { value }) => sum + Object.keys(filesIn(value) ?? {}).length, 0),
  };
}

/** The value of an input, also if it is secret or not known yet. */
async function inspect(input: unknown): Promise<Properties[string]> {
  if (typeof input !== 'object') return { value: input, isSecret: false };
  const output = pulumi.output(input) as unknown as Inspectable;
  return { value: withMarks(await output.promise(true)), isSecret: await output.isSecret };
}

/** With what the engine writes in place of a value that is not known yet. */
function withMarks(value: unknown): unknown {
  if (pulumi.isUnknown(value)) return unknown;
  if (Array.isArray(value)) return value.map(withMarks);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withMarks(inner)]));
}

const propertiesOf = async (inputs: pulumi.Inputs): Promise<Properties> =>
  Object.fromEntries(
    await Promise.all(
      Object.entries(inputs).map(async ([key, value]) => [key, await inspect(value)] as const),
    ),
  );

const plannedOf = async ({
  urn,
  type,
  name,
  oldInputs,
  newInputs,
  oldOutputs,
}: pulumi.ResourceHookArgs): Promise<Planned> => ({
  op: oldInputs ? 'update' : 'create',
  urn,
  type,
  name,
  before: oldInputs && (await propertiesOf(oldInputs)),
  after: await propertiesOf(newInputs ?? {}),
  outputs: oldOutputs && (await propertiesOf(oldOutputs)),
});

const unchanged = (urn: string): Step => ({
  op: 'same',
  urn,
  type: 'mailhost:index:MailHost',
  name: urn.split('::').slice(3).join('::'),
  differing: [],
  replaceReasons: [],
});

/** The engine runs no hooks before an import. */
const importOf = async ({ resource, type, name, props }: Registered): Promise<Planned> => ({
  op: 'import',
  urn: String((await inspect(resource.urn)).value),
  type,
  name,
  after: await propertiesOf(props),
});

/**
 * A resource that is made although the state has it is replaced. The hook has no inputs of the one before, but providers
 * return them with its outputs: secrets in another form at times, which only commands do not.
 */
function replacing(planned: Planned, outputs: Map<string, Record<string, unknown>>): Planned {
  const last = outputs.get(planned.urn);
  if (planned.op !== 'create' || last === undefined) return planned;
  const before = Object.entries(planned.after).map(([key, { value, isSecret }]) => [
    key,
    { value: isSecret && !isCommand(planned.type) ? value : last[key], isSecret },
  ]);
  return { ...planned, op: 'replace', before: Object.fromEntries(before) as Properties };
}
