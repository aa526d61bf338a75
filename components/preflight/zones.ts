import type { DnsProvider, Zone } from '../dns/provider';
import { liesIn } from '../settings/names';
import type { Settings } from '../settings/settings';
import { blockers, type Findings } from './findings';
import type { LookUps } from './lookUps';
import type { OwnState } from './state';

/** The zones of the domains. */
export interface Zones extends Findings {
  /** As the domains name them; none if a person publishes the records. */
  zones: Map<string, Zone>;
}

/**
 * Finds the zone of each domain. Each zone is looked up once, however many domains lie in it.
 *
 * @param provider undefined if a person publishes the records
 */
export async function findZones(
  { domains, dnssec }: Settings,
  provider: DnsProvider | undefined,
  lookUps: LookUps,
): Promise<Zones> {
  const found = new Map<string, Zone>();
  if (provider === undefined) return { zones: found, blockers: [], warnings: [] };
  await Promise.all(
    [...new Set(domains.map(({ zone }) => zone))].map(async (zone) => {
      const there = await provider.findZone(zone, dnssec, lookUps);
      if (there) found.set(zone, there);
    }),
  );
  const mistakes: string[] = [];
  for (const { name, zone } of domains) {
    const there = found.get(zone);
    if (there && !liesIn(name, there.name))
      mistakes.push(`${name} does not lie in its zone, ${zone}: that is ${there.name}`);
  }
  for (const [zone, { id, name, problem }] of found) {
    if (problem !== undefined) mistakes.push(`the zone ${name} ${problem}`);
    if ([...found].some(([other, { id: otherId }]) => otherId === id && other < zone))
      mistakes.push(`the zone ${name} is named in two ways, also as ${zone}: write it in one`);
  }
  // In an order that does not hang on who answers first.
  const sorted = [...found].sort(([, a], [, b]) => (a.name < b.name ? -1 : 1));
  return { zones: new Map(sorted), blockers: blockers(mistakes.sort()), warnings: [] };
}

/** @returns a warning for each zone whose signing the stack gives up, which goes on */
export function abandonedSignings(
  { dnssec }: Settings,
  provider: DnsProvider | undefined,
  state: OwnState,
): string[] {
  if (dnssec && provider) return [];
  return state.signedZones.map(
    ({ provider: { api }, ds }) =>
      `the zone stays signed at ${api.title} (${ds}), and this stack no longer looks after that. To end it, ` +
      `take the DS record away at the registrar, wait until nobody remembers it, and disable DNSSEC at ${api.title}`,
  );
}
