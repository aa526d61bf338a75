import { z } from 'zod';
import type { Change } from './changes';
import { machineEffects } from './machineMeaning';
import { meaningOf } from './meaning';
import { heldMail } from './measured';
import { kinds, type Effect, type KeyDates } from './model';
import type { Plan } from './plan';
import { works, type Work } from './pushes';
import { recordsIn } from './records';
import { passwordOf } from './secrets';
import { some } from './terminal';
import { effectLine, forSeconds } from './words';
import { fromJson } from './values';

/** Seconds. Cloudflare's negative TTL: for so long a resolver may remember that a name did not exist. */
const negativeTtl = 1800;

/** What stops mail comes first, then what changes for people, what others remember, and what is noted. */
export function effectsOf(changes: Change[]): Effect[] {
  const all = [
    ...machineEffects(changes),
    ...meaningOf(changes),
    ...pushEffects(changes),
    ...keyEffects(changes),
    ...dnsEffects(changes),
  ];
  const different = [...new Map(all.map((effect) => [effectLine(effect), effect])).values()];
  return kinds.flatMap((kind) => different.filter((effect) => effect.kind === kind));
}

function pushEffects(changes: Change[]): Effect[] {
  const known = works();
  // A push without edits finds its files as they are, unless the server is new.
  const touched = changes.filter(
    ({ push, action, edits }) =>
      push !== undefined &&
      action !== 'remove' &&
      (action !== 'change' || edits.length > 0 || known.get(push)?.isTask),
  );
  const isNew = touched.filter(({ action }) => action === 'replace' || action === 'add');
  const of = (these: Change[]) =>
    [...known.keys()].filter((name) => these.some(({ push }) => push === name));
  const again = of(isNew).filter((name) => !known.get(name)!.isTask);
  const isNewHost = again.length > 3;
  const single = of(touched).filter((name) => !isNewHost || !again.includes(name));
  const restarted = single.filter((name) => !partnerIn(name, single));
  const stopped = of(
    changes.filter(({ push, action }) => push !== undefined && action === 'remove'),
  );
  const added = of(
    changes.filter(
      ({ push, action, edits }) => push !== undefined && action === 'add' && edits.length > 0,
    ),
  );
  return [
    ...(isNewHost
      ? [
          {
            what: `sets up the new host in ${again.length} steps: ${again.map((name) => known.get(name)!.title).join(', ')}`,
            kind: 'note' as const,
          },
        ]
      : []),
    ...stopped.flatMap((name): Effect[] => {
      const { title, goes, isTask } = known.get(name)!;
      return isTask
        ? [{ what: `no longer part of an update: ${title}`, kind: 'note' }]
        : [
            { what: `stops ${title}`, kind: 'stops' },
            ...(goes ? [{ what: goes, kind: 'means' as const }] : []),
          ];
    }),
    ...(isNewHost ? [] : added).flatMap((name): Effect[] => {
      const { comes } = known.get(name)!;
      return comes ? [{ what: comes, kind: 'means' }] : [];
    }),
    ...restarted.map((name): Effect => {
      const { title, effect, isQuiet, together, comes, rereads } = known.get(name)!;
      const own = touched.filter(({ push }) => push === name);
      const reread = rereads && rereadEffect(own, rereads);
      if (reread !== undefined) return { what: reread, kind: 'note' };
      if (comes && added.includes(name)) return { what: `starts ${title}`, kind: 'note' };
      const isBoth = together !== undefined && single.includes(together.with);
      const held = isBoth ? [heldMail[name], heldMail[together.with]] : [heldMail[name]];
      return {
        what: `${isBoth ? together.effect : effect}${forSeconds(held)}`,
        kind: isQuiet ? 'note' : 'stops',
      };
    }),
  ];
}

/** Whether the effect of a push is part of that of another one of these. */
const partnerIn = (name: string, pushes: string[]): boolean =>
  pushes.some((other) => works().get(other)!.together?.with === name);
/** What the push does without a restart; undefined if it restarts. */
function rereadEffect(
  changes: Change[],
  { files, effect, ifHidden = effect }: NonNullable<Work['rereads']>,
): string | undefined {
  const edits = changes.flatMap((change) => change.edits);
  // A command that is repeated brings all files to a host that may have none.
  if (changes.some(({ action }) => action !== 'change')) return undefined;
  const isHidden = edits.some(({ isSecret, changedSecrets }) => isSecret && !changedSecrets);
  const differing = edits.flatMap(({ at, isSecret, changedSecrets = [] }) =>
    isSecret
      ? changedSecrets.map(({ what: one }) => one).filter((one) => !one.startsWith(passwordOf))
      : [at],
  );
  if (!differing.every((path) => files.includes(path))) return undefined;
  return isHidden ? ifHidden : effect;
}

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
  const signing = new Map<string, string[]>();
  for (const [name, selector] of after!) {
    const old = before!.get(name);
    const record = `${old}._domainkey.${name}`;
    const stays = changes.some((change) => change.record?.before?.name === record)
      ? ''
      : ', whose record stays for mail that is on its way';
    const key = `signs with the DKIM key ${selector} instead of ${old}${stays}`;
    if (before!.has(name) && old !== selector)
      signing.set(key, [...(signing.get(key) ?? []), name]);
  }
  return [...signing].map(([what, domains]) => ({
    what: `${what}: ${some(domains)}`,
    kind: 'remembered',
  }));
}

function dnsEffects(changes: Change[]): Effect[] {
  const records = recordsIn(changes).map(({ record }) => record);
  const old = new Map<number, string[]>();
  for (const { before, after } of records)
    if (before?.ttl !== undefined && before.line !== after?.line)
      old.set(before.ttl, [...(old.get(before.ttl) ?? []), before.title]);
  const added = records.flatMap(({ before, after }) => (!before && after ? [after.title] : []));
  return [
    ...[...old].map(([ttl, titles]) => ({
      what: `every resolver has the change of ${mostImportant(titles)}`,
      kind: 'remembered' as const,
      // Cloudflare's 1 means automatic, which is 300 s.
      after: ttl === 1 ? 300 : ttl,
    })),
    ...(added.length > 0
      ? [
          {
            what: `every resolver finds the new ${mostImportant(added)}`,
            kind: 'remembered' as const,
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
function mostImportant(titles: string[]): string {
  const sorted = [...new Set(titles)].sort((a, b) => byRank(a) - byRank(b) || (a < b ? -1 : 1));
  return sorted.length > 3
    ? `${sorted.slice(0, 2).join(', ')} and ${sorted.length - 2} more`
    : sorted.join(', ');
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
