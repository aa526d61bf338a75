import type * as pulumi from '@pulumi/pulumi';
import type { Mistake, Path } from '../mistakes';
import type { Shape } from '../settings';

/** Settings as far as they are right and known: rules between settings judge these, so that all mistakes come at once. */
export type Draft = Partial<{ [K in keyof Shape]: Known<Shape[K]> }>;

type Known<T> = T extends string | number | boolean | undefined
  ? T
  : T extends pulumi.Output<unknown>
    ? undefined
    : T extends (infer Item)[]
      ? (Known<Item> | undefined)[]
      : { [K in keyof T]?: Known<T[K]> };

/** A rule between settings: every mistake that it finds. */
export type Rule = (draft: Draft) => Iterable<Mistake>;

/** A value and where it stands. */
export interface Placed<T> {
  path: Path;
  value: T;
}

/** The items of a list that are right, each with its path. */
export const placed = <T>(items: (T | undefined)[] = [], ...path: Path): Placed<T>[] =>
  items.flatMap((value, i) => at(value, ...path, i));

/** A value with its path; none where it is undefined. */
export const at = <T>(value: T | undefined, ...path: Path): Placed<T>[] =>
  value === undefined ? [] : [{ path, value }];

/** Names of the domains whose mail is delivered here. */
export const domainsHere = ({ domains }: Draft): string[] =>
  placed(domains).flatMap(({ value: { name, parked, delivery } }) =>
    name === undefined || parked || (delivery ?? 'here') !== 'here' ? [] : [name],
  );

/** Names of the domains that have mail. */
export const mailDomains = ({ domains }: Draft): string[] =>
  placed(domains).flatMap(({ value: { name, parked } }) =>
    name === undefined || parked ? [] : [name],
  );
