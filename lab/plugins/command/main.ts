import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, utils, type ClientChannel, type ConnectConfig } from 'ssh2';
import type { Context } from '../resource';
import { serve } from '../resourceProvider';
import { isObject, type Properties } from '../values';

interface Connection {
  host: string;
  port?: number;
  user?: string;
  password?: string;
  privateKey?: string;
  privateKeyPassword?: string;
  agentSocketPath?: string;
  hostKey?: string;
  dialErrorLimit?: number;
  perDialTimeout?: number;
}

const connectionFields = [
  'host',
  'port',
  'user',
  'password',
  'privateKey',
  'privateKeyPassword',
  'agentSocketPath',
  'hostKey',
  'dialErrorLimit',
  'perDialTimeout',
];

/** What the official plugin writes into each connection. */
const connectionDefaults = { user: 'root', port: 22, dialErrorLimit: 10, perDialTimeout: 15 };

const logged: Record<string, ('stdout' | 'stderr')[]> = {
  stdout: ['stdout'],
  stderr: ['stderr'],
  stdoutAndStderr: ['stdout', 'stderr'],
  none: [],
};

/** Dials until it gets through: after the first error up to `dialErrorLimit` times more, for ever where that is -1. */
async function connect(connection: Connection, { log, signal }: Context): Promise<Client> {
  const { dialErrorLimit: limit = 10 } = connection;
  const config = clientConfig(connection);
  let wait = 100;
  for (let dials = 1; ; dials++) {
    const client = new Client();
    // Others may follow the error that `once` takes; later ones close the open channel, which reports them.
    client.on('error', () => undefined);
    try {
      client.connect({ ...config, sock: await dial(connection, signal) });
      await once(client, 'ready', { signal });
      return client;
    } catch (error) {
      client.destroy();
      if (limit >= 0 && dials > limit) {
        const message = dialError(error as NodeJS.ErrnoException, connection);
        throw new Error(`after ${dials - 1} failed attempts: ${message}`, { cause: error });
      }
      log(`Dial ${dials}/${limit < 0 ? 'inf' : limit} failed: retrying`);
      await sleep(wait, undefined, { signal });
      wait = Math.min(wait * 1.5, 5000);
    }
  }
}

/** In the words of Go's `net` and `golang.org/x/crypto/ssh`. */
function dialError(
  { code, message }: NodeJS.ErrnoException,
  { host, port = 22 }: Connection,
): string {
  const known: Record<string, string> = {
    ECONNREFUSED: 'connection refused',
    EHOSTUNREACH: 'no route to host',
    ETIMEDOUT: 'i/o timeout',
  };
  if (code !== undefined && code in known) {
    return `dial tcp ${host}:${port}: connect: ${known[code]}`;
  }
  if (message.startsWith('Host denied')) return 'ssh: handshake failed: ssh: host key mismatch';
  return message.startsWith('All configured authentication')
    ? 'ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey], no supported methods remain'
    : message;
}

/** `perDialTimeout` is for the TCP connection alone. */
async function dial(
  { host, port = 22, perDialTimeout = 15 }: Connection,
  signal: AbortSignal,
): Promise<Socket> {
  const socket = createConnection({ host, port });
  if (perDialTimeout > 0) {
    socket.setTimeout(perDialTimeout * 1000, () =>
      socket.destroy(new Error(`dial tcp ${host}:${port}: i/o timeout`)),
    );
  }
  await once(socket, 'connect', { signal });
  return socket.setTimeout(0);
}

function clientConfig(connection: Connection): ConnectConfig {
  const pinned = connection.hostKey === undefined ? undefined : parseHostKey(connection.hostKey);
  return {
    username: connection.user ?? 'root',
    password: connection.password,
    privateKey: connection.privateKey,
    passphrase: connection.privateKeyPassword,
    agent: connection.agentSocketPath ?? process.env.SSH_AUTH_SOCK,
    // The handshake may take as long as it takes.
    readyTimeout: 0,
    ...(pinned && {
      algorithms: { serverHostKey: [pinned.type] },
      hostVerifier: (key: Buffer) => key.equals(pinned.key),
    }),
  };
}

function parseHostKey(line: string) {
  const parsed = utils.parseKey(line);
  if (parsed instanceof Error) throw new Error(`hostKey: ${parsed.message}`);
  return { type: parsed.type, key: parsed.getPublicSSH() };
}

/** What ssh2 keeps to itself. */
interface Internals {
  _protocol: { env: (channel: number, key: string, value: string, wantReply: boolean) => void };
  _chanMgr: {
    _channels: Record<
      string,
      { outgoing: { id: number }; _callbacks: ((failed: boolean | Error) => void)[] }
    >;
  };
}

/** Asks for an answer to each variable, as ssh2 does not: sshd takes only those that its AcceptEnv names. */
function watchVariables(client: Client, refused: (name: string) => void): void {
  const { _protocol: protocol, _chanMgr: channels } = client as unknown as Internals;
  const send = protocol.env.bind(protocol);
  protocol.env = (id, name, value) => {
    const channel = Object.values(channels._channels).find(({ outgoing }) => outgoing.id === id)!;
    channel._callbacks.push((failed) => failed && refused(name));
    send(id, name, value, true);
  };
}

