import { isIPv4, isIPv6 } from 'node:net';
import { asciiName } from '../settings/names';

/** What a receiver may look up at most to judge one SPF record (RFC 7208, section 4.6.4). */
const maximumLookups = 10;
/** How many of these may find nothing. */
const maximumVoidLookups = 2;

/** Macros (RFC 7208, section 7.1) but for those of explanations, and with no `/`, which would begin a length. */
const macro = String.raw`%(?:\{[slodiphvSLODIPHV]\d*[rR]?[-.+,_=]*\}|[%_-])`;
const label = `(?:[A-Za-z0-9_-]|${macro})+`;
const named = new RegExp(`^(?:include|exists|a|mx):${label}(?:\\.${label})+$`);

/**
 * A mechanism that lets a sender pass (RFC 7208, section 5) in the form in which it is published: names in A-labels
 * (section 4.3) and without final dot, in lower case but for macros.
 *
 * @returns undefined where `text` is none; `all`, `ptr`, qualifiers and modifiers are not for merging
 * @example normalSpfMechanism('include:_spf.bücher.example') // 'include:_spf.xn--bcher-kva.example'
 */
export function normalSpfMechanism(text: string): string | undefined {
  const [, kind = '', name, rest = ''] = /^([A-Za-z0-9]+)(?::([^/]*))?(\/.*)?$/.exec(text) ?? [];
  // An address is no name.
  const isName = name !== undefined && !/^ip[46]$/i.test(kind);
  const value = isName ? spfName(name) : name;
  const normal = `${kind.toLowerCase()}${value === undefined ? '' : `:${value}`}${rest}`;
  return isSpfMechanism(normal) ? normal : undefined;
}

/** A domain name with or without macros, whose letters may tell upper from lower case (RFC 7208, section 7.3). */
function spfName(name: string): string {
  const macros: string[] = [];
  // One stands in for each while the rest is made lower-case and ASCII.
  const bare = name.replace(/%(?:\{[^}]*\}|[%_-])/g, (macro) => `%${macros.push(macro) - 1}%`);
  return asciiName(bare).replace(/%(\d+)%/g, (all, i: string) => macros[Number(i)] ?? all);
}

function isSpfMechanism(text: string): boolean {
  const [, term, v4Bits, v6Bits] = /^([^/]+?)(?:\/(\d{1,3}))?(?:\/\/(\d{1,3}))?$/.exec(text) ?? [];
  if (term === undefined) return false;
  const within = (bits: string | undefined, most: number) =>
    bits === undefined || Number(bits) <= most;
  const [kind, ...rest] = term.split(':');
  const value = rest.join(':');
  switch (kind) {
    case 'ip4':
      return isIPv4(value) && within(v4Bits, 32) && v6Bits === undefined;
    case 'ip6':
      return isIPv6(value) && within(v4Bits, 128) && v6Bits === undefined;
    case 'a':
    case 'mx':
      return (term === kind || named.test(term)) && within(v4Bits, 32) && within(v6Bits, 128);
    default:
      return named.test(term) && term === text;
  }
}

/** Octets of a text that DNS providers take in one record. */
export const maximumRecordLength = 2048;

/**
 * The one SPF record of a name (RFC 7208, section 3.2): its MX, what the operator adds, and nobody else.
 *
 * @example spfRecord(['include:_spf.example.com']) // 'v=spf1 mx include:_spf.example.com -all'
 */
export const spfRecord = (mechanisms: string[]): string =>
  ['v=spf1', 'mx', ...mechanisms.filter((m) => m !== 'mx'), '-all'].join(' ');

/** Whether an SPF record has a mechanism that lets pass. */
const hasMechanism = (record: string, mechanism: string): boolean =>
  record
    .toLowerCase()
    .split(' ')
    .some((term) => term.replace(/^\+/, '') === mechanism);

/**
 * An SPF record that lets this host pass, too, while another one has the mail.
 *
 * @returns undefined if it does already
 */
