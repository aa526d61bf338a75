import { plural } from '../../components/review/terminal';
import type { Report } from '../doctor/report';
import { markup, page, part, table, type Content, type Html } from '../page/markup';
import { chartFigure, type Chart, type Layer, type Tools } from './chart';
import type { Figures, Span } from './figures';
import { css } from './style';
import { amount, duration, minute, octets } from './words';

/** What the page shows. */
export interface Shown {
  report: Report;
  figures: Figures;
}

/** Outcomes of docs/report.md, each a layer of its chart. */
const arriving = {
  in: 'inbox',
  junk: 'junk',
  refused: 'refused',
  held: 'held',
  delayed: 'told to come later',
};
const leaving = {
  out: 'delivered',
  forwarded: 'forwarded',
  bounced: 'bounced',
  deferred: 'tried in vain',
  denied: 'refused to a login',
};

/** The report as one page that loads nothing. */
export function htmlReport(shown: Shown, tools: Tools): string {
  const { report, figures } = shown;
  const { hostName, stack, time, findings } = report;
  const problems = findings.filter(({ severity }) => severity === 'problem').length;
  const mark = problems > 0 ? 'blocked' : findings.length > 0 ? 'risky' : 'harmless';
  const result = findings.length === 0 ? 'No findings' : plural(findings.length, 'finding');
  const both = (
    title: string,
    of: (span: Span) => Pick<Chart, 'layers' | 'kind' | 'format' | 'hasGaps'>,
  ) =>
    markup`<div class="charts">
${(['days', 'hours'] as const).map((span) =>
  chartFigure(tools, {
    title: `${title}, ${span === 'days' ? 'by day' : 'by hour, the last 14 days'}`,
    begin: figures[span].begin,
    step: figures[span].step,
    ...of(figures[span]),
  }),
)}</div>
`;
  const counts = (outcomes: Record<string, string>) => (span: Span) => ({
    kind: 'stack' as const,
    layers: Object.entries(outcomes).map(([outcome, name]) => ({
      name,
      numbers: total(span, (one) => one.outcome === outcome),
    })),
  });
  return page(
    `${result}: ${hostName}`,
    css,
    markup`<header>
<p>Mail host report</p>
<h1><span class="mark ${mark}">${result}</span> ${hostName}</h1>
<p>${stack}, ${minute(Date.parse(time) / 1000)}. Figures until ${figures.collected > 0 ? minute(figures.collected) : 'now: none were collected yet'}; times are in UTC.</p>
</header>
<main>
${domains(shown)}${problemsAndWarnings(report)}${part('Mail', [both('Arriving', counts(arriving)), both('Leaving', counts(leaving))])}${part('Time to deliver', both('Arrival to delivery', delays(['in', 'out'])))}${part('Scan time', both('Scan by amavis', delays(['scan'])))}${part(
      'Queue',
      both('Envelopes, at the worst moment', ({ queue }) => ({
        kind: 'lines',
        layers: [{ name: 'envelopes', numbers: queue }],
      })),
    )}${part('Storage', [
      markup`<div class="charts">
${chartFigure(tools, {
  title: 'All accounts, by day',
  begin: figures.days.begin,
  step: figures.days.step,
  layers: [{ name: 'mail', numbers: figures.storage }],
  kind: 'lines',
  format: octets,
})}</div>
`,
      accounts(figures),
    ])}${part('Logins', both('Failed logins and bans', failures))}${calendar(figures)}${dmarc(figures)}${tls(figures)}</main>`,
  );
}

/** The sum of the series that fit. */
function total(
  span: Span,
  fits: (series: { name: string; outcome: string }) => boolean,
  of: 'mail' | 'logins' = 'mail',
): number[] {
  const sums = span.queue.map(() => 0);
  for (const series of span[of].filter(fits))
    series.numbers.forEach((number, at) => (sums[at]! += number));
  return sums;
}

const directions = { in: 'arriving', out: 'leaving', scan: 'scan' };

const delays = (kinds: (keyof typeof directions)[]) => (span: Span) => ({
  kind: 'lines' as const,
  hasGaps: true as const,
  format: duration,
  layers: kinds.flatMap((kind): Layer[] => {
    const found = span.durations.find(({ what }) => what === kind);
    const none = span.queue.map(() => 0);
    return [
      { name: `${directions[kind]}, median`, numbers: found?.median ?? none },
      { name: `${directions[kind]}, 95 %`, numbers: found?.most ?? none },
    ];
  }),
});

