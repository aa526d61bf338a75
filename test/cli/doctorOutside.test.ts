import { afterEach, describe, expect, it } from 'vitest';
import { Dns } from '../../cli/doctor/dns';
import { findingsOf, uncheckedOf } from '../../cli/doctor/finding';
import { lookFromOutside } from '../../cli/doctor/outside';
import type { HostStack } from '../../cli/stack';
import { mtaStsPolicy } from '../../components/dns/mtaSts';
import { reverseName } from '../../components/settings/names';
import { certificateFor, hostName, ipv4, ipv6, own, stack } from './doctorPlan';
import { dsOf, nameServers, parent, resolver, World } from './doctorWorld';

const day = 86_400_000;
let world: World;
afterEach(() => world.stop());

/** What is found in a world that is well but for a change. */
async function found(
  change: (world: World) => void,
  { now = Date.now(), of = stack }: { now?: number; of?: HostStack } = {},
) {
  world = new World();
  change(world);
  await world.start();
  const dns = new Dns(world.network, resolver);
  const results = await lookFromOutside(of, { network: world.network, dns, now });
  const findings = findingsOf(results);
  return {
    lines: findings.map(({ code, about, evidence }) => `${code} ${about} ${evidence}`),
    codes: [...new Set(findings.map(({ code }) => code))],
    unchecked: uncheckedOf(results).map(({ unchecked, why }) => `${unchecked}: ${why}`),
  };
}

const ns2 = [nameServers['ns2.dns.example']];
const listed = (address: string, zone: string) =>
  `${reverseName(address).replace(/\.(?:in-addr|ip6)\.arpa$/, '')}.${zone}`;
const signed = (one: World) => {
  one.ds = { 'example.org': dsOf('example.org'), 'example.net': dsOf('example.net') };
};
const other = certificateFor(hostName, 'mta-sts.example.org', 'mta-sts.example.net');

