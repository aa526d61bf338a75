import { describe, expect, it } from 'vitest';
import {
  hasTooManyLookups,
  isSpf,
  leastLookups,
  normalSpfMechanism,
  spfMistake,
  spfRecord,
} from '../components/dns/spf';

const zone: Record<string, string[]> = {
  'one.example': ['v=spf1 ip4:192.0.2.1 -all', 'something else'],
  'ten.example': [`v=spf1 ${'a:x.example '.repeat(10)}-all`],
  'self.example': ['v=spf1 include:self.example -all'],
  'two.example': ['v=spf1 -all', 'v=spf1 ~all'],
  'moved.example': ['v=spf1 redirect=one.example'],
  'silent.example': ['no spf here'],
  // With the MX and the include itself that is ten.
  'eight.example': [`v=spf1 ${'a:x.example '.repeat(8)}-all`],
  'a-b.example': ['v=spf1 -all'],
};
const lookUp = (name: string) => Promise.resolve(zone[name] ?? []);
const mistake = (...mechanisms: string[]) =>
  spfMistake('own.example', spfRecord(mechanisms), lookUp);

describe('spfMistake', () => {
  it.each([
    [[]],
    [['include:one.example']],
    [['include:moved.example', 'ip4:192.0.2.0/24']],
    [['include:%{i}.one.example']],
    [['include:eight.example']],
    [['include:one.example', 'include:moved.example', 'include:a-b.example']],
  ])('finds nothing wrong with %j', async (mechanisms) => {
    expect(await mistake(...mechanisms)).toBeUndefined();
  });

  it.each([
    ['more than ten look-ups, those of includes counted', ['include:ten.example'], /more than 10/],
    ['a circle', ['include:self.example'], /leads back/],
    ['itself', ['include:own.example'], /leads back/],
    ['two records', ['include:two.example'], /2 SPF records/],
    ['none', ['include:silent.example'], /0 SPF records/],
    [
      'look-ups that find nothing',
      ['include:n1.example', 'include:n2.example', 'include:n3.example'],
      /3 look-ups find nothing/,
    ],
  ])('finds %s', async (_, mechanisms, message) => {
    expect(await mistake(...mechanisms)).toMatch(message);
  });

  it('tells all that is wrong, and asks no more than a receiver does', async () => {
    expect(await mistake('include:n1.example', 'include:n2.example')).toBe(
      'n1.example has 0 SPF records, not one; n2.example has 0 SPF records, not one',
    );
    const asked: string[] = [];
    const counting = (name: string) => {
      asked.push(name);
      return Promise.resolve(['v=spf1 -all']);
    };
    const includes = Array.from({ length: 20 }, (_, i) => `include:i${i}.example`);
    const text = `v=spf1 ${includes.join(' ')} -all`;
    expect(await spfMistake('own.example', text, counting)).toBe(
      'it takes more than 10 DNS look-ups',
    );
    expect(asked).toHaveLength(10);
  });

  it('lets the caller know where DNS does not answer', async () => {
    const broken = () => Promise.reject(new Error('SERVFAIL'));
    await expect(
      spfMistake('own.example', 'v=spf1 include:one.example -all', broken),
    ).rejects.toThrow('SERVFAIL');
  });
});

it.each([
  ['include:_spf.example.com', true],
  ['a', true],
  ['mx:example.com/24', true],
  ['ip4:192.0.2.0/24', true],
  ['ip6:2001:db8::/32', true],
  ['exists:example.com', true],
  ['-all', false],
  ['?all', false],
  ['redirect=example.com', false],
  ['v=spf1', false],
  ['ptr', false],
  ['ip4:192.0.2.1 all', false],
  ['include:a"b.example', false],
  ['include:%{ir}.%{v}.%{d}.spf.example.com', true],
  ['exists:%{i}._spf.example.com', true],
  ['ip4:999.999.999.999', false],
  ['ip4:192.0.2.1/99', false],
  ['ip6:192.0.2.1', false],
  ['ip6::::::', false],
  ['a/99', false],
  ['mx//129', false],
  ['include:a..b.example', false],
  ['a/24//64', true],
  ['a/32//128', true],
  ['a/33', false],
  ['a//129', false],
  ['ip4:192.0.2.1/32', true],
  ['ip4:192.0.2.1/33', false],
  ['ip4:192.0.2.0/24//64', false],
  ['ip6:2001:DB8::/128', true],
  ['ip6:2001:db8::/129', false],
  ['ip6:2001:db8::/32//64', false],
  ['a:example', false],
  ['include:a.example/24', false],
  ['exists:a.example//64', false],
  ['-a', false],
  ['~include:a.example', false],
  ['a b', false],
  ['exists:%{I}.a.example', true],
  ['exists:%{D2R-+}.a.example', true],
  ['exists:%{l1r-}.%_x%%.%-.a.example', true],
  ['exists:%{x}.a.example', false],
  ['exists:%{c}.a.example', false],
  ['exists:%{t}.a.example', false],
  ['exists:%x.a.example', false],
  [`exists:${'%{i}.'.repeat(12)}a.example`, true],
])('takes %s for a mechanism to merge: %s', (text, is) => {
  expect(normalSpfMechanism(text)).toBe(is ? text : undefined);
});

it.each([
  ['include:_spf.bücher.example', 'include:_spf.xn--bcher-kva.example'],
  ['include:_spf.BÜCHER.example', 'include:_spf.xn--bcher-kva.example'],
  ['a:bücher.example/24//64', 'a:xn--bcher-kva.example/24//64'],
  ['mx:bücher.example', 'mx:xn--bcher-kva.example'],
  ['exists:%{i}._spf.bücher.example', 'exists:%{i}._spf.xn--bcher-kva.example'],
  ['exists:%{L}%%._x.Bücher.example', 'exists:%{L}%%._x.xn--bcher-kva.example'],
  ['include:%{d2}.bücher.example', 'include:%{d2}.xn--bcher-kva.example'],
  ['include:_spf.example.com.', 'include:_spf.example.com'],
  ['Include:_SPF.Example.com', 'include:_spf.example.com'],
  ['IP4:192.0.2.1', 'ip4:192.0.2.1'],
  ['MX', 'mx'],
])('brings %s into the form that is published: %s', (text, normal) => {
  expect(normalSpfMechanism(text)).toBe(normal);
});

it('an SPF record lets each mechanism stand once, behind the MX', () => {
  expect(spfRecord(['mx', 'a', 'mx:b.example'])).toBe('v=spf1 mx a mx:b.example -all');
});

it.each([
  ['v=spf1', true],
  ['V=SPF1 -all', true],
  ['v=spf10 -all', false],
  ['x v=spf1 -all', false],
])('takes %s for an SPF record: %s', (text, is) => {
  expect(isSpf(text)).toBe(is);
});

it.each([
  ['v=spf1 -a ~mx ?include:x.example +ptr exists:y.example redirect=z.example', 6],
  ['v=spf1 ip4:192.0.2.1 ip6:2001:db8::a all', 0],
  [`v=spf1 ${'a:x.example '.repeat(10)}-all`, 10],
  [`v=spf1 ${'a:x.example '.repeat(11)}-all`, 11],
])('counts the look-ups of %s', (record, count) => {
  expect(leastLookups(record)).toBe(count);
  expect(hasTooManyLookups(record)).toBe(count > 10);
});
