import { promises as dns } from 'node:dns';
import { isSpf, mechanismsToKeep, spfWithHost } from '../dns/spf';
import { deliveredElsewhere } from '../settings/derived';
import type { Settings } from '../settings/settings';
import { lookUpTxt } from './spf';

/** What SPF needs while either host sends: both are allowed before the switch and after it. */
export function spfTasks(
  { name, spf }: Pick<Settings['domains'][number], 'name' | 'spf'>,
  record: string | undefined,
  mx: string[],
  hostName: string,
  where: string,
): string[] {
  if (record === undefined || !isSpf(record)) return [];
  const both = spfWithHost(record, hostName);
  const lost = mechanismsToKeep(record, spf, mx, hostName);
  return [
    ...(both === undefined
      ? []
      : [
          `So that mail of ${name} from this host passes SPF, set the SPF record of ${name} at ${where} to "${both}"`,
        ]),
    ...(lost.length > 0
      ? [
          `So that mail of ${name} from the other host passes SPF after the switch, add to spf of the domain: ${lost.join(', ')}`,
        ]
      : []),
  ];
}

/** What SPF needs where a person publishes the records, as far as DNS answers. */
export async function tasksByHand({ domains, hostName }: Settings): Promise<string[]> {
  const tasks = deliveredElsewhere(domains).map(async (domain) => {
    const [texts, exchangers] = await Promise.all([
      lookUpTxt(domain.name).catch(() => []),
      dns.resolveMx(domain.name).catch(() => []),
    ]);
    const mx = exchangers.map(({ exchange }) => exchange.toLowerCase());
    return spfTasks(domain, texts.find(isSpf), mx, hostName, 'its DNS provider');
  });
  return (await Promise.all(tasks)).flat();
}
