import type { Report } from '../../cli/doctor/report';
import type { Figures, Span } from '../../cli/report/figures';

/** Numbers that look random, and are the same each time. */
function numbers(seed: number, count: number, most: number): number[] {
  let state = seed;
  return Array.from({ length: count }, (_, at) => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    const season = 1 + Math.sin((2 * Math.PI * at) / 7);
    return Math.floor((state / 2 ** 31) * most * season);
  });
}

function span(begin: number, step: number, count: number, most: number): Span {
  const outcomes = {
    in: 1,
    junk: 0.4,
    refused: 0.6,
    held: 0.02,
    out: 0.5,
    forwarded: 0.1,
    bounced: 0.05,
    deferred: 0.1,
  };
  return {
    begin,
    step,
    mail: ['example.org', 'example.net', 'example.com'].flatMap((name, i) =>
      Object.entries(outcomes).map(([outcome, share], j) => ({
        name,
        outcome,
        numbers: numbers(10 * i + j, count, most * share),
      })),
    ),
    logins: [
      { name: 'submission', outcome: 'failed', numbers: numbers(90, count, most / 4) },
      { name: 'imap', outcome: 'failed', numbers: numbers(91, count, most / 3) },
      { name: 'mail', outcome: 'banned', numbers: numbers(92, count, most / 20) },
    ],
    durations: (['in', 'out', 'scan'] as const).map((what, i) => ({
      what,
      median: numbers(93 + i, count, 900),
      most: numbers(96 + i, count, 9000),
    })),
    queue: numbers(99, count, 30),
  };
}

/** Twelve months of a host with three domains. */
export const sampleFigures: Figures = {
  collected: 1_800_000_000,
  days: span(1_768_435_200, 86_400, 366, 800),
  hours: span(1_798_790_400, 3600, 336, 60),
  storage: Array.from({ length: 366 }, (_, day) => 4e9 + day * 2e7),
  accounts: [
    { name: 'anna@example.org', octets: 7.3e9, messages: 48_211, before: 7.1e9 },
    { name: 'bert@example.net', octets: 4.1e9, messages: 9312, before: 4.2e9 },
    { name: 'carla@example.com', octets: 120_000, messages: 12, before: 0 },
  ],
  dmarc: [
    {
      domain: 'example.org',
      reporter: 'receiver.example',
      source: 'own',
      disposition: 'none',
      dkim: 'pass',
      spf: 'pass',
      messages: 4012,
    },
    {
      domain: 'example.org',
      reporter: 'receiver.example',
      source: 'other',
      disposition: 'reject',
      dkim: 'fail',
      spf: 'fail',
      messages: 77,
    },
  ],
  tls: [
    {
      domain: 'example.org',
      reporter: 'receiver.example',
      policy: 'sts',
      result: 'success',
      sessions: 911,
    },
  ],
  calendar: [
    { what: 'DKIM key signs since', about: 's2._domainkey.example.org', time: 1_790_000_000 },
    { what: 'last backup', about: 'volume', time: 1_799_900_000 },
    { what: 'certificate ends', about: 'mail.example.org', time: 1_803_000_000 },
  ],
};

export const sampleReport: Report = {
  stack: 'mailhost/dev',
  hostName: 'mail.example.org',
  domains: ['example.org', 'example.net', 'example.com'],
  time: '2027-01-15T08:00:00.000Z',
  seconds: 8,
  findings: [
    {
      code: 'dnssec-ds-missing',
      severity: 'warning',
      about: 'example.net',
      what: 'The zone is not signed.',
      evidence: '<b>no DS record</b>',
      remedy: 'Hand the DS record to the registrar.',
      runbook: 'docs/runbook.md#dnssec-ds-missing',
    },
  ],
  unchecked: [{ unchecked: 'the DNS list psbl.example', why: 'it does not answer' }],
};
