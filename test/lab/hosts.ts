import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, inject, test } from 'vitest';
import { apiAccess } from '../../lab/apis';
import { isKept } from '../../lab/keep';
import { endLab, saveLab, startLab } from '../../lab/lifecycle';
import { onHost } from '../../lab/machines';
import { sendFromRemote, type Login } from '../../lab/mail';
import { loginOf, passwords } from '../../lab/proof';
import type { OutsideMessage } from '../../lab/remote/mailbox';
import type { Result, StackOutputs } from '../../lab/stack';
import { withLock } from '../../lab/lock';
import { stateRoot, waitFor, type Lab } from '../../lab/state';
import { keepEvidence, type Task } from './evidence';
import { testLabName } from './leftLabs';
import { TestStack, type Settings } from './testLab';

/** A lab whose stack `dev` has nothing in it yet. */
export class BareLab {
  readonly stack: TestStack;

  constructor(readonly lab: Lab) {
    this.stack = new TestStack(lab).lean();
  }

  /**
   * `pulumi up`, with settings changed before.
   *
   * @returns what the engine printed
   * @throws Error with that, where it fails
   */
  async up(settings: Settings = {}, ...options: string[]): Promise<string> {
    await this.stack.setAll(settings);
    const { status, output } = await this.stack.run(['up', '--yes', '--skip-preview', ...options]);
    if (status !== 0) throw new Error(output);
    return output;
  }

  /**
   * `pulumi preview` with settings changed, which it gives back.
   *
   * @returns what the engine printed, and its exit status
   */
  async preview(settings: Settings, ...options: string[]): Promise<Result> {
    return this.stack.temporarily(async () => {
      await this.stack.setAll(settings);
      return this.stack.run(['preview', ...options]);
    });
  }

  /**
   * Asks Hetzner's API, as its owner does.
   *
   * @param path e.g. `servers/1`
   * @returns the answer, `{}` where there is no text
   * @throws Error with the answer, where it is no success
   */
  async hetzner<T>(path: string, method = 'GET', body?: object): Promise<T> {
    const { HCLOUD_ENDPOINT: base, HCLOUD_TOKEN: token } = apiAccess(this.lab);
    const response = await fetch(`${base}/${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${text}`);
    return JSON.parse(text || '{}') as T;
  }
}

/** A finished mail host: the stack `dev`, with the settings of the test file on top. */
export class Host extends BareLab {
  get outputs(): StackOutputs {
    return this.stack.outputs();
  }

  login(user: keyof typeof passwords): Login {
    return loginOf(this.outputs, user);
  }

  /** Runs a shell command as root on the host and gives what it printed. */
  shell(command: string): string {
    return onHost(this.lab, command);
  }

  /** Lets the remote mail system send a message, from Erika unless it says otherwise; gives the host's answer. */
  receive(message: { to: string; subject: string } & Partial<OutsideMessage>): Promise<string> {
    return sendFromRemote(this.lab, { from: erika, text: 'x', ...message });
  }

  async queueIsEmpty(): Promise<void> {
    await waitFor('the queue is empty', () => this.shell('smtpctl show queue') === '');
  }
}

/** Somebody at the remote mail system. */
export const erika = 'erika@remote.example';

interface Fixtures {
  /** Shared with the other tests of the file that ask for it: a test leaves it as it was, but for mail. */
  host: Host;
  /** Of this test alone. */
  freshHost: Host;
  /** Of this test alone, for what begins from nothing. */
  freshLab: BareLab;
}

/** What a cell has room for: one lab. */
let current: { lab: Lab; shared?: { host: Host; kind: Kind } } | undefined;

/** What is done to a host before it is kept. What that writes below the lab's folder is kept, too. */
type Preparation = (host: Host) => Promise<void>;

/** What makes a host another one than that of other files. */
interface Kind {
  settings: Settings;
  prepare?: Preparation;
}

/**
 * Vitest's `test` with labs for those that ask. A host is a copy of one that was made once by `pulumi up` from nothing, and
 * then by another with the settings.
 *
 * @param prepare done after that; another text of this function, but not of those that it calls, makes another host
 */
