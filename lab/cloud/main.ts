import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Backend, FirewallRule } from '../backend';
import { acmeRecords, acmeZone, serverCa, startAcme } from '../acme';
import { mountOverlay, serviceImage } from '../images';
import { Machines } from '../machines';
import { addresses, applyFirewalls } from '../network';
import { bogusZone, Dns } from '../dns';
import { dnsLists } from '../dnsLists';
import { currentLab, run, say, type Lab } from '../state';
import { cloudflareApi } from './cloudflare/api';
import { injectFaults } from './faults';
import { hcloudApi } from './hcloud/api';
import { offersOf } from './offers';
import { apiTokens, ports } from '../apis';
import { connectPackageProxy } from '../packages';
import { startBackupServer } from '../backupServer';
import { remoteRecords, remoteZone } from '../remote/zone';

/** The zones of the lab's Cloudflare account. */
export const accountZones = ['example.org', 'example.net', 'example.com', 'xn--bcher-kva.example'];

async function main(): Promise<void> {
  const lab = currentLab();
  const root = mountOverlay(serviceImage(), join(lab.dir, 'services'));
  run('mount', ['--bind', '--make-private', '/dev', join(root, 'dev')]);
  run('mount', ['-t', 'proc', 'lab', join(root, 'proc')]);
  run('mount', ['-t', 'tmpfs', '-o', 'mode=1777', 'lab', join(root, 'dev/shm')]);
  // Empty, as after a boot: Knot does not start where the process ID in the file of an earlier one is in use.
  run('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'lab', join(root, 'run')]);
  await connectPackageProxy(lab, root);
  startBackupServer(lab, root);
  const { remote } = addresses;
  const dns = new Dns(
    lab,
    root,
    {
      'lab-cloud.example': [],
      [remoteZone]: remoteRecords(lab.dir, remote),
      [bogusZone]: [{ name: bogusZone, type: 'A', ttl: 300, rdata: remote.v4 }],
      [acmeZone]: acmeRecords(),
      ...dnsLists,
    },
    { [remote.v4]: `mx.${remoteZone}`, [remote.v6]: `mx.${remoteZone}` },
    accountZones,
  );
  await dns.start();

  const backend = labBackend(lab, dns);
  const { hcloud, cloudflare } = ports;
  const tokens = apiTokens(lab.dir);
  const store = (api: string) => join(lab.dir, `${api}.json`);
  const apis = {
    hcloud: hcloudApi(backend, store('hcloud'), tokens.hcloud, () => offersOf(lab)),
    cloudflare: cloudflareApi(backend, store('cloudflare'), tokens.cloudflare, accountZones),
  };
  injectFaults(apis.hcloud, 'hcloud', lab);
  injectFaults(apis.cloudflare, 'cloudflare', lab);
  // The registrar is no part of Cloudflare, but a door like the API's.
  apis.cloudflare.post<{ Params: { zone: string } }>('/registrar/:zone', ({ params }) => ({
    ds: dns.delegate(params.zone),
  }));
  await apis.cloudflare.listen({ host: '127.0.0.1', port: cloudflare });
  // The machines of a copy of a kept lab boot meanwhile.
  await apis.hcloud.listen({ host: '127.0.0.1', port: hcloud });
  await startAcme(lab);
  say(`Hetzner Cloud API on port ${hcloud}, Cloudflare API on port ${cloudflare}`);
  // The last thing made: `up` waits for it.
  writeFileSync(join(lab.dir, 'ready'), '');
}

function labBackend(lab: Lab, dns: Dns): Backend {
  const machines = new Machines(lab);
  const firewalls = new Map<number, FirewallRule[]>();
  const { ipv4Pool, ipv6Networks } = addresses;
  const now = (action: () => void) => Promise.resolve().then(action);
  return {
    network: { ipv4Pool, ipv6Networks },
    createMachine: async (spec) => {
      machines.create(spec, dns.rootFiles(), serverCa(lab));
      await machines.powerOn(spec.id);
    },
    deleteMachine: async (id) => {
      await machines.delete(id);
      firewalls.delete(id);
      applyFirewalls(lab, firewalls);
    },
    connectMachine: (id) => now(() => machines.connect(id)),
    setAddresses: (id, own) => now(() => machines.setAddresses(id, own)),
    powerOn: (id) => machines.powerOn(id),
    powerOff: (id) => machines.powerOff(id),
    shutdown: (id) => machines.shutdown(id),
    reboot: (id) => machines.reboot(id),
    createVolume: ({ id, sizeGb, format }) => now(() => machines.createVolume(id, sizeGb, format)),
    resizeVolume: (id, sizeGb) => now(() => machines.resizeVolume(id, sizeGb)),
    deleteVolume: (id) => now(() => machines.deleteVolume(id)),
    attachVolume: (id, machineId) => now(() => machines.attachVolume(id, machineId)),
    detachVolume: (id) => now(() => machines.detachVolume(id)),
    setFirewall: (id, rules) =>
      now(() => {
        if (rules === undefined) firewalls.delete(id);
        else firewalls.set(id, rules);
        applyFirewalls(lab, firewalls);
      }),
    setReverse: (address, name) => dns.setReverse(address, name),
    putZone: (zone, records) => dns.putZone(zone, records),
    sign: (zone, signed) => dns.sign(zone, signed),
    dnssec: (zone) => dns.dnssec(zone),
  };
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