const failures = (span: Span) => ({
  kind: 'stack' as const,
  layers: [
    ...(['submission', 'imap'] as const).map((service) => ({
      name: `failed, ${service}`,
      numbers: total(
        span,
        ({ name, outcome }) => name === service && outcome === 'failed',
        'logins',
      ),
    })),
    { name: 'banned', numbers: total(span, ({ outcome }) => outcome === 'banned', 'logins') },
  ],
});

/** State and mail of each domain. */
function domains({ report, figures }: Shown): Html {
  const recent = (domain: string, outcome: string) => {
    const numbers = figures.days.mail.find(
      (one) => one.name === domain && one.outcome === outcome,
    )?.numbers;
    return amount((numbers ?? []).slice(-30).reduce((sum, number) => sum + number, 0));
  };
  return part(
    'Domains',
    table(
      'list',
      ['Domain', 'State', 'Inbox, 30 days', 'Junk', 'Refused', 'Sent', 'Bounced'],
      report.domains.map((domain) => {
        const about = report.findings.filter((one) => isAbout(one.about, domain));
        const worst = about.some(({ severity }) => severity === 'problem') ? 'blocked' : 'risky';
        return [
          domain,
          about.length === 0
            ? markup`<span class="mark harmless">no findings</span>`
            : markup`<span class="mark ${worst}">${plural(about.length, 'finding')}</span>`,
          ...['in', 'junk', 'refused', 'out', 'bounced'].map((outcome) => recent(domain, outcome)),
        ];
      }),
    ),
  );
}

/** Whether a finding is about a domain, or a name below it. */
const isAbout = (about: string, domain: string): boolean =>
  about.split(/[\s,]+/).some((name) => `.${name}`.endsWith(`.${domain}`));

const problemsAndWarnings = ({ findings, unchecked }: Report): Html =>
  part('Findings', [
    findings.length === 0 ? markup`<p>No findings.</p>` : '',
    findings.map(
      ({ code, severity, about, what, evidence, remedy, runbook }) =>
        markup`<div class="message ${severity === 'problem' ? 'blocked' : 'risky'}"><b>${severity} ${code}: ${about}</b>
${what}
Found: ${evidence}
Do: ${remedy}
See: ${runbook}</div>
`,
    ),
    unchecked.length > 0 &&
      markup`<p class="faint">Not checked: ${unchecked.map(({ unchecked: what, why }) => `${what} (${why})`).join('; ')}</p>
`,
  ]);

const accounts = ({ accounts: all }: Figures): Content =>
  all.length > 0 &&
  table(
    'list',
    ['Account', 'Size', 'Messages', 'In 30 days'],
    all.map(({ name, octets: size, messages, before }) => [
      name,
      octets(size),
      amount(messages),
      before === 0 ? 'new' : `${size < before ? '−' : '+'}${octets(Math.abs(size - before))}`,
    ]),
  );

const calendar = ({ calendar: dates }: Figures): Html =>
  part(
    'Calendar',
    table(
      'list',
      ['Date', 'What', 'Of'],
      dates.map(({ what, about, time }) => [minute(time), what, about]),
    ),
  );

const dmarc = ({ dmarc: rows }: Figures): Html =>
  part(
    'DMARC',
    rows.length === 0
      ? markup`<p class="faint">No reports of the last 90 days.</p>`
      : table(
          'list',
          ['Domain', 'Reported by', 'Sent by', 'Messages', 'DKIM', 'SPF', 'Result'],
          rows.map((row) => [
            row.domain,
            row.reporter,
            row.source,
            amount(row.messages),
            row.dkim,
            row.spf,
            markup`<span class="mark ${passes(row) ? 'harmless' : 'risky'}">${passes(row) ? 'pass' : row.disposition === 'none' ? 'fail' : row.disposition}</span>`,
          ]),
        ),
  );

const passes = ({ dkim, spf }: { dkim: string; spf: string }) => dkim === 'pass' || spf === 'pass';

const tls = ({ tls: rows }: Figures): Html =>
  part(
    'TLS reports',
    rows.length === 0
      ? markup`<p class="faint">No reports of the last 90 days.</p>`
      : table(
          'list',
          ['Domain', 'Reported by', 'Policy', 'Result', 'Sessions'],
          rows.map(({ domain, reporter, policy, result, sessions }) => [
            domain,
            reporter,
            policy,
            result,
            amount(sessions),
          ]),
        ),
  );
