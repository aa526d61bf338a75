import { promises as dns } from 'node:dns';
import type { DnsRecord } from '../dns/dnsRecords';
import { quoteTxt } from '../dns/recordForms';
import { isSpf, spfMistake, spfRecord, type TxtLookup } from '../dns/spf';
import type { Settings } from '../settings/settings';
import type { Blocker, Findings } from './findings';
import type { OwnState } from './state';

/** By the resolver of the machine that plans. */
export const lookUpTxt: TxtLookup = async (name) => {
  try {
    return (await dns.resolveTxt(name)).map((strings) => strings.join(''));
  } catch (error) {
    if (['ENODATA', 'ENOTFOUND'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
};

/**
 * Follows the includes of the SPF records if one of these is not published yet; those of the plan are as it has them.
 *
 * @param records of the plan
 */
export async function judgeSpf(
  { domains }: Settings,
  records: DnsRecord[],
  state: OwnState,
): Promise<Findings> {
  const findings: Findings = { blockers: [], warnings: [] };
  const published = new Set(state.records.map(({ name, content }) => `${name} ${content}`));
  const planned = new Map(
    records.flatMap((record) =>
      record.type === 'TXT' && typeof record.value === 'string' && isSpf(record.value)
        ? [[record.name, record.value] as const]
        : [],
    ),
  );
  if ([...planned].every(([name, text]) => published.has(`${name} ${quoteTxt(text)}`)))
    return findings;
  const lookUp: TxtLookup = async (name) => {
    const text = planned.get(name.toLowerCase());
    return text === undefined ? lookUpTxt(name) : [text];
  };
  const judge = async ({ name, spf }: Settings['domains'][number]): Promise<Blocker[]> => {
    try {
      const mistake = await spfMistake(name, spfRecord(spf), lookUp);
      return mistake
        ? [{ message: `the SPF record of ${name} does not hold: ${mistake}; mend its spf` }]
        : [];
    } catch (error) {
      findings.warnings.push(
        `the SPF record of ${name} could not be followed (${(error as Error).message}): receivers stop after 10 look-ups`,
      );
      return [];
    }
  };
  const judged = await Promise.all(domains.filter(({ spf }) => spf.length > 0).map(judge));
  return { ...findings, blockers: judged.flat() };
}
