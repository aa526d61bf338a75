import { isDeepStrictEqual } from 'node:util';
import type { State, Step } from './plan';
import { isCommand } from './changes';
import { pushOf } from './pushes';
import { isRecord } from './records';
import { changedSecrets } from './secrets';
import { isUnknown, secret } from './values';

/** A property as the program has it: in plain, even if it is a secret. */
export interface Property {
  value: unknown;
  isSecret: boolean;
}

export type Properties = Record<string, Property>;

/** What the engine is about to do to one resource. */
export interface Planned {
  op: 'create' | 'import' | 'update' | 'replace';
  urn: string;
  type: string;
  name: string;
  /** Inputs before; undefined if it is new. */
  before?: Properties;
  /** Inputs after. */
  after: Properties;
  /** Outputs before, if the engine has them. */
  outputs?: Properties;
}

/**
 * The step as the engine shows it in a preview: each secret is replaced, and only that it differs is said of it.
 *
 * @param prefixes of the names of each mail host's resources
 */
export function plannedStep(
  { op, urn, type, name, before, after, outputs = {} }: Planned,
  prefixes: string[],
): Step {
  const isSecret = (key: string) =>
    [before?.[key], after[key], outputs[key]].some((property) => property?.isSecret);
  const state = (properties: Properties): State['inputs'] =>
    Object.fromEntries(
      Object.entries(properties).map(([key, { value }]) => [key, isSecret(key) ? secret : value]),
    );
  const differs = (key: string, old: Properties) =>
    !isDeepStrictEqual(old[key]?.value, after[key]?.value);

  const keys = before ? [...new Set([...Object.keys(before), ...Object.keys(after)])] : [];
  const changed = keys.filter((key) => differs(key, before!));
  const step: Step = {
    op,
    urn,
    type,
    name,
    before: before && { inputs: state(before), outputs: state(outputs), protect: false },
    after: { inputs: state(after), outputs: {}, protect: false },
    differing:
      changed.length > 0
        ? changed.filter(isSecret)
        : // Changed outside the stack: what the provider has is not what is wanted, now as before.
          keys.filter(
            (key) => key in outputs && !isUnknown(after[key]?.value) && differs(key, outputs),
          ),
    replaceReasons: [],
  };
  return (changed.includes('stdin') || op === 'create') && isSecret('stdin')
    ? {
        ...step,
        changedSecrets: changedSecrets(
          pushOf(step, prefixes),
          before?.stdin?.value,
          after.stdin?.value,
        ),
      }
    : step;
}

/**
 * The step that deletes a resource of the state, which has its outputs alone, and these in plain. So of records and pushes
 * only what holds no secret is taken over, and nothing of any other resource.
 */
export function removalStep(
  urn: string,
  type: string,
  name: string,
  outputs: Record<string, unknown>,
): Step {
  const inputs: State['inputs'] = isRecord(type)
    ? recordInputs(outputs)
    : isCommand(type)
      ? commandInputs(outputs)
      : {};
  const step: Step = {
    op: 'delete',
    urn,
    type,
    name,
    before: { inputs, outputs: {}, protect: false },
    differing: [],
    replaceReasons: [],
  };
  return inputs.stdin === secret
    ? { ...step, changedSecrets: changedSecrets(pushOf(step, []), outputs.stdin, '{}') }
    : step;
}

/** The content of a record that is made from `data` is put together by the provider. */
function recordInputs({
  name,
  type,
  ttl,
  content,
  value,
  priority,
  data,
}: Record<string, unknown>) {
  return data !== undefined && data !== null
    ? { name, type, ttl, data }
    : { name, type, ttl, content, value, priority };
}

/** Secrets are staged by commands of their own. */
function commandInputs({ create, stdin }: Record<string, unknown>): State['inputs'] {
  const isStaging = typeof create !== 'string' || /\bmailhost stage\b/.test(create);
  return { create, stdin: isStaging && stdin !== undefined ? secret : stdin };
}
