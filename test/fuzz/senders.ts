import fc from 'fast-check';

/** The most octets of an address that OpenSMTPD rewrites a sender to. */
const longest = 255;

/** What srs_encode() of OpenSMTPD 7.6 makes of a sender, in buffers of 256 octets; undefined where it gives up. */
export function rewritten(sender: string, to: string): string | undefined {
  const fits = (text: string) => (text.length <= longest ? text : undefined);
  const scheme = sender.slice(0, 5).toUpperCase();
  if (scheme === 'SRS0=') {
    const [user, domain] = split(sender.slice(5));
    const text = fits(`${domain}==${user}@${to}`);
    return text && fits(`SRS1=HHHH=${text}`);
  }
  if (scheme === 'SRS1=') {
    const text = fits(`${split(sender.slice(5))[0]}@${to}`);
    return text && /^.{4}[=+-]/.test(text) ? fits(`SRS1=HHHH=${text.slice(5)}`) : undefined;
  }
  const [user, domain] = split(sender);
  const text = fits(`TT=${domain}=${user}@${to}`);
  return text && fits(`SRS0=HHHH=${text}`);
}

const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const day = Math.floor(Date.now() / 86_400_000) % 1024;
/** The day of now, as SRS has it. */
const today = base32[day >> 5]! + base32[day & 31]!;

/** Where srs_decode() leads mail to a rewritten sender; undefined where it finds no address in it, or an old day. */
export function ledBack(sender: string): string | undefined {
  const [user] = split(sender.slice('SRS0=HHHH='.length));
  const isFirst = sender.startsWith('SRS0=');
  const encoded = isFirst ? user.slice('TT='.length) : user;
  const end = encoded.indexOf('=');
  if (end < 0) return undefined;
  const [domain, local] = [encoded.slice(0, end), encoded.slice(end + 1)];
  if (isFirst) return `${local}@${domain}`;
  return /^.{6}(..)[=+-]/.exec(local)?.[1] === today ? `SRS0${local}@${domain}` : undefined;
}

/** Whether it is an address that every system takes, and none of more octets than OpenSMTPD has room for. */
export const isPlain = (address: string | undefined): address is string =>
  address !== undefined && address.length <= longest && isTaken(address) && !address.endsWith(']');

/** Whether OpenSMTPD takes a sender: dot-atoms at a host name, or at an address literal. */
export function isTaken(address: string): boolean {
  const [user, domain] = split(address);
  return (
    user.length <= longest &&
    /^[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*$/.test(user) &&
    /^(?:(?!-)[\w-]+(?:\.[\w-]+)*|\[(?:192\.0\.2\.1|IPv6:::1)\])$/.test(domain)
  );
}

function split(address: string): [user: string, domain: string] {
  const at = address.lastIndexOf('@');
  return at < 0 ? [address, ''] : [address.slice(0, at), address.slice(at + 1)];
}

/** What stands between the angle brackets, as OpenSMTPD takes it: without a route. */
export function withoutRoute(path: string): string {
  const [user, domain] = split(path);
  const address = user.slice(user.indexOf(':') + 1);
  return domain ? `${address}@${domain}` : address;
}

const words = fc.constantFrom(
  'SRS0=', 'srs1=', 'SRS0+', 'abcd', 'x', 'B', 'b'.repeat(50), 'c'.repeat(99), ...'=+-.', ..."!#$%&'*/?^_`{|}~",
); // prettier-ignore
/** That no address has outside quotes, or none but one of. */
const signs = fc.constantFrom(...'@ "\\()<>,:;[]\t', '\u0001', '\u007f', '\u00e1');
const local = fc
  .array(fc.oneof({ weight: 20, arbitrary: words }, signs), { minLength: 1, maxLength: 8 })
  .map((parts) => parts.join('').slice(0, longest));
/** How addresses of SRS begin, some that are led back to a domain among them. */
const schemes = (domain: string) =>
  fc.constantFrom(
    '', 'SRS0=', `SRS0=abcd=${today}=x.example=`, `srs0+abcd=${today}=x.example=`, 'SRS1=', 'SRS1=ab', 'srs1=abcd=',
    `SRS1=abcd=x.example==abcd=${today}=y.example=`, `SRS1=abcd=${domain}==abcd=${today}=y.example=`,
  ); // prettier-ignore

/**
 * Envelope senders: of each form that SRS has, of lengths about the most that it has room for, and odd ones.
 *
 * @param zone that most are below
 * @param to domain of the address that leads elsewhere
 */
export function senders(zone: string, to: string): fc.Arbitrary<string> {
  const scheme = schemes(zone);
  const domain = fc.oneof(
    { weight: 3, arbitrary: fc.constant(zone) },
    fc
      .integer({ min: 1, max: (253 - zone.length) >> 1 })
      .map((labels) => `${'d.'.repeat(labels)}${zone}`),
    fc.constantFrom(`B-_x.${zone}`, `${zone}.`, `-.${zone}`, 'x', '[192.0.2.1]', '[IPv6:::1]', ''),
  );
  const ofLength = fc
    .tuple(scheme, domain, fc.integer({ min: -40, max: 3 }))
    .map(([start, at, more]) => {
      const bare = rewritten(`${start}b@${at}`, to)?.length ?? longest;
      return `${start}${'b'.repeat(Math.max(1, longest + more - bare + 1))}@${at}`;
    });
  const odd = fc.tuple(fc.oneof(scheme, local), local, domain);
  return fc.oneof(
    fc.constantFrom(
      '',
      'anna@example.org',
      'anna',
      'anna:',
      `@x.example:erika@${zone}`,
      `@${zone}`,
    ),
    fc.constantFrom(`erika@${zone}`, `Erika.B@${zone.toUpperCase()}`),
    { weight: 3, arbitrary: ofLength },
    { weight: 3, arbitrary: odd.map(([start, rest, at]) => `${start}${rest}@${at}`) },
  );
}