describe('from outside', () => {
  it('a host that is well has no finding, signed or not', async () => {
    expect(await found(() => undefined)).toEqual({ lines: [], codes: [], unchecked: [] });
    await world.stop();
    expect(await found(signed)).toEqual({ lines: [], codes: [], unchecked: [] });
  });

  it.each<[string, (world: World) => void, string | RegExp | (string | RegExp)[]]>([
    [
      'a zone that is not delegated',
      (one) => (one.delegation = undefined),
      ['zone-not-delegated example.org', 'zone-not-delegated example.net'],
    ],
    [
      'a name server that does not answer',
      (one) => one.silent.add(ns2[0]!),
      [/name-server-silent example.org ns2.dns.example: no answer/, /example.net/],
    ],
    [
      'a name server that refuses',
      (one) => one.lame.add(ns2[0]!),
      [/name-server-silent example.org ns2.dns.example: it answers REFUSED/, /example.net/],
    ],
    [
      'another delegation',
      (one) => (one.delegation = ['ns1.dns.example']),
      [/name-servers-differ example.org .*its parent ns1.dns.example$/, /example.net/],
    ],
    [
      'a record that is missing everywhere',
      (one) => one.without('s1._domainkey.example.org', 'TXT'),
      /^record-missing s1._domainkey.example.org TXT ns1.dns.example, ns2.dns.example: the plan has "v=DKIM1/,
    ],
    [
      'a record that is missing at one name server',
      (one) => one.without('_imaps._tcp.example.org', 'SRV', ns2),
      /^record-missing _imaps._tcp.example.org SRV ns2.dns.example: /,
    ],
    [
      'another address',
      (one) => {
        one.without(hostName, 'A');
        one.add(hostName, 'A', '192.0.2.99');
      },
      /^record-differs mail.example.org A .*it answers 192.0.2.99, not 192.0.2.10$/,
    ],
    [
      'an alias in the place of a record',
      (one) => {
        one.without('_dmarc.example.org', 'TXT');
        one.add('_dmarc.example.org', 'CNAME', 'dmarc.other.example');
      },
      /^record-differs _dmarc.example.org TXT .*alias of dmarc.other.example$/,
    ],
    [
      'a second SPF record',
      (one) => one.add('example.org', 'TXT', ['v=spf1 -all']),
      /^record-unplanned example.org TXT .*it also answers "v=spf1 -all"$/,
    ],
    [
      'a second mail exchanger',
      (one) => one.add('example.net', 'MX', { preference: 20, exchange: 'mx.other.example' }),
      /^record-unplanned example.net MX .*20 mx.other.example.$/,
    ],
    [
      'a TLSA record that was dropped',
      (one) =>
        one.change((all) =>
          all.filter(({ type, data }) => type !== 'TLSA' || !JSON.stringify(data).includes('171')),
        ),
      /^record-missing _25._tcp.mail.example.org TLSA /,
    ],
    [
      'an SPF record with too many look-ups',
      (one) =>
        (one.others = [
          ...one.others.filter(({ name }) => name !== '_spf.sender.example'),
          { name: '_spf.sender.example', type: 'TXT', data: [`v=spf1 ${'a '.repeat(10)}-all`] },
        ]),
      /^spf-invalid example.org .*more than 10 DNS look-ups$/,
    ],
    [
      'a report address that does not consent',
      (one) =>
        (one.others = one.others.filter(
          ({ name }) => name !== 'example.net._report._dmarc.collector.example',
        )),
      /^dmarc-reports example.net .*answers nothing/,
    ],
    [
      'a DS record for another key',
      (one) => (one.ds = { 'example.org': { ...dsOf('example.org'), digest: Buffer.alloc(32) } }),
      /^dnssec-ds-wrong example.org ns1.dns.example, ns2.dns.example: the parent has 4711 13 2/,
    ],
    [
      'a signature that has expired',
      (one) => {
        signed(one);
        one.signatures = 1_000_000_000;
      },
      [/^dnssec-signature example.org .*2001-09-09/, /example.net/],
    ],
    [
      'no signature',
      (one) => {
        signed(one);
        one.signatures = undefined;
      },
      [/^dnssec-signature example.org .*no signature/, /example.net/],
    ],
    [
      'a zone that the resolver rejects',
      (one) => {
        signed(one);
        // SPF and the like cannot be looked up either.
        one.bogus = ['example.net'];
      },
      /^dnssec-bogus example.net the resolver 192.0.2.53 answers SERVFAIL/,
    ],
    [
      'reverse DNS for another name',
      (one) =>
        (one.others = one.others.map((entry) =>
          entry.name === reverseName(ipv6) ? { ...entry, data: 'static.other.example' } : entry,
        )),
      /^ptr-wrong 2001:db8::10 it names static.other.example., not mail.example.org.$/,
    ],
    [
      'no reverse DNS',
      (one) => (one.others = one.others.filter(({ name }) => name !== reverseName(ipv4))),
      /^ptr-wrong 192.0.2.10 it names nothing/,
    ],
    [
      'a list that has an address',
      (one) =>
        one.others.push(
          { name: listed(ipv6, 'zen.spamhaus.org'), type: 'A', data: '127.0.0.3' },
          { name: listed(ipv6, 'zen.spamhaus.org'), type: 'TXT', data: ['see the page'] },
        ),
      'address-listed 2001:db8::10 zen.spamhaus.org has it as 127.0.0.3: see the page',
    ],
    [
      'another name in the greeting',
      (one) => (one.banner = 'localhost'),
      /^helo-wrong .*ports? .*says localhost$/,
    ],
    [
      'a port that is closed',
      (one) => one.closed.add('4190'),
      [/^port-closed .*192.0.2.10/, /2001:db8::10/],
    ],
    [
      'a port that is closed for one family',
      (one) => one.closed.add(`${ipv6} 993`),
      /^port-closed mail.example.org port 993 of 2001:db8::10: connect ECONNREFUSED/,
    ],
    [
      'no STARTTLS',
      (one) => (one.offersStartTls = false),
      'starttls-missing mail.example.org port 25 of 192.0.2.10, port 587 of 192.0.2.10, port 25 of 2001:db8::10, port 587 of 2001:db8::10: it is not offered',
    ],
    [
      'no STARTTLS for scripts',
      (one) => (one.sieveGreeting = '"IMPLEMENTATION" "Dovecot"\r\nOK "ready"\r\n'),
      /^starttls-missing mail.example.org port 4190 of 192.0.2.10, port 4190/,
    ],
    [
      'a service that refuses',
      (one) => (one.imapGreeting = '* BYE too many\r\n'),
      /^greeting-wrong mail.example.org port 993 .*BYE too many/,
    ],
    [
      'a certificate that nobody trusts',
      (one) => (one.certificate = { ...other, hash: own.hash }),
      [
        /^certificate-untrusted mail.example.org port 25 .*DEPTH_ZERO_SELF_SIGNED_CERT/,
        /mta-sts.example.org/,
        /mta-sts.example.net/,
        /tlsa-mismatch/,
      ],
    ],
    [
      'a relay',
      (one) => (one.relays = true),
      [
        /^open-relay mail.example.org it accepts doctor@example.com from doctor@example.com: 250/,
        /from postmaster@example.org/,
        /accepts @mail.example.org:doctor@example.com/,
      ],
    ],
    [
      'a policy that is missing',
      (one) => (one.policy = undefined),
      [/^mta-sts-policy mta-sts.example.org .*answers 404/, /example.net/],
    ],
    [
      'a policy in another mode',
      (one) => (one.policy = mtaStsPolicy('testing', [hostName])),
      [
        /^mta-sts-policy mta-sts.example.org .*mode is testing, and that of the plan enforce/,
        /example.net/,
      ],
    ],
    [
      'a policy for another host',
      (one) => (one.policy = mtaStsPolicy('enforce', ['mx.other.example'])),
      [/^mta-sts-policy .*it names mx.other.example/, /example.net/],
    ],
    [
      'a policy that is not announced',
      (one) => (one.policy = `${mtaStsPolicy('enforce', [hostName])}\r\n`),
      [/^mta-sts-policy .*the record announces/, /example.net/],
    ],
    [
      'settings of clients that are missing',
      (one) => (one.settingsPage = 404),
      [/^autoconfig autoconfig.example.org .*answers 404/, /example.net/],
    ],
  ])('%s is named, and nothing else', async (_, change, expected) => {
    const { lines } = await found(change);
    const patterns = [expected].flat();
    expect(lines, lines.join('\n')).toHaveLength(patterns.length);
    for (const pattern of patterns)
      expect(lines).toContainEqual(
        typeof pattern === 'string'
          ? expect.stringContaining(pattern)
          : expect.stringMatching(pattern),
      );
  });

  it('a certificate for another name is named, and the TLSA records that it does not fit', async () => {
    const { codes } = await found((one) => (one.certificate = certificateFor('other.example')));
    expect(codes).toEqual(['certificate-name', 'tlsa-mismatch']);
  });

  it.each([
    [89, ['certificate-ending']],
    [91, ['certificate-expired']],
    [60, []],
  ])('%i days later the certificate is %j', async (days, codes) => {
    expect((await found(() => undefined, { now: Date.now() + days * day })).codes).toEqual(codes);
  });

  it('a zone that the stack signs needs its DS record', async () => {
    const of = { ...stack, dsRecords: { 'example.org': 'example.org. 3600 IN DS 4711 13 2 AB' } };
    expect((await found(() => undefined, { of })).lines).toEqual([
      'dnssec-ds-missing example.org the registrar needs example.org. 3600 IN DS 4711 13 2 AB',
    ]);
  });

  it.each<[string, (world: World) => void, RegExp[]]>([
    [
      'a resolver that does not validate',
      (one) => {
        signed(one);
        one.validates = false;
      },
      [/^the chain of trust of DNSSEC from the root: the resolver 192.0.2.53 does not validate/],
    ],
    [
      'a list that refuses the resolver',
      (one) =>
        (one.others = one.others.map((entry) =>
          entry.name.endsWith('zen.spamhaus.org') ? { ...entry, data: '127.255.255.254' } : entry,
        )),
      [/^the DNS list zen.spamhaus.org: /],
    ],
    [
      'a machine without IPv6',
      (one) => one.unreachable.add(ipv6),
      [/^services at 2001:db8::10: this machine has no route to it/],
    ],
    [
      'a network that blocks port 25',
      (one) => {
        one.closed.add('25');
        one.others.push({ name: 'gmail-smtp-in.l.google.com', type: 'A', data: '203.0.113.1' });
      },
      [/^port 25 of 192.0.2.10: the network of this machine blocks/, /^port 25 of 2001:db8::10/],
    ],
    [
      'parents that do not answer',
      (one) => one.silent.add(parent),
      [/^the zone example.org: /, /^the zone example.net: /],
    ],
  ])('with %s that is told, and is no finding', async (_, change, patterns) => {
    const { lines, unchecked } = await found(change);
    expect(lines).toEqual([]);
    expect(unchecked, unchecked.join('\n')).toHaveLength(patterns.length);
    for (const pattern of patterns)
      expect(unchecked).toContainEqual(expect.stringMatching(pattern));
  });
});
