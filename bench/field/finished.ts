import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import type { HostFiles } from '../../components/hostFiles/files';
import { Machines } from '../../lab/machines';
import type { Stack } from '../../lab/stack';
import { run, type Lab } from '../../lab/state';

/** What a finished host is made from, as our own stack made it. */
export interface Finished {
  hostName: string;
  ipv4: string;
  /** The stack's own key for SSH. */
  sshPrivateKey: string;
  hostPublicKey: string;
  /** First-boot data, with the host key. */
  userData: string;
  /** GB. */
  volumeSize: number;
  /** Files by what they belong to: `program`, `system`, and each daemon's push. */
  files: Record<string, HostFiles>;
}

interface Resource {
  type: string;
  inputs: Record<string, unknown>;
}

/** Read from the stack's state, secrets too, so that all get the very same bytes. */
export function finishedHost(stack: Stack): Finished {
  const exported = execFileSync('pulumi', stack.arguments(['stack', 'export', '--show-secrets']), {
    encoding: 'utf8',
    env: stack.env,
    maxBuffer: 64 << 20,
  });
  const { deployment } = JSON.parse(exported) as { deployment: { resources: Resource[] } };
  const inputs = (type: string) =>
    deployment.resources
      .filter((resource) => resource.type === type)
      .map((resource) => withoutMarks(resource.inputs) as Record<string, unknown>);
  const files: Finished['files'] = {};
  const commands = inputs('command:remote:Command');
  for (const { create, stdin } of commands) {
    const group = groupOf(create as string);
    if (group !== undefined)
      files[group] = { ...files[group], ...(JSON.parse(stdin as string) as HostFiles) };
  }
  const [server] = inputs('hcloud:index/server:Server');
  const [volume] = inputs('hcloud:index/volume:Volume');
  const { host, privateKey, hostKey } = commands[0]!.connection as Record<string, string>;
  return {
    hostName: server!.name as string,
    ipv4: host!,
    sshPrivateKey: privateKey!,
    hostPublicKey: hostKey!,
    userData: server!.userData as string,
    volumeSize: volume!.size as number,
    files,
  };
}

/** Which files a command brings to the host, if any. */
function groupOf(create: string): string | undefined {
  if (create.includes('python3 -c')) return 'program';
  if (create.startsWith('mailhost prepare')) return 'system';
  return /^mailhost (?:activate|stage) (\S+)/.exec(create)?.[1];
}

/** A value of the state as it is, secret or not. */
function withoutMarks(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutMarks);
  if (value === null || typeof value !== 'object') return value;
  if ('plaintext' in value) return JSON.parse(value.plaintext as string) as unknown;
  return Object.fromEntries(Object.entries(value).map(([key, of]) => [key, withoutMarks(of)]));
}

/** What can be compared of two hosts. */
export interface Seen {
  /** Mode, owner and hash of each managed file, by its path. */
  files: Record<string, string>;
  /** Name, version and state. */
  packages: string[];
  /** Services, timers and mounts that start at boot, and the ones that are up. */
  enabled: string[];
  active: string[];
}

/** The managed files as the plan has them. */
export const planned = (finished: Finished): Seen['files'] =>
  Object.fromEntries(
    Object.values(finished.files)
      .flatMap((group) => Object.entries(group))
      .map(([path, { mode, owner, text }]) => [
        path,
        `${mode} ${owner} ${createHash('sha256').update(text).digest('hex')}`,
      ]),
  );

/** Looks at the one machine of a lab from outside: nothing that was brought there is asked. */
export function look(lab: Lab, paths: string[]): Seen {
  const units = '--type=service,timer,mount --no-legend --plain | cut -d " " -f 1';
  const script = `
while read -r path; do
  test -f "$path" && echo "$path $(stat --format '%#a %U:%G' "$path") $(sha256sum <"$path")"
done <<'PATHS'
${paths.join('\n')}
PATHS
echo ----
dpkg-query --show --showformat '\${Package} \${Version} \${db:Status-Status}\\n'
echo ----
systemctl list-unit-files --state=enabled ${units}
echo ----
# What answers one question over D-Bus stays up for a while.
systemctl list-units --state=active ${units} | grep -v '^systemd-hostnamed'
`;
  const [files = '', ...lists] = onHostScript(lab, script).split('----\n');
  const [packages, enabled, active] = lists.map((text) => text.trim().split('\n'));
  return {
    files: Object.fromEntries(
      files
        .trim()
        .split('\n')
        .map((line) => line.replace(/ +-$/, '').split(' '))
        .map(([path, ...description]) => [path!, description.join(' ')]),
    ),
    packages: packages!,
    enabled: enabled!,
    active: active!,
  };
}

export function onHostScript(lab: Lab, script: string): string {
  const machines = new Machines(lab);
  const [first, ...rest] = machines.command(machines.ids()[0]!, ['sh', '-s']);
  return run(first!, rest, script);
}

/** Each way in which a host is not the expected one, in words. */
export function differences(expected: Seen, seen: Seen): string[] {
  const paths = Object.keys(expected.files).filter(
    (path) => seen.files[path] !== expected.files[path],
  );
  const lists = (['packages', 'enabled', 'active'] as const).flatMap((key) => [
    ...without(expected[key], seen[key]).map((line) => `${key}: lacks ${line}`),
    ...without(seen[key], expected[key]).map((line) => `${key}: has ${line}`),
  ]);
  return [...paths.map((path) => `${path}: ${seen.files[path] ?? 'missing'}`), ...lists];
}

const without = (lines: string[], others: string[]) => {
  const present = new Set(others);
  return lines.filter((line) => !present.has(line));
};
