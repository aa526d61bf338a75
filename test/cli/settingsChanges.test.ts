import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parsePlan } from '../../cli/review/plan';
import type { Review } from '../../components/review/model';
import { reviewOf } from '../../components/review/review';
import { textReview } from '../../components/review/text';
import { wantedDaemons } from '../../components/daemons/catalogue';
import type { HostFiles } from '../../components/hostFiles/files';
import { systemFiles } from '../../components/hostFiles/systemFiles';
import type { MailHostArgs } from '../../components/mailHostArgs';
import { example, exampleMail, filesOf as rendered, sshKey } from '../example';

const asText = (review: Review) =>
  textReview(review, { isColoured: false, context: 0, isSummary: false });

/** Settings that are known before the update. */
type Changed = Partial<MailHostArgs> & { adminNetworks?: string[]; adminSshKeys?: string[] };

/** The readable files of each push, as `up` writes them. */
function pushesOf({ adminNetworks = [], adminSshKeys = [], ...change }: Changed) {
  const mail = exampleMail(change);
  const system = systemFiles(mail, { adminSshKeys: adminSshKeys, driftAccepted: [] });
  return new Map<string, HostFiles>([
    ['system', system],
    ...wantedDaemons(mail).map(
      (daemon) => [daemon.name, rendered(daemon, mail, { adminNetworks: adminNetworks })] as const,
    ),
  ]);
}

/** The preview of another set of pushes, as the engine writes it. */
function reviewOfPushes(before: Map<string, HostFiles>, after: Map<string, HostFiles>): Review {
  const steps = [...new Set([...before.keys(), ...after.keys()])].flatMap((name) => {
    const [old, next] = [before, after].map((pushes) => {
      const files = pushes.get(name);
      const create = name === 'system' ? 'mailhost prepare' : `mailhost activate ${name}`;
      return files && { inputs: { create, stdin: JSON.stringify(files) } };
    });
    if (old?.inputs.stdin === next?.inputs.stdin) return [];
    return {
      op: old ? (next ? 'update' : 'delete') : 'create',
      urn: `urn:pulumi:prod::mail::mailhost:index:MailHost$command:remote:Command::mail-${name}`,
      oldState: old,
      newState: next,
    };
  });
  return reviewOf(parsePlan(JSON.stringify({ steps, changeSummary: { same: 1 } })));
}

const filesOf = (pushes: Map<string, HostFiles>) =>
  new Map([...pushes.values()].flatMap((files) => Object.entries(files)));

/** Length of the longest common subsequence of two lists. */
function common(one: string[], two: string[]): number {
  let row = new Array<number>(two.length + 1).fill(0);
  for (const line of one) {
    const next = [0];
    two.forEach((other, i) => {
      next.push(line === other ? row[i]! + 1 : Math.max(row[i + 1]!, next[i]!));
    });
    row = next;
  }
  return row.at(-1)!;
}

const linesOf = (text: string) => (text === '' ? [] : text.replace(/\n$/, '').split('\n'));

/** The least number of lines that have to be removed and added to make one text of the other. */
function difference(before: string, after: string): number {
  const [old, next] = [linesOf(before), linesOf(after)];
  let same = 0;
  while (same < old.length && old[same] === next[same]) same++;
  old.splice(0, same);
  next.splice(0, same);
  return old.length + next.length - 2 * common(old, next);
}

/** What the text of a review shows below each path: the lines that go and the lines that come, and how many it says there are. */
function shownFiles(text: string) {
  const files = new Map<string, { removed: string[]; added: string[]; count?: number }>();
  let current: { removed: string[]; added: string[] } | undefined;
  for (const line of text.split('\n')) {
    const [, path, count] =
      /^ {2}(\/\S+)(?: \((?:new|removed)\))?(?:: (\d+) lines?)?$/.exec(line) ?? [];
    const [, sign, own] = /^ {4}([-+])(?: (.*))?$/.exec(line) ?? [];
    if (path) {
      current = { removed: [], added: [] };
      files.set(path, count === undefined ? current : { ...current, count: Number(count) });
    } else if (sign) (sign === '+' ? current!.added : current!.removed).push(own ?? '');
    else current = undefined;
  }
  return files;
}

/** How often each line is there, sorted. */
const sorted = (lines: string[]) => lines.map((line) => line.trimEnd()).sort();

const hashOf = (letter: string) => `$6$saltsaltsaltsalt$${letter.repeat(86)}`;
const names = ['anna', 'bert', 'carl', 'dora'];
const accountsOf = (chosen: string[], quota: number | undefined) => [
  ...example.accounts!,
  ...chosen
    .filter((name) => !['anna', 'bert'].includes(name))
    .map((name) => ({ address: `${name}@example.org`, passwordHash: hashOf('b'), quota })),
];

