import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FilterProgram, headerOf, writeTables } from './fuzz/filterProgram';
import { isPlain, isTaken, rewritten, senders, withoutRoute } from './fuzz/senders';

let folder: string;
let options: ReturnType<typeof writeTables>;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'filters-'));
  options = writeTables(folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

const submission = (change: Record<string, string | number> = {}) =>
  new FilterProgram('submission', { ...options.submission, ...change });
const inbound = (change: Record<string, string | number> = {}) =>
  new FilterProgram('inbound', { ...options.inbound, ...change });

describe('the submission filter', () => {
  let filter: FilterProgram;
  beforeAll(async () => {
    filter = submission();
    await filter.registered;
  });
  afterAll(() => filter.end());
  const anna = (...lines: string[]) =>
    filter.send({ login: 'anna@example.org', lines: headerOf(...lines) });

  it.each([
    'anna@example.org',
    '<anna@example.org>',
    ' <anna@example.org> ',
    '\tAnna\t<anna@example.org>',
    'Anna Example <ANNA@Example.ORG>',
    'Anna <  anna@example.org  >',
    'Anna Q. Example <anna@example.org>',
    'Example Inc. <anna@example.org>',
    'Dr. med. Anna Example <anna@example.org>',
    '"Example, Anna" <info@example.org>',
    '"Anna \\"Annie\\" Example" <anna@example.org>',
    'Anna "Annie" Example <anna@example.org>',
    '"Anna"<anna@example.org>',
    'Anna<anna@example.org>',
    '"" <anna@example.org>',
    '"Anna: Sales; Support <x>" <anna@example.org>',
    "Anna O'Example <anna@example.org>",
    "'anna@example.org' <anna@example.org>",
    '"\'anna@example.org\'" <anna@example.org>',
    '"anna@example.org" <anna@example.org>',
    'anna@example.org <anna@example.org>',
    '"info@example.org" <anna@example.org>',
    '"Anna @ Work" <anna@example.org>',
    '"Follow @anna" <anna@example.org>',
    '"Anna@Work" <anna@example.org>',
    '[Sales] Anna & Co. / Example! <anna@example.org>',
    '=?utf-8?q?Ann=C3=A1?= <anna@example.org>',
    '=?utf-8?Q?Anna_M=C3=BCller?=<anna@example.org>',
    '"=?utf-8?Q?M=C3=BCller_Anna?=" <anna@example.org>',
    '"=?utf-8?B?TcO8bGxlciwgQW5uYQ==?=" <anna@example.org>',
    '=?ISO-8859-1?Q?M=FCller=2C_Anna?= <anna@example.org>',
    '=?iso-2022-jp?B?GyRCOzNFRBsoQg==?= <anna@example.org>',
    '=?gb18030?B?zfU=?= =?x-unknown?B?QW5uYQ==?= <anna@example.org>',
    '=?utf-8*de?q?Anna?= Example <anna@example.org>',
    '=?utf-8?q?Anna Example?= <anna@example.org>',
    '=?utf-8?q?Anna_=28Sales=29?= <anna@example.org>',
    '=?UTF-8?Q?anna=40example.org?= <anna@example.org>',
    'M\u00c3\u00bcller <anna@example.org>',
    '"M\u00c3\u00bcller, Anna" <anna@example.org>',
    'M\u00fcller <anna@example.org>',
    '\u00e5\u00b1\u00b1\u00e7\u0094\u00b0 <anna@example.org>',
    'anna@example.org (Anna)',
    'anna@example.org (Anna (Sales))',
    '(Sales) Anna <anna@example.org> (at work)',
    'anna@example.org (Anna "Annie" Example)',
    'anna@example.org (Anna (the "boss"))',
    'anna@example.org (Scanner, 2nd floor: [HP])',
    'Anna (Sales, Support) <anna@example.org>',
    'anna+news@example.org',
    'anna@example.org, Info <info@example.org>',
    'Anna\r\n <anna@example.org>',
    'Anna\r\n\t<anna@example.org>',
    '\r\n Anna <anna@example.org>',
    '=?utf-8?q?A_name_that_is_so_long_that?=\r\n =?utf-8?q?_it_takes_two?=\r\n\t<anna@example.org>',
  ])('takes a From, and a Sender, of the login’s own: %s', async (value) => {
    expect(await anna(...`From: ${value}`.split('\r\n'), ...`Sender: ${value}`.split('\r\n'))).toBe(
      'accepted',
    );
  });

  it.each([
    ['another’s', 'bert@example.net'],
    ['another’s behind a name', '"anna@example.org" <bert@example.net>'],
    ['another’s in a name', '"bert@example.net" <anna@example.org>'],
    ['another’s in a name, escaped', '"bert\\@example.net" <anna@example.org>'],
    ['another’s in a name of many words', '"Bert (bert@example.net), boss" <anna@example.org>'],
    ['another’s in a name, between signs', '"<bert@example.net>" <anna@example.org>'],
    ['another’s in a name, apostrophes around it', '"\'bert@example.net\'" <anna@example.org>'],
    ['another’s in a name without quotes', 'bert@example.net <anna@example.org>'],
    ['another’s in a name, apart', 'bert @ example.net <anna@example.org>'],
    ['another’s in a name, all of it apart', 'bert @ example . net <anna@example.org>'],
    ['another’s in a name, its local part quoted', '"bert"@example.net <anna@example.org>'],
    ['another’s in a name, a comment in it', 'bert(x)@example.net <anna@example.org>'],
    ['another’s, encoded', '=?utf-8?q?bert=40example.net?= <anna@example.org>'],
    ['another’s, encoded in quotes', '"=?utf-8?q?bert=40example.net?=" <anna@example.org>'],
    ['another’s, encoded in a comment', 'anna@example.org (=?utf-8?q?bert=40example.net?=)'],
    ['another’s, in base 64', '=?utf-8?b?YmVydEBleGFtcGxlLm5ldA==?= <anna@example.org>'],
    [
      'another’s, in base 64 without an end',
      '=?utf-8?b?YmVydEBleGFtcGxlLm5ldA?= <anna@example.org>',
    ],
    [
      'another’s, in UTF-16',
      '=?utf-16be?b?AGIAZQByAHQAQABlAHgAYQBtAHAAbABlAC4AbgBlAHQ=?= <anna@example.org>',
    ],
    ['another’s, in UTF-7', '=?utf-7?q?bert+AEA-example.net?= <anna@example.org>'],
    ['another’s, with a language', '=?utf-8*en?q?bert=40example.net?= <anna@example.org>'],
    ['another’s, in two words', '=?utf-8?q?bert?= =?utf-8?q?=40example.net?= <anna@example.org>'],
    [
      'another’s, in two words over lines',
      '=?utf-8?q?bert=40?=\r\n =?utf-8?q?example.net?= <anna@example.org>',
    ],
    ['another’s, encoded between signs', '=?utf-8?q?=3Cbert=40example.net=3E?= <anna@example.org>'],
    ['another’s, encoded behind the own', 'anna@example.org =?utf-8?q?=3Cbert=40example.net=3E?='],
    ['another’s, encoded without an end', '=?utf-8?q?bert=40example.net? <anna@example.org>'],
    [
      'another’s, in wide letters',
      '"bert\u00ef\u00bc\u00a0example\u00ef\u00bc\u008enet" <anna@example.org>',
    ],
    [
      'another’s, with a sign of no width',
      '"bert@exam\u00e2\u0080\u008bple.net" <anna@example.org>',
    ],
    ['another’s, turned around', '"\u00e2\u0080\u00aeten.elpmaxe@treb" <anna@example.org>'],
    ['a line end that is encoded', '=?utf-8?q?Anna=0D=0AFrom:_bert?= <anna@example.org>'],
    ['a NUL that is encoded', '=?utf-8?q?Anna=00?= <anna@example.org>'],
    ['another’s beside one’s own', 'anna@example.org, bert@example.net'],
    ['another’s before one’s own', 'bert@example.net, anna@example.org'],
    ['another’s behind a semicolon', 'anna@example.org; bert@example.net'],
    ['another’s on the next line', 'anna@example.org,\r\n bert@example.net'],
    ['another’s behind a tab', 'anna@example.org\tbert@example.net'],
    ['without an angle', 'anna@example.org <bert@example.net>'],
    ['two addresses in one', '<anna@example.org> <bert@example.net>'],
    ['two addresses in one, without a blank', '<anna@example.org><bert@example.net>'],
    ['one’s own twice in one', '<anna@example.org> <anna@example.org>'],
    ['two addresses between two signs', '<anna@example.org, bert@example.net>'],
    ['angles in angles', '<<anna@example.org>>'],
    ['something behind the angle', '<anna@example.org> bert@example.net'],
    ['a name behind the angle', '<anna@example.org> Anna'],
    ['a name without an angle', 'Anna anna@example.org'],
    ['a list in a group', 'us: anna@example.org;'],
    ['a list of two in a group', 'us: anna@example.org, bert@example.net;'],
    ['a group before one’s own', 'us:;, anna@example.org'],
    ['an empty group', 'us:;'],
    ['one in a comment', '(bert@example.net) anna@example.org'],
    ['one in a comment behind', 'anna@example.org (bert@example.net)'],
    ['one in a comment in a comment', 'anna@example.org (x (bert@example.net))'],
    ['one in a comment, its local part quoted', 'anna@example.org ("bert"@example.net)'],
    ['one in a name, its local part quoted', '"\\"bert\\"@example.net" <anna@example.org>'],
    ['a quote that a comment does not end', 'anna@example.org (17" screen)'],
    ['a comment that a quote does not end', 'anna@example.org (x ")" y)'],
    ['angles in quotes in a comment', 'anna@example.org ("<bert@example.net>")'],
    ['angles in a comment', '(<bert@example.net>) anna@example.org'],
    ['a comment without an end', 'anna@example.org (bert'],
    ['an end without a comment', 'anna@example.org) (bert'],
    ['a comment inside', 'anna@(x)example.org'],
    ['a comment in the angle', '<anna@example.org(x)>'],
    ['a blank inside', 'anna @example.org'],
    ['a line end inside', 'anna@\r\n example.org'],
    ['an empty line inside', 'Anna\r\n \r\n <anna@example.org>'],
    ['a quoted local part', '"anna"@example.org'],
    ['a quoted local part in the angle', '<"anna"@example.org>'],
    ['a quote without an end', '"Anna <anna@example.org>'],
    ['a quote that a backslash opens', '"Anna\\" <anna@example.org>'],
    ['a backslash outside quotes', 'Anna\\ <anna@example.org>'],
    ['an encoded local part', '=?utf-8?q?anna?=@example.org'],
    ['an encoded address', '=?utf-8?q?anna=40example.org?='],
    ['a source route', '<@example.net:anna@example.org>'],
    ['a scheme', '<mailto:anna@example.org>'],
    ['two at signs', 'anna@example.net@example.org'],
    ['a domain with a dot at its end', 'anna@example.org.'],
    ['an address literal', 'anna@[192.0.2.1]'],
    ['other letters in the address', 'ann\u00c3\u00a1@example.org'],
    ['a comma in a name', 'Example, Anna <anna@example.org>'],
    ['a comma at the end', 'anna@example.org,'],
    ['no domain', 'anna'],
    ['no domain in the angle', '<anna>'],
    ['no local part', '@example.org'],
    ['no end', 'Anna <anna@example.org'],
    ['no begin', 'Anna anna@example.org>'],
    ['no address', 'Anna <>'],
    ['nothing', ''],
    ['a control character', 'Anna\u0001 <anna@example.org>'],
    ['a form feed', 'Anna\f<anna@example.org>'],
  ])('refuses %s: %s', async (_what, value) => {
    const lines = `From: ${value}`.split('\r\n');
    expect(await anna(...lines)).toMatch(/^commit: 550 5\.[67]\.[01] /);
    for (const name of ['Sender', 'Resent-From', 'Resent-Sender']) {
      const field = `${name}: ${value}`.split('\r\n');
      expect(await anna('From: anna@example.org', ...field), name).toMatch(/^commit: 550 /);
    }
  });

  it.each([
    [
      'anna@b\u00c3\u00bccher.example',
      '"anna@b?cher.example" instead of anna@xn--bcher-kva.example',
    ],
    [
      'anna@stra\u00c3\u009fe.example',
      '"anna@stra?e.example" instead of anna@xn--strae-oqa.example',
    ],
    ['Anna <anna@Example.org.>', '"anna@Example.org." instead of anna@example.org'],
    ['"anna"@example.org', 'an address in quotes, or with a blank before the @'],
    ['anna @example.org', 'an address in quotes, or with a blank before the @'],
    ['anna@example.org,', 'no address where there has to be one'],
    ['', 'no address where there has to be one'],
    [
      'Example, Anna <anna@example.org>',
      '"Example", a name without an address (a comma in a name takes quotes)',
    ],
    ['Anna: Sales <anna@example.org>', '": Sales <anna@exampl", which can be read in two ways'],
    ['<mailto:anna@example.org>', '"mailto:anna@example.org", which is no address'],
  ])('says what is wrong with %s', async (value, words) => {
    expect(await anna(`From: ${value}`)).toBe(
      `commit: 550 5.6.0 From has ${words}: write it as in Anna Example <anna@example.org>`,
    );
  });

  it.each([
    ['a space before the colon', 'FROM : anna@example.org'],
    ['a tab before the colon', 'From\t: anna@example.org'],
    ['a line end before the colon', 'From', ' : anna@example.org'],
    ['no From', 'Subject: x'],
    ['two Froms', 'From: anna@example.org', 'From: anna@example.org'],
    ['two Froms, one of them in capitals', 'From: anna@example.org', 'FROM: bert@example.net'],
    ['two Froms, one of them hidden by a dot', 'From: anna@example.org', '.From: bert@example.net'],
    ['two Froms, one of them odd', 'From: anna@example.org', 'From : bert@example.net'],
    ['a carriage return alone', 'From: anna@example.org\rFrom: bert@example.net'],
    ['a line that is no field', 'From: anna@example.org', 'x'],
    ['other letters in a name', 'From: anna@example.org', 'Fr\u00f6m: bert@example.net'],
  ])('refuses %s', async (_what, ...lines) => {
    expect(await anna(...lines)).toMatch(/^commit: 550 5\.6\.0 /);
  });

  it.each([
    ["o'example@example.org", 'From: "Anna O\'Example" <o\'example@example.org>'],
    ['r&d@example.org', 'From: R&D <R&D@example.org>'],
  ])('takes an address with signs as an own one: %s', async (from, ...lines) => {
    expect(await filter.send({ login: 'bert@example.net', from, lines: headerOf(...lines) })).toBe(
      'accepted',
    );
  });

  it.each([
    ['at the end of the header', headerOf('From: anna@example.org', 'Subject: x')],
    ['where there is no body', ['Received: by us', 'From: anna@example.org']],
    ['where the last field is folded', headerOf('From: anna@example.org', 'Subject: x', ' y')],
  ])('adds Date and Message-ID %s', async (_what, lines) => {
    expect(await filter.send({ login: 'anna@example.org', lines })).toBe('accepted');
    const end = lines.includes('') ? lines.indexOf('') : lines.length;
    const [date, id] = filter.passed.slice(end);
    expect(date).toMatch(/^Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}$/);
    expect(Math.abs(Date.parse(date!.slice(6)) - Date.now())).toBeLessThan(60_000);
    expect(id).toMatch(/^Message-ID: <[!-;=?-~]+@mail\.example\.org>$/);
    expect([...filter.passed.slice(0, end), ...filter.passed.slice(end + 2)]).toEqual([
      ...lines,
      '.',
    ]);
  });

  it.each([[[]], [['Date: x']], [['Message-ID: <x@y>']], [['DATE:x', 'message-id:']]])(
    'adds neither field where it is there: %s',
    async (fields) => {
      const lines = headerOf('From: anna@example.org', ...fields);
      expect(await filter.send({ login: 'anna@example.org', lines })).toBe('accepted');
      const names = filter.passed.slice(0, filter.passed.indexOf('')).map((l) => l.split(':')[0]!);
      for (const name of ['date', 'message-id']) {
        expect(names.filter((each) => each.toLowerCase() === name)).toHaveLength(1);
      }
    },
  );

  it('reads the header only', async () => {
    expect(await anna('From: anna@example.org', '', 'From: bert@example.net')).toBe('accepted');
  });

  it('takes the envelope sender for what it is, and none', async () => {
    const from = (sender: string, login = 'anna@example.org') =>
      filter.send({ login, from: sender });
    expect(await from('')).toBe('accepted');
    expect(await from('Info+x@example.org')).toBe('accepted');
    expect(await from('bert@example.net')).toBe(
      'mail-from: 550 5.7.1 the envelope sender is bert@example.net, which is no address of anna@example.org',
    );
    expect(await from('@example.net:anna@example.org')).toMatch(/^mail-from: 550 /);
    expect(await from('anna@example.org', 'ANNA@example.org')).toBe('accepted');
    expect(await filter.send({})).toMatch(/^mail-from: 550 /);
  });

  it('tells at once of an own address that nobody has', async () => {
    const to = (...to: string[]) => filter.send({ login: 'anna@example.org', to });
    for (const known of [
      'bert@example.net',
      'Bert+X@Example.net',
      'caught@example.net',
      'team@example.org',
      'root@example.org',
      'postmaster@mail.example.org',
      'postmaster',
      "o'example@elsewhere.example",
      'x@sub.example.org',
    ]) {
      expect(await to(known), known).toBe('accepted');
    }
    for (const unknown of [
      'Nobody@example.org',
      'berd+x@example.org',
      'SRS0=a=b=c=d@example.org',
    ]) {
      expect(await to('erika@remote.example', unknown)).toBe(
        `rcpt-to: 550 5.1.1 nobody here has the address ${unknown.toLowerCase()}: check how it is spelled`,
      );
    }
    expect(await to('nobody')).toBe(
      'rcpt-to: 550 5.1.1 nobody here has the address nobody@mail.example.org: check how it is spelled',
    );
  });

  it('refuses a message that is too big', async () => {
    const lines = [...headerOf('From: anna@example.org'), 'x'.repeat(9_999)];
    expect(await filter.send({ login: 'anna@example.org', lines })).toMatch(
      /^commit: 552 5\.3\.4 /,
    );
  });

  it('never lets another address through, and never ends, whatever is in From', async () => {
    const part = fc.constantFrom(
      'anna@example.org', 'bert@example.net', 'Anna', '<', '>', '"', '\\', '(', ')', ',', ';', ':', '@', ' ', '\t',
      '=?utf-8?q?bert=40example.net?=', '.', '[', ']', '\u00e1', '|',
    ); // prettier-ignore
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 8 }), async (parts) => {
        const value = parts.join('');
        const result = await anna(`From: ${value}`);
        if (result === 'accepted') {
          // Another parser reads the same.
          const { from } = await simpleParser(`From: ${value}\n\n`);
          expect(new Set(from!.value.map(({ address }) => address))).toEqual(
            new Set(['anna@example.org']),
          );
          const bare = value.replace(/"(\\.|[^"\\])*"/g, '');
          expect(bare).toContain('anna@example.org');
          expect(bare).not.toContain('bert@example.net');
        } else expect(result).toMatch(/^commit: 550 /);
      }),
      { numRuns: 500 },
    );
    expect(filter.errors).toBe('');
  });
});

