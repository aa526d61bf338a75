import { catalogue, type Code, type Severity } from './catalogue';

/** What a check found: a kind of fault, and where. */
export interface Found {
  code: Code;
  /** Domain, zone, host or unit. */
  about: string;
  /** What was seen. */
  evidence: string;
  /** Where it was seen, if the same may be seen at several places. */
  place?: string;
}

/** What could not be checked from here. */
export interface Unchecked {
  unchecked: string;
  why: string;
}

export type Result = Found | Unchecked;

/** A fault for a person. */
export interface Finding {
  code: Code;
  severity: Severity;
  about: string;
  what: string;
  evidence: string;
  remedy: string;
  /** The section about it. */
  runbook: string;
}

export const isFound = (result: Result): result is Found => 'code' in result;

/** The findings with the worst first; what several places show alike is one. */
export function findingsOf(results: Result[]): Finding[] {
  const groups = grouped(results.filter(isFound), ({ code, about, evidence }) =>
    JSON.stringify([code, about, evidence]),
  );
  const codes = Object.keys(catalogue);
  return groups
    .map((all): Finding => {
      const [{ code, about, evidence }] = all as [Found];
      const { severity, what, remedy } = catalogue[code];
      const places = [...new Set(all.flatMap(({ place }) => place ?? []))].join(', ');
      return {
        code,
        severity,
        about,
        what,
        evidence: places === '' ? evidence : `${places}: ${evidence}`,
        remedy,
        runbook: `docs/runbook.md#${code}`,
      };
    })
    .sort(
      (a, b) =>
        Number(b.severity === 'problem') - Number(a.severity === 'problem') ||
        codes.indexOf(a.code) - codes.indexOf(b.code) ||
        (a.about < b.about ? -1 : 1),
    );
}

/** What could not be checked, each once. */
export const uncheckedOf = (results: Result[]): Unchecked[] => {
  const all = results.flatMap((result) => (isFound(result) ? [] : [result]));
  return [...new Map(all.map((one) => [JSON.stringify(one), one])).values()];
};

/** Those with the same key together, in the order in which they come. */
export function grouped<T>(items: T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return [...groups.values()];
}
