import { strict as assert } from 'node:assert';
import { setFaults, faultsLeft, type Fault } from '../../lab/cloud/faults';
import { apiAccess } from '../../lab/apis';
import type { Lab } from '../../lab/state';
import { changes } from '../lab/testLab';
import { succeeds, type Bed, type Row } from './bed';

export type Wrong = Pick<Fault, 'done' | 'status' | 'silence'>;

const cut: Wrong = { done: false };
/** The work is done, and the connection is cut before the answer. */
export const lost: Wrong = { done: true };
/** The work is done, and a gateway has given up waiting. */
const late: Wrong = { done: true, status: 504 };
/** Nothing is done, and nothing answered until the connection is cut. */
export const silent: Wrong = { done: false, silence: 10 };
/** The same, but it is done. */
const silentlyDone: Wrong = { done: true, silence: 10 };
export const refused = (status: 423 | 429 | 500): Wrong => ({ done: false, status });

export const hcloud = (method: string, path: string, wrong: Wrong, times = 1): Fault => ({
  api: 'hcloud',
  method,
  path,
  times,
  ...wrong,
});
const cloudflare = (method: string, path: string, wrong: Wrong, times = 1): Fault => ({
  ...hcloud(method, path, wrong, times),
  api: 'cloudflare',
});
const records = '/zones/\\w+/dns_records';
const record = `${records}/\\w+`;

/** Each kind of fault on as many kinds of requests as can be, by what is being done. */
export const cloudFaults = {
  made: [
    hcloud('GET', '/servers', refused(429), 2),
    hcloud('GET', '/volumes', refused(500)),
    hcloud('GET', '/firewalls', silent),
    hcloud('GET', '/primary_ips', cut),
    hcloud('POST', '/ssh_keys', lost),
    hcloud('POST', '/firewalls', refused(500)),
    hcloud('POST', '/primary_ips', refused(429), 2),
    hcloud('POST', '/primary_ips', silentlyDone),
    hcloud('POST', '/volumes', late),
    hcloud('POST', '/servers', lost),
    hcloud('GET', '/actions/\\d+', refused(500)),
    hcloud('GET', '/actions/\\d+', refused(429), 2),
    hcloud('GET', '/actions/\\d+', cut),
    hcloud('POST', '/volumes/\\d+/actions/attach', refused(423), 2),
    hcloud('POST', '/volumes/\\d+/actions/attach', lost),
    hcloud('POST', '/primary_ips/\\d+/actions/change_dns_ptr', refused(423)),
    hcloud('POST', '/primary_ips/\\d+/actions/change_dns_ptr', lost),
    cloudflare('GET', '/zones', refused(429)),
    cloudflare('GET', '/zones/\\w+/dnssec', cut),
    cloudflare('GET', records, refused(500)),
    cloudflare('POST', records, late),
    cloudflare('POST', records, refused(429), 2),
    cloudflare('POST', records, lost, 2),
    cloudflare('POST', records, refused(500), 2),
    cloudflare('POST', records, silentlyDone),
    cloudflare('PATCH', '/zones/\\w+/dnssec', refused(500)),
    cloudflare('PATCH', '/zones/\\w+/dnssec', lost),
  ],
  changed: [
    hcloud('GET', '/servers', cut),
    hcloud('GET', '/volumes', refused(429)),
    hcloud('PUT', '/ssh_keys/\\d+', refused(500)),
    hcloud('PUT', '/primary_ips/\\d+', lost),
    hcloud('PUT', '/firewalls/\\d+', refused(423)),
    hcloud('PUT', '/volumes/\\d+', refused(429), 2),
    hcloud('PUT', '/servers/\\d+', silentlyDone),
    hcloud('POST', '/firewalls/\\d+/actions/set_rules', refused(423)),
    hcloud('POST', '/primary_ips/\\d+/actions/change_dns_ptr', late),
    cloudflare('GET', '/zones', refused(500)),
    cloudflare('GET', records, silent),
    cloudflare('PUT', record, refused(429), 2),
    cloudflare('PUT', record, refused(500)),
    cloudflare('PUT', record, late),
    cloudflare('PUT', record, lost),
    cloudflare('PUT', record, silent),
    // Of those that are new, and of those that take the place of others.
    cloudflare('POST', records, lost, 6),
  ],
  removed: [
    cloudflare('DELETE', record, refused(429), 2),
    cloudflare('DELETE', record, refused(500)),
    cloudflare('DELETE', record, silent),
    cloudflare('DELETE', record, lost),
  ],
  destroyed: [
    hcloud('POST', '/servers/\\d+/actions/shutdown', refused(423)),
    hcloud('DELETE', '/servers/\\d+', lost),
    hcloud('DELETE', '/volumes/\\d+', refused(423)),
    hcloud('DELETE', '/firewalls/\\d+', refused(500)),
    hcloud('DELETE', '/primary_ips/\\d+', silentlyDone),
    hcloud('DELETE', '/ssh_keys/\\d+', refused(429), 2),
    cloudflare('DELETE', record, refused(500)),
    cloudflare('DELETE', record, late),
  ],
};