describe('a table that is replaced while the filters run', () => {
  const anna = 'anna@example.org';
  const erika = 'erika@remote.example';
  const own = () => {
    const tables = mkdtempSync(join(folder, 'replaced-'));
    return { tables, options: writeTables(tables) };
  };
  /** As a push does it. */
  const replace = (tables: string, name: string, change: (text: string) => string) => {
    const path = join(tables, name);
    writeFileSync(`${path}.new`, change(readFileSync(path, 'utf8')));
    renameSync(`${path}.new`, path);
  };
  const running = async (
    name: 'submission' | 'inbound',
    work: (filter: FilterProgram, tables: string) => Promise<void>,
  ) => {
    const { tables, options } = own();
    const filter = new FilterProgram(name, options[name]);
    await filter.registered;
    try {
      await work(filter, tables);
    } finally {
      filter.end();
    }
  };

  it('counts from then on: the addresses that a login has', () =>
    running('submission', async (filter, tables) => {
      const news = { login: anna, from: 'news@example.org', lines: headerOf(`From: ${anna}`) };
      expect(await filter.send(news)).toMatch(/^mail-from: 550 /);
      replace(tables, 'identities', (text) =>
        text.replace(`${anna} `, `${anna} news@example.org,`),
      );
      expect(await filter.send(news)).toBe('accepted');
    }));

  it('ends the session of a login whose password changes or that is removed, at the next message, and no other', () =>
    running('submission', async (filter, tables) => {
      const sessions = [anna, 'bert@example.net'].map((login) => {
        const session = filter.session();
        session.report('link-auth', `pass|${login}`);
        return { login, session };
      });
      const begin = () =>
        Promise.all(sessions.map(({ login, session }) => session.step('mail-from', login)));
      expect(await begin()).toEqual([undefined, undefined]);
      replace(tables, 'credentials', (text) => text.replace('$6$anna', '$6$new'));
      const changed = /^mail-from: 421 4\.7\.0 the password of anna@example\.org has changed/;
      expect(await begin()).toEqual([expect.stringMatching(changed), undefined]);
      replace(tables, 'credentials', (text) => text.replace(/^bert.*\n/m, ''));
      expect((await begin())[1]).toMatch(/^mail-from: 421 4\.7\.0 /);
      expect(await filter.send({ login: anna })).toBe('accepted');
    }));

  it('lets no message out that began before it, when its recipient led elsewhere', () =>
    running('inbound', async (filter, tables) => {
      const session = filter.session();
      expect(await session.envelope(erika, ['team@example.org'])).toBeUndefined();
      replace(tables, 'virtuals', (text) => text.replace(/^team@.*$/m, `team@example.org ${anna}`));
      expect(await session.data(headerOf(`From: ${anna}`))).toMatch(/^commit: 550 5\.7\.1 /);
    }));

  it('leads elsewhere from then on', () =>
    running('inbound', async (filter, tables) => {
      const message = { from: erika, to: ['both@example.org'], lines: headerOf(`From: ${anna}`) };
      expect(await filter.send(message)).toBe('accepted');
      replace(tables, 'virtuals', (text) =>
        text.replace(/^both@.*$/m, `both@example.org ${erika}`),
      );
      expect(await filter.send(message)).toMatch(/^commit: 550 5\.7\.1 /);
    }));

  it('sends on what is for a domain that has moved away, and not in the name of this host', () =>
    running('inbound', async (filter, tables) => {
      const bert = 'bert@example.net';
      const send = (author: string, to: string, sender = author) =>
        filter.send({ from: sender, to: [to], lines: headerOf(`From: ${author}`) });
      expect(await send(anna, bert)).toBe('accepted');
      const name = 'late=bert=example.net@mail.example.org';
      writeFileSync(join(tables, 'late'), `${bert} ${name}\n${name} ${bert}\n`);
      writeFileSync(join(tables, 'forwarded'), 'example.net\n');
      expect(await send(anna, bert)).toMatch(
        /^commit: 550 5\.7\.1 bert@example\.net leads elsewhere/,
      );
      expect(await send('x@sub.example.org', bert, erika)).toMatch(/^commit: 550 5\.7\.1 /);
      // Its own users may write from where it is now; in its name an alias of another domain sends nothing on.
      expect(await send('carl@example.net', bert)).toBe('accepted');
      expect(await send('carl@example.net', 'team@example.org')).toMatch(/^commit: 550 5\.7\.1 /);
      expect(await send(erika, bert)).toBe('accepted');
      expect(await send(anna, 'postmaster@example.org')).toBe('accepted');
      const long = (length: number) => `${'b'.repeat(length)}@remote.example`;
      expect(await send(erika, bert, long(210))).toBe('accepted');
      expect(await send(erika, bert, long(211))).toMatch(/^data: 550 5\.1\.7 .* is too long/);
    }));

  it('that cannot be read puts mail off until it can', () =>
    running('inbound', async (filter, tables) => {
      const message = {
        from: erika,
        to: ['team@example.org'],
        lines: headerOf(`From: Erika <${erika}>`),
      };
      replace(tables, 'virtuals', () => 'half\n');
      expect(await filter.send(message)).toMatch(/ 451 4\.3\.0 /);
      replace(tables, 'virtuals', () => `team@example.org ${erika}\n`);
      expect(await filter.send(message)).toBe('accepted');
    }));
});

