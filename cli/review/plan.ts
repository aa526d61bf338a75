import { stripVTControlCharacters } from 'node:util';
import { z } from 'zod';
import type { Diagnostic, Plan, State, Step } from '../../components/review/plan';
import { reportTitle } from '../../components/review/report';
import { secretsNamedIn } from '../../components/review/secrets';

const properties = z.record(z.string(), z.unknown());

const state = z.object({
  inputs: properties.nullish(),
  outputs: properties.nullish(),
  protect: z.boolean().nullish(),
});

/** `PreviewDigest` of the engine (pkg/display/json.go), as far as a review reads it. */
const digest = z.object({
  steps: z
    .array(
      z.object({
        op: z.string(),
        urn: z.string(),
        oldState: state.nullish(),
        newState: state.nullish(),
        diffReasons: z.array(z.string()).nullish(),
        replaceReasons: z.array(z.string()).nullish(),
        detailedDiff: z.record(z.string(), z.unknown()).nullish(),
      }),
    )
    .nullish(),
  diagnostics: z
    .array(z.object({ message: z.string().nullish(), severity: z.string().nullish() }))
    .nullish(),
  changeSummary: z.record(z.string(), z.number()).nullish(),
});

/**
 * Parses the output of `pulumi preview --json`, in which the engine has replaced each secret by `[secret]`. Lines before the
 * JSON and fields that this program does not know are ignored.
 *
 * @throws Error if the text is not a preview
 */
export function parsePlan(text: string): Plan {
  const { steps, diagnostics, changeSummary } = parseDigest(text);
  const all = (steps ?? []).map((step): Step => {
    const [, , types = '', ...name] = step.urn.split('::');
    return {
      op: step.op,
      urn: step.urn,
      type: types.slice(types.lastIndexOf('$') + 1),
      name: name.join('::'),
      before: stateOf(step.oldState),
      after: stateOf(step.newState),
      differing: [...Object.keys(step.detailedDiff ?? {}), ...(step.diffReasons ?? [])],
      replaceReasons: step.replaceReasons ?? [],
    };
  });
  const root = all.find(({ type }) => type === 'pulumi:pulumi:Stack');
  const [, stack, project] = /^urn:pulumi:(.+?)::(.+?)::/.exec(all[0]?.urn ?? '') ?? [];
  const messages = (diagnostics ?? []).map(({ message, severity }) => ({
    severity: severity ?? 'info',
    message: stripVTControlCharacters(message ?? '')
      .replace(/^(?:warning|error|info): /, '')
      .trim(),
  }));
  const isReport = ({ message }: { message: string }) => message.startsWith(reportTitle);
  return {
    stack: stack === undefined ? '' : `${project}/${stack}`,
    steps: all,
    diagnostics: withoutTraces(messages).filter(
      (one) => one.message !== '' && !namesPluginPath(one.message) && !isReport(one),
    ),
    reportedSecrets: secretsNamedIn(
      messages
        .filter(isReport)
        .map(({ message }) => message)
        .join('\n'),
    ),
    resources: changeSummary
      ? Object.values(changeSummary).reduce((sum, count) => sum + count, 0)
      : undefined,
    outputs: root?.before?.outputs ?? {},
  };
}

/**
 * Without what the SDK writes, line by line, when it cannot report an error because the engine has stopped: the engine's own
 * error says why.
 */
function withoutTraces(messages: Diagnostic[]): Diagnostic[] {
  let isTrace = false;
  return messages.filter(({ severity, message }) => {
    if (severity !== 'info#err') return true;
    const isFirst = message.startsWith('failed to deliver log message');
    const isLast = message.startsWith('message severity:');
    const isKept = !isTrace && !isFirst;
    isTrace = (isTrace || isFirst) && !isLast;
    return isKept;
  });
}

/** The engine reports where it found a plugin that it did not install: a path of the machine, not part of the change. */
const namesPluginPath = (message: string) => /^using pulumi-[\w-]+ from \$PATH/.test(message);

function parseDigest(text: string): z.infer<typeof digest> {
  const start = text.search(/^\{/m);
  if (start < 0)
    throw new Error('this is not a preview: it holds no JSON object. Use `pulumi preview --json`.');
  let value: unknown;
  try {
    value = JSON.parse(text.slice(start));
  } catch (cause) {
    throw new Error(
      /^\{"sequence":/m.test(text)
        ? 'this is a stream of engine events. Unset PULUMI_ENABLE_STREAMING_JSON_PREVIEW and run `pulumi preview --json` again.'
        : 'this is not a complete preview: its JSON is cut off or damaged. Run `pulumi preview --json` again.',
      { cause },
    );
  }
  const { data, error } = digest.safeParse(value);
  if (error)
    throw new Error(
      `this is not a preview as the engine writes it:\n${z.prettifyError(error)}\nUse \`pulumi preview --json\`.`,
    );
  if (typeof value === 'object' && value !== null && 'resourcePlans' in value)
    throw new Error(
      'this is a saved plan (`--save-plan`), which `pulumi up --plan` applies. Review the output of `pulumi preview --json`.',
    );
  if (!data.steps && !data.changeSummary && !data.diagnostics)
    throw new Error(
      'this is not a preview: it has neither steps, diagnostics nor a summary. Use `pulumi preview --json`.',
    );
  return data;
}

const stateOf = (given: z.infer<typeof state> | null | undefined): State | undefined =>
  given
    ? {
        inputs: given.inputs ?? {},
        outputs: given.outputs ?? {},
        protect: given.protect ?? false,
      }
    : undefined;