/** The official plugin's words, line breaks included. */
const refusedVariable = (
  name: string,
) => `Unable to set '${name}'. This only works if your SSH server is configured to accept
\tthese variables via AcceptEnv. Alternatively, if a Bash-like shell runs the command on the remote host, you could
\tprefix the command itself with the variables in the form 'VAR=value command'`;

/** Their numbers (signal(7)), which the official plugin adds to 128. */
const signalNumbers: Record<string, number> = {
  ABRT: 6,
  ALRM: 14,
  FPE: 8,
  HUP: 1,
  ILL: 4,
  INT: 2,
  KILL: 9,
  PIPE: 13,
  QUIT: 3,
  SEGV: 11,
  TERM: 15,
};

/**
 * Runs a command over SSH.
 *
 * @param previous what the last run wrote, for the command's environment
 * @throws Error with the exit status and all that the command wrote
 */
async function run(
  command: string,
  inputs: Properties,
  previous: Properties,
  context: Context,
): Promise<{ stdout: string; stderr: string }> {
  const client = await connect(inputs.connection as Connection, context);
  const abort = () => client.destroy();
  context.signal.addEventListener('abort', abort);
  try {
    const given = (inputs.environment ?? {}) as Record<string, string>;
    const env = { ...given };
    const refused: string[] = [];
    watchVariables(client, (name) => {
      if (name in given) refused.push(name);
      else context.warn(refusedVariable(name));
    });
    if (inputs.addPreviousOutputInEnv !== false) {
      if (previous.stdout) env.PULUMI_COMMAND_STDOUT = previous.stdout as string;
      if (previous.stderr) env.PULUMI_COMMAND_STDERR = previous.stderr as string;
    }
    const channel = await new Promise<ClientChannel>((resolve, reject) => {
      client.exec(command, { env }, (error, opened) => (error ? reject(error) : resolve(opened)));
    });

    // The official plugin does not even start the command then.
    if (refused.length > 0) {
      throw new Error(`could not set environment variable "${refused[0]}": ssh: setenv failed`);
    }

    const shown = new PassThrough();
    const lines = createInterface({ input: shown }).on('line', context.log);
    const collected = { stdout: [] as Buffer[], stderr: [] as Buffer[], both: [] as Buffer[] };
    const take = (stream: 'stdout' | 'stderr') => (chunk: Buffer) => {
      collected[stream].push(chunk);
      collected.both.push(chunk);
      if (logged[(inputs.logging as string | undefined) ?? 'stdoutAndStderr']!.includes(stream)) {
        shown.write(chunk);
      }
    };
    channel.on('data', take('stdout'));
    channel.stderr.on('data', take('stderr'));
    channel.end(inputs.stdin ?? '');
    const [status, signal] = (await once(channel, 'close')) as [number | undefined, string?];
    shown.end();
    await once(lines, 'close');

    const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString();
    if (status !== 0) {
      const name = signal?.replace(/^SIG/, '') ?? '';
      const end =
        status === undefined
          ? 'wait: remote command exited without exit status or exit signal'
          : status === null
            ? `Process exited with status ${128 + (signalNumbers[name] ?? 0)} from signal ${name}`
            : `Process exited with status ${status}`;
      throw new Error(`${end}: running ${JSON.stringify(command)}:\n${text(collected.both)}`);
    }
    const output = (chunks: Buffer[]) => text(chunks).replace(/\n$/, '');
    return { stdout: output(collected.stdout), stderr: output(collected.stderr) };
  } finally {
    context.signal.removeEventListener('abort', abort);
    client.end();
  }
}

function check(inputs: Properties): Record<string, string> {
  const strange = Object.keys(inputs.connection ?? {}).filter((n) => !connectionFields.includes(n));
  return {
    ...(strange.length > 0 && {
      connection: `the stand-in plugin has no such field: ${strange.join(', ')}`,
    }),
    ...(inputs.logging !== undefined &&
      !((inputs.logging as string) in logged) && {
        logging: `must be one of ${Object.keys(logged).join(', ')}`,
      }),
  };
}

serve({
  name: 'command',
  version: '1.2.1',
  resources: {
    'command:remote:Command': {
      inputs: [
        'addPreviousOutputInEnv',
        'connection',
        'create',
        'delete',
        'environment',
        'logging',
        'stdin',
        'triggers',
        'update',
      ],
      required: ['connection'],
      replaces: ['triggers'],
      computed: ['stdout', 'stderr'],
      changing: ['stdout', 'stderr'],
      secrets: ['connection'],
      normal: (inputs) =>
        isObject(inputs.connection)
          ? { ...inputs, connection: { ...connectionDefaults, ...inputs.connection } }
          : inputs,
      check,
      create: async (inputs, context) => ({
        id: `command${randomBytes(8).toString('hex')}`,
        outputs: await runIf(inputs.create, inputs, {}, context),
      }),
      update: (_id, inputs, state, context) =>
        runIf(inputs.update ?? inputs.create, inputs, state, context),
      delete: async (_id, state, context) => {
        await runIf(state.delete, state, state, context);
      },
    },
  },
});

async function runIf(
  command: unknown,
  inputs: Properties,
  { stdout = '', stderr = '' }: Properties,
  context: Context,
): Promise<Properties> {
  return command === undefined
    ? { stdout, stderr }
    : run(command as string, inputs, { stdout, stderr }, context);
}