describe('the limits of a login', () => {
  const people = (n: number, start = 0) =>
    Array.from({ length: n }, (_, i) => `p${start + i}@remote.example`);
  const limited = async (
    name: string,
    options: Record<string, number>,
    work: (f: FilterProgram) => Promise<void>,
  ) => {
    const filter = submission({ database: join(folder, `${name}.sqlite`), ...options });
    await filter.registered;
    try {
      await work(filter);
    } finally {
      filter.end();
    }
  };
  const login = 'anna@example.org';

  it('ends messages an hour with the time when it may go on, for this login alone, across a restart', async () => {
    const options = { 'messages-per-hour': 2 };
    await limited('messages', options, async (filter) => {
      expect(await filter.send({ login })).toBe('accepted');
      expect(await filter.send({ login, lines: headerOf('From: bert@example.net') })).toMatch(
        / 550 /,
      );
      expect(await filter.send({ login: 'Anna@Example.org' })).toBe('accepted');
    });
    await limited('messages', options, async (filter) => {
      const before = Date.now();
      const refused = await filter.send({ login });
      const [, end] =
        /^data: 451 4\.7\.1 anna@example\.org has reached the limit of 2 messages an hour, try again after (.*) UTC$/.exec(
          refused,
        )!;
      const wait = new Date(`${end}Z`).getTime() - before;
      expect(wait).toBeGreaterThan(3500_000);
      expect(wait).toBeLessThan(3603_000);
      const from = 'bert@example.net';
      expect(await filter.send({ login: from, from, lines: headerOf(`From: ${from}`) })).toBe(
        'accepted',
      );
    });
  });

  it('counts what several sessions send at the same time', async () => {
    await limited('parallel', { 'recipients-per-day': 5 }, async (filter) => {
      expect(await filter.send({ login, to: people(3) })).toBe('accepted');
      expect(await filter.send({ login, to: people(3) })).toMatch(
        /^data: 451 .* 5 recipients a day/,
      );
      expect(await filter.send({ login, to: people(2) })).toBe('accepted');
      expect(await filter.send({ login, to: people(1) })).toMatch(/^data: 451 /);
    });
  });

  it('tells new recipients from known ones', async () => {
    await limited('new', { 'new-recipients-per-day': 3 }, async (filter) => {
      expect(await filter.send({ login, to: people(2) })).toBe('accepted');
      expect(await filter.send({ login, to: people(3) })).toBe('accepted');
      expect(await filter.send({ login, to: people(1, 10) })).toMatch(
        /451 .* 3 new recipients a day/,
      );
      expect(await filter.send({ login, to: people(3) })).toBe('accepted');
      expect(await filter.send({ login, to: people(4, 20) })).toMatch(
        /^data: 550 .* the limit of 3 new/,
      );
    });
  });

  it('forgets what is out of its window', async () => {
    const path = join(folder, 'old.sqlite');
    await limited(
      'old',
      { 'messages-per-hour': 1, 'new-recipients-per-day': 1 },
      async (filter) => {
        expect(await filter.send({ login })).toBe('accepted');
        expect(await filter.send({ login })).toMatch(/451/);
        const python = (code: string) =>
          execFileSync(
            'python3',
            [
              '-c',
              `import sqlite3; db = sqlite3.connect(${JSON.stringify(path)}); ${code}; db.commit()`,
            ],
            { encoding: 'utf8' },
          );
        python(
          "db.execute('UPDATE messages SET time = time - 86401'); db.execute('UPDATE recipients SET first = first - 86401, last = last - 367 * 86400'); db.execute('UPDATE notices SET time = time - 86401')",
        );
        expect(await filter.send({ login, to: people(1) })).toBe('accepted');
        expect(
          python(
            "print(*db.execute('SELECT COUNT(*) FROM messages UNION ALL SELECT COUNT(*) FROM recipients'))",
          ),
        ).toBe('(1,) (1,)\n');
      },
    );
  });

  it('holds mail back while it cannot count, and goes on when it can', async () => {
    const path = join(folder, 'broken.sqlite');
    writeFileSync(path, 'no database'.repeat(100));
    await limited('broken', {}, async (filter) => {
      expect(await filter.send({ login })).toMatch(/^data: 451 4\.3\.0 /);
      rmSync(path);
      expect(await filter.send({ login })).toBe('accepted');
      expect(filter.errors).toContain('file is not a database');
    });
  });

  it('are those of the account, by whatever of its names it logs in', () =>
    limited('names', { 'messages-per-hour': 3 }, async (filter) => {
      for (const login of ['INFO@example.org', 'anna+x@example.org', 'anna']) {
        expect(await filter.send({ login, from: 'info@example.org' })).toBe('accepted');
      }
      expect(await filter.send({ login: 'info' })).toMatch(
        /^data: 451 4\.7\.1 anna@example\.org has reached the limit of 3 messages an hour/,
      );
      expect(await filter.send({ login: 'both@example.org' })).toMatch(
        /^mail-from: 550 5\.7\.1 .* no address of both@example\.org$/,
      );
    }));
});

