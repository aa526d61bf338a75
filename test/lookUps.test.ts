import type * as pulumi from '@pulumi/pulumi';
import { expect, it } from 'vitest';
import { cloudflareDns } from '../components/dns/cloudflare';
import { causeOf, hetzner, LookUps } from '../components/preflight/lookUps';

it.each([
  [
    'invoking hcloud:index/getServers:getServers: 1 error occurred:\n\t* unable to authenticate (unauthorized, 2b9f0123456789ab)\n\n',
    'unable to authenticate (unauthorized)',
  ],
  [
    'API request failed: An unexpected error was encountered during an API request.\n\nunable to authenticate (unauthorized, 2b9f0123456789ab)\n\nError code: unauthorized\nStatus code: 401\n',
    'API request failed: unable to authenticate (unauthorized)',
  ],
  [
    'failed to make http request: GET "https://api.cloudflare.com/client/v4/zones?name=x": 403 Forbidden {"success":false,"errors":[{"code":9109,"message":"Invalid access token"}],"messages":[],"result":null}',
    'Invalid access token',
  ],
  [
    'GET /ssh_keys: 401 unable to authenticate (unauthorized)',
    'GET /ssh_keys: 401 unable to authenticate (unauthorized)',
  ],
  ['x'.repeat(500), `${'x'.repeat(200)}…`],
])('quotes the cause alone, in one line: %s', (message, cause) => {
  expect(causeOf(new Error(message))).toBe(cause);
});

const ask = (lookUps: LookUps, about: string, message: string, mistake?: string) =>
  lookUps.ask({ api: cloudflareDns.api, call: 'getZone', about, mistake }, () =>
    Promise.reject(new Error(message)),
  );

it('gives an answer, and has no mistake then', async () => {
  const lookUps = new LookUps({});
  const answer = { name: 'cx23' };
  const query = { api: hetzner, call: 'getServerType' };
  expect(await lookUps.ask(query, () => Promise.resolve(answer))).toBe(answer);
  expect(lookUps.mistakes()).toEqual([]);
});

it('joins what fails for the same cause, and keeps apart what the provider answers of each', async () => {
  const lookUps = new LookUps({});
  await ask(lookUps, 'b.example', 'Invalid access token', 'no zone b');
  await ask(lookUps, 'a.example', 'Invalid access token', 'no zone a');
  await ask(lookUps, 'token.example', '0 zones are named token.example', 'no zone token');
  expect(lookUps.mistakes()).toEqual([
    'Cloudflare does not answer getZone of a.example, getZone of b.example: Invalid access token. Check cloudflare:apiToken (or CLOUDFLARE_API_TOKEN): the token needs Zone:Read and DNS:Edit for these zones',
    'no zone token (getZone: 0 zones are named token.example)',
  ]);
});

it.each([
  'connect ECONNREFUSED 127.0.0.1:443',
  'Get "https://api.cloudflare.com": dial tcp: lookup api.cloudflare.com: no such host',
  'context deadline exceeded (Client.Timeout exceeded)',
  '429 Too Many Requests',
  '503 Service Unavailable',
  'Get "https://api": tls: failed to verify certificate: x509: certificate signed by unknown authority',
  'Get "https://api": x509: certificate has expired or is not yet valid',
  'remote error: tls: handshake failure',
  'unable to verify the first certificate',
  "invalid character '<' looking for beginning of value",
  'unexpected end of JSON input',
  'Unexpected token \'<\', "<html>" is not valid JSON',
  'Get "https://api": Proxy Authentication Required',
  'dial tcp 192.0.2.1:443: connect: network is unreachable',
  'write tcp 192.0.2.1:50123->192.0.2.2:443: write: broken pipe',
  'http2: server sent GOAWAY and closed',
  'stream error: stream ID 1; INTERNAL_ERROR; received from peer',
  'socket hang up',
  'other side closed',
  'context canceled',
  '520 Web Server Returned an Unknown Error',
  'Too Many Requests',
  'Bad Gateway',
  'Service Unavailable',
  'Internal Server Error',
  'we are in maintenance (maintenance, 0123456789abcdef)',
  'a service error occurred (service_error, 0123456789abcdef)',
  'cluster is currently unavailable (unavailable, 0123456789abcdef)',
])('knows when the provider was not reached: %s', async (message) => {
  const lookUps = new LookUps({});
  await ask(lookUps, 'a.example', message, 'no zone a');
  expect(lookUps.mistakes().join()).toMatch(
    /^Cloudflare does not answer getZone of a\.example: .*Check the network/,
  );
});

