import { z } from 'zod';
import { mxTtl, type Move } from '../dns/moves';
import type { DnsProvider } from '../dns/provider';
import { fromJson } from '../review/values';
import { domainOf } from '../settings/names';
import type { Settings } from '../settings/settings';
import { connection, isOlder, onHost, reasonIn } from '../ssh';
import type { Findings } from './findings';
import type { OwnState } from './state';

/** As `Copies` of lately.py has it. */
const copies = z.object({ copied: z.record(z.string(), z.number()), since: z.number() });
type Copies = z.infer<typeof copies>;

const command = 'mailhost copies';
/** Seconds in which the host answers. */
const patience = 30;
/** Accounts that an error names. */
const most = 5;

/** What a switch is judged by. */
export interface SwitchContext {
  settings: Settings;
  state: OwnState;
  provider?: Pick<DnsProvider, 'automaticTtl'>;
  moves: Record<string, Move>;
  /** Domains whose mail is delivered here from this plan on. */
  switched: Set<string>;
}

/**
 * Asks the host, where a domain is switched, whether all that the other one has was copied lately: what is not yet here seems
 * lost to its user from then on.
 */
export async function judgeCopies({
  settings,
  state,
  provider,
  moves,
  switched,
}: SwitchContext): Promise<Findings> {
  const findings: Findings = { blockers: [], warnings: [] };
  if (switched.size === 0) return findings;
  const answer = await asked(state);
  for (const domain of switched) {
    const seconds = provider ? mxTtl(moves[domain]!, provider) : 0;
    findings.warnings.push(
      `${domain} is switched to this host: for ${seconds} seconds after it, the TTL of the old MX, others may still deliver to the other host, and for 5 days what waits in their queues. Keep it running, and repeat \`mailhost import\``,
    );
    const accounts = settings.accounts
      .map(({ address }) => address)
      .filter((address) => domainOf(address) === domain);
    if (accounts.length === 0) continue;
    if (typeof answer === 'string') {
      findings.warnings.push(
        `whether the accounts of ${domain} were copied from the other host lately is not known: ${answer}`,
      );
      continue;
    }
    const { copied, since } = answer;
    const stale = accounts.filter((address) => (copied[address] ?? -Infinity) < since);
    if (stale.length === 0) continue;
    const named = stale.slice(0, most).map((address) => {
      const last = copied[address];
      return `${address} (${last === undefined ? 'never' : new Date(last * 1000).toISOString()})`;
    });
    const more = stale.length > most ? `, and ${stale.length - most} more` : '';
    findings.blockers.push({
      confirmation: `switch ${domain} as it is copied`,
      message: `${domain} would be switched to this host, and not all that its users have at the other one was copied within a day: ${named.join(', ')}${more}. Run \`mailhost import\` first, or confirm if they have nothing there, or it was copied otherwise`,
    });
  }
  return findings;
}

/** @returns why it is not known, if it is not */
async function asked(state: OwnState): Promise<Copies | string> {
  const check = state.outputs('command:remote:Command', 'check');
  const { data: reached } = connection.safeParse(check?.connection);
  if (reached === undefined) return 'the last `pulumi up` did not finish';
  try {
    const output = await onHost(reached, command, '', patience);
    if (isOlder(command, output)) return 'its host program is older than this plan';
    const { data } = copies.safeParse(fromJson(output.stdout));
    return data ?? `the host does not answer: ${reasonIn(output)}`;
  } catch (cause) {
    return (cause as Error).message;
  }
}
