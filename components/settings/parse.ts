import type * as pulumi from '@pulumi/pulumi';
import { closest, distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import { aboutOf, fieldAt, fieldsOf, hasSecret, itemOf, mapValues, type Field } from './fields';
import { isLater } from './forms';
import { pathText, SettingsError, valueAt, type Change, type Mistake, type Path } from './mistakes';
import { ownInLowerCase, registrableDomain } from './names';
import { rules } from './rules/rules';
import { settingsShape, type Settings } from './settings';

/** The schema with the rules between settings, which judge what is right even where something else is wrong. */
const settingsSchema = settingsShape.superRefine(
  (value, context) => {
    const wrong = context.issues.filter(({ code }) => code !== 'unrecognized_keys');
    const draft = withoutWrong(value, new Set(wrong.map(({ path = [] }) => pathText(path))));
    for (const rule of rules) {
      for (const mistake of rule(draft ?? {}))
        context.addIssue({
          code: 'custom',
          path: mistake.path,
          message: mistake.problem,
          params: { mistake },
        });
    }
  },
  { when: () => true },
);

/** A copy in which a value is undefined where it is wrong or known only later. */
function withoutWrong(value: unknown, wrong: Set<string>, path: Path = []): unknown {
  const inner = (item: unknown, part: PropertyKey) => withoutWrong(item, wrong, [...path, part]);
  if (wrong.has(pathText(path)) || isLater(value)) return undefined;
  if (Array.isArray(value)) return value.map(inner);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .map(([key, item]) => [key, inner(item, key)]),
  );
}

/**
 * Checks settings as a whole and completes them with what can be derived. Names are brought into one form (lower case,
 * A-labels) and lists into one order, so that neither spelling nor order in the input ever changes anything.
 *
 * @param input what may be known only later, such as a secret of the stack, goes through parseLate() once it is
 * @param found mistakes that were found elsewhere, to be reported with the others
 * @throws SettingsError with every mistake, never only the first
 */
export function parseSettings(input: unknown, found: Mistake[] = []): Settings {
  const parsed = settingsSchema.safeParse(input);
  const mistakes = [
    ...(parsed.error?.issues ?? []).flatMap((issue) => mistakesOf(issue, input)),
    ...found,
  ];
  if (!parsed.success || mistakes.length > 0) throw new SettingsError(mistakes);
  const { domains, accounts, aliases, dkimCompromised, ...rest } = parsed.data;
  const ownDomains = [rest.hostName, ...domains.map(({ name }) => name)];
  return {
    ...rest,
    ipv6: rest.machine ? rest.machine.ipv6 !== undefined : rest.ipv6,
    domains: sortedBy('name', domains).map((d) => ({
      ...d,
      zone: d.zone ?? registrableDomain(d.name),
      spf: set(d.spf),
    })),
    accounts: sortedBy('address', accounts).map((a) => ({
      ...a,
      aliases: a.aliases.sort(),
      sendAs: a.sendAs.sort(),
      quota: a.quota ?? rest.quota,
    })),
    aliases: sortedBy('address', aliases).map((a) => ({
      ...a,
      recipients: a.recipients.map((r) => ownInLowerCase(r, ownDomains)).sort(),
    })),
    dkimCompromised: [...new Set(dkimCompromised)].sort((a, b) => a - b),
    adminSshKeys: setOfInputs(rest.adminSshKeys),
    adminNetworks: setOfInputs(rest.adminNetworks),
    driftAccepted: set(rest.driftAccepted),
  };
}

/** Each once, in one order. */
const set = <T extends string>(items: T[]): T[] => [...new Set(items)].sort();

/** So of those that are known; the others behind them. */
const setOfInputs = (items: (string | pulumi.Output<string>)[]) => [
  ...set(items.filter((item) => !isLater(item)) as string[]),
  ...(items.filter(isLater) as pulumi.Output<string>[]),
];

/** By code units, so that no locale has a say. */
const sortedBy = <K extends string, T extends Record<K, string>>(key: K, items: T[]): T[] =>
  [...items].sort((a, b) => (a[key] < b[key] ? -1 : 1));

function mistakesOf(issue: z.core.$ZodIssue, input: unknown): Mistake[] {
  const { path, message } = issue;
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => unknownSetting([...path, key]));
  if (issue.code === 'invalid_key') return [{ path, problem: issue.issues[0]!.message }];
  if (issue.code === 'custom' && issue.params) return [issue.params.mistake as Mistake];
  return [formMistake(path, valueAt(input, path), message)];
}

/**
 * A setting that is known only now, as parseSettings() would have read it.
 *
 * @param input the settings, which are right without it
 * @throws SettingsError
 */
export function parseLate(path: Path, value: unknown, input: unknown): unknown {
  const field = fieldAt(path)!;
  const { data, error } = field.safeParse(value);
  if (error) throw new SettingsError([formMistake(path, value, error.issues[0]!.message)]);
  // No rule compares a secret with another setting, and there may be one in each of many accounts.
  if (!aboutOf(field).secret) parseSettings(withValue(input, path, value));
  return data;
}

/** A copy of settings with another value at a path. */
const withValue = (input: unknown, path: Path, value: unknown): unknown =>
  mapValues(input, (before, _field, place) =>
    pathText(place) === pathText(path) ? value : before,
  );

function formMistake(path: Path, value: unknown, problem: string): Mistake {
  const field = fieldAt(path);
  if (!field) return { path, problem };
  if (isLater(value))
    return {
      path,
      problem: 'is an output of another resource, which may be known too late; set a plain value',
    };
  const isShown = !hasSecret(field) && aboutOf(field).shown !== false;
  return {
    path,
    ...(isShown && isScalar(value) ? { value } : {}),
    problem,
    remedy: remedyFor(path, field, value),
  };
}

const isScalar = (value: unknown): value is string | number | boolean =>
  ['string', 'number', 'boolean'].includes(typeof value);

/** What to set in the place of a value: a secret, or where there is none of that kind, an example. */
function remedyFor(path: Path, field: Field, value: unknown): Change | undefined {
  const { secret, file, example } = aboutOf(field);
  if (secret || file) return { path, secret: true, file };
  const isOfKind = value !== undefined && !Array.isArray(value) && !itemOf(field);
  return isOfKind ? undefined : exampleAt(path, example);
}

/** The first value of an example, with its path. */
function exampleAt(path: Path, example: unknown): Change | undefined {
  if (typeof example !== 'object' || example === null)
    return example === undefined ? undefined : { path, value: example as string };
  const [first] = Object.entries(example) as [string, unknown][];
  return (
    first && exampleAt([...path, Array.isArray(example) ? Number(first[0]) : first[0]], first[1])
  );
}

function unknownSetting(path: Path): Mistake {
  const key = String(path.at(-1)).toLowerCase();
  const place = fieldAt(path.slice(0, -1));
  const near = Object.keys(place ? fieldsOf(place) : {}).filter((name) => {
    const known = name.toLowerCase();
    return known.startsWith(key) || distance(key, known) <= key.length / 3;
  });
  return near.length > 0
    ? { path, problem: `is not a setting; did you mean ${closest(key, near)}?` }
    : {
        path,
        problem: 'is not a setting; remove it, or correct its name',
        remedy: { path, remove: true },
      };
}
