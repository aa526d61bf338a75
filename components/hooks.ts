import * as command from '@pulumi/command';
import * as pulumi from '@pulumi/pulumi';

/** Of each plan, by its monitor: whether hooks can be registered. */
const supported = new WeakMap<object, Promise<boolean>>();
const enabled = new WeakSet<object>();

/**
 * Finds out whether hooks can be registered, by registering one: a language host that is older than the CLI has no such
 * call, though the engine says that it has, and the monitor of the SDK's mocks has none at all. Without them a plan goes on,
 * and says less.
 *
 * @param name unique in the stack
 */
export async function enableHooks(name: string): Promise<void> {
  const monitor = pulumi.runtime.getMonitor() as { registerErrorHook?: unknown } | undefined;
  if (monitor?.registerErrorHook === undefined) return;
  let known = supported.get(monitor);
  if (known === undefined) {
    const { __registered: registered } = new pulumi.ErrorHook(
      `${name}: hooks`,
      () => false,
    ) as unknown as { __registered: Promise<void> };
    known = registered.then(
      () => true,
      () => false,
    );
    supported.set(monitor, known);
  }
  if (await known) enabled.add(monitor);
}

const hasHooks = (): boolean => {
  const monitor = pulumi.runtime.getMonitor();
  return monitor !== undefined && enabled.has(monitor);
};

/** What a plan would lose by making a resource anew that the stack has. */
export interface Loss {
  /** What would be lost, and what to do instead. */
  message: string;
  /** Whether the plan is stopped. Default: a warning, because `protect` had to be switched off first. */
  isRefused?: boolean;
}

/**
 * Reports in the preview, and before anything is touched in an `up`, that a resource is made anew which the stack has: by
 * `--replace`, by `pulumi state taint`, or by a change that nothing else foresees.
 *
 * @param name of the resource, unique among those of its MailHost
 * @param loss undefined where the stack does not have the resource yet
 * @param parent whose line in the display a warning goes to
 */
export function keeping(
  name: string,
  loss: Loss | undefined,
  parent: pulumi.Resource,
): pulumi.ResourceHookBinding {
  const monitor = pulumi.runtime.getMonitor();
  if (loss === undefined || monitor === undefined || !hasHooks()) return {};
  let guard = guards.get(monitor);
  if (guard === undefined) {
    const losses: Guard['losses'] = new Map();
    const report: pulumi.ResourceHookFunction = async (args) => {
      const lost = losses.get(args.name);
      if (lost?.loss.isRefused === true) throw new Error(lost.loss.message);
      if (lost) await pulumi.log.warn(lost.loss.message, lost.parent);
    };
    guard = { losses, binding: beforeCreate(`${name}: made anew`, report) };
    guards.set(monitor, guard);
  }
  guard.losses.set(name, { loss, parent });
  return guard.binding;
}

interface Guard {
  losses: Map<string, { loss: Loss; parent: pulumi.Resource }>;
  binding: pulumi.ResourceHookBinding;
}

/** One hook for all resources of a plan: with many domains each of its own would be a call to the engine more for each key. */
const guards = new WeakMap<object, Guard>();

/** Runs `check`, which may throw, before the resource `name` is made, in a preview as well. */
export function beforeCreate(
  name: string,
  check: pulumi.ResourceHookFunction,
): pulumi.ResourceHookBinding {
  return hasHooks()
    ? { beforeCreate: [new pulumi.ResourceHook(name, check, { onDryRun: true })] }
    : {};
}

/**
 * Runs `observe` before each resource that is bound to it is made or changed, in a preview as well.
 *
 * @returns undefined without hooks
 */
export const observing = (
  name: string,
  observe: pulumi.ResourceHookFunction,
): { beforeCreate: pulumi.ResourceHook[]; beforeUpdate: pulumi.ResourceHook[] } | undefined => {
  if (!hasHooks()) return undefined;
  const hooks = [new pulumi.ResourceHook(name, observe, { onDryRun: true })];
  return { beforeCreate: hooks, beforeUpdate: hooks };
};

/**
 * Adds to the error of a failed operation what it means and what to do.
 *
 * @param explain gives the errors, newest first, in words for the operator; undefined where they say it themselves
 */
