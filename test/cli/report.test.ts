import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HtmlValidate } from 'html-validate';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { loadTools, type Tools } from '../../cli/report/chart';
import { readFigures } from '../../cli/report/figures';
import { htmlReport } from '../../cli/report/html';
import { duration, octets } from '../../cli/report/words';
import type { HostStack } from '../../cli/stack';
import { $defs } from '../../components/hostDocuments.schema.json';
import { sampleFigures, sampleReport } from './reportSample';

let tools: Tools;
beforeAll(async () => {
  tools = await loadTools();
});

const page = (change: Partial<typeof sampleFigures> = {}) =>
  htmlReport({ report: sampleReport, figures: { ...sampleFigures, ...change } }, tools);

describe('the page of the report', () => {
  it('is valid', async () => {
    const validator = new HtmlValidate({
      extends: ['html-validate:standard', 'html-validate:a11y'],
    });
    const { results } = await validator.validateString(page());
    expect(
      results.flatMap(({ messages }) => messages.map(({ line, message }) => `${line}: ${message}`)),
    ).toEqual([]);
  });

  it('loads nothing, runs nothing, and fills in text alone', () => {
    const text = page();
    expect(text).not.toMatch(/<(script|img|link|iframe|object)|\bon\w+=|style="|url\(|https?:/);
    expect(text).toContain("default-src 'none'");
    expect(text).toContain('&lt;b&gt;no DS record&lt;/b&gt;');
  });

  it('has each domain with its state, all accounts and dates', () => {
    const text = page();
    expect(text).toMatch(/example\.net<\/th><td[^>]*><span class="mark risky">1 finding</);
    expect(text).toMatch(/example\.org<\/th><td[^>]*><span class="mark harmless">no findings</);
    for (const { name } of sampleFigures.accounts) expect(text).toContain(name);
    for (const { about } of sampleFigures.calendar) expect(text).toContain(about);
  });

  it('draws twelve months in less than 2 s of CPU time', () => {
    const before = process.cpuUsage();
    page();
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1e6).toBeLessThan(2);
  });

  it('shows a host that has counted nothing yet', () => {
    const none = { mail: [], logins: [], durations: [], queue: [0, 0, 0] };
    const text = page({
      collected: 0,
      days: { ...sampleFigures.days, ...none },
      hours: { ...sampleFigures.hours, ...none },
      storage: [0, 0, 0],
      accounts: [],
      dmarc: [],
      tls: [],
    });
    expect(text).toContain('none were collected yet');
    expect(text).not.toContain('<path');
  });

  it('draws a stack as high as its sum, and a line through each number', () => {
    const text = htmlReport(
      {
        report: sampleReport,
        figures: {
          ...sampleFigures,
          days: {
            ...sampleFigures.days,
            mail: [
              { name: 'example.org', outcome: 'in', numbers: [10, 0] },
              { name: 'example.org', outcome: 'junk', numbers: [10, 40] },
            ],
            queue: [0, 3],
          },
        },
      },
      tools,
    );
    // 8 is the top of the plot, 178 its bottom: of the scale to 40 the half is 93, a quarter 136.
    expect(text).toContain(
      '<path class="stack s0" d="M54,136L343,136L343,178L632,178L632,178L632,178L632,178',
    );
    expect(text).toMatch(/<path class="stack s1" d="M54,93L343,93L343,8L632,8/);
  });
});

describe('the figures of a host', () => {
  const stack = { hostName: 'mail.example.org' } as HostStack;
  const answer = (status: number | null, stdout: string, stderr = '') =>
    readFigures(stack, () => Promise.resolve({ status, stdout, stderr }));

  it('are read as the schema of the documents has them', async () => {
    const schema = z.fromJSONSchema({ $ref: '#/$defs/figures', $defs } as Parameters<
      typeof z.fromJSONSchema
    >[0]);
    const whole = { ...sampleFigures, storage: sampleFigures.storage.map(Math.round) };
    expect(schema.safeParse(whole).error).toBeUndefined();
    expect(await answer(0, JSON.stringify(whole))).toEqual(whole);
  });

  it.each([
    [
      2,
      '',
      "argument COMMAND: invalid choice: 'figures'",
      /older than this command: run `pulumi up`/,
    ],
    [255, '', 'Connection refused', /gives no figures: Connection refused/],
    [null, '', '', /did not answer in 120 s/],
    [0, '{"collected": 1}', '', /of another version/],
  ])('are told to be missing: status %s', async (status, stdout, stderr, words) => {
    await expect(answer(status, stdout, stderr)).rejects.toThrow(words);
  });
});

it('has units that a person reads', () => {
  expect([0, 999, 2.5e9].map(octets)).toEqual(['0 B', '999 B', '2.5 GB']);
  expect([4, 1500, 90_000, 7.2e6].map(duration)).toEqual(['4 ms', '1.5 s', '1.5 min', '2 h']);
});

it('has a dashboard whose metrics the host has', () => {
  const read = (path: string) => readFileSync(join(__dirname, '../..', path), 'utf8');
  const dashboard = JSON.parse(read('examples/metrics/grafana.json')) as {
    panels: { targets: { expr: string }[] }[];
  };
  const used = dashboard.panels.flatMap(({ targets }) =>
    targets.flatMap(({ expr }) => expr.match(/mailhost_\w+/g) ?? []),
  );
  const program = read('files/usr/local/lib/mailhost/figures/metrics.py');
  const made = [...program.matchAll(/"(mailhost_\w+)"/g)].map(([, name]) => name!);
  const documented = read('docs/report.md').match(/(?<=^\| `)mailhost_\w+/gm);
  expect(made.sort()).toEqual([...documented!].sort());
  expect(used.length).toBeGreaterThan(10);
  for (const name of used) expect(made).toContain(name.replace(/_bucket$/, ''));
});