export function described({ api, method, path, done, status, silence }: Fault): string {
  const place = path.replace(/\\[dw]\+/g, 'ID');
  const answer = status === undefined ? 'has its connection cut' : `is answered ${status}`;
  return (
    `${api === 'hcloud' ? 'Hetzner' : 'Cloudflare'}: ${method} ${place} ${answer}` +
    `${silence === undefined ? '' : ` after ${silence} s of silence`}${done ? ', though it is done' : ''}`
  );
}

/**
 * Works again and again, until each fault has come as often as it was to.
 *
 * @returns how often
 */
export async function underFaults(
  lab: Lab,
  faults: Fault[],
  work: (attempt: number) => Promise<{ output: string }>,
): Promise<number> {
  const left = () => faultsLeft(lab).filter(({ times }) => times > 0);
  setFaults(lab, faults);
  try {
    for (let attempt = 1; ; attempt++) {
      const before = JSON.stringify(left());
      const { output } = await work(attempt);
      if (left().length === 0) return attempt;
      assert.notEqual(JSON.stringify(left()), before, `never came: ${before}; ${output}`);
    }
  } finally {
    setFaults(lab, []);
  }
}

/** An `up` succeeds, the next one has nothing to do, and nothing is left that the stack does not know of. */
export async function settles(bed: Bed, ...options: string[]): Promise<void> {
  await succeeds(bed, ...options);
  const again = await succeeds(bed);
  assert.deepEqual(Object.keys(changes(again)), ['unchanged'], again);
  assert.deepEqual(await strays(bed), [], 'left behind or made twice');
}

const row = (
  what: keyof typeof cloudFaults,
  meanwhile: string,
  work: Pick<Row, 'expected' | 'from' | 'run'>,
): Row => ({
  name: `cloud-${what}`,
  what: `the clouds fail while ${meanwhile}`,
  parts: cloudFaults[what].map((fault) => ({
    what: `${described(fault)}, while ${meanwhile}`,
    runs: fault.times,
  })),
  ...work,
});

/** What an `up` after them is to come to. */
const converges = 'an `up` after all of these converges, 0 duplicates, 0 orphans';
const times = (count: number, what: string) => `${count} \`${what}\` met with them`;

export const makingRow = row('made', 'a host is made', {
  expected: converges,
  from: 'nothing',
  run: async (bed) => {
    const ups = await underFaults(bed.lab, cloudFaults.made, () => bed.stack.up());
    await settles(bed);
    return times(ups, 'up');
  },
});

