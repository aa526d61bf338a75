import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, utils } from 'ssh2';
import { serve, type Log, type Properties } from '../resourceProvider';

interface Connection {
  host: string;
  port?: number;
  user?: string;
  password?: string;
  privateKey?: string;
  privateKeyPassword?: string;
  hostKey?: string;
  dialErrorLimit?: number;
  perDialTimeout?: number;
}

/** Dials until the limit of errors; 0 means for ever. */
async function connect(connection: Connection, log: Log): Promise<Client> {
  const limit = connection.dialErrorLimit ?? 10;
  let wait = 100;
  for (let errors = 1; ; errors++) {
    try {
      return await dial(connection);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (limit > 0 && errors >= limit) {
        throw new Error(`after ${errors} failed attempts: ${message}`, { cause: error });
      }
      log(`Dial ${errors}${limit > 0 ? `/${limit}` : ''} failed: retrying`);
      await sleep(wait);
      wait = Math.min(wait * 1.5, 5000);
    }
  }
}

function dial(connection: Connection): Promise<Client> {
  const pinned = connection.hostKey === undefined ? undefined : parseHostKey(connection.hostKey);
  return new Promise((resolve, reject) => {
    const client = new Client();
    client.on('ready', () => resolve(client));
    client.on('error', reject);
    client.connect({
      host: connection.host,
      port: connection.port ?? 22,
      username: connection.user ?? 'root',
      password: connection.password,
      privateKey: connection.privateKey,
      passphrase: connection.privateKeyPassword,
      readyTimeout: (connection.perDialTimeout ?? 15) * 1000,
      ...(pinned && {
        algorithms: { serverHostKey: [pinned.type] },
        hostVerifier: (key: Buffer) => key.equals(pinned.key),
      }),
    });
  });
}

function parseHostKey(line: string) {
  const parsed = utils.parseKey(line);
  if (parsed instanceof Error) throw new Error(`hostKey: ${parsed.message}`);
  return { type: parsed.type, key: parsed.getPublicSSH() };
}

async function runScript(
  script: string,
  inputs: Properties,
  previous: Properties | undefined,
  log: Log,
) {
  const logging = (inputs.logging ?? 'stdoutAndStderr') as string;
  const client = await connect(inputs.connection as Connection, log);
  try {
    return await new Promise<Properties>((resolve, reject) => {
      const environment = { ...(inputs.environment as Record<string, string> | undefined) };
      if (previous !== undefined && inputs.addPreviousOutputInEnv !== false) {
        environment.PULUMI_COMMAND_STDOUT = (previous.stdout ?? '') as string;
        environment.PULUMI_COMMAND_STDERR = (previous.stderr ?? '') as string;
      }
      // sshd takes only what its AcceptEnv names, and does not say what it left out.
      client.exec(script, { env: environment }, (error, channel) => {
        if (error) return reject(error);
        const [stdout, stderr, both] = [collector(), collector(), collector()];
        const take = (own: ReturnType<typeof collector>, shown: boolean) => (chunk: Buffer) => {
          own.add(chunk);
          both.add(chunk);
          if (shown) for (const line of chunk.toString().trimEnd().split('\n')) log(line);
        };
        channel.on('data', take(stdout, ['stdout', 'stdoutAndStderr'].includes(logging)));
        channel.stderr.on('data', take(stderr, ['stderr', 'stdoutAndStderr'].includes(logging)));
        channel.on('close', (status: number | undefined, signal: string | undefined) => {
          if (status === 0) return resolve({ stdout: stdout.text(), stderr: stderr.text() });
          const end = status === undefined ? (signal ?? 'connection lost') : `status ${status}`;
          reject(new Error(`Process exited with ${end}: running "${script}":\n${both.text()}`));
        });
        channel.on('error', reject);
        channel.end((inputs.stdin as string | undefined) ?? '');
        return undefined;
      });
    });
  } finally {
    client.end();
  }
}

function collector() {
  const chunks: Buffer[] = [];
  return {
    add: (chunk: Buffer) => void chunks.push(chunk),
    text: () => Buffer.concat(chunks).toString().replace(/\n$/, ''),
  };
}

const script = (value: unknown) => value as string | undefined;

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
      replaces: ['triggers'],
      computed: ['stdout', 'stderr'],
      changing: ['stdout', 'stderr'],
      defaults: { addPreviousOutputInEnv: true },
      create: async (inputs, log) => ({
        id: `command${randomBytes(16).toString('hex')}`,
        outputs:
          inputs.create === undefined
            ? { stdout: '', stderr: '' }
            : await runScript(script(inputs.create)!, inputs, undefined, log),
      }),
      update: async (_id, inputs, state, log) => {
        const change = script(inputs.update) ?? script(inputs.create);
        return change === undefined ? {} : runScript(change, inputs, state, log);
      },
      delete: async (_id, state, log) => {
        if (state.delete !== undefined) await runScript(script(state.delete)!, state, state, log);
      },
    },
  },
});
