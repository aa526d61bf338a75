import * as pulumi from '@pulumi/pulumi';
import { argumentNames, type FrontEnd } from '../settings/mistakes';

/** A reason that blocks a plan. */
export interface Blocker {
  message: string;
  /** Text that the setting `confirm` must contain for the plan to go on. Unset: it cannot. */
  confirmation?: string;
}

/** What a question before a plan found. */
export interface Findings {
  blockers: Blocker[];
  warnings: string[];
}

/** Blockers that nothing confirms. */
export const blockers = (messages: string[]): Blocker[] => messages.map((message) => ({ message }));

/**
 * Everything that blocks a plan, each with the way to go on.
 *
 * The SDK would show the stack of an error in an option, and put a prefix before its message for each resource that
 * waits: neither helps who reads it.
 */
export class PreflightError extends pulumi.RunError {
  /** @param confirmed number of confirmations that `confirm` already has */
  constructor(reasons: Blocker[], confirmed = 0, frontEnd: FrontEnd = argumentNames) {
    let next = confirmed;
    const lines = reasons.map(({ message, confirmation }) =>
      confirmation === undefined
        ? `  ${message}`
        : `  ${message}. To go on: ${frontEnd.instruction({ path: ['confirm', next++], value: confirmation })}`,
    );
    const text = `the plan is stopped, for ${reasons.length === 1 ? 'one reason' : `${reasons.length} reasons`}; nothing was changed:\n${lines.join('\n')}`;
    super(text);
    this.stack = undefined;
    Object.defineProperty(this, 'message', { get: () => text, set: () => undefined });
  }
}

/**
 * Reports the findings of all questions.
 *
 * @param confirm confirmations in the settings
 * @param first whether there is no host yet, so that no confirmation can be left from an earlier change
 * @returns the warnings that it logged
 * @throws PreflightError with every blocker that is not confirmed
 */
export async function report(
  all: Findings[],
  confirm: string[],
  first: boolean,
  frontEnd: FrontEnd,
): Promise<string[]> {
  const found = all.flatMap((findings) => findings.blockers);
  const blocking = found.filter(
    ({ confirmation }) => !confirmation || !confirm.includes(confirmation),
  );
  if (blocking.length > 0) throw new PreflightError(blocking, confirm.length, frontEnd);
  const unused = first
    ? []
    : confirm.filter((text) => !found.some(({ confirmation }) => confirmation === text));
  const warnings = [
    ...found.map(({ message }) => `confirmed: ${message}`),
    ...all.flatMap((findings) => findings.warnings),
    ...unused.map(
      (text) =>
        `confirm holds "${text}", which nothing asks for any more: take it out, so that it cannot confirm a later change`,
    ),
  ];
  for (const warning of warnings) await pulumi.log.warn(warning);
  return warnings;
}
