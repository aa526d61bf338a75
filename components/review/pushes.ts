import { daemons } from '../daemons';
import type { DaemonSpec } from '../daemons/spec';
import { systemMeanings } from '../hostFiles/systemMeanings';
import type { Step } from './plan';
import { filesIn } from './values';

/** What a command of the host program does. */
export interface Work extends Pick<
  DaemonSpec,
  | 'title'
  | 'effect'
  | 'isQuiet'
  | 'together'
  | 'comes'
  | 'goes'
  | 'meanings'
  | 'rereads'
  | 'secrets'
> {
  /** Why it does no harm. */
  safeguard: string;
  /** It brings no files. */
  isTask?: true;
}

/** By the name that the host program has for them: pushes in the order in which they are made, then tasks. */
export const works = (): Map<string, Work> =>
  new Map([
    ...preparations,
    ...daemons.map((daemon): [string, Work] => [daemon.name, { safeguard: checked, ...daemon }]),
    ...tasks.map(([name, title, effect]): [string, Work] => [
      name,
      { title, effect, isQuiet: true, isTask: true, safeguard: 'It changes no file of a daemon.' },
    ]),
  ]);

const checked =
  'The daemon checks its files before they are used; they are rolled back if it does not answer.';

const preparations: [string, Work][] = [
  [
    'program',
    {
      title: 'Host program',
      effect: 'updates the host program',
      isQuiet: true,
      safeguard: 'No daemon runs it; the update stops before any daemon if it does not start.',
    },
  ],
  [
    'system',
    {
      title: 'System',
      effect: 'prepares the system: names, users, mounts and packages',
      isQuiet: true,
      meanings: systemMeanings,
      safeguard: 'It restarts no daemon; the update stops before any daemon if it fails.',
    },
  ],
];

const tasks: [name: string, title: string, effect: string][] = [
  ['account', 'ACME account', 'registers the account at the certificate authority'],
  ['renew', 'Certificate renewal', 'gets the certificates that are due'],
  ['restore', 'Restore', 'fills the volume from a backup before any daemon starts'],
  ['ready', 'Standby server', 'checks the standby server, which then waits for the volume'],
  ['yield', 'Handover', 'ends what the server has begun, and takes no more mail on it'],
  ['drift', 'Drift check', 'compares the host with the last push, and stops if it differs'],
  ['records', 'Record check', 'checks that the records are published'],
  ['check', 'Check', 'checks at the end that mail works'],
];

/**
 * What a command on the host pushes or does: a key of `works()`. Undefined for any other resource.
 *
 * @param prefixes of the names of each mail host's resources: the rest of the name is used if the command is not known yet
 */
export function pushOf(step: Step, prefixes: string[]): string | undefined {
  if (step.type !== 'command:remote:Command') return undefined;
  const inputs = [step.after?.inputs ?? {}, step.before?.inputs ?? {}];
  for (const { create, stdin } of inputs) {
    const [, verb, push] = /\bmailhost (\w+)(?: (\w+))?/.exec(commandOf(create)) ?? [];
    if (filesIn(stdin)?.[hostProgram]) return 'program';
    if (verb === 'activate' || verb === 'stage') return push;
    if (verb !== undefined) return verb === 'prepare' ? 'system' : verb;
  }
  if (!/\bmailhost:index:\w+\$command:remote:Command::/.test(step.urn)) return undefined;
  const prefix = prefixes.find((text) => step.name.startsWith(text)) ?? '';
  return step.name.slice(prefix.length).replace(/^host-|-secrets$/g, '');
}

const hostProgram = '/usr/local/sbin/mailhost';

/** A command without what is another with each push: numbers of changes, and fingerprints of what it brings. */
export const commandOf = (create: unknown): string =>
  typeof create === 'string'
    ? create
        .replaceAll(/ --(?:change \d+|(?:tag|secrets|program|state) [0-9a-f]+)\b/g, '')
        .replace(/^(mailhost check)(?: [0-9a-f]{12})+$/, '$1')
    : '';
