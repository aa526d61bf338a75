import { describe, expect, it, vi } from 'vitest';
import * as pulumi from '@pulumi/pulumi';
import { connectionError } from '../components/hooks';
import { MailHost } from '../components/mailHost';
import { example } from './example';
import { record } from './mocks';

const host = { host: '192.0.2.1' };
const ran = 'mailhost activate opensmtpd --change 3';

describe('connectionError', () => {
  it.each([
    'wait: remote command exited without exit status or exit signal',
    'Connection lost before the process exited',
    'ssh: unexpected packet in response to channel open: <nil>',
    'read tcp 192.0.2.9:5000->192.0.2.1:22: read: connection reset by peer',
    'read tcp 192.0.2.9:5000->192.0.2.1:22: read: connection timed out',
    'write tcp 192.0.2.9:5000->192.0.2.1:22: write: network is unreachable',
    'ssh: rejected: administratively prohibited (open failed)',
    'ssh: disconnect, reason 11: shutting down',
    'use of closed connection',
    'EOF',
  ])('names host, cause and remedy of a connection that is lost: %s', (cause) => {
    const text = connectionError(`${cause}: running "${ran}":\nhalf a line`, host, ran);
    expect(text).toContain(
      'the connection to root@192.0.2.1 was lost while `mailhost activate opensmtpd',
    );
    expect(text).toContain('run `pulumi up` again');
    expect(text).toContain(cause);
    expect(text).not.toContain('half a line');
  });

  it.each([
    ['dial tcp 192.0.2.1:22: connect: connection refused', 'cannot be reached'],
    ['dial tcp 192.0.2.1:22: i/o timeout', 'adminNetworks'],
    ['dial tcp 192.0.2.1:22: connect: no route to host', 'cannot be reached'],
    ['ssh: handshake failed: ssh: host key mismatch', 'another host key'],
    [
      'ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey], no supported methods remain',
      "does not accept this stack's SSH key",
    ],
    ['ssh: handshake failed: EOF', 'cannot be reached'],
  ])('explains why no connection came about: %s', (cause, words) => {
    const text = connectionError(`after 10 failed attempts: ${cause}`, host, ran);
    expect(text).toContain(words);
    expect(text).toContain('192.0.2.1');
  });

  it.each([
    'Process exited with status 143 from signal TERM',
    'Process exited with status 143',
    'Process exited with status 137 from signal KILL',
  ])('names host, cause and remedy of a command that a signal ended: %s', (cause) => {
    const text = connectionError(`${cause}: running "${ran}":\nhalf a line`, host, ran);
    expect(text).toContain(`\`${ran}\` was ended by a signal on root@192.0.2.1`);
    expect(text).toContain('run `pulumi up` again');
    expect(text).toContain(`(${cause})`);
  });

  it('leaves a command alone that failed by itself, whatever it wrote', () => {
    const wrote =
      'Process exited with status 1: running "x":\nconnection refused, EOF, host key mismatch';
    expect(connectionError(wrote, host, ran)).toBeUndefined();
  });

  it('shows no more of a command than tells which it is', () => {
    const long = `timeout 600 cloud-init status --wait; python3 -c '${'x'.repeat(500)}\nimport os'`;
    const text = connectionError('EOF', { host: '192.0.2.1', port: 2222, user: 'x' }, long)!;
    expect(text).toContain('x@192.0.2.1, port 2222');
    expect(text.length).toBeLessThan(400);
  });
});

describe('each command of a mail host', () => {
  it.each([{}, { drift: 'stop', tls: { acceptTerms: true }, accountKind: 'system' } as const])(
    'gets no output of before as variables, and explains a connection that is lost: %j',
    async (change) => {
      const error = vi.spyOn(pulumi.log, 'error').mockResolvedValue();
      const resources = await record(
        (opts) => void new MailHost('mail', { ...example, ...change }, opts),
      );
      const commands = resources.filter(({ type }) => type === 'command:remote:Command');
      expect(commands.length).toBeGreaterThan(10);
      for (const { name, inputs, options } of commands) {
        expect(inputs.addPreviousOutputInEnv, name).toBe(false);
        const [hook] = options.hooks?.onError ?? [];
        error.mockClear();
        await hook!.callback({ errors: ['EOF'] } as unknown as pulumi.ErrorHookArgs);
        expect(error.mock.calls[0]![0], name).toContain(
          'the connection to root@192.0.2.1 was lost',
        );
        expect(error.mock.calls[0]![0], name).not.toContain('PRIVATE KEY');
      }
      error.mockRestore();
    },
  );
});
