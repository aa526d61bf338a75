import type { Properties } from './values';

/** A resource as it exists. */
export interface Found {
  id: string;
  outputs: Properties;
}

/** A resource just made. */
export interface Made extends Found {
  /** Why it is not ready, though it exists: the engine keeps it, and updates it the next time. */
  failure?: Error;
}

export interface Context {
  /** Shows a line of progress beside the resource. */
  log: (line: string) => void;
  /** Shows a warning of the resource at the end, too. */
  warn: (text: string) => void;
  /** Aborts when the user cancels. */
  signal: AbortSignal;
}

/** One kind of resource. Its `state` is what the last operation left: inputs and outputs together. */
export interface ResourceKind {
  /** Inputs that the kind takes; any other is refused, so that nothing is silently ignored. */
  inputs: string[];
  required?: string[];
  defaults?: Properties;
  /** The inputs with defaults that stand inside of one of them. */
  normal?: (inputs: Properties) => Properties;
  /** Defaults that show among the outputs only. */
  outputDefaults?: Properties;
  /** Inputs that the provider chooses where the program does not: leaving one out is no change. */
  optionalComputed?: string[];
  /** Inputs that are read back even where the program gives none. */
  told?: string[];
  /** Inputs in which the order of lists means nothing. */
  sets?: string[];
  /** Inputs whose change needs a new resource. */
  replaces?: string[];
  /** The new resource could not stand beside the old one. */
  deleteBeforeReplace?: boolean;
  /** Outputs that only creation tells. */
  computed: string[];
  /** Those of `computed` that an update may change. */
  changing?: string[];
  /** Inputs and outputs that are secret whatever the program says. */
  secrets?: string[];
  /** What is wrong with the inputs, by property; what it says of one that is not known yet is dropped. */
  check?: (inputs: Properties) => Record<string, string>;
  /** Outputs that ask for a new resource by themselves, as time does. */
  outdated?: (inputs: Properties, state: Properties) => string[];
  create: (inputs: Properties, context: Context) => Promise<Made>;
  /** Returns the outputs that may have changed. */
  update?: (
    id: string,
    inputs: Properties,
    state: Properties,
    context: Context,
  ) => Promise<Properties>;
  delete?: (id: string, state: Properties, context: Context) => Promise<void>;
  /** What exists under `id`, or undefined where it is gone; `state` is empty for an import. */
  read?: (id: string, state: Properties) => Promise<Found | undefined>;
}