it.each(['Resource monitor is terminating', 'Error: Channel has been shut down'])(
  'says nothing of a plan that the engine has ended, which says why: %s',
  async (message) => {
    const lookUps = new LookUps({});
    const fail = () => Promise.reject<object>(new Error(message));
    const asked = [lookUps.ask({ api: hetzner, call: 'getServers' }, fail), lookUps.tryTo(fail)];
    const later = new Promise((resolve) => setImmediate(() => resolve('later')));
    expect(await Promise.race([...asked, later])).toBe('later');
    expect(lookUps.mistakes()).toEqual([]);
  },
);

/** Look-ups of a resource that has a provider of its own. */
const ofGiven = () =>
  new LookUps({ parent: { getProvider: () => ({}) } as unknown as pulumi.Resource });

it.each([
  [
    '401 unauthorized',
    'Check the token of the cloudflare provider that is given to the mail host: ',
  ],
  ['connection refused', 'and the address of the API in the cloudflare provider that is given to'],
  ['else', 'Check the token of the cloudflare provider that is given to the mail host, and run it'],
])('names the provider that is given instead of a setting: %s', async (message, remedy) => {
  const lookUps = ofGiven();
  await ask(lookUps, 'a.example', message);
  expect(lookUps.mistakes()).toEqual([expect.stringContaining(remedy)]);
  expect(lookUps.mistakes().join()).not.toContain('cloudflare:');
});

it('says of a provider that is not configured yet what to create first', async () => {
  const lookUps = ofGiven();
  for (const call of ['getServers', 'getVolumes'])
    expect(await lookUps.ask({ api: hetzner, call }, () => Promise.resolve({}))).toBeUndefined();
  expect(lookUps.mistakes()).toEqual([
    'Hetzner Cloud cannot answer getServers, getVolumes yet: the hcloud provider that is given to the mail host takes its configuration from a resource that is yet to be created. Create that first, by `pulumi up --target`',
  ]);
});

it.each([
  ['errors: [{"message": "first"}, {"message":"second \\"x\\""}]', 'first; second \\"x\\"'],
  ['2 errors occurred:\n\t* one\n\t* two.', 'one two'],
  ['12 errors occurred: x:', 'x'],
  ['prefix: invoking cloudflare:index/getZone:getZone: a;', 'a'],
  ['not (found, 0123456789abcdef), (gone, 01234567)', 'not (found), (gone)'],
  ['not (found, 0123456)', 'not (found, 0123456)'],
  ['a * b', 'a * b'],
  ['x'.repeat(200), 'x'.repeat(200)],
  ['x'.repeat(201), `${'x'.repeat(200)}…`],
])('finds the cause in %j', (message, cause) => {
  expect(causeOf(new Error(message))).toBe(cause);
});

const kindOf = async (message: string) => {
  const lookUps = new LookUps({});
  await ask(lookUps, 'a.example', message, 'no zone a');
  const [mistake] = lookUps.mistakes();
  if (mistake!.startsWith('no zone a')) return 'answer';
  return mistake!.includes('Check the network') ? 'network' : 'token';
};

it.each([
  [
    'token',
    'Unauthorized, unauthorised, not authenticated, no authorization, Forbidden, bad token, credentials, 401, 403, 400 Invalid request headers',
  ],
  [
    'network',
    'ECONNRESET, ENOTFOUND, EAI_AGAIN, ETIMEDOUT, no such host, dial tcp, connection refused, timed out, timeout, fetch failed, EOF, rate limit, ratelimit, rate-limit, 429, 500, 503',
  ],
  [
    'answer',
    '0 zones, 1401, 4030, 4290, 5000, 510, EOFS, nothing of that name, Resource (location) was not found: name="x", Could not route to /client/v4/zones/0, perhaps your object identifier is invalid?',
  ],
])('takes for a matter of the %s: %s', async (kind, messages) => {
  for (const message of messages.split(', ')) expect(await kindOf(message), message).toBe(kind);
});

it('tells what to check of each provider, by what failed', async () => {
  const lookUps = new LookUps({});
  const fail = (call: string, message: unknown, about?: string) =>
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- some libraries reject with no Error
    lookUps.ask({ api: hetzner, call, about }, () => Promise.reject(message));
  await fail('getServers', new Error('odd'));
  await fail('getVolumes', 'odd');
  await fail('getServers', new Error('odd'));
  await fail('getServers', new Error('dial tcp'));
  await fail('getLocation', new Error('401'), 'fsn1');
  expect(lookUps.mistakes()).toEqual([
    'Hetzner Cloud does not answer getLocation of fsn1: 401. Check hcloud:token (or HCLOUD_TOKEN): it must be a read and write token of the project',
    'Hetzner Cloud does not answer getServers, getVolumes: odd. Check hcloud:token (or HCLOUD_TOKEN), and run it again',
    'Hetzner Cloud does not answer getServers: dial tcp. Check the network, the status page of Hetzner Cloud, and hcloud:endpoint (or HCLOUD_ENDPOINT) where it is set; then run it again',
  ]);
});
