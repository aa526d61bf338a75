import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { parse, stringify } from 'yaml';
import type { TestStack } from './testLab';

/** The settings of a stack's file, by key without prefix. */
type Config = Record<string, unknown>;

interface Account {
  address: string;
  passwordHash: unknown;
  aliases?: string[];
  quota?: number;
}

const accounts = (config: Config) => config.accounts as Account[];
const domains = (config: Config) => config.domains as object[];

const adminKey =
  'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIGPhV2oBqDn4qNaJqDfTGG8VvmtCkh8jcZ+9vE6lfkP admin';

/** Changes of ordinary operation, each with the settings that make it. */
export const changes: [title: string, change: (config: Config) => Config][] = [
  ['nothing', () => ({})],
  [
    'the order of every list',
    (config) => ({
      domains: [...domains(config)].reverse(),
      accounts: [...accounts(config)].reverse(),
    }),
  ],
  [
    'an account more',
    (config) => ({
      accounts: [
        { ...accounts(config)[0], address: 'carl@example.org', aliases: [] },
        ...accounts(config),
      ],
    }),
  ],
  [
    "an account's password",
    (config) => {
      const [anna, bert] = accounts(config);
      return { accounts: [{ ...anna, passwordHash: bert!.passwordHash }, bert] };
    },
  ],
  [
    "an account's alias",
    (config) => ({
      accounts: [{ ...accounts(config)[0], aliases: ['new@example.org'] }, accounts(config)[1]],
    }),
  ],
  [
    "an account's quota",
    (config) => ({ accounts: [{ ...accounts(config)[0], quota: 5000 }, accounts(config)[1]] }),
  ],
  [
    'an account less (confirmed)',
    (config) => ({ accounts: [accounts(config)[0]], confirm: ['remove bert@example.net'] }),
  ],
  [
    'an alias',
    () => ({ aliases: [{ address: 'team@example.org', recipients: ['anna@example.org'] }] }),
  ],
  [
    'a catch-all',
    (config) => ({
      domains: [{ ...domains(config)[0], catchAll: 'anna@example.org' }, domains(config)[1]],
    }),
  ],
  ['a domain more', (config) => ({ domains: [{ name: 'example.com' }, ...domains(config)] })],
  [
    'a parked domain more',
    (config) => ({ domains: [{ name: 'example.com', parked: true }, ...domains(config)] }),
  ],
  [
    'a domain less (confirmed)',
    (config) => ({
      domains: [domains(config)[0]],
      accounts: [accounts(config)[0]],
      confirm: ['remove example.net'],
    }),
  ],
  [
    'another sender in SPF',
    (config) => ({
      domains: [{ ...domains(config)[0], spf: ['ip4:192.0.2.1'] }, domains(config)[1]],
    }),
  ],
  ['`postmaster`', () => ({ postmaster: 'bert@example.net' })],
  ['`dkimGeneration`', () => ({ dkimGeneration: '2' })],
  ['`spamTagLevel`', () => ({ spamTagLevel: '3' })],
  ['`spamJunkLevel`', () => ({ spamJunkLevel: '6' })],
  ['`messageSize`', () => ({ messageSize: '50' })],
  ['`quota`', () => ({ quota: '3000' })],
  ['`messagesPerHour`', () => ({ messagesPerHour: '100' })],
  ['`adminSshKeys`', () => ({ adminSshKeys: [adminKey] })],
  ['`adminNetworks`', () => ({ adminNetworks: ['192.0.2.0/24'] })],
  ['`volumeSize`', () => ({ volumeSize: '30' })],
  ['`serverType`', () => ({ serverType: 'cx33' })],
  ['`web`', () => ({ web: 'false' })],
  // Only named networks may read them.
  [
    '`metrics` (with `adminNetworks`)',
    () => ({ metrics: 'true', adminNetworks: ['192.0.2.0/24'] }),
  ],
  [
    '`hostName` (confirmed)',
    () => ({
      hostName: 'mx.example.org',
      confirm: ['rename mail.example.org to mx.example.org'],
    }),
  ],
];

interface Step {
  op: string;
  urn: string;
}

interface Plan {
  /** What the engine would do, without what stays and without components, which are no more than a frame. */
  steps: Step[];
  /** All of it, as the engine writes it. */
  json: string;
}

async function plan(stack: TestStack): Promise<Plan> {
  const { status, output } = await stack.run(['preview', '--json']);
  if (status !== 0) throw new Error(output);
  const json = output.slice(output.indexOf('{'));
  const { steps } = JSON.parse(json) as { steps: Step[] };
  const isChange = ({ op, urn }: Step) =>
    op !== 'same' && !/mailhost:index:\w+::|pulumi:pulumi:Stack/.test(urn);
  return { steps: steps.filter(isChange), json };
}

/**
 * Previews each change on the real engine.
 *
 * @returns the plan of each change, by its title
 */
export async function plans(stack: TestStack): Promise<Map<string, Plan>> {
  const original = readFileSync(stack.configFile!, 'utf8');
  const found = new Map<string, Plan>();
  await stack.temporarily(async () => {
    for (const [title, change] of changes) {
      const file = parse(original) as { config: Record<string, unknown> };
      const config = Object.fromEntries(
        Object.entries(file.config).map(([key, value]) => [key.replace(/^mailhost:/, ''), value]),
      );
      for (const [key, value] of Object.entries(change(config)))
        file.config[`mailhost:${key}`] = value;
      writeFileSync(stack.configFile!, stringify(file));
      found.set(title, await plan(stack));
    }
  });
  return found;
}

/** Names of resources, without that of the mail host. */
const names = (steps: Step[]): string =>
  [...new Set(steps.map(({ urn }) => urn.slice(urn.lastIndexOf('::') + 2)))]
    .map((name) => `\`${name.replace(/^mail-/, '')}\``)
    .sort()
    .join(', ');

function item([title, { steps }]: [string, Plan]): string {
  const of = (pattern: RegExp) => names(steps.filter(({ op }) => pattern.test(op)));
  const parts = Object.entries({
    updated: of(/^update$/),
    created: of(/^create$/),
    deleted: of(/^delete$/),
    replaced: of(/replace/),
  }).filter(([, those]) => those !== '');
  if (parts.length === 0) return `- **${title}**: no resource`;
  return [`- **${title}**`, ...parts.map(([what, those]) => `  - ${what}: ${those}`)].join('\n');
}

/** The page docs/changes.md. */
export async function page(found: Map<string, Plan>): Promise<string> {
  const text = `# What each change touches

The plan of the real engine for each kind of ordinary change, on a stack with example.org and example.net. A test compares this page with every run.

Names are those of the resources. The command \`opensmtpd\` activates the files of OpenSMTPD, \`opensmtpd-secrets\` stages the secret ones; the same applies to the other daemons. A daemon is restarted or reloaded only if one of its files differs. \`check\` verifies on the host, at the end, that mail works. All other resources stay as they are.

${[...found].map(item).join('\n')}
`;
  const config = await resolveConfig(join(__dirname, '../../docs/changes.md'));
  return format(text, { ...config, parser: 'markdown' });
}
