import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { HtmlValidate } from 'html-validate';
import { describe, expect, it } from 'vitest';
import { htmlReview } from '../../cli/review/html';
import { changedLines, hunksOf } from '../../components/review/lines';
import { commentLimit, markdownReview } from '../../cli/review/markdown';
import { parsePlan } from '../../cli/review/plan';
import type { Review } from '../../components/review/model';
import { reviewOf } from '../../components/review/review';
import { textReview } from '../../components/review/text';
import { push, reviewOfSteps, sampleNames, sampleReview, step } from './samples';
import { visible } from '../../components/review/terminal';

const plainText = (review: Review, context = 0) =>
  textReview(review, { isColoured: false, context, isSummary: false });
const colouredText = (review: Review) =>
  textReview(review, { isColoured: true, context: 3, isSummary: false });

/** What a browser shows of a page, without tags. */
const shownBy = (page: string) =>
  page
    .replaceAll(/<style>.*?<\/style>/gs, '')
    .replaceAll(/<[^>]*>/g, '')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');

/** Text that somebody could put into a setting to break out of what it is shown in. */
const hostile = [
  '</pre></td><script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='x",
  '```',
  '````\n# heading',
  '@everyone #1 [a](https://evil.example)',
  '</details><h1>',
  '<!-- ',
  ']]>',
  '{{x}}',
  '\u001b[2J\u001b]0;title\u0007',
  '\u202etxt.exe',
  '-- \\ No newline at end of file',
  '$&$1',
];
const line = fc.oneof(
  fc.constantFrom(...hostile.filter((text) => !text.includes('\n'))),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 20 }).map((text) => text.replaceAll(/[\r\n]/g, '')),
);
const text = fc
  .tuple(fc.array(line, { maxLength: 12 }), fc.constantFrom('', '\n'))
  .map(([lines, end]) => lines.join('\n') + end);
const files = fc.dictionary(fc.constantFrom('/a', '/b/c.conf', '/d<e>'), text, { maxKeys: 3 });

describe('a diff', () => {
  /** The text that the hunks make of another one. */
  const applied = (before: string, hunks: ReturnType<typeof hunksOf>) => {
    const old = before === '' ? [] : before.replace(/\n$/, '').split('\n');
    const next: string[] = [];
    let at = 0;
    for (const { oldStart, lines } of hunks) {
      const start = oldStart - 1;
      next.push(...old.slice(at, start));
      at = start;
      for (const { sign, text: own } of lines) {
        if (sign === ' ' || sign === '-') expect(old[at++]).toBe(own);
        if (sign === ' ' || sign === '+') next.push(own);
      }
    }
    return [...next, ...old.slice(at)];
  };

  it('makes the new text of the old one, whatever they are', () => {
    fc.assert(
      fc.property(text, text, fc.integer({ min: 0, max: 3 }), (before, after, context) => {
        const hunks = hunksOf({ at: '/a', before, after }, context);
        const wanted = after === '' ? [] : after.replace(/\n$/, '').split('\n');
        expect(applied(before, hunks)).toEqual(wanted);
      }),
      { numRuns: 500 },
    );
  });

  it('of long texts that have little in common is found at once, and whole', () => {
    const long = (word: string, end: string) =>
      ['begin', ...Array.from({ length: 5000 }, (_, i) => `${word} ${i}`), 'end'].join('\n') + end;
    const [before, after] = [long('old', '\n'), long('new', '')];
    const [hunk, ...others] = hunksOf({ at: '/a', before, after }, 3);
    expect(others).toEqual([]);
    expect(applied(before, [hunk!])).toEqual(after.split('\n'));
    expect(hunk!.lines[0]).toEqual({ sign: ' ', text: 'begin' });
    expect(hunk!.lines.at(-1)).toEqual({ sign: '\\', text: ' No newline at end of file' });
    expect(hunksOf({ at: '/a', after: long('new', '') }, 0)[0]!.lines).toHaveLength(5002);
  });

  it('shows no more lines around a change than asked for', () => {
    const [before, after] = [3, 4].map((n) =>
      Array.from({ length: 30 }, (_, i) => (i === 15 ? n : i)),
    );
    for (const context of [0, 1, 3]) {
      const [hunk] = hunksOf(
        { at: '/a', before: before!.join('\n'), after: after!.join('\n') },
        context,
      );
      expect(hunk!.lines).toHaveLength(2 + 2 * context);
    }
  });
});

