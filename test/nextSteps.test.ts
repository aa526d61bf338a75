import { expect, it } from 'vitest';
import { mailClient, nextSteps, openTasks } from '../components/nextSteps';

const zone = { id: 'z', name: 'example.org', status: 'active', nameServers: ['a.ns', 'b.ns'] };

it('names what only a person can do', () => {
  const checkOutput = 'mail works\nWARNING: outbound port 25 seems to be blocked (timed out)\n';
  expect(
    openTasks([zone, { ...zone, name: 'example.net', status: 'pending' }], {}, checkOutput),
  ).toEqual([
    'At the registrar of example.net, set the name servers to a.ns and b.ns',
    'outbound port 25 seems to be blocked (timed out)',
  ]);
  expect(openTasks([zone], {}, 'mail works\n')).toEqual([]);
});

it('asks for the DS record once it would do no harm, and until it is there', () => {
  const ds = { 'example.org': 'example.org. 3600 IN DS 1 13 2 ab' };
  const task =
    'At the registrar of example.org, set the DS record example.org. 3600 IN DS 1 13 2 ab';
  for (const dnssec of ['disabled', 'pending'])
    expect(openTasks([{ ...zone, dnssec }], ds, '')).toEqual([task]);
  expect(openTasks([{ ...zone, dnssec: 'active' }], ds, '')).toEqual([]);
  expect(openTasks([zone], {}, '')).toEqual([]);
  const undelegated = openTasks([{ ...zone, status: 'pending', dnssec: 'pending' }], ds, '');
  expect(undelegated).toHaveLength(1);
  expect(undelegated.join()).toContain('name servers');
});

it('tells a person all of it as text', () => {
  const client = mailClient('mail.example.org', 'virtual');
  expect(nextSteps(client, [], true)).toBe(
    [
      'Mail clients:',
      '  IMAP: mail.example.org, port 993, TLS',
      '  SMTP: mail.example.org, port 465, TLS',
      '  SMTP: mail.example.org, port 587, STARTTLS',
      '  ManageSieve: mail.example.org, port 4190, STARTTLS',
      '  user name: the whole mail address',
      '  to trust: the CA in `pulumi stack output caCertPem`',
      'Nothing is left to do.',
    ].join('\n'),
  );
  const withPublicCa = nextSteps(client, ['Call them'], false);
  expect(withPublicCa).toMatch(/Left to do:\n {2}- Call them$/);
  expect(withPublicCa).not.toContain('to trust');
});
