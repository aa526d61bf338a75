import { setFaults, faultsLeft, type Fault } from '../../lab/cloud/faults';
import { apiAccess } from '../../lab/env';
import type { Lab } from '../../lab/state';

type Wrong = Pick<Fault, 'done' | 'status'>;

/** The work is done, and the connection is cut before the answer. */
export const lost: Wrong = { done: true };
/** The work is done, and a gateway has given up waiting. */
export const late: Wrong = { done: true, status: 504 };
export const refused = (status: 423 | 429 | 500): Wrong => ({ done: false, status });

export const hcloud = (method: string, path: string, wrong: Wrong, times = 1): Fault => ({
  api: 'hcloud',
  method,
  path,
  times,
  ...wrong,
});
export const cloudflare = (method: string, wrong: Wrong, times = 1): Fault => ({
  api: 'cloudflare',
  method,
  path: '/zones/\\w+/dns_records(/\\w+)?',
  times,
  ...wrong,
});

/**
 * What went wrong on the way to a first `up` that is done, one round an `up`: each kind of fault on as many kinds of
 * resources as can be.
 */
export const cloudFaults: Fault[][] = [
  [
    hcloud('POST', '/ssh_keys', lost),
    hcloud('POST', '/firewalls', refused(500)),
    hcloud('POST', '/primary_ips', refused(429), 2),
    hcloud('POST', '/volumes', late),
  ],
  [
    hcloud('POST', '/servers', lost),
    hcloud('POST', '/primary_ips/\\d+/actions/change_dns_ptr', lost),
  ],
  [
    hcloud('POST', '/volumes/\\d+/actions/attach', refused(423), 2),
    hcloud('POST', '/primary_ips/\\d+/actions/change_dns_ptr', refused(423)),
    cloudflare('POST', late),
    cloudflare('POST', refused(429), 2),
    cloudflare('POST', lost, 2),
  ],
  [hcloud('POST', '/volumes/\\d+/actions/attach', lost), cloudflare('POST', refused(500), 2)],
];

/** Has the clouds do wrong during `work`; gives what of it they came to do. */
export async function withFaults(
  lab: Lab,
  faults: Fault[],
  work: () => Promise<unknown>,
): Promise<{ fault: Fault; times: number }[]> {
  setFaults(lab, faults);
  await work();
  const left = faultsLeft(lab);
  setFaults(lab, []);
  return faults
    .map((fault, i) => ({ fault, times: fault.times - left[i]!.times }))
    .filter(({ times }) => times > 0);
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

/**
 * What the accounts hold twice, and what the stack does not know of.
 *
 * @param state of the stack, as its backend keeps it
 */
export async function strays(lab: Lab, state: string): Promise<string[]> {
  const { resources = [] } = (
    JSON.parse(state) as {
      checkpoint: { latest: { resources?: { type: string; outputs?: Record<string, unknown> }[] } };
    }
  ).checkpoint.latest;
  const known = new Set(
    resources.map(({ type, outputs = {} }) =>
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
