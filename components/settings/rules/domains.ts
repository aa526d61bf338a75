import { clientNames } from '../../dns/names';
import { hasTooManyLookups, leastLookups, maximumRecordLength, spfRecord } from '../../dns/spf';
import { pathText } from '../mistakes';
import { isZoneId, liesIn, registrableDomain } from '../names';
import { at, mailDomains, placed, type Rule } from './draft';

export const distinctDomains: Rule = function* ({ domains }) {
  const first = new Map<string, string>();
  for (const { path, value } of placed(domains, 'domains')) {
    if (value.name === undefined) continue;
    const other = first.get(value.name);
    if (other === undefined) first.set(value.name, pathText(path));
    else
      yield {
        path: [...path, 'name'],
        value: value.name,
        problem: `is also ${other}; name each domain once`,
      };
  }
};

export const zonesHoldDomains: Rule = function* ({ domains, dns }) {
  for (const { path: domain, value } of placed(domains, 'domains')) {
    const { name, zone } = value;
    if (name === undefined || zone === undefined) continue;
    const path = [...domain, 'zone'];
    const remedy = { path, value: registrableDomain(name) };
    if (!isZoneId(zone) && !liesIn(name, zone))
      yield { path, value: zone, problem: `does not hold ${name}; set the zone that does`, remedy };
    if (isZoneId(zone) && dns === 'manual')
      yield {
        path,
        value: zone,
        problem: 'is an id at Cloudflare, which dns manual does not query; set its name',
        remedy,
      };
  }
};

export const parkedDomainsHaveNoMail: Rule = function* ({ domains }) {
  for (const { path: domain, value } of placed(domains, 'domains')) {
    const { name, parked, catchAll, spf = [], dmarcPolicy = 'reject', dkimGeneration } = value;
    const { delivery = 'here' } = value;
    if (!parked || name === undefined) continue;
    const isSet = {
      delivery: delivery !== 'here',
      catchAll: catchAll !== undefined,
      spf: spf.length > 0,
      dmarcPolicy: dmarcPolicy !== 'reject',
      dkimGeneration: dkimGeneration !== undefined,
    };
    for (const [key] of Object.entries(isSet).filter(([, set]) => set)) {
      const path = [...domain, key];
      yield {
        path,
        problem: `does not apply to ${name}, which is parked; remove it, or parked`,
        remedy: { path, remove: true },
      };
    }
  }
};

/** Within what receivers and DNS providers take (RFC 7208, section 4.6.4). */
export const spfFits: Rule = function* ({ domains }) {
  for (const { path: domain, value } of placed(domains, 'domains')) {
    const path = [...domain, 'spf'];
    const record = spfRecord(placed(value.spf).map((mechanism) => mechanism.value));
    if (record.length > maximumRecordLength)
      yield {
        path,
        problem: `makes an SPF record of ${record.length} octets, of which ${maximumRecordLength} fit; write networks instead of single addresses`,
      };
    if (hasTooManyLookups(record))
      yield {
        path,
        problem: `makes an SPF record that takes ${leastLookups(record)} DNS look-ups, and receivers stop after 10; write ip4: and ip6: instead of names`,
      };
  }
};

export const hostIsInADomain: Rule = function* ({ hostName, domains = [] }) {
  const names = domains.map((domain) => domain?.name);
  // Another mistake tells of the name that cannot be compared.
  if (hostName === undefined || names.includes(undefined)) return;
  const isBelow = names.some((name) => hostName.endsWith(`.${name}`));
  if (isBelow && !names.includes(hostName)) return;
  const path = ['hostName'];
  yield {
    path,
    value: hostName,
    problem: `is not a name of its own below one of the domains`,
    remedy: { path, value: `mail.${names[0] ?? 'example.org'}` },
  };
};

/** Names that lead to the host by a CNAME allow no other record (RFC 1034, section 3.6.2). */
export const clientNamesAreFree: Rule = function* (draft) {
  if (!draft.web) return;
  const taken = new Map(
    mailDomains(draft).flatMap((name) => clientNames(name).map((client) => [client, name])),
  );
  const own = [
    ...placed(draft.domains, 'domains').flatMap(({ path, value }) =>
      at(value.name, ...path, 'name'),
    ),
    ...at(draft.hostName, 'hostName'),
  ];
  for (const { path, value } of own)
    if (taken.has(value))
      yield {
        path,
        value,
        problem: `is where mail clients and servers look ${taken.get(value)} up; choose another name, or set web to false`,
      };
};
