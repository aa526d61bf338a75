import { plural, some } from '../review/terminal';
import { seconds } from '../settings/duration';
import { roles } from '../settings/mailSettings';
import { domainOf, localPartOf } from '../settings/names';
import { entriesOf, listMeaning, timeInWords, valueMeaning, type Meaning } from './meaning';
import { probeDomain, reportsAddress } from './probe';

const configuration = '/etc/smtpd.conf';

/** A limit of each login. */
const limitMeaning = (option: string, of: string): Meaning =>
  valueMeaning(
    configuration,
    new RegExp(` --${option} (\\d+)`),
    (before, after) => `a login may send ${of.replace('N', after)} instead of ${before}`,
  );

/** What another text of OpenSMTPD's own files means to people. */
export const openSmtpdMeanings: Meaning[] = [
  valueMeaning(
    configuration,
    /^# (\d+) MB, and room/m,
    (before, after) =>
      `refuses messages larger than ${after} MB, received or sent; the limit was ${before} MB`,
  ),
  limitMeaning('messages-per-hour', 'N messages in an hour'),
  limitMeaning('recipients-per-day', 'to N recipients in a day'),
  limitMeaning('new-recipients-per-day', 'to N recipients in a day that it never wrote to,'),
  valueMeaning(
    configuration,
    /^queue ttl (\S+)$/m,
    (before, after) =>
      `returns what cannot be delivered to its sender after ${timeInWords(seconds(after))} instead of ${timeInWords(seconds(before))}`,
  ),
  { path: configuration, says: smarthostMeaning },
  listMeaning('/etc/smtpd/elsewhere', /^(\S+)$/gm, {
    added: (domains) => `mail that begins here for ${domains} goes to the host that has its MX`,
    removed: (domains) => `mail that begins here for ${domains} is delivered here`,
  }),
  listMeaning('/etc/smtpd/forwarded', /^(\S+)$/gm, {
    added: (domains) =>
      `mail that still arrives here for ${domains} is sent on to the host that has its MX`,
    removed: (domains) => `mail that arrives here for ${domains} is no longer sent on`,
  }),
  { path: '/etc/smtpd/virtuals', says: addressMeaning },
  { path: '/etc/smtpd/identities', says: senderMeaning },
];

/** Domains that it takes mail for, by the text of the file that lists them. */
export const domainsTable = '/etc/smtpd/domains';
export const domainsIn = (text: string): string[] =>
  text.split('\n').filter((name) => name !== '' && name !== probeDomain);

/** How mail leaves. */
function smarthostMeaning(before: string, after: string): string[] {
  const [old, next] = [before, after].map(
    (text) => /^action outbound .* host \S+:\/\/login@(\S+)/m.exec(text)?.[1],
  );
  if (old === next) return [];
  if (next === undefined)
    return [`sends mail to the MX of its recipients, no longer through ${old}`];
  return [
    `sends all mail through ${next} instead of ${old ?? 'directly to the MX of its recipients'}`,
  ];
}

/** Addresses that lead to others. Those of accounts and domains that come and go are said by these. */
function addressMeaning(before: string, after: string): string[] {
  const entry = /^(\S*@\S+) (\S+)$/gm;
  const [old, next] = [before, after].map((text) => ({
    domains: new Set([...text.matchAll(entry)].map(([, address]) => domainOf(address!))),
    postmaster: /^root (\S+)$/m.exec(text)?.[1],
    catchAlls: new Set([...text.matchAll(/^@(\S+) /gm)].map(([, domain]) => domain)),
  }));
  const { added, removed, changed } = entriesOf(entry, before, after);
  const isRole = (address: string) => roles.includes(localPartOf(address));
  const isAlias = (target: string) => target.includes('@');
  const name = (address: string) =>
    address.startsWith('@') ? `unknown recipients of ${address.slice(1)}` : address;
  const gone = (address: string) =>
    !address.startsWith('@') && next!.catchAlls.has(domainOf(address))
      ? 'goes to the catch-all'
      : 'is refused';
  const sentences = [
    ...added
      .filter(
        ([address, to]) =>
          isAlias(to) && !(isRole(address) && [next!.postmaster, reportsAddress].includes(to)),
      )
      .map(([address, to]) => `mail for ${name(address)} goes to ${to.replaceAll(',', ', ')}`),
    ...removed
      .filter(
        ([address, to]) =>
          isAlias(to) && !(isRole(address) && [old!.postmaster, reportsAddress].includes(to)),
      )
      .filter(([address]) => next!.domains.has(domainOf(address)))
      .map(([address]) => `mail for ${name(address)} ${gone(address)}`),
    ...changed
      .filter(
        ([address, was, to]) =>
          !(isRole(address) && was === old!.postmaster && to === next!.postmaster),
      )
      .filter(([, , to]) => isAlias(to))
      .map(
        ([address, was, to]) =>
          `mail for ${name(address)} goes to ${to.replaceAll(',', ', ')} instead of ${isAlias(was) ? was.replaceAll(',', ', ') : 'its mailbox'}`,
      ),
  ];
  return sentences.length > 5
    ? [
        ...sentences.slice(0, 4),
        `${plural(sentences.length - 4, 'more address', 'more addresses')} lead elsewhere, begin or end`,
      ]
    : sentences;
}

/** Addresses that accounts may send as. */
function senderMeaning(before: string, after: string): string[] {
  const sentences = entriesOf(/^(\S+) (\S+)$/gm, before, after).changed.flatMap(
    ([account, was, is]) => {
      const [old, next] = [was.split(','), is.split(',')];
      const said = (verb: string, addresses: string[]) =>
        addresses.length > 0 ? [`${account} ${verb} ${some(addresses)}`] : [];
      return [
        ...said(
          'may send as',
          next.filter((one) => !old.includes(one)),
        ),
        ...said(
          'may no longer send as',
          old.filter((one) => !next.includes(one)),
        ),
      ];
    },
  );
  return sentences.length > 5
    ? [
        ...sentences.slice(0, 4),
        `${plural(sentences.length - 4, 'more account')} may send as others`,
      ]
    : sentences;
}
