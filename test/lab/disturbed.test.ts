import { describe, expect } from 'vitest';
import { onHost } from '../../lab/machines';
import { waitFor } from '../../lab/state';
import { done, killAt, type Bed, type Row } from '../faults/bed';
import { cloudFaults, holdings, settles, underFaults } from '../faults/cloud';
import { quickFaults } from '../faults/hostFaults';
import { killedMachine } from '../faults/kills';
import { hostTest } from './hosts';
import { reachable, step } from './testLab';

const it = hostTest();

async function show(fault: Row, bed: Bed): Promise<void> {
  console.log(`${fault.expected}: ${await fault.run(bed)}`);
}

describe('a deployment that is disturbed', () => {
  it('takes over nothing of another, and says so before anything is touched', async ({
    freshLab: bed,
  }) => {
    await bed.hetzner('firewalls', 'POST', { name: 'mail.example.org' });
    const before = await holdings(bed.lab);
    const { status, output } = await bed.stack.up();
    expect(status).not.toBe(0);
    expect(output).toContain(
      'Hetzner has a firewall mail.example.org that this stack did not make',
    );
    expect(output).not.toMatch(/at .*\.ts:\d+/);
    expect(await holdings(bed.lab)).toEqual(before);
  });

  it('takes over what the clouds made without its knowledge, and makes nothing twice', async ({
    freshLab: bed,
  }) => {
    const { lab, stack } = bed;
    const faults = cloudFaults.made.filter(({ method }) => method === 'POST');
    await step('the clouds fail', () => underFaults(lab, faults, () => stack.up()));
    await step('the engine is killed in the middle of the work on the host', async () => {
      expect(await killAt(stack, [done('Command mail-tls-secrets')])).toBeDefined();
      const [address] = onHost(lab, 'hostname --all-ip-addresses').split(' ');
      expect(reachable(lab, address!, [22, 25, 465, 587, 993])).toEqual([22]);
    });
    await step('it converges', () => settles(bed));
    const counts = [...(await holdings(lab))]
      .slice(0, 5)
      .map(([kind, items]) => [kind, items.length]);
    expect(counts).toEqual([
      ['ssh_keys', 1],
      ['primary_ips', 2],
      ['firewalls', 1],
      ['volumes', 1],
      ['servers', 1],
    ]);
  });

  it.for(quickFaults)('survives this: $what', async (fault, { freshHost }) => {
    await show(fault, freshHost);
  });
});

describe('a machine that is killed', () => {
  it('has every message that it acknowledged', async ({ freshHost }) => {
    await show(killedMachine(2), freshHost);
  });

  it('needs not be there for the end, nor be known to Hetzner', async ({ freshHost: host }) => {
    const servers = async () =>
      (await host.hetzner<{ servers: { id: number }[] }>('servers')).servers;
    const [server] = await servers();
    await host.hetzner(`servers/${server!.id}`, 'DELETE');
    await waitFor('the server is gone', async () => (await servers()).length === 0);
    const { status, output } = await host.stack.run(['destroy', '--yes', '--skip-preview']);
    expect(status, output).toBe(0);
    expect([...(await holdings(host.lab)).values()].flat()).toEqual([]);
  });
});
