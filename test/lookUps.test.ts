import { expect, it } from 'vitest';
import { causeOf, LookUps } from '../components/preflight/lookUps';

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
  lookUps.ask(
    { api: 'cloudflare', call: 'getZone', about, mistake },
    Promise.reject(new Error(message)),
  );

it('gives an answer, and has no mistake then', async () => {
  const lookUps = new LookUps();
  expect(await lookUps.ask({ api: 'hcloud', call: 'x' }, Promise.resolve(7))).toBe(7);
  expect(lookUps.mistakes()).toEqual([]);
});

it('joins what fails for the same cause, and keeps apart what the provider answers of each', async () => {
  const lookUps = new LookUps();
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
])('knows when the provider was not reached: %s', async (message) => {
  const lookUps = new LookUps();
  await ask(lookUps, 'a.example', message, 'no zone a');
  expect(lookUps.mistakes().join()).toMatch(
    /^Cloudflare does not answer getZone of a\.example: .*Check the network/,
  );
});
