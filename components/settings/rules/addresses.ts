import { takenUsers } from '../../daemons/catalogue';
import { roles } from '../mailSettings';
import { pathText } from '../mistakes';
import { domainOf, localPartOf, ownInLowerCase, withoutTag } from '../names';
import { at, mailDomains, placed, type Draft, type Placed, type Rule } from './draft';

/** Addresses of accounts and aliases: each belongs to one of them. */
const ownAddresses = (draft: Draft): Placed<string>[] => {
  const accounts = placed(draft.accounts, 'accounts');
  const aliases = placed(draft.aliases, 'aliases');
  return [
    ...accounts.flatMap(({ path, value }) => at(value.address, ...path, 'address')),
    ...accounts.flatMap(({ path, value }) => placed(value.aliases, ...path, 'aliases')),
    ...aliases.flatMap(({ path, value }) => at(value.address, ...path, 'address')),
  ];
};

/** Aliases with their recipients in one form. */
const aliasesOf = ({ aliases, domains, hostName }: Draft) => {
  const own = [hostName, ...placed(domains).map(({ value }) => value.name)];
  return placed(aliases, 'aliases').map(({ path, value }) => ({
    path: [...path, 'recipients'],
    address: value.address,
    recipients: placed(value.recipients, ...path, 'recipients').map((recipient) => ({
      ...recipient,
      value: ownInLowerCase(recipient.value, own),
    })),
  }));
};

export const distinctAddresses: Rule = function* (draft) {
  const first = new Map<string, string>();
  for (const { path, value } of ownAddresses(draft)) {
    const other = first.get(value);
    if (other === undefined) first.set(value, pathText(path));
    else
      yield {
        path,
        value,
        problem: `is also ${other}; an address belongs to one account or alias, and an alias may have several recipients`,
      };
  }
};

export const addressesAreInDomains: Rule = function* (draft) {
  const domains = placed(draft.domains, 'domains');
  const sendAs = placed(draft.accounts, 'accounts').flatMap(({ path, value }) =>
    placed(value.sendAs, ...path, 'sendAs'),
  );
  for (const { path, value } of [...ownAddresses(draft), ...sendAs]) {
    const domain = domains.find((one) => one.value.name === domainOf(value));
    if (domain === undefined)
      yield {
        path,
        value,
        problem: `is not in one of the domains; add ${domainOf(value)} to domains, or correct the address`,
      };
    else if (domain.value.parked)
      yield {
        path,
        value,
        problem: `is in a parked domain; remove ${pathText([...domain.path, 'parked'])}, or the address`,
      };
  }
};

/** Mail that is sent on comes to an account or alias, or leaves for another host. */
export const recipientsExist: Rule = function* (draft) {
  const { domains, hostName, postmaster, dmarcReports } = draft;
  const known = new Set(ownAddresses(draft).map(({ value }) => value));
  const isRole = (address: string) =>
    roles.includes(localPartOf(address)) && mailDomains(draft).includes(domainOf(address));
  const isHere = (address: string) =>
    domainOf(address) === hostName ||
    placed(domains).some(({ value }) => value.name === domainOf(address));
  const next = nextHops(draft);
  const catchAlls = placed(domains, 'domains').flatMap(({ path, value }) =>
    at(value.catchAll, ...path, 'catchAll'),
  );
  const targets = [
    ...aliasesOf(draft)
      .flatMap(({ recipients }) => recipients)
      .filter(({ value }) => !isRole(withoutTag(value))),
    ...at(postmaster, 'postmaster'),
    ...at(dmarcReports, 'dmarcReports').filter(({ value }) => !isRole(value)),
  ];
  for (const { path, value } of [...targets, ...catchAlls])
    if (isHere(value) && !known.has(withoutTag(value)))
      yield {
        path,
        value,
        problem: `does not exist; add an account or alias for it, or name one that exists`,
      };
  for (const { path, value } of catchAlls) {
    const outside = reachable(value, next).find((address) => !isHere(address));
    if (outside !== undefined)
      yield {
        path,
        value,
        problem: `forwards to ${outside}, which would receive all spam to the domain; name an account of this host`,
      };
  }
};