export const changeRows: Row[] = [
  row('changed', 'it is changed', {
    expected: converges,
    run: async (bed) => {
      const { lab, stack } = bed;
      // What the clouds call anything by the host's name gets another.
      await stack.set('mailhost:hostName', 'mx.example.org');
      const confirmed = 'rename mail.example.org to mx.example.org';
      await stack.set('mailhost:confirm[0]', confirmed, '--path');
      await stack.set('mailhost:adminNetworks[0]', '0.0.0.0/0', '--path');
      await stack.set('mailhost:domains[0].dmarcPolicy', 'quarantine', '--path');
      await park(bed);
      const ups = await underFaults(lab, cloudFaults.changed, () => stack.up());
      await settles(bed);
      return times(ups, 'up');
    },
  }),
  row('removed', 'a domain is removed', {
    expected: `${converges}; with \`--refresh\`, as Cloudflare does not have what it deleted`,
    run: async (bed) => {
      const { lab, stack } = bed;
      await park(bed);
      await succeeds(bed);
      await stack.unset('mailhost:domains[2]');
      await stack.set('mailhost:confirm[0]', 'remove example.com', '--path');
      const ups = await underFaults(lab, cloudFaults.removed, () => stack.up());
      await settles(bed, '--refresh');
      return times(ups, 'up');
    },
  }),
  row('destroyed', 'all is destroyed', {
    expected: 'a `destroy --refresh` after all of these ends it, 0 orphans',
    run: async ({ lab, stack }) => {
      const destroy = (...options: string[]) =>
        stack.run(['destroy', '--yes', '--skip-preview', ...options]);
      const destroys = await underFaults(lab, cloudFaults.destroyed, (attempt) =>
        destroy(...(attempt > 1 ? ['--refresh'] : [])),
      );
      const { status, output } = await destroy('--refresh');
      assert.equal(status, 0, output);
      assert.deepEqual([...(await holdings(lab)).values()].flat(), [], 'left behind');
      return times(destroys, 'destroy');
    },
  }),
];

/** A third domain, without mail: records alone. */
async function park({ stack }: Bed): Promise<void> {
  await stack.set('mailhost:domains[2].name', 'example.com', '--path');
  await stack.set('mailhost:domains[2].parked', 'true', '--path');
}

interface Item {
  id: number | string;
  name: string;
  type?: string;
  content?: string;
}

/** Whatever the two accounts hold, by kind: one line for each thing. */
export async function holdings(lab: Lab): Promise<Map<string, string[]>> {
  const access = apiAccess(lab);
  const ask = async <T>(url: string, token: string): Promise<T> => {
    const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
    return (await response.json()) as T;
  };
  const found = new Map<string, string[]>();
  for (const kind of ['ssh_keys', 'primary_ips', 'firewalls', 'volumes', 'servers']) {
    const answer = await ask<Record<string, Item[]>>(
      `${access.HCLOUD_ENDPOINT}/${kind}`,
      access.HCLOUD_TOKEN,
    );
    found.set(
      kind,
      answer[kind]!.map(({ name }) => name),
    );
  }
  const zones = await ask<{ result: Item[] }>(
    `${access.CLOUDFLARE_BASE_URL}/zones`,
    access.CLOUDFLARE_API_TOKEN,
  );
  for (const zone of zones.result) {
    const { result } = await ask<{ result: Item[] }>(
      `${access.CLOUDFLARE_BASE_URL}/zones/${zone.id}/dns_records`,
      access.CLOUDFLARE_API_TOKEN,
    );
    found.set(
      zone.name,
      result.map(({ type, name, content }) => `${type} ${name} ${content}`),
    );
  }
  return found;
}

/** What the accounts hold twice, and what the stack does not know of. */
async function strays({ lab, stack }: Bed): Promise<string[]> {
  const known = new Set(
    stack
      .resources()
      .map(({ type, outputs = {} }) =>
        type === 'cloudflare:index/dnsRecord:DnsRecord'
          ? `${String(outputs.type)} ${String(outputs.name)} ${String(outputs.content)}`
          : String(outputs.name),
      ),
  );
  return [...(await holdings(lab))].flatMap(([kind, items]) =>
    items
      .filter((item, i) => !known.has(item) || items.indexOf(item) !== i)
      .map((item) => `${kind}: ${item}`),
  );
}