export function explaining(
  name: string,
  explain: (args: pulumi.ErrorHookArgs) => Promise<string | undefined>,
  parent: pulumi.Resource,
): pulumi.ResourceHookBinding {
  if (!hasHooks()) return {};
  const hook = new pulumi.ErrorHook(name, async (args) => {
    const text = await explain(args);
    if (text !== undefined) await pulumi.log.error(text, parent);
    return false;
  });
  return { onError: [hook] };
}

/** Words of Go's packages `net` and `ssh`. */
const lostConnection = new RegExp(
  [
    /without exit status|connection lost|\bEOF\b|reset by peer|broken pipe|closed (?:network )?connection/,
    /unexpected packet|i\/o timeout|connection timed out|keepalive|network is unreachable/,
    /ssh: disconnect|ssh: rejected|open failed|must be connected/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'i',
);

/** An SSH connection as far as an error names it. */
interface Endpoint {
  host: string;
  port?: number;
  user?: string;
}

/**
 * Explains the errors of SSH itself, of which the plugin names neither host nor remedy.
 *
 * @param error of the plugin: the cause, the command, and what that wrote
 * @returns undefined where the command ran to its end, and failed by itself
 */
export function connectionError(
  error: string,
  { host, port = 22, user = 'root' }: Endpoint,
  ran: string,
): string | undefined {
  // What follows is the command's own output.
  const [cause = ''] = error.split(/:\s*running "/);
  const at = `${user}@${host}${port === 22 ? '' : `, port ${port}`}`;
  const line = cause.split(/\s+/).join(' ').trim();
  const [what = ''] = ran.split('\n');
  const shown = what.length > 60 ? `${what.slice(0, 60)}…` : what;
  if (/host key (?:mismatch|verification)|handshake failed: ssh: host key|Host denied/i.test(line))
    return `the machine at ${host} has another host key than this stack expects: it is not the host, or its key was changed by hand. Check in the provider's console which server has the address; to get back a server with the right key, increment serverGeneration, or correct machine.sshHostKey of a machine that is given (${line})`;
  if (/unable to authenticate|authentication methods failed/i.test(line))
    return `${at} does not accept this stack's SSH key: /root/.ssh/authorized_keys or sshd was changed by hand. Get in with a key of adminSshKeys or the provider's console and add \`pulumi stack output\`'s key again, or increment serverGeneration, or correct machine.sshPrivateKey of a machine that is given (${line})`;
  if (/failed attempts|dial tcp|no route to host|connection refused/i.test(line))
    return `${at} cannot be reached: the server is off or still boots, or a firewall between is closed (adminNetworks must hold the address that this machine comes from). Check the server in the provider's console, then run \`pulumi up\` again (${line})`;
  if (/from signal \w+|exited with status (?:129|137|143)\b/.test(line))
    return `\`${shown}\` was ended by a signal on ${at}: the host restarted, had no memory left, or somebody ended it. Check the host (journalctl --dmesg), then run \`pulumi up\` again: it repeats what did not end (${line})`;
  if (lostConnection.test(line))
    return `the connection to ${at} was lost while \`${shown}\` ran: the host restarted, or the network between failed. Check that it is up (the provider's console, or ssh ${user}@${host}), then run \`pulumi up\` again: it repeats what did not end (${line})`;
  return undefined;
}

/**
 * A command on the host, by SSH.
 *
 * It gets its own output of before not back as variables: sshd takes none, and the plugin would warn for each.
 *
 * @param unreachable what to do besides where the host cannot be reached any more
 */
export function hostCommand(
  name: string,
  args: command.remote.CommandArgs,
  opts: pulumi.CustomResourceOptions & { parent: pulumi.Resource },
  unreachable?: string,
): command.remote.Command {
  const known = <T>(input: pulumi.Input<T>) =>
    new Promise<pulumi.Unwrap<T>>((resolve) => {
      pulumi.output(input).apply(resolve);
    });
  const hooks = explaining(
    `${name}: connection`,
    async ({ errors }) => {
      const error = connectionError(
        errors[0] ?? '',
        await known(args.connection),
        (await known(args.create)) ?? '',
      );
      return error && [error, unreachable].filter(Boolean).join('. ');
    },
    opts.parent,
  );
  return new command.remote.Command(
    name,
    { addPreviousOutputInEnv: false, ...args },
    { ...opts, hooks },
  );
}
