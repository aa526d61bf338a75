import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Server } from 'ssh2';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { wholePair } from '../../lab/plugins/tls/wholePair';
import { output, Plugin, secret, unknown, type Values } from './plugin';

describe('command', () => {
  const { private: hostKey, public: hostKeyPublic } = wholePair().pair;
  const { private: privateKey } = wholePair().pair;
  let plugin: Plugin;
  let sshd: Server;
  let connection: Values;
  let ran: { command: string; stdin: string; env: Values }[] = [];
  /** The variables that sshd takes, as its AcceptEnv names them. */
  let accepted = /^/;
  const connectionDefaults = { user: 'root', dialErrorLimit: 10, perDialTimeout: 15 };

  beforeAll(async () => {
    // Says what it was asked; ends with the status that the command names.
    sshd = new Server({ hostKeys: [hostKey] }, (client) => {
      client.on('error', () => undefined);
      client.on('authentication', (attempt) =>
        attempt.method === 'publickey' ? attempt.accept() : attempt.reject(['publickey']),
      );
      client.on('session', (acceptSession) => {
        const env: Values = {};
        const session = acceptSession();
        session.on('env', (accept, reject, { key, val }) => {
          if (!accepted.test(key)) return reject();
          env[key] = val;
          accept();
        });
        session.on('exec', (acceptExec, _reject, { command }) => {
          const channel = acceptExec();
          let stdin = '';
          channel.on('data', (chunk: Buffer) => (stdin += chunk.toString()));
          channel.once('end', () => {
            // The client may be gone by then.
            if (!channel.writable || !channel.stderr.writable) return;
            ran.push({ command, stdin, env });
            if (command === 'be cut off') {
              client.end();
              return;
            }
            channel.write('out 1\nout ');
            channel.write('2\n');
            channel.stderr.write('err\n');
            channel.exit(Number(/exit (\d+)/.exec(command)?.[1] ?? 0));
            channel.end();
          });
        });
      });
    });
    sshd.listen(0, '127.0.0.1');
    await once(sshd, 'listening');
    const { port } = sshd.address() as AddressInfo;
    connection = { host: '127.0.0.1', port, privateKey, hostKey: hostKeyPublic };
    plugin = await Plugin.start('command', 'command:remote:Command');
  });
  afterAll(() => {
    plugin.stop();
    sshd.close();
  });
  beforeEach(() => {
    ran = [];
    plugin.logged.length = 0;
    plugin.warned.length = 0;
  });

  it('makes the connection a secret, and refuses what it does not know without telling it', async () => {
    const { inputs } = await plugin.check({ connection, create: 'true' });
    expect(inputs).toEqual({
      connection: secret({ ...connectionDefaults, ...connection }),
      create: 'true',
    });
    const { failures } = await plugin.check({
      connection: { ...connection, privatekey: 'KEY' },
      logging: 'loud',
      dir: '/',
    });
    expect(failures).toEqual([
      'dir: the stand-in plugin has no such input',
      'connection: the stand-in plugin has no such field: privatekey',
      'logging: must be one of stdout, stderr, stdoutAndStderr, none',
    ]);
  });

  it('plans with inputs that are not known yet, secret or wrapped as outputs', async () => {
    const inputs = {
      connection: secret({ host: unknown, hostKey: unknown }),
      create: output({ secret: false }),
      stdin: output({ value: 'in', secret: true }),
    };
    expect((await plugin.check(inputs)).failures).toEqual([]);
    const { id, state } = await plugin.create(inputs, true);
    expect(id).toBe('');
    expect(state).toEqual({
      connection: secret({ host: unknown, hostKey: unknown }),
      create: unknown,
      stdin: secret('in'),
      stdout: unknown,
      stderr: unknown,
    });
    expect(ran).toEqual([]);
  });

  it('runs, logs line by line, and keeps secrets', async () => {
    const { id, state } = await plugin.create({
      connection: secret(connection),
      create: 'make it',
      stdin: secret('in'),
    });
    expect(id).toMatch(/^command[0-9a-f]{16}$/);
    expect(state).toEqual({
      connection: secret(connection),
      create: 'make it',
      stdin: secret('in'),
      stdout: 'out 1\nout 2',
      stderr: 'err',
    });
    expect(ran).toEqual([{ command: 'make it', stdin: 'in', env: {} }]);
    expect([...plugin.logged].sort()).toEqual(['err', 'out 1', 'out 2']);

    plugin.logged.length = 0;
    await plugin.create({ connection, create: 'x', logging: 'none' });
    expect(plugin.logged).toEqual([]);
  });

  it('updates with the last output in its environment, and deletes where it is told how', async () => {
    const state = { connection, create: 'a', stdout: 'was', stderr: '' };
    await plugin.update('id', state, { connection, create: 'b' });
    await plugin.update('id', state, { connection, create: 'b', update: 'c' });
    await plugin.delete('id', { ...state, delete: 'd' });
    await plugin.delete('id', state);
    const env = { PULUMI_COMMAND_STDOUT: 'was' };
    expect(ran.map(({ command }) => command)).toEqual(['b', 'c', 'd']);
    expect(ran.map((each) => each.env)).toEqual([env, env, env]);
    const planned = await plugin.update('id', state, { connection, create: 'b' }, true);
    expect(planned).toMatchObject({ stdout: unknown, stderr: unknown, create: 'b' });
  });

  it('warns of each variable that sshd does not take, as the official plugin does', async () => {
    accepted = /^LC_/;
    const state = { connection, create: 'a', stdout: 'was', stderr: 'so' };
    const refused = (name: string) =>
      `Unable to set '${name}'. This only works if your SSH server is configured to accept\n\tthese variables via AcceptEnv.`;
    await plugin.update('id', state, { connection, create: 'b' });
    expect(plugin.warned).toHaveLength(2);
    expect(plugin.warned[0]).toContain(refused('PULUMI_COMMAND_STDOUT'));
    expect(plugin.warned[1]).toContain(refused('PULUMI_COMMAND_STDERR'));
    expect(ran.map(({ command, env }) => [command, env])).toEqual([['b', {}]]);
    plugin.warned.length = 0;
    await plugin.update('id', state, { connection, create: 'b', addPreviousOutputInEnv: false });
    expect(plugin.warned).toEqual([]);
    await expect(
      plugin.create({ connection, create: 'x', environment: { FOO: 'bar' } }),
    ).rejects.toThrow('could not set environment variable "FOO"');
    accepted = /^/;
  });

  it('tells of a connection that is lost no more than the official plugin', async () => {
    await expect(plugin.create({ connection, create: 'be cut off' })).rejects.toThrow(
      'wait: remote command exited without exit status or exit signal: running "be cut off"',
    );
  });

  it('goes on with what the official plugin left', async () => {
    const official = {
      __defaults: [],
      addPreviousOutputInEnv: null,
      connection: secret({
        ...connectionDefaults,
        ...connection,
        agentSocketPath: null,
        password: null,
        privateKeyPassword: null,
        proxy: null,
      }),
      create: 'a',
      delete: null,
      environment: null,
      logging: null,
      stdin: null,
      triggers: null,
      update: null,
    };
    const state = { ...official, stdout: 'x', stderr: '' };
    const { inputs } = await plugin.check({ connection: secret(connection), create: 'a' });
    expect((await plugin.diff(official, inputs, state)).details).toEqual({});
    expect((await plugin.read('id', state, official)).id).toBe('id');
    await plugin.update('id', state, inputs);
    await plugin.delete('id', state);
    expect(ran.map(({ command }) => command)).toEqual(['a']);
  });

  it('tells the status and all output of a failure', async () => {
    await expect(plugin.create({ connection, create: 'exit 7' })).rejects.toThrow(
      /^2 UNKNOWN: Process exited with status 7: running "exit 7":\n(out 1\nout 2\nerr|err\nout 1)/,
    );
  });

  it('refuses another host key, and gives up after the limit of errors', async () => {
    const other = wholePair().pair.public;
    const wrong = { ...connection, hostKey: other, dialErrorLimit: 1 };
    await expect(plugin.create({ connection: wrong, create: 'x' })).rejects.toThrow(
      'after 1 failed attempts: ssh: handshake failed: ssh: host key mismatch',
    );
    expect(plugin.logged).toEqual(['Dial 1/1 failed: retrying']);
    expect(ran).toEqual([]);
  });

  it('says in the words of the official plugin why no connection came about', async () => {
    const shut = { ...connection, port: 1, dialErrorLimit: 0 };
    await expect(plugin.create({ connection: shut, create: 'x' })).rejects.toThrow(
      'after 0 failed attempts: dial tcp 127.0.0.1:1: connect: connection refused',
    );
  });

  it('replaces for triggers and updates for the rest', async () => {
    const before = { connection, create: 'a', triggers: ['x'] };
    expect(await plugin.diff(before, { ...before, triggers: ['y'], stdin: 'in' })).toMatchObject({
      details: { 'triggers[0]': 'UPDATE_REPLACE', stdin: 'ADD' },
      replaces: ['triggers'],
    });
    expect((await plugin.diff(before, before)).details).toEqual({});
  });

  it('stops dialling when it is cancelled', async () => {
    const nowhere = { ...connection, port: 1, dialErrorLimit: -1 };
    const attempt = expect(plugin.create({ connection: nowhere, create: 'x' })).rejects.toThrow();
    while (plugin.logged.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
    await plugin.cancel();
    await attempt;
  });
});