describe.each([
  ['text', (review: Review) => plainText(review)],
  ['coloured text', (review: Review) => stripVTControlCharacters(colouredText(review))],
  ['Markdown', markdownReview],
  ['HTML', (review: Review) => shownBy(htmlReview(review))],
])('the review as %s', (form, render) => {
  it('has every line that changes, whatever stands in it', () => {
    fc.assert(
      fc.property(files, files, (before, after) => {
        const written = render(
          reviewOfSteps(push({ '/z': '', ...before }, { '/z': '', ...after })),
        );
        for (const path of new Set([...Object.keys(before), ...Object.keys(after)])) {
          const [old, next] = [before[path] ?? '', after[path] ?? ''].map((all) => all.split('\n'));
          for (const own of next!.filter((one) => one !== '' && !old!.includes(one)))
            expect(written).toContain(
              `+${form === 'HTML' || form === 'Markdown' ? '' : ' '}${visible(own)}`.trimEnd(),
            );
          for (const own of old!.filter((one) => one !== '' && !next!.includes(one)))
            expect(written).toContain(
              `-${form === 'HTML' || form === 'Markdown' ? '' : ' '}${visible(own)}`.trimEnd(),
            );
        }
      }),
      { numRuns: 200 },
    );
  });

  it('has all messages, effects and reasons of each real preview', () => {
    const bare = (words: string) => words.replaceAll(/[\s\\`*_]/g, '');
    for (const name of sampleNames) {
      const review = sampleReview(name);
      const written = bare(render(review));
      for (const words of [
        ...review.blockers,
        ...review.warnings,
        ...review.effects.map(({ what }) => what),
      ])
        expect(written).toContain(bare(words));
      for (const { changes } of review.sections)
        for (const { mark, reason } of changes)
          if (mark !== 'harmless') expect(written).toContain(bare(reason));
    }
  });

  it('holds no secret that the engine marks, in whatever property', () => {
    const marked = (plaintext: string) => ({
      '4dabf18193072939515e22adb298388d': '1b47061264138c4ac30d75fd1eb44270',
      plaintext,
      ciphertext: `v1:${plaintext}`,
    });
    const word = fc.stringMatching(/^hunter[a-z0-9]{12}$/);
    const types = [
      'command:remote:Command',
      'hcloud:index/server:Server',
      'aws:s3/bucket:Bucket',
      'cloudflare:index/dnsRecord:DnsRecord',
    ];
    fc.assert(
      fc.property(
        word,
        word,
        fc.constantFrom(...types),
        fc.constantFrom('update', 'create', 'delete', 'replace'),
        (one, two, type, op) => {
          const inputs = (secret: string) => ({
            name: 'a.example',
            type: 'TXT',
            content: marked(secret),
            data: { value: marked(secret) },
            stdin: marked(secret),
            environment: { A: marked(secret) },
            connection: { host: 'h', privateKey: marked(secret) },
            list: [marked(secret)],
          });
          const review = reviewOf(
            parsePlan(
              JSON.stringify({
                config: { 'mailhost:password': one },
                steps: [
                  step(type, op, inputs(one), inputs(two), {
                    diffReasons: ['content', 'data', 'stdin', 'environment', 'connection', 'list'],
                  }),
                ],
              }),
            ),
          );
          expect(render(review)).not.toMatch(/hunter/);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('the review as text', () => {
  it.each(sampleNames)('of %s has at most 12 lines beside twice the lines that change', (name) => {
    const review = sampleReview(name);
    const edits = review.sections.flatMap(({ changes }) => changes.flatMap((one) => one.edits));
    const changed = changedLines(edits);
    expect(plainText(review).trimEnd().split('\n').length).toBeLessThanOrEqual(2 * changed + 12);
  });

  it('without a change is one line, which says what was compared', () => {
    expect(plainText(sampleReview('nothing'))).toBe(
      'Nothing changes: 91 resources of the stack mailhost/dev compared\n',
    );
  });

  it('of a command that runs again does not say that nothing changes', () => {
    const create = 'mailhost drift';
    const run = reviewOfSteps(step('command:remote:Command', 'replace', { create }, { create }));
    expect(plainText(run)).toMatch(
      /^Harmless: 1 replaced; 1 resource of the stack mail\/prod compared/,
    );
  });

  it('is for a person', () => {
    /** With times that the next measurement does not change. */
    const timeless = (name: string) =>
      plainText(sampleReview(name)).replaceAll(/(?<=measured: .*)\d+ s/g, 'N s');
    expect(timeless('spamTagLevel')).toMatchInlineSnapshot(`
      "Harmless: 3 changed; 91 resources of the stack mailhost/dev compared
      Effects
        - restarts spamd once and amavis twice; mail waits in the queue until amavis answers (measured: up to N s, then N s)
        - marks mail as spam in its headers from a score of 3 instead of 2
        - checks at the end that mail works
      SpamAssassin
        /etc/spamassassin/local.cf
          - required_score 2
          + required_score 3
      amavis
        /etc/amavis/conf.d/60-mailhost
          - $sa_tag2_level_deflt = 2;
          + $sa_tag2_level_deflt = 3;
      "
    `);
    expect(timeless('newPassword')).toMatchInlineSnapshot(`
      "Harmless: 5 changed; 91 resources of the stack mailhost/dev compared
      Effects
        - changes passwords of accounts: mail clients log in again, with the new one
        - updates the accounts of Dovecot while it runs: only sessions of accounts that are removed or get another password end
        - updates the tables of OpenSMTPD while it runs, or restarts it if it is the password at the smarthost that changes
        - checks at the end that mail works
      Dovecot
        changed secret: the accounts' password hashes
      OpenSMTPD
        changed secret: the accounts' password hashes
      "
    `);
  });

  it('can do without the lines that change', () => {
    const options = { isColoured: false, context: 0, isSummary: true };
    const written = textReview(sampleReview('spamTagLevel'), options);
    expect(written).toContain('/etc/spamassassin/local.cf: 2 lines\n');
    expect(written).not.toContain('required_score');
  });

  it.each(sampleNames)('of %s counts nothing where a secret changes alone', (name) => {
    const review = sampleReview(name);
    const options = { isColoured: false, context: 0, isSummary: true };
    const forms = [textReview(review, options), markdownReview(review), htmlReview(review)];
    for (const written of forms) expect(written).not.toMatch(/\b0 lines/);
  });

  it('lets no text control the terminal', () => {
    const review = reviewOfSteps(push({ '/a': '' }, { '/a': hostile.join('\n') }));
    const written = plainText(review);
    // eslint-disable-next-line no-control-regex -- none of them may be left
    expect(written).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
    expect(written).toContain('<U+001B>[2J');
    expect(written).toContain('<U+202E>txt.exe');
  });

  it('lets no name control the terminal, or have a line of its own', () => {
    const [own, forged] = ['\u001b[2J\u{e0041}a', 'Harmless: 0 changed'];
    const name = `${own}\n${forged}`;
    const written = plainText(
      reviewOfSteps(
        { op: 'update', urn: `urn:pulumi:${name}::${name}::a:b:${name}::${name}` },
        step(`x:y:${name}`, 'update', { [name]: '1' }, { [name]: '2' }),
        step(`x:y:${name}`, 'update', { [name]: '1\n2' }, { [name]: '2\n3' }),
        push({ [`/${name}`]: '' }, { [`/${name}`]: 'a' }),
        step('cloudflare:index/dnsRecord:DnsRecord', 'create', undefined, { name, type: name }),
        {
          ...step('command:remote:Command', 'update', { stdin: 'a' }, { stdin: 'b' }),
          urn: `urn:pulumi:a::b::mailhost:index:Daemon$command:remote:Command::${name}`,
        },
      ),
    );
    expect(written).toContain('<U+001B>[2J<U+E0041>a<U+000A>Harmless');
    expect(written).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u);
    expect(written).not.toMatch(/^ {0,2}Harmless/m);
  });
});

describe('the review as Markdown', () => {
  it('never has more characters than a comment may have, and always its summary', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 400 }),
        fc.integer({ min: 0, max: 60_000 }),
        fc.integer({ min: 0, max: 40 }),
        (resources, length, messages) => {
          const steps = Array.from({ length: resources }, (_, i) =>
            step(
              'command:remote:Command',
              'update',
              { create: `a ${i}` },
              { create: `b ${'x'.repeat(length / 10)}` },
            ),
          );
          const review = reviewOf(
            parsePlan(
              JSON.stringify({
                steps: [...steps, push({ '/a': '' }, { '/a': 'y`\n'.repeat(length / 3) })],
                diagnostics: Array.from({ length: messages }, (_, i) => ({
                  severity: 'error',
                  message: `${i} ${'z'.repeat(length)}`,
                })),
              }),
            ),
          );
          const written = markdownReview(review);
          expect(written.length).toBeLessThanOrEqual(commentLimit);
          expect(written).toMatch(/^<!-- mailhost review -->\n### Mail host review: /);
          for (const { title } of review.sections) expect(written).toContain(`| ${title} |`);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('leaves the long parts out for which there is no room, and keeps the short ones', () => {
    const long = push({ '/long': '' }, { '/long': 'x\n'.repeat(40_000) });
    const dns = step('cloudflare:index/dnsRecord:DnsRecord', 'create', undefined, {
      name: 'a.example',
      type: 'A',
      content: '192.0.2.1',
    });
    const written = markdownReview(reviewOfSteps(long, dns));
    expect(written).toContain('**Dovecot**: 40000 lines, left out for lack of room');
    expect(written).toContain('+a.example. A 192.0.2.1');
  });

  it('has as many changes of a part as there is room for, and says how many are left out', () => {
    const records = Array.from({ length: 1000 }, (_, i) =>
      step(
        'cloudflare:index/dnsRecord:DnsRecord',
        'update',
        { name: `d${i}.example`, type: 'A', content: '192.0.2.1' },
        { name: `d${i}.example`, type: 'A', content: '192.0.2.2' },
      ),
    );
    const short = push({ '/short': '' }, { '/short': 'x\n' });
    const written = markdownReview(reviewOfSteps(...records, short));
    const [, left] = /^The remaining (\d+) of 1000 changes are left out/m.exec(written) ?? [];
    expect(written.match(/^\+d\d+\.example\. A 192\.0\.2\.2$/gm)).toHaveLength(1000 - Number(left));
    expect(written.length).toBeGreaterThan(commentLimit - 1000);
    expect(written.length).toBeLessThanOrEqual(commentLimit);
    expect(written.match(/<details>/g)).toHaveLength(2);
    expect(written.match(/<\/details>/g)).toHaveLength(2);
    expect(written).toContain('+x\n');
  });

  it('closes each fence by itself, whatever stands in it', () => {
    fc.assert(
      fc.property(text, (after) => {
        const written = markdownReview(reviewOfSteps(push({ '/a': 'x' }, { '/a': `x${after}` })));
        let open: string | undefined;
        const outside: string[] = [];
        for (const own of written.split('\n')) {
          const [, fence] = /^(`{3,})\w*$/.exec(own) ?? [];
          if (open === undefined && fence) open = fence;
          else if (open !== undefined && own === open) open = undefined;
          else if (open === undefined) outside.push(own);
        }
        expect(open).toBeUndefined();
        expect(outside.join('\n')).not.toMatch(/script|onerror|@everyone|heading|evil/);
      }),
      { numRuns: 300 },
    );
  });

  it('mentions nobody, refers to no issue, and links nowhere outside of code', () => {
    const name = 'Hello @everyone #12 https://evil.example www.evil.example <b> | `x` *y*';
    const written = markdownReview(
      reviewOfSteps(
        step(
          'cloudflare:index/dnsRecord:DnsRecord',
          'update',
          { name, type: 'TXT', content: 'a', ttl: 60 },
          { name, type: 'TXT', content: 'b', ttl: 60 },
        ),
      ),
    );
    const [effect] = /^- after .*Hello.*$/m.exec(written)!;
    const outside = effect.replaceAll(/`[^`]*`/g, '');
    expect(outside).not.toMatch(/@everyone|#12|https:\/\/|www\.|<|[^\\][|`*][xy ]/);
    for (const word of ['@everyone', '#12', 'https://evil.example'])
      expect(effect).toContain(`\`${word}\``);
  });

  it('has no line that GitLab takes for a command', () => {
    const own = '```\n/merge\n/approve';
    const review = reviewOf(
      parsePlan(
        JSON.stringify({
          steps: [
            step(`a:b:/merge\n/merge`, 'update', { '/merge\n/merge': own }, { a: `${own}\n` }),
            step(
              'cloudflare:index/dnsRecord:DnsRecord',
              'create',
              {},
              { name: `/merge\n/merge`, type: '/merge', content: own },
            ),
            push({ '/a': own }, { '/a': `/merge\n${own}` }),
          ],
          diagnostics: ['error', 'warning', 'info'].map((severity) => ({ severity, message: own })),
        }),
      ),
    );
    expect(markdownReview(review)).toContain('\n /merge\n');
    expect(markdownReview(review)).not.toMatch(/^\//m);
  });

  it('has addresses as they are copied, and no numbers of lines where there is one', () => {
    const written = markdownReview(sampleReview('newAccount'));
    expect(written).toContain(
      '- adds the account `carl@example.org`: it can log in, and receives mail\n',
    );
    expect(written).not.toContain('&#8203;');
    const one = markdownReview(reviewOfSteps(push({ '/a': 'x\n' }, { '/a': 'y\n' })));
    expect(one).toContain('```diff\n-x\n+y\n```');
    const two = markdownReview(reviewOfSteps(push({ '/a': 'x\nz\n' }, { '/a': 'y\nz\n' })));
    expect(two).toContain('```diff\n@@ -1 +1 @@\n-x\n+y\n z\n```');
  });
});

describe('the review as HTML', () => {
  const tag =
    /^<(?:!DOCTYPE html|\/?[a-z][a-z0-9]*(?: (?:lang|charset|name|content|http-equiv|class|id|href|scope|colspan|open|aria-labelledby|data-label)(?:="[^"<>]*")?)*)>$/;

  it('has no tag or attribute but its own, whatever is filled in', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...hostile), { minLength: 1 }), (words) => {
        const own = words.join(' ');
        const review = reviewOf(
          parsePlan(
            JSON.stringify({
              steps: [
                step(own, 'update', { [own]: own }, { [own]: `${own} ${own}` }),
                step(
                  'cloudflare:index/dnsRecord:DnsRecord',
                  'update',
                  { name: own, type: own, content: own },
                  { name: own, type: own, content: '' },
                ),
                push({ '/a': own }, { [`/${own}`]: own }),
                { op: own, urn: `urn:pulumi:${own}::${own}::${own}::${own}` },
              ],
              diagnostics: ['error', 'warning', 'info'].map((severity) => ({
                severity,
                message: own,
              })),
            }),
          ),
        );
        const page = htmlReview(review);
        expect(
          [...page.matchAll(/<[^>]*>?/g)].map(([found]) => found).filter((one) => !tag.test(one)),
        ).toEqual([]);
        expect(page).not.toMatch(/<(?:script|img|link|iframe|object)/);
      }),
      { numRuns: 100 },
    );
  });

  it('loads nothing, and may not', () => {
    const page = htmlReview(sampleReview('hostName'));
    expect(page).toContain(`content="default-src 'none'; style-src 'sha256-`);
    expect(page).not.toMatch(/\s(?:src|srcset|style|action)=|url\(|@import|<script/);
    for (const [, target] of page.matchAll(/href="([^"]*)"/g))
      expect(page).toContain(`id="${target!.slice(1)}"`);
  });

  it.each(sampleNames)('of %s is valid', async (name) => {
    const validator = new HtmlValidate({
      extends: ['html-validate:standard', 'html-validate:a11y'],
    });
    const { results } = await validator.validateString(htmlReview(sampleReview(name)));
    expect(
      results.flatMap(({ messages }) =>
        messages.map(({ line: at, message }) => `${at}: ${message}`),
      ),
    ).toEqual([]);
  });
});
