import type { Action, Change } from './changes';

/** From the worst to the best. */
export const marks = ['blocked', 'risky', 'harmless'] as const;
export type Mark = (typeof marks)[number];

/** How much attention a change needs, and why. */
export interface Verdict {
  mark: Mark;
  reason: string;
}

/** From what stops mail or a login, to what nobody notices. */
export const kinds = ['stops', 'means', 'remembered', 'note'] as const;

/** What the change does to mail. */
export interface Effect {
  what: string;
  /**
   * It stops mail or a login for a while or for good; it means something to people from then on; other systems remember what
   * was before; or it is a note.
   */
  kind: (typeof kinds)[number];
  /** Seconds after the update; undefined: during it. */
  after?: number;
}

/** Which DKIM key a domain signs with, before the change. */
export interface KeyDates {
  domain: string;
  signs: string;
  since?: string;
  next?: string;
  /** From when a rotation removes the record, by selector. */
  retired: Record<string, string>;
}

/** Changes of one subject. */
export interface Section {
  title: string;
  changes: (Change & Verdict)[];
}

/** A plan as a person reviews it. Every renderer writes all of it. */
export interface Review {
  stack: string;
  /** The worst mark of all. */
  mark: Mark;
  /** Number of resources that were compared; undefined if the preview failed before. */
  resources?: number;
  counts: Partial<Record<Action, number>>;
  /** Why the plan cannot be carried out. */
  blockers: string[];
  /** What the program, the engine or a provider warns of. */
  warnings: string[];
  /** What they report besides. */
  notes: string[];
  effects: Effect[];
  sections: Section[];
  calendar: KeyDates[];
}