export function spfWithHost(record: string, hostName: string): string | undefined {
  const mechanism = `a:${hostName}`;
  if (hasMechanism(record, mechanism)) return undefined;
  const [version, ...terms] = record.split(' ').filter(Boolean);
  return [version, mechanism, ...terms].join(' ');
}

/**
 * What an SPF record lets pass and the one of this host would not: for the setting `spf`.
 *
 * @param spf mechanisms that the setting has
 * @param mx hosts that are the domain's MX while it has that record
 */
export function mechanismsToKeep(
  record: string,
  spf: string[],
  mx: string[],
  hostName: string,
): string[] {
  const terms = record
    .split(' ')
    .slice(1)
    .map((term) => term.replace(/^\+/, '').replace(/^redirect=/i, 'include:'))
    .flatMap((term) => (/^mx$/i.test(term) ? mx.map((host) => `a:${host}`) : [term]));
  const kept = terms.flatMap((term) => normalSpfMechanism(term) ?? []);
  const has = new Set([...spf, 'mx', `a:${hostName}`]);
  return [...new Set(kept)].filter((mechanism) => !has.has(mechanism));
}

/** The texts at a name, each as one string, or none where the name or the type does not exist. */
export type TxtLookup = (name: string) => Promise<string[]>;

/** What an SPF record costs a receiver. */
interface SpfCost {
  lookups: number;
  voidLookups: number;
}

/** Terms that cost a look-up, with the name that an include or redirect leads on to. */
function lookupTerms(record: string): { next?: string; text: string }[] {
  return record
    .split(' ')
    .slice(1)
    .map((term) => term.replace(/^[-+?~]/, ''))
    .filter((term) => /^(?:include:|a\b|mx\b|ptr\b|exists:|redirect=)/i.test(term))
    .map((text) => ({ text, next: /^(?:include:|redirect=)(.+)$/i.exec(text)?.[1] }));
}

/** Whether a text is an SPF record. */
export const isSpf = (text: string): boolean => /^v=spf1(?: |$)/i.test(text);

/**
 * What is wrong with an SPF record as receivers will see it, its includes followed.
 *
 * @param name that it is published at
 * @param lookup rejects where DNS does not answer; a name with a macro is not followed
 * @returns undefined where it holds within the limits
 */
export async function spfMistake(
  name: string,
  record: string,
  lookup: TxtLookup,
): Promise<string | undefined> {
  const cost: SpfCost = { lookups: 0, voidLookups: 0 };
  const wrong: string[] = [];
  const visit = async (text: string, seen: string[]): Promise<void> => {
    for (const { next, text: term } of lookupTerms(text)) {
      cost.lookups += 1;
      // Past the limit nothing more is asked: a record may include itself.
      if (cost.lookups > maximumLookups) return;
      if (next === undefined || next.includes('%')) continue;
      if (seen.includes(asciiName(next))) {
        wrong.push(`${term} leads back to itself`);
        continue;
      }
      const texts = await lookup(next);
      const records = texts.filter(isSpf);
      if (texts.length === 0) cost.voidLookups += 1;
      if (records.length !== 1) wrong.push(`${next} has ${records.length} SPF records, not one`);
      else await visit(records[0]!, [...seen, asciiName(next)]);
    }
  };
  await visit(record, [name]);
  if (cost.lookups > maximumLookups)
    wrong.push(`it takes more than ${maximumLookups} DNS look-ups`);
  if (cost.voidLookups > maximumVoidLookups)
    wrong.push(`${cost.voidLookups} look-ups find nothing, and ${maximumVoidLookups} may`);
  return wrong.length > 0 ? wrong.join('; ') : undefined;
}

/** How many look-ups the record takes at least, before any of them is made. */
export const leastLookups = (record: string): number => lookupTerms(record).length;

/** Whether receivers give up on the record, whatever its includes say. */
export const hasTooManyLookups = (record: string): boolean => leastLookups(record) > maximumLookups;