/** Where mail for an address goes on to: an alias to its recipients, a role address that nobody has to the postmaster. */
function nextHops(draft: Draft): Map<string | undefined, string[]> {
  const { domains, postmaster } = draft;
  const ofRoles = placed(domains).flatMap(({ value: { name } }) =>
    roles.map((role) => [`${role}@${name}`, postmaster ? [postmaster] : []] as const),
  );
  return new Map<string | undefined, string[]>([
    ...ofRoles,
    ...aliasesOf(draft).map(
      ({ address, recipients }) =>
        [address, recipients.map(({ value }) => withoutTag(value))] as const,
    ),
  ]);
}

/** Every address that mail for `start` can come to, itself among them. */
function reachable(start: string, next: Map<string | undefined, string[]>): string[] {
  const found = new Set([start]);
  for (const address of found) for (const to of next.get(address) ?? []) found.add(to);
  return [...found];
}

/** Mail for an alias comes to its end: in a circle it never does, and OpenSMTPD follows a few in a row. */
export const aliasesEnd: Rule = function* (draft) {
  const next = nextHops(draft);
  const aliases = aliasesOf(draft);
  const loops = aliases.flatMap(({ path, address }) => {
    const loop = address === undefined ? undefined : loopFrom(address, next);
    return loop ? [{ path, problem: `form a loop, ${loop.join(' -> ')}; remove one of them` }] : [];
  });
  yield* loops;
  // What leads into a loop has no length.
  if (loops.length > 0) return;
  for (const { path, address } of aliases)
    if (address !== undefined && isLongChain(address, next))
      yield {
        path,
        problem: `lead through more than ${maximumAliasesInARow} aliases in a row, which OpenSMTPD does not follow; name the addresses behind them`,
      };
};

/** The way from an address back to itself; undefined where there is none. */
function loopFrom(start: string, next: Map<string | undefined, string[]>): string[] | undefined {
  const seen = new Set<string>();
  const visit = (address: string, way: string[]): string[] | undefined => {
    for (const to of next.get(address) ?? []) {
      if (to === start) return [...way, to];
      if (seen.has(to)) continue;
      seen.add(to);
      const loop = visit(to, [...way, to]);
      if (loop) return loop;
    }
    return undefined;
  };
  return visit(start, [start]);
}

/**
 * Aliases in a row. OpenSMTPD 7.6 follows 9 steps (EXPAND_DEPTH), of which a catch-all, a long list, an account's own alias,
 * its address, and the user of the mailbox take one each.
 */
const maximumAliasesInARow = 5;

function isLongChain(start: string, next: Map<string | undefined, string[]>): boolean {
  let step = new Set([start]);
  for (let steps = 0; steps < maximumAliasesInARow; steps++)
    step = new Set([...step].flatMap((from) => next.get(from) ?? []).filter((to) => next.has(to)));
  return step.size > 0;
}

/** Local parts become names of system users (useradd(8)): each exists once, whatever its domain. */
export const systemUsersAreValid: Rule = function* ({ accounts, accountKind }) {
  if (accountKind !== 'system') return;
  const taken = takenUsers();
  const first = new Map<string, string>();
  for (const { path: account, value } of placed(accounts, 'accounts')) {
    if (value.address === undefined) continue;
    const path = [...account, 'address'];
    const name = localPartOf(value.address);
    const other = first.get(name);
    if (other === undefined) first.set(name, pathText(path));
    if (taken.has(name))
      yield {
        path,
        value: name,
        problem: `is a user of Debian; choose another local part, or accountKind virtual`,
      };
    else if (!/^[a-z][a-z0-9._-]{0,30}$/.test(name))
      yield {
        path,
        value: name,
        problem: `is not a valid name of a system user; write at most 31 letters, digits and . - _, the first a letter, or choose accountKind virtual`,
      };
    else if (other !== undefined)
      yield {
        path,
        value: name,
        problem: `is also the system user of ${other}; choose another local part, or accountKind virtual`,
      };
  }
};