describe('the inbound filter', () => {
  let filter: FilterProgram;
  beforeAll(async () => {
    filter = inbound();
    await filter.registered;
  });
  afterAll(() => filter.end());
  const from = (author: string, ...to: string[]) =>
    filter.send({
      from: 'erika@remote.example',
      to,
      lines: headerOf(...`From: ${author}`.split('\r\n')),
    });

  it('takes mail for mailboxes, whoever it says that it is from', async () => {
    for (const to of [
      'anna@example.org',
      'both@example.org',
      'ours@example.org',
      'postmaster@example.net',
      'bert+x@example.net',
    ]) {
      expect(await from('anna@example.org', to), to).toBe('accepted');
    }
    expect(await from('us: anna@example.org;', 'anna@example.org')).toBe('accepted');
  });

  it.each([
    'Erika <erika@remote.example>',
    'erika@remote.example',
    'erika@remote.example <erika@remote.example>',
    '"Erika via Team" <erika@remote.example>',
    '"anna@example.org via Docs" <noreply@remote.example>',
    '"anna@example.org" <erika@remote.example>',
    '"=?utf-8?Q?M=C3=BCller_Erika?=" <erika@remote.example>',
    '=?utf-8?Q?Erika_M=C3=BCller?=<erika@remote.example>',
    '=?utf-8?Q?M=C3=BCller=2C_Erika?= <erika@remote.example>',
    'M\u00c3\u00bcller <erika@remote.example>',
    'M\u00fcller <erika@remote.example>',
    'Example Inc. <erika@remote.example>',
    'Erika (at example.org) <erika@remote.example>',
    '"Erika" <"erika m"@remote.example>',
    '<erika@[192.0.2.1]>',
    'Erika\\ <erika@remote.example>',
    'Erika <erika@remote.example> (x)',
    'erika@remote.example, Max <max@remote.example>',
    'Erika\r\n <erika@remote.example>',
    'anna@notexample.org',
    'x@example.org.remote.example',
  ])('takes mail of others for an address that leads to other systems: %s', async (author) => {
    expect(await from(author, 'team@example.org')).toBe('accepted');
  });

  it.each([
    'anna@example.org',
    'x@example.net',
    'x@sub.example.org',
    'X@EXAMPLE.ORG',
    'x@example.org.',
    'x@example.org- {',
    'x@example.org .erika@remote.example',
    'x@example.org.\r\n anna',
    'x@example . org . anna <erika@remote.example>',
    'x@example.org\u00c3\u00a1 <erika@remote.example>',
    'erika@remote.example, anna@example.org',
    'anna@example.org <erika@remote.example>',
    'anna @ example . org <erika@remote.example>',
    'anna@(x)example.org',
    '"anna"@example.org <erika@remote.example>',
    '(anna@example.org) erika@remote.example',
    'erika@remote.example (anna@example.org)',
    '<@example.org:erika@remote.example>',
    '<erika@remote.example> <anna@example.org>',
    '=?utf-8?q?anna=40example.org?= <erika@remote.example>',
    '=?utf-8?b?YW5uYUBleGFtcGxlLm9yZw==?= <erika@remote.example>',
    '=?utf-8?q?anna?=\r\n =?utf-8?q?=40example.org?= <erika@remote.example>',
    '"x\\" <anna@example.org> "y" <erika@remote.example>',
    '"x <anna@example.org>',
    'erika@remote.example "x <anna@example.org>',
    'erika@remote.example (x <anna@example.org>',
    'anna\u00ef\u00bc\u00a0example\u00e3\u0080\u0082org <erika@remote.example>',
    'anna@\r\n example.org',
    'x@xn--strae-oqa.example',
    'x@stra\u00c3\u009fe.example',
    'x@STRA\u00c3\u009fE.example',
    'x@ga\u00c3\u009fe.example',
  ])('refuses what could be taken for ours and would go out again: %s', async (author) => {
    expect(await from(author, 'anna@example.org', 'team@example.org')).toMatch(
      /^commit: 550 5\.7\.1 team@example\.org leads elsewhere: mail from \S+ has to come with a login$/,
    );
  });

  it.each([
    'Erika',
    'Example, Erika <erika@remote.example>',
    '',
    'Group: erika@remote.example;',
    'us:;',
  ])(
    'refuses a From that would be completed with the host name, or is a group: %s',
    async (author) => {
      expect(await from(author, 'team@example.org')).toMatch(/^commit: 550 5\.6\.0 /);
    },
  );

  it('knows all addresses that lead to other systems, in each form that OpenSMTPD takes', async () => {
    for (const to of [
      'Team+x@Example.org',
      'all@example.org',
      'team',
      'apart@example.org',
      'many@example.org',
      '@relay.example,@other.example:team@example.org',
      'SRS0=abcd=AB=remote.example=erika@example.org',
      'SRS1=abcd=x==y@example.org',
    ]) {
      expect(await from('anna@example.org', 'anna@example.org', to), to).toMatch(
        /^commit: 550 5\.7\.1 /,
      );
    }
    for (const sender of ['anna@example.org', '@x.example:anna@example.org', 'anna']) {
      expect(
        await filter.send({
          from: sender,
          to: ['team@example.org'],
          lines: headerOf('From: erika@remote.example'),
        }),
      ).toBe(
        `commit: 550 5.7.1 team@example.org leads elsewhere: mail from ${sender} has to come with a login`,
      );
    }
    expect(
      await filter.send({
        from: '',
        to: ['team@example.org'],
        lines: headerOf('From: a@b.example'),
      }),
    ).toBe('accepted');
  });

  it('refuses a recipient so long that OpenSMTPD gives no report of it', async () => {
    const to = (length: number) => [`${'x'.repeat(length - 19)}:team+y@example.org`.slice(-length)];
    expect(await filter.send({ from: 'a@b.example', to: to(255) })).toMatch(
      /^rcpt-to: 501 5\.1\.3 /,
    );
    expect(to(254)[0]).toHaveLength(254);
    expect(await filter.send({ from: 'a@b.example', to: to(254) })).toMatch(
      /^commit: 550 5\.7\.1 /,
    );
  });

  it('refuses more than one From, however it is written', async () => {
    for (const second of [
      'From: x@remote.example',
      'FROM : x@remote.example',
      'from\t: x@remote.example',
      '.From: x@y.example',
    ]) {
      const lines = headerOf('From: erika@remote.example', second);
      expect(await filter.send({ to: ['anna@example.org'], lines })).toMatch(
        /^commit: 550 5\.6\.0 /,
      );
    }
  });

  describe('where the sender is rewritten', () => {
    const send = (sender: string, ...to: string[]) =>
      filter.send({ from: sender, to, lines: headerOf('From: erika@remote.example') });
    const refused = "data: 550 5.1.7 team@example.org leads elsewhere: the sender's address";

    it.each([
      ['one of 255 octets', `${'b'.repeat(215)}@remote.example`, true],
      ['one of 256 octets', `${'b'.repeat(216)}@remote.example`, false],
      ['a long domain', `b@${'d.'.repeat(110)}example`, true],
      ['a longer domain', `b@${'d.'.repeat(111)}example`, false],
      ['one that was rewritten before', 'SRS0=abcd=TT=x.example=y@remote.example', true],
      ['one that was rewritten before, too long', `SRS0=${'c'.repeat(213)}@remote.example`, true],
      ['one that was rewritten before, longer', `SRS0=${'c'.repeat(219)}@remote.example`, false],
      [
        'one that was rewritten twice',
        'srs1=abcd=x.example==hhhh=TT=y.example=z@remote.example',
        true,
      ],
      [
        'one that was rewritten twice, longer',
        `SRS1=abcd=${'c'.repeat(234)}@remote.example`,
        false,
      ],
      ['one that only seems to be rewritten twice', 'SRS1=x@remote.example', false],
      ['one with another hash', 'SRS1=abcdxe==f@remote.example', false],
      ['one at an address', 'erika@[192.0.2.1]', false],
      ['one at an IPv6 address', 'erika@[IPv6:2001:db8::1]', false],
      ['one that an address rewrote', 'SRS0=abcd=TT=x.example=y@[192.0.2.1]', false],
      [
        'one that an address rewrote again',
        'SRS1=abcd=x.example==hhhh=TT=y.example=z@[192.0.2.1]',
        true,
      ],
      ['one with a route', `@x.example:${'b'.repeat(215)}@remote.example`, true],
      ['one with a route, too long', `@x.example:${'b'.repeat(216)}@remote.example`, false],
    ])('takes or refuses %s', async (_what, sender, fits) => {
      expect(await send(sender, 'anna@example.org')).toBe('accepted');
      const result = await send(sender, 'anna@example.org', 'team@example.org');
      if (fits) expect(result).toBe('accepted');
      else expect(result.startsWith(refused), result).toBe(true);
      expect(isPlain(rewritten(withoutRoute(sender), 'example.org'))).toBe(fits);
    });

    it.each([
      [`${'b'.repeat(216)}@remote.example`, 'is too long for that (SRS)'],
      ['x@[192.0.2.1]', 'has no domain name, which it needs for that (SRS)'],
      ['x@[IPv6:2001:db8::1]', 'has no domain name, which it needs for that (SRS)'],
      [
        'SRS1=x@remote.example',
        'begins with SRS1= and is no rewritten one, as it has to be for that (SRS)',
      ],
    ])('says what is wrong with %s', async (sender, words) => {
      expect(await send(sender, 'team@example.org')).toBe(`${refused} ${words}`);
      expect(await send(sender, 'anna@example.org')).toBe('accepted');
    });

    it('takes those that OpenSMTPD can rewrite, and no others', async () => {
      const known = senders('remote.example', 'example.org').filter((sender) =>
        isTaken(withoutRoute(sender)),
      );
      await fc.assert(
        fc.asyncProperty(known, async (sender) => {
          const result = await send(sender, 'team@example.org');
          if (sender === 'anna@example.org') expect(result).toMatch(/^commit: 550 5\.7\.1 /);
          else if (!isPlain(rewritten(withoutRoute(sender), 'example.org'))) {
            expect(result.startsWith(refused), sender).toBe(true);
          } else if (!/^srs1=/i.test(sender)) expect(result, sender).toBe('accepted');
        }),
        { numRuns: 300 },
      );
    });
  });

  describe('and a client that does not wait for answers', () => {
    /** A connection that OpenSMTPD has not read from: its ends, and how the client sends on it. */
    const connection = async () => {
      const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const [[socket], client] = await Promise.all([
        once(server, 'connection') as Promise<[Socket]>,
        connected({ port, host: '127.0.0.1' }),
      ]);
      return {
        report: `remote.example|pass|127.0.0.1:${socket.remotePort}|0.0.0.0:${port}`,
        client,
        end: () => {
          client.destroy();
          socket.destroy();
          server.close();
        },
      };
    };
    const connected = async (address: { port: number; host: string }) => {
      const socket = connect(address);
      await once(socket, 'connect');
      return socket;
    };
    const ahead = '554 5.5.0 more was sent before the answer, and PIPELINING is not offered';

    it('ends the session at the end of a message, and at the next one', async () => {
      const { report, client, end } = await connection();
      const session = filter.session();
      session.report('link-connect', report);
      const step = (name: string) => session.step(name, 'erika@remote.example');
      expect(await step('mail-from')).toBeUndefined();
      expect(await step('commit')).toBeUndefined();
      expect(await step('mail-from')).toBeUndefined();
      await new Promise((resolve) => client.write('MAIL FROM:<x@remote.example>\r\n', resolve));
      expect(await step('commit')).toBe(`commit: ${ahead}`);
      expect(await step('mail-from')).toBe(`mail-from: ${ahead}`);
      session.disconnect();
      end();
    });

    it('takes one that has closed its side, and answers others while one has to wait', async () => {
      const { report, client, end } = await connection();
      const session = filter.session();
      session.report('link-connect', report);
      await new Promise<void>((resolve) => client.end(resolve));
      expect(await session.step('mail-from', 'x@remote.example')).toBeUndefined();
      expect(await session.step('commit')).toBeUndefined();
      session.ask('mail-from', 'x@remote.example');
      const other = await from('x@remote.example', 'anna@example.org');
      expect(session.isAnswered).toBe(false);
      expect(other).toBe('accepted');
      expect(await session.result('mail-from')).toBeUndefined();
      session.ask('mail-from', 'x@remote.example');
      session.disconnect();
      expect(await from('x@remote.example', 'anna@example.org')).toBe('accepted');
      end();
    });
  });
});

