import type { SecretChange } from './secrets';

/** What the engine knows of a resource before or after a change. */
export interface State {
  inputs: Record<string, unknown>;
  outputs: Record<string, unknown>;
  protect: boolean;
}

/** What the engine would do to one resource. */
export interface Step {
  /** `StepOp` of the engine, such as `update`. */
  op: string;
  urn: string;
  /** Such as `hcloud:index/server:Server`. */
  type: string;
  name: string;
  before?: State;
  after?: State;
  /** Properties that differ, as the provider reports them: paths such as `rules[0].port`. */
  differing: string[];
  /** Properties that make the provider replace the resource. */
  replaceReasons: string[];
  /** Which secrets differ in what it pushes, if that is known. */
  changedSecrets?: SecretChange[];
}

/** A message of the engine, a provider or the program. */
export interface Diagnostic {
  /** `info`, `info#err`, `warning` or `error`. */
  severity: string;
  message: string;
}

/** A preview as data. */
export interface Plan {
  /** `PROJECT/STACK`. */
  stack: string;
  steps: Step[];
  diagnostics: Diagnostic[];
  /** Number of resources that the engine compared; undefined if the preview failed before it had compared all. */
  resources?: number;
  /** Which secrets the program's own report names, by the title of the push; none without a report. */
  reportedSecrets?: Map<string, SecretChange[]>;
  /** Outputs of the stack before the change. */
  outputs: Record<string, unknown>;
}
