import { z } from 'zod';
import type { Change } from './changes';
import { meaningOf } from './meaning';
import { heldMail, replacedServer, resizedServer } from './measured';
import type { Plan } from './plan';
import { works, type Work } from './pushes';
import { resizes } from './risk';
import { passwordOf } from './secrets';
import { fromJson } from './values';

/** What the change does to mail. */
export interface Effect {
  what: string;
  /** Seconds after the update; undefined: during it. */
  after?: number;
}

/** Seconds. Cloudflare's negative TTL: for so long a resolver may remember that a name did not exist. */
const negativeTtl = 1800;

/** In the order in which they come. */
export function effectsOf(changes: Change[]): Effect[] {
  return [
    ...meaningOf(changes).map((what) => ({ what })),
    ...machineEffects(changes),
    ...pushEffects(changes),
    ...keyEffects(changes),
    ...dnsEffects(changes),
  ];
}

function machineEffects(changes: Change[]): Effect[] {
  return changes
    .filter(({ type }) => type === 'hcloud:index/server:Server')
    .flatMap((server): Effect[] => {
      const { action } = server;
      if (action === 'replace')
        return [
          {
            what: `replaces the server: no mail is accepted or read until the new one answers${forSeconds(replacedServer)}; other systems try again, and the queue goes on from the volume`,
          },
        ];
      if (action === 'remove')
        return [{ what: 'deletes the server: no mail is accepted any more' }];
      return action === 'change' && resizes(server)
        ? [
            {
              what: `turns the server off and on to resize it${forSeconds(resizedServer)}: other systems try again meanwhile`,
            },
          ]
        : [];
    });
}

function pushEffects(changes: Change[]): Effect[] {
  // A command without edits is repeated, on a server that is new.
  const touched = changes.filter(({ push, action }) => push !== undefined && action !== 'remove');
  const isNew = touched.filter(({ action }) => action === 'replace' || action === 'add');
  const known = works();
  const of = (some: Change[]) =>
    [...known.keys()].filter((name) => some.some(({ push }) => push === name));
  const again = of(isNew).filter((name) => !known.get(name)!.isTask);
  const all =
    again.length > 3
      ? [
          {
            what: `makes ${again.length} pushes to a new host: ${again.map((name) => known.get(name)!.title).join(', ')}`,
          },
        ]
      : [];
  const single = of(touched).filter((name) => all.length === 0 || !again.includes(name));
  const stopped = of(
    changes.filter(({ push, action }) => push !== undefined && action === 'remove'),
  );
  return [
    ...all,
    ...stopped.map((name) => ({ what: `stops ${known.get(name)!.title}` })),
    ...single.map((name) => {
      const { effect, rereads } = known.get(name)!;
      const own = touched.filter(({ push }) => push === name);
      const what = rereads && rereadEffect(own, rereads);
      return { what: what ?? `${effect}${forSeconds(heldMail[name])}` };
    }),
  ];
}

/** What the push does without a restart; undefined if it restarts. */
function rereadEffect(
  changes: Change[],
  { files, effect, ifHidden = effect }: NonNullable<Work['rereads']>,
): string | undefined {
  const edits = changes.flatMap((change) => change.edits);
  // A command that is repeated brings all files to a host that may have none.
  if (edits.length === 0 || changes.some(({ action }) => action !== 'change')) return undefined;
  const isHidden = edits.some(({ isSecret, changedSecrets }) => isSecret && !changedSecrets);
  const differing = edits.flatMap(({ at, isSecret, changedSecrets = [] }) =>
    isSecret ? changedSecrets.filter((one) => !one.startsWith(passwordOf)) : [at],
  );
  if (!differing.every((path) => files.includes(path))) return undefined;
  return isHidden ? ifHidden : effect;
}

const forSeconds = (seconds: number | undefined) =>
  seconds === undefined ? '' : ` (measured: up to ${seconds} s)`;

const checked = z.object({
  domains: z.array(z.object({ name: z.string(), selector: z.string().optional() })),
});

/** The check knows which key each domain signs with. */
function keyEffects(changes: Change[]): Effect[] {
  const check = changes.find(({ push }) => push === 'check');
  const [before, after] = [check?.before, check?.after].map(
    (inputs) =>
      new Map(
        checked
          .safeParse(fromJson(inputs?.stdin))
          .data?.domains.map(({ name, selector }) => [name, selector] as const),
      ),
  );
  return [...after!]
    .filter(([name, selector]) => before!.has(name) && before!.get(name) !== selector)
    .map(([name, selector]) => ({
      what: `${name} signs with the DKIM key ${selector} instead of ${before!.get(name)}`,
    }));
}

function dnsEffects(changes: Change[]): Effect[] {
  const records = changes.flatMap(({ record, action }) =>
    record && action !== 'import' ? [record] : [],
  );
  const old = new Map<number, string[]>();
  for (const { before, after } of records)
    if (before?.ttl !== undefined && before.line !== after?.line)
      old.set(before.ttl, [...(old.get(before.ttl) ?? []), before.title]);
  const added = records.flatMap(({ before, after }) => (!before && after ? [after.title] : []));
  return [
    ...[...old].map(([ttl, titles]) => ({
      what: `every resolver has the change of ${some(titles)}`,
      // Cloudflare's 1 means automatic, which is 300 s.
      after: ttl === 1 ? 300 : ttl,
    })),
    ...(added.length > 0
      ? [
          {
            what: `every resolver finds the new ${some(added)}`,
            after: negativeTtl,
          },
        ]
      : []),
  ].sort((a, b) => a.after - b.after);
}

const byRank = (title: string) => {
  const rank = ['MX', 'A', 'AAAA', 'TLSA', 'TXT'].indexOf(title.slice(title.lastIndexOf(' ') + 1));
  return rank < 0 ? 9 : rank;
};

/** The most important of them, and how many more there are. */
function some(titles: string[]): string {
  const sorted = [...new Set(titles)].sort((a, b) => byRank(a) - byRank(b) || (a < b ? -1 : 1));
  return sorted.length > 3
    ? `${sorted.slice(0, 2).join(', ')} and ${sorted.length - 2} more`
    : sorted.join(', ');
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

const calendar = z.record(
  z.string(),
  z.object({
    signs: z.string(),
    since: z.string().optional(),
    next: z.string().optional(),
    retired: z.record(z.string(), z.string()).default({}),
  }),
);

/** The stack's output `dkimCalendar`, if it has one. */
export function dkimCalendar({ outputs }: Plan): KeyDates[] {
  const { data = {} } = calendar.safeParse(outputs.dkimCalendar ?? {});
  return Object.entries(data).map(([domain, dates]) => ({ domain, ...dates }));
}
