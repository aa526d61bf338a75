import { getServers } from 'node:dns';
import { writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { Command, InvalidArgumentError, Option } from 'commander';
import { normalDomain } from '../../components/settings/names';
import { exitStatus } from '../exitStatus';
import { readStack, type HostStack } from '../stack';
import { hasColours } from '../../components/review/terminal';
import { Dns } from './dns';
import { findingsOf, uncheckedOf, type Result } from './finding';
import { lookFromInside } from './inside';
import { network } from './network';
import { lookFromOutside } from './outside';
import { planText, readPlan } from './planFile';
import { textNews, textReport, type Report } from './report';
import { compare, isNews, readState, statusOfNews, writeState } from './watch';

interface Options {
  stack?: string;
  host?: string;
  only?: 'outside' | 'inside';
  resolver?: string;
  json?: boolean;
  watch?: string;
  plan?: string;
  savePlan?: string;
}

export const doctorCommand = (): Command =>
  new Command('doctor')
    .description('check from outside and inside that mail works, and name what is wrong')
    .argument('[domain...]', 'domains to check. Default: all')
    .option('--stack <name>', 'stack that has the mail host. Default: the selected one')
    .option('--host <name>', 'name of the MailHost. Default: the only one of the stack')
    .addOption(
      new Option(
        '--only <view>',
        'outside: as other mail systems see it; inside: on the host',
      ).choices(['outside', 'inside']),
    )
    .option(
      '--resolver <address>',
      'DNS resolver to ask. Default: the one of this machine',
      aResolver,
    )
    .option('--json', 'write the report as JSON')
    .option(
      '--watch <file>',
      'report only what changed since the last look, and problems again each day. The file remembers them',
    )
    .addOption(
      new Option(
        '--plan <file>',
        'check from outside by a file that --save-plan wrote, without access to the stack',
      ).conflicts(['stack', 'host', 'savePlan', 'only']),
    )
    .option('--save-plan <file>', 'write what --plan needs to a file, and check nothing')
    .addHelpText(
      'after',
      '\nExit status: 0 no findings, 2 warnings, 3 problems, 1 if nothing could be checked; with --watch, of what is reported',
    )
    .action(async (domains: string[], options: Options) => {
      const given = () =>
        ofDomains(
          options.plan === undefined ? readStack(options) : readPlan(options.plan),
          domains,
        );
      if (options.savePlan !== undefined) writeFileSync(options.savePlan, planText(given()));
      else if (options.watch === undefined) show(await examine(given(), options), options);
      else await watch(options.watch, given, options);
    });

function show(report: Report, { json }: Options): void {
  process.stdout.write(
    json ? `${JSON.stringify(report, undefined, 2)}\n` : textReport(report, hasColours()),
  );
  process.exitCode = statusOf(report);
}

async function watch(path: string, given: () => HostStack, options: Options): Promise<void> {
  let of = 'the mail host';
  const { news, state } = await compare(readState(path), () => {
    const stack = given();
    of = `${stack.hostName} of ${stack.stack}`;
    return examine(stack, options);
  });
  writeState(path, state);
  if (isNews(news))
    process.stdout.write(
      options.json ? `${JSON.stringify(news, undefined, 2)}\n` : textNews(news, of, hasColours()),
    );
  process.exitCode = statusOfNews(news);
}

export function aResolver(value: string): string {
  if (isIP(value) === 0) throw new InvalidArgumentError('Give an IPv4 or IPv6 address.');
  return value;
}

/** The stack as if it had these domains alone, if any are named; the host's own name is always one of its. */
export function ofDomains(stack: HostStack, given: string[]): HostStack {
  if (given.length === 0) return stack;
  const chosen = given.map((name) => normalDomain(name) ?? name);
  const all = [...stack.domains, ...stack.parked];
  const unknown = chosen.filter((name) => !all.includes(name));
  if (unknown.length > 0)
    throw new Error(
      `${unknown.join(' and ')} is not a domain of ${stack.stack}, which has ${all.join(', ')}.`,
    );
  const has = (name: string) => chosen.includes(name);
  const others = all.filter((name) => !has(name));
  const nearest = (name: string, among: string[]) =>
    among.filter((one) => `.${name}`.endsWith(`.${one}`)).sort((a, b) => b.length - a.length)[0];
  const mail = JSON.parse(stack.mail) as { domains: { name: string }[] };
  return {
    ...stack,
    domains: stack.domains.filter(has),
    parked: stack.parked.filter(has),
    records: stack.records.filter(({ name }) => {
      const domain = nearest(name, [...all, stack.hostName]);
      return domain === stack.hostName || domain === undefined || !others.includes(domain);
    }),
    mail: JSON.stringify({ ...mail, domains: mail.domains.filter(({ name }) => has(name)) }),
  };
}

/** Both views at once. */
export async function examine(
  stack: HostStack,
  { resolver, plan, only = plan === undefined ? undefined : 'outside' }: Options,
): Promise<Report> {
  const start = Date.now();
  const [results, inside] = await Promise.all([
    only === 'inside' ? [] : outside(stack, resolver, start),
    only === 'outside' ? [] : lookFromInside(stack),
  ]);
  const all = [...results, ...inside];
  return {
    stack: stack.stack,
    hostName: stack.hostName,
    domains: [...stack.domains, ...stack.parked],
    time: new Date(start).toISOString(),
    seconds: Math.round((Date.now() - start) / 100) / 10,
    findings: findingsOf(all),
    unchecked: uncheckedOf(all),
  };
}

async function outside(
  stack: HostStack,
  resolver: string | undefined,
  now: number,
): Promise<Result[]> {
  const server = resolver ?? getServers().find((one) => isIP(one) !== 0);
  if (server === undefined)
    throw new Error('this machine has no DNS resolver on port 53. Name one with --resolver.');
  const dns = new Dns(network, server);
  const { rcode } = await dns.ask(server, { name: '.', type: 'NS' }).catch((cause: Error) => {
    throw new Error(
      `the DNS resolver ${server} does not answer: ${cause.message}. Name another with --resolver.`,
      { cause },
    );
  });
  if (rcode !== 'NOERROR')
    throw new Error(`the DNS resolver ${server} answers ${rcode}. Name another with --resolver.`);
  return lookFromOutside(stack, { network, dns, now });
}

/** The worst finding's. */
export function statusOf({ findings }: Pick<Report, 'findings'>): number {
  if (findings.length === 0) return exitStatus.fine;
  return findings.some(({ severity }) => severity === 'problem')
    ? exitStatus.problem
    : exitStatus.warning;
}