/** Settings of ordinary operation. */
const settings: fc.Arbitrary<Changed> = fc
  .record(
    {
      spamTagLevel: fc.constantFrom(1, 2, 2.5),
      spamJunkLevel: fc.constantFrom(5, 6, 7.5),
      messageSize: fc.integer({ min: 1, max: 150 }),
      quota: fc.integer({ min: 200, max: 9000 }),
      messagesPerHour: fc.integer({ min: 10, max: 900 }),
      postmaster: fc.constantFrom('anna@example.org', 'bert@example.net'),
      antivirus: fc.boolean(),
      web: fc.boolean(),
      adminNetworks: fc.constantFrom<string[]>(['192.0.2.0/24'], ['0.0.0.0/0', '::/0']),
      adminSshKeys: fc.constantFrom<string[]>([], [sshKey]),
      dkimGeneration: fc.constantFrom(1, 2),
      accounts: fc
        .tuple(
          fc.subarray(names),
          fc.option(fc.integer({ min: 200, max: 999 }), { nil: undefined }),
        )
        .map(([chosen, quota]) => accountsOf(chosen, quota)),
      aliases: fc
        .subarray(['team', 'sales', 'press'])
        .map((all) =>
          all.map((name) => ({ address: `${name}@example.org`, recipients: ['anna@example.org'] })),
        ),
      domains: fc
        .record({
          third: fc.option(fc.record({ name: fc.constant('example.com'), parked: fc.boolean() })),
          catchAll: fc.option(fc.constant('anna@example.org'), { nil: undefined }),
        })
        .map(({ third, catchAll }) => [
          { ...example.domains[0]!, catchAll },
          example.domains[1]!,
          ...(third ? [third] : []),
        ]),
    },
    { requiredKeys: [] },
  )
  // Without what it leaves out.
  .map((change) => ({ ...change }));

describe('the review of other settings', () => {
  it('has each line that `up` changes in a file, no other, and few besides', () => {
    fc.assert(
      fc.property(settings, settings, (before, after) => {
        const [from, to] = [pushesOf(before), pushesOf(after)];
        const [old, next] = [filesOf(from), filesOf(to)];
        const text = asText(reviewOfPushes(from, to));
        const shown = shownFiles(text);
        const changed = [...new Set([...old.keys(), ...next.keys()])].filter(
          (path) => old.get(path)?.text !== next.get(path)?.text,
        );
        expect([...shown.keys()].sort()).toEqual(changed.sort());
        let least = 0;
        for (const path of changed) {
          const { removed, added, count } = shown.get(path)!;
          const [one, two] = [old, next].map((files) => files.get(path)?.text ?? '');
          const differing = difference(one!, two!);
          least += differing;
          expect([path, count ?? removed.length + added.length]).toEqual([path, differing]);
          if (count === undefined)
            expect(sorted([...linesOf(one!), ...added])).toEqual(
              sorted([...linesOf(two!), ...removed]),
            );
        }
        expect(text.trimEnd().split('\n').length).toBeLessThanOrEqual(2 * least + 12);
      }),
      { numRuns: 60 },
    );
  });

  it.each(['virtual', 'system'] as const)(
    'says what they mean to people, by the files of %s accounts',
    (accountKind) => {
      const [anna, bert] = example.accounts!;
      const change: Changed = {
        accountKind,
        accounts: [
          // The domain's role addresses go to somebody.
          { ...anna!, aliases: ['info@example.org', 'abuse@example.net', bert!.address] },
          { address: 'carl@example.org', passwordHash: hashOf('b') },
        ],
        postmaster: 'carl@example.org',
        spamTagLevel: 3,
        spamJunkLevel: 9,
      };
      const own = (address: string) =>
        accountKind === 'system' ? address.replace(/@.*/, '') : address;
      const { effects } = reviewOfPushes(pushesOf({ accountKind }), pushesOf(change));
      const said = effects.filter(
        ({ kind, what }) => kind === 'means' || what.startsWith('removes'),
      );
      expect(said.map(({ what }) => what)).toEqual([
        `removes the account ${own(bert!.address)}: logins end, and mail is no longer delivered to the mailbox`,
        `adds the account ${own('carl@example.org')}: it can log in, and receives mail`,
        'mail for root and for the role addresses goes to carl@example.org instead of anna@example.org',
        'marks mail as spam in its headers from a score of 3 instead of 2',
        'treats mail as junk from a score of 9 instead of 5',
        `mail for ${bert!.address} goes to anna@example.org instead of its mailbox`,
        `${own('anna@example.org')} may send as ${bert!.address}`,
      ]);
    },
  );
});