export function hostTest(settings: Settings = {}, prepare?: Preparation) {
  const kind: Kind = { settings, prepare };
  afterAll(endCurrent);
  return test.extend<Fixtures>({
    host: async ({ task }, use) => {
      const { shared } = current ?? {};
      await use(shared?.kind === kind ? shared.host : await begin(kind, true, task));
      await conclude(task);
    },
    freshHost: async ({ task }, use) => {
      await use(await begin(kind, false, task));
      await conclude(task);
    },
    freshLab: async ({ task }, use) => {
      await use(await beginBare(task));
      await conclude(task);
    },
  });
}

async function begin(kind: Kind, shared: boolean, task: Task): Promise<Host> {
  await endCurrent();
  const name = await keptHost(kind, task);
  const lab = await newLab(task, name);
  return orEnd(lab, task, async () => {
    const host = new Host(lab);
    await hostAnswers(host.outputs.ipv4);
    current = { lab, ...(shared && { shared: { host, kind } }) };
    return host;
  });
}

async function beginBare(task: Task): Promise<BareLab> {
  await endCurrent();
  const lab = await newLab(task);
  return orEnd(lab, task, async () => {
    const bare = new BareLab(lab);
    await bare.stack.select();
    current = { lab };
    return bare;
  });
}

/** A test that failed leaves evidence, and no lab for another. */
async function conclude(task: Task): Promise<void> {
  const failed = task.result?.state === 'fail';
  if (failed && current) keepEvidence(current.lab, task);
  if (failed || !current?.shared) await endCurrent();
}

/** Work without which a lab is of no use: where it fails the lab ends, with evidence, and leaves its cell to another. */
async function orEnd<T>(lab: Lab, task: Task, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    keepEvidence(lab, task);
    await endLab(lab);
    throw error;
  }
}

async function endCurrent(): Promise<void> {
  const ending = current;
  current = undefined;
  if (ending) await endLab(ending.lab);
}

function newLab(task: Task, from?: string): Promise<Lab> {
  const name = testLabName(inject('run'));
  return orEnd({ name, dir: join(stateRoot, name) }, task, () => startLab(name, from));
}

/** When a host that boots takes mail and logins. */
export async function hostAnswers(address: string): Promise<void> {
  const happens = (event: 'connect' | 'data', port: number) =>
    new Promise<boolean>((resolve) => {
      const socket = connect({ host: address, port, timeout: 20_000 });
      const end = (answered: boolean) => {
        socket.destroy();
        resolve(answered);
      };
      socket.on(event, () => end(true));
      for (const failure of ['error', 'timeout', 'close']) socket.on(failure, () => end(false));
    });
  await waitFor(
    'the host answers on ports 25 and 993',
    async () => (await happens('data', 25)) && (await happens('connect', 993)),
  );
}

/**
 * The name of a kept host with these settings on top of the stack `dev`, and so prepared; it is made where there is none.
 *
 * @throws Error with what the engine printed, where an `up` fails
 */
async function keptHost({ settings, prepare }: Kind, task: Task): Promise<string> {
  const finished = 'test-host';
  await onceKept(finished, async () => {
    const lab = await newLab(task);
    await orEnd(lab, task, async () => {
      // As users run it.
      const stack = new TestStack(lab);
      await stack.select();
      const { status, output } = await stack.up();
      if (status !== 0) throw new Error(output);
    });
    await saveLab(lab, finished);
  });
  if (Object.keys(settings).length === 0 && prepare === undefined) return finished;
  const words = JSON.stringify(settings) + (prepare?.toString() ?? '');
  const hash = createHash('sha256').update(words).digest('hex');
  const name = `${finished}-${hash.slice(0, 12)}`;
  await onceKept(name, async () => {
    const lab = await newLab(task, finished);
    await orEnd(lab, task, async () => {
      const host = new Host(lab);
      await hostAnswers(host.outputs.ipv4);
      await host.up(settings);
      await prepare?.(host);
    });
    await saveLab(lab, name);
  });
  return name;
}

/** Makes a kept lab where there is none of that name. */
async function onceKept(name: string, make: () => Promise<void>): Promise<void> {
  if (isKept(name)) return;
  await withLock(`kept-${name}`, async () => {
    if (!isKept(name)) await make();
  });
}
