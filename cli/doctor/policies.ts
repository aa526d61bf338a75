import { reportConsentName } from '../../components/dns/names';
import { isSpf, spfMistake } from '../../components/dns/spf';
import { domainOf } from '../../components/settings/names';
import type { Dns } from './dns';
import type { Result } from './finding';

/** Whether receivers can evaluate SPF of a name. That there is one record is compared with the plan. */
export async function spfResults(dns: Dns, name: string): Promise<Result[]> {
  const records = (await dns.texts(name)).filter(isSpf);
  if (records.length !== 1) return [];
  const mistake = await spfMistake(name, records[0]!, (of) => dns.texts(of));
  return mistake === undefined
    ? []
    : [{ code: 'spf-invalid', about: name, evidence: `${records[0]}: ${mistake}` }];
}

/** Whether those to whom DMARC reports of a domain go consent to them (RFC 7489, section 7.1). */
export async function dmarcResults(dns: Dns, domain: string): Promise<Result[]> {
  const texts = await dns.texts(`_dmarc.${domain}`);
  const reports = texts.flatMap((text) => [...text.matchAll(/mailto:([^\s,;!]+)/gi)]);
  const results = await Promise.all(
    reports.map(async ([, address]): Promise<Result[]> => {
      const name = reportConsentName(domain, domainOf(address!).toLowerCase());
      if (name === undefined) return [];
      const consents = await dns.texts(name);
      return consents.some((text) => /^v=DMARC1\b/.test(text))
        ? []
        : [
            {
              code: 'dmarc-reports',
              about: domain,
              evidence: `${name} TXT answers ${consents.join(' and ') || 'nothing'}, not v=DMARC1`,
            },
          ];
    }),
  );
  return results.flat();
}
