import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { apiAccess } from '../../lab/apis';
import { Stack } from '../../lab/stack';
import type { Lab } from '../../lab/state';
import { hostTest } from './hosts';
import { zoneOf } from './testLab';

const it = hostTest();

/** A stack whose default providers are disabled, and would not be let in. */
async function stackOf(lab: Lab): Promise<Stack> {
  const stack = new Stack(lab, undefined, join(__dirname, 'ownProviders'));
  const { HCLOUD_TOKEN, CLOUDFLARE_API_TOKEN } = apiAccess(lab);
  Object.assign(stack.env, {
    GIVEN_HCLOUD: HCLOUD_TOKEN,
    GIVEN_CLOUDFLARE: CLOUDFLARE_API_TOKEN,
    HCLOUD_TOKEN: 'x'.repeat(64),
    CLOUDFLARE_API_TOKEN: 'x'.repeat(40),
  });
  await stack.select();
  return stack;
}

describe('providers that a program gives', () => {
  it('answer the checks and make the host, with default providers disabled', async ({
    freshLab: { lab },
  }) => {
    const stack = await stackOf(lab);
    const { status, output } = await stack.run(['preview']);
    expect(status, output).toBe(0);
    expect(output).toMatch(/\+ \d+ to create/);

    const zone = await zoneOf(lab, 'example.org');
    await zone.create({ type: 'TXT', name: 'example.org', content: '"v=spf1 -all"', ttl: 300 });
    const stopped = await stack.run(['preview']);
    expect(stopped.status).not.toBe(0);
    expect(stopped.output).toContain('example.org already has TXT "v=spf1 -all"');

    stack.env.GIVEN_HCLOUD = 'y'.repeat(64);
    const refused = await stack.run(['preview']);
    expect(refused.output).toMatch(
      /Hetzner Cloud does not answer .*Check the token of the hcloud provider that is given/,
    );
  });
});