describe('both filters', () => {
  const filters: Record<string, FilterProgram> = {};
  beforeAll(async () => {
    filters.submission = submission({ 'max-size': 3_000_000 });
    filters.inbound = inbound({ 'max-size': 3_000_000 });
    for (const filter of Object.values(filters)) await filter.registered;
  });
  afterAll(() => {
    for (const filter of Object.values(filters)) filter.end();
  });
  const header = headerOf('From: anna@example.org').slice(0, -2);
  const to = (length: number) =>
    ['To: x@remote.example', ...Array<string>(5000).fill(' ,"Example, Max" <m@remote.example>')]
      .join('\n')
      .slice(0, length + 'To:'.length)
      .split('\n');

  describe.each(['submission', 'inbound'])('%s', (name) => {
    const send = (...lines: string[]) =>
      filters[name]!.send({ login: 'anna@example.org', to: ['anna@example.org'], lines });

    it.each([
      ['a line of 65000 octets', [...header, '', 'x'.repeat(65_000)]],
      [
        'a header of 1 MB',
        [...header, ...Array<string>(10_000).fill(`X: ${'x'.repeat(96)}`), '', 'x'],
      ],
      ['a long To', [...header, ...to(64_000), '', 'x']],
      ['a name of 500 octets', [...header, `${'X'.repeat(500)}: y`, '', 'x']],
      ['no body', header],
      ['an empty body', [...header, '']],
    ])('takes %s', async (_what, lines) => {
      expect(await send(...lines)).toBe('accepted');
    });

    // prettier-ignore
    it.each([
      ['CR CR LF', header.map((line) => `${line}\r`), 'the line "Received: by mail.example.org;" ends in CR CR LF: only CR LF may end a line'],
      ['CR CR LF in the body', [...header, '', 'x\r'], 'the line "x" ends in CR CR LF: only CR LF may end a line'],
      ['CR CR LF at the end', [...header, '', '.\r'], 'the line "." ends in CR CR LF: only CR LF may end a line'],
      ['CR in the body', [...header, '', 'x\r.\ry'], 'the line "x?.?y" has a carriage return (CR) within: only CR LF may end a line'],
      ['CR in the header', [...header, 'Subject: x\rFrom: y', '', 'x'], 'the line "Subject: x?From: y" has a carriage return (CR) within: only CR LF may end a line'],
      ['no header', [...header.slice(0, 2), 'Hello Anna', 'how are you?'], 'the line "Hello Anna" is no header field (Name: value): after the header comes an empty line'],
      ['no empty line', [...header, 'Hello Anna', '', 'x'], 'the line "Hello Anna" is no header field (Name: value): after the header comes an empty line'],
      ['a To that is too long', [...header, ...to(66_000), '', 'x'], 'To has more than 65000 octets: use Bcc, or send to fewer recipients at once'],
      ['a To that is too long when completed', [...header, `Cc: ${'x,'.repeat(1000)}`, '', 'x'], 'Cc has more than 65000 octets: use Bcc, or send to fewer recipients at once'],
      ['a To that is too long, without a body', [...header, ...to(66_000)], 'To has more than 65000 octets: use Bcc, or send to fewer recipients at once'],
      ['a long line', [...header, '', 'x'.repeat(65_490)], `the line "${'x'.repeat(57)}..." has more than 65000 octets`],
      ['a long line in the header', [...header, `X: ${'x'.repeat(65_490)}`, '', 'x'], `the line "X: ${'x'.repeat(54)}..." has more than 65000 octets`],
      ['a long name', [...header, `${'X'.repeat(501)}: y`, '', 'x'], `the header field "${'X'.repeat(57)}..." has a name of more than 500 octets`],
      ['a From that is too long', [...header.slice(0, 2), `From: ${'x'.repeat(66_000)}`, '', 'x'], `the line "From: ${'x'.repeat(51)}..." has more than 65000 octets`],
      ['a large header', [...header, ...Array<string>(12_000).fill(`X: ${'x'.repeat(96)}`), '', 'x'], 'the header has more than 1048576 octets'],
    ])('says what is wrong with %s', async (_what, lines, words) => {
      expect(await send(...lines)).toBe(`commit: 550 5.6.0 ${words}`);
    });

    it('judges in time whatever is in a header', async () => {
      const long = 9_600;
      for (const value of [
        '('.repeat(long),
        '()'.repeat(long / 2),
        '"\\'.repeat(long / 2),
        '"'.repeat(long + 1),
        'a'.repeat(long),
        '@'.repeat(long),
        'a@'.repeat(long / 2),
        ' '.repeat(long),
        'a.'.repeat(long / 2),
        '=?a?q?'.repeat(long / 6),
        '=?utf-8?q?=40?= '.repeat(long / 16),
        '?= '.repeat(long / 3),
        `a@b${' '.repeat(long)}`,
        '<'.repeat(long),
        ','.repeat(long),
        `=?punycode?q?${'a'.repeat(900)}-${'b'.repeat(90)}?=`.repeat(9),
        'x <a@b.example>,'.repeat(long / 16),
      ]) {
        // prettier-ignore
        expect(
          await filters[name]!.send({
            login: 'anna@example.org',
            from: name === 'inbound' ? 'x@remote.example' : 'anna@example.org',
            to: ['team@example.org'],
            lines: [...header.slice(0, 2), `From: ${value}`, '', 'x'],
          }),
          value.slice(0, 20),
        ).toMatch(name === 'inbound' ? /^(commit: 550 |accepted)/ : /^commit: 550 /);
      }
      const folded = Array<string>(100_000).fill(' x');
      await filters[name]!.send({
        login: 'anna@example.org',
        to: ['team@example.org'],
        lines: [...header, 'Subject: x', ...folded, '', 'x'],
      });
    }, 30_000);

    it('outlives what it does not understand', async () => {
      filters[name]!.say(
        'report|',
        'report|0.7|1.0|smtp-in|tx-rcpt|0000000000000099|00000001|ok|x@y',
        'report|0.7|1.0|smtp-in|link-connect|0000000000000099|x|pass|unix:/run/smtpd.sock|unix:/x',
        'filter|0.7|1.0|smtp-in|data-line|0000000000000098|00000000000000aa|x',
        'something|else',
        '',
      );
      expect(await send(...header, '', 'x')).toBe('accepted');
    });
  });
});
