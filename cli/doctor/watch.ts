import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { fromJson } from '../../components/review/values';
import { exitStatus } from '../exitStatus';
import type { Finding, Unchecked } from './finding';
import type { News, Report } from './report';

/** Seconds after which a new finding is looked for again: a packet was lost, or a service restarted. */
const secondLook = 60;
/** Milliseconds after which a problem that lasts is reported again. */
const reminder = 86_400_000;

const state = z.object({
  /** By key. */
  findings: z.record(z.string(), z.object({ about: z.string(), reported: z.number() })),
  /** How often in a row each could not be checked. */
  unchecked: z.record(z.string(), z.number()),
  /** Looks in a row that failed, and when that was reported. */
  failed: z.object({ times: z.number(), reported: z.number() }),
});

/** What is remembered from one look to the next. Times are milliseconds since 1970. */
export type State = z.infer<typeof state>;

interface Outcome {
  news: News;
  state: State;
}

/**
 * Looks once, and compares with the look before. What is new is looked for a second time.
 *
 * @param before default: nothing was found, and the first failure is one
 */
export async function compare(
  before: State | undefined,
  look: () => Promise<Report>,
  {
    now = Date.now(),
    wait = sleep,
  }: { now?: number; wait?: (milliseconds: number) => Promise<unknown> } = {},
): Promise<Outcome> {
  try {
    let report = await look();
    if (report.findings.some((_, at, all) => !(keysOf(all)[at]! in (before?.findings ?? {})))) {
      await wait(secondLook * 1000);
      const first = new Set(keysOf(report.findings));
      report = await look();
      const keys = keysOf(report.findings);
      report = { ...report, findings: report.findings.filter((_, at) => first.has(keys[at]!)) };
    }
    return compared(before, report, now);
  } catch (error) {
    // Its words may be about how it is called.
    if (before === undefined) throw error;
    return failed(before, (error as Error).message, now);
  }
}

function compared(before: State | undefined, report: Report, now: number): Outcome {
  const keys = keysOf(report.findings);
  const known = before?.findings ?? {};
  const found = report.findings.map((finding, at) => ({ finding, key: keys[at]! }));
  const isDue = (key: string) => now - known[key]!.reported >= reminder;
  const fresh = found.filter(({ key }) => !(key in known));
  const lasting = found.filter(
    ({ finding, key }) => key in known && finding.severity === 'problem' && isDue(key),
  );
  const reported = new Set([...fresh, ...lasting].map(({ key }) => key));

  // At the first look it is how things are here.
  const enough = 2;
  const times = Object.fromEntries(
    report.unchecked.map(({ unchecked }) => [
      unchecked,
      before === undefined ? enough + 1 : (before.unchecked[unchecked] ?? 0) + 1,
    ]),
  );
  const isNew = ({ unchecked }: Unchecked) => before?.unchecked[unchecked] === undefined;
  // What could not be checked now may be as it was.
  const absent = Object.entries(known).filter(([key]) => !keys.includes(key));
  const kept = before !== undefined && report.unchecked.some(isNew) ? absent : [];
  const gone = kept.length > 0 ? [] : absent;

  return {
    news: {
      fresh: fresh.map(({ finding }) => finding),
      lasting: lasting.map(({ finding }) => finding),
      gone: gone.map(([, { about }]) => about),
      unchecked: report.unchecked.filter(({ unchecked }) => times[unchecked] === enough),
      ...((before?.failed.reported ?? 0) > 0 && { failure: '' }),
    },
    state: {
      findings: Object.fromEntries([
        ...kept,
        ...found.map(({ finding, key }) => [
          key,
          {
            about: `${finding.code}: ${finding.about}`,
            reported: reported.has(key) ? now : known[key]!.reported,
          },
        ]),
      ]) as State['findings'],
      unchecked: times,
      failed: { times: 0, reported: 0 },
    },
  };
}

function failed(before: State, message: string, now: number): Outcome {
  const times = before.failed.times + 1;
  const isDue = times >= 2 && now - before.failed.reported >= reminder;
  return {
    news: {
      fresh: [],
      lasting: [],
      gone: [],
      unchecked: [],
      ...(isDue && { failure: message }),
    },
    state: { ...before, failed: { times, reported: isDue ? now : before.failed.reported } },
  };
}

/** What a finding is known by: its numbers may change from look to look, such as the days that a certificate has left. */
function keysOf(findings: Finding[]): string[] {
  const seen = new Map<string, number>();
  return findings.map(({ code, about, evidence }) => {
    const key = `${code} ${about} ${evidence.replaceAll(/\d+(?:[.,:-]\d+)*/g, '#')}`;
    seen.set(key, (seen.get(key) ?? 0) + 1);
    return `${key} ${seen.get(key)!}`;
  });
}

export const isNews = ({ fresh, lasting, gone, unchecked, failure }: News): boolean =>
  [...fresh, ...lasting, ...gone, ...unchecked].length > 0 || failure !== undefined;

/** That of the worst that there is to report. */
export function statusOfNews({ fresh, lasting, unchecked, failure }: News): number {
  const findings = [...fresh, ...lasting];
  if (findings.some(({ severity }) => severity === 'problem')) return exitStatus.problem;
  if (findings.length + unchecked.length > 0) return exitStatus.warning;
  return failure ? exitStatus.error : exitStatus.fine;
}

/** @throws Error if the file is something else */
export function readState(path: string): State | undefined {
  if (!existsSync(path)) return undefined;
  const { data, error } = state.safeParse(fromJson(readFileSync(path, 'utf8')));
  if (error)
    throw new Error(
      `${path} is not a state of --watch: ${z.prettifyError(error)}. Delete it, or name another.`,
    );
  return data;
}

/** As a whole, or not at all. */
export function writeState(path: string, value: State): void {
  writeFileSync(`${path}.new`, `${JSON.stringify(value, undefined, 2)}\n`);
  renameSync(`${path}.new`, path);
}
