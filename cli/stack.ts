import { z } from 'zod';
import { connection, type Connection } from '../components/ssh';
import { pulumiJson } from './pulumi';

/** A DNS record as the plan has it. */
export interface PlannedRecord {
  zone: string;
  /** In lower case, without final dot. */
  name: string;
  type: string;
  /** In presentation format (RFC 1035, section 5.1). */
  data: string;
}

/** A mail host as the current state of its stack has it. */
export interface HostStack {
  /** `PROJECT/STACK`. */
  stack: string;
  hostName: string;
  ipv4: string;
  ipv6?: string;
  /** Of the stack's own CA, if that issues the certificate. */
  caCertPem?: string;
  /** Domains with mail. */
  domains: string[];
  /** Domains without mail. */
  parked: string[];
  /** The name of the zone that each domain lies in. */
  zones: Record<string, string>;
  records: PlannedRecord[];
  /** The DS record of each zone that the stack signs, by the zone's name. */
  dsRecords: Record<string, string>;
  /** Mode of the policy of MTA-STS; `absent` if the domains announce none. */
  mtaSts: string;
  connection: Connection;
  /** Standard input of `mailhost check`. */
  mail: string;
}

const properties = z.record(z.string(), z.unknown());
const exported = z.object({
  deployment: z.object({
    resources: z
      .array(
        z.object({
          urn: z.string(),
          type: z.string(),
          delete: z.boolean().optional(),
          inputs: properties.optional(),
          outputs: properties.optional(),
        }),
      )
      .default([]),
  }),
});
type Resource = z.infer<typeof exported>['deployment']['resources'][number];

const known = {
  host: z.object({
    ipv4: z.string(),
    ipv6: z.string().nullish(),
    caCertPem: z.string().nullish(),
    zoneFile: z.string(),
    dsRecords: z.record(z.string(), z.string()).default({}),
  }),
  summary: z.object({
    hostName: z.string(),
    mtaSts: z.string(),
    domains: z.array(z.string()),
    parked: z.array(z.string()),
    zones: z.record(z.string(), z.string()),
  }),
  command: z.object({
    connection,
    stdin: z.string(),
  }),
};

/**
 * Reads a mail host from the current state of a stack, secrets included, which pass through a pipe and stay in memory.
 *
 * @param options.stack default: the selected one
 * @param options.host name of the MailHost. Default: the only one
 */
export function readStack({ stack, host }: { stack?: string; host?: string } = {}): HostStack {
  const words = stack === undefined ? [] : ['--stack', stack];
  return hostIn(pulumiJson(['stack', 'export', '--show-secrets'], words, 'state').stdout, host);
}

/**
 * @param text output of `pulumi stack export --show-secrets`
 * @throws Error if it has no finished mail host, or several and none is named
 */
export function hostIn(text: string, host?: string): HostStack {
  const all = exported.parse(JSON.parse(text)).deployment.resources.filter((one) => !one.delete);
  const nameOf = ({ urn }: Resource) => urn.split('::').slice(3).join('::');
  const hosts = all.filter(({ type }) => type === 'mailhost:index:MailHost');
  const names = hosts.map(nameOf);
  const name = host ?? names[0];
  if (name === undefined)
    throw new Error(
      'the stack has no mail host. Run `pulumi up`, or name another stack with --stack.',
    );
  if (host === undefined && names.length > 1)
    throw new Error(
      `the stack has ${names.length} mail hosts: ${names.join(', ')}. Name one with --host.`,
    );
  const found = hosts.find((resource) => nameOf(resource) === name);
  if (!found)
    throw new Error(`the stack has no mail host ${name}, but ${names.join(', ') || 'none'}.`);

  const named = (type: string, part: string) =>
    all.find((one) => one.type === type && nameOf(one) === `${name}-${part}`);
  const read = <S extends z.ZodType>(schema: S, value: unknown): z.infer<S> => {
    const { data, error } = schema.safeParse(plain(value));
    if (error)
      throw new Error(
        `the last \`pulumi up\` of ${name} did not finish: its state lacks ${error.issues.map(({ path }) => path.join('.') || 'a part').join(', ')}. Run it again.`,
      );
    return data;
  };
  const made = read(known.host, found.outputs);
  const summary = read(
    z.object({ summary: known.summary }),
    named('mailhost:index:Summary', 'summary')?.outputs,
  ).summary;
  const check = read(known.command, named('command:remote:Command', 'check')?.inputs);
  const [, stackName = '', project = ''] = /^urn:pulumi:(.+?)::(.+?)::/.exec(found.urn) ?? [];
  return {
    stack: `${project}/${stackName}`,
    ...summary,
    ipv4: made.ipv4,
    ipv6: made.ipv6 ?? undefined,
    caCertPem: made.caCertPem ?? undefined,
    records: recordsIn(made.zoneFile),
    dsRecords: made.dsRecords,
    connection: check.connection,
    mail: check.stdin,
  };
}

/** The records of a zone file as zoneFile() in components/dns writes it. */
function recordsIn(text: string): PlannedRecord[] {
  let zone = '';
  return text.split('\n').flatMap((line) => {
    zone = /^; (\S+)$/.exec(line)?.[1] ?? zone;
    const [, name, type, data] = /^(\S+)\. \d+ IN (\S+) (.+)$/.exec(line) ?? [];
    return name === undefined ? [] : [{ zone, name, type: type!, data: data! }];
  });
}

/** Key and value by which the engine marks a secret. */
const [signature, secret] = [
  '4dabf18193072939515e22adb298388d',
  '1b47061264138c4ac30d75fd1eb44270',
];

/** A property with its secrets in the clear. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  if ((value as Record<string, unknown>)[signature] === secret) {
    const { plaintext } = value as { plaintext?: string };
    return plaintext === undefined ? undefined : plain(JSON.parse(plaintext));
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}
