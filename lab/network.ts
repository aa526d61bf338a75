import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FirewallRule } from './backend';
import { run, type Lab } from './state';

const v4 = (host: number) => `10.88.0.${host}`;
const v6 = (subnet: number, host: number) => `fd88:0:0:${subnet.toString(16)}::${host}`;

/**
 * The addresses of a lab, the same in each: a router joins the machines, the DNS servers, the remote mail system and, by
 * one link, the clients outside.
 */
export const addresses = {
  v4Network: `${v4(0)}/24`,
  v6Network: 'fd88:0:0::/48',
  router: { v4: v4(0), v6: v6(0xffff, 2) },
  /** Who works in the lab, as the lab sees it: mail clients, the engine. */
  outside: { v4: v4(1), v6: v6(0xffff, 1) },
  authoritative: { v4: v4(2), v6: v6(0, 2) },
  resolver: { v4: v4(3), v6: v6(0, 3) },
  remote: { v4: v4(4), v6: v6(0, 4) },
  acme: { v4: v4(5), v6: v6(0, 5) },
  ipv4Pool: Array.from({ length: 240 }, (_, i) => v4(10 + i)),
  ipv6Networks: Array.from({ length: 240 }, (_, i) => `${v6(0x100 + i, 0).slice(0, -1)}/64`),
};

export const metadataAddress = '169.254.169.254';

const ip = (...args: string[]) => run('ip', args);

/** Runs a command in one of the lab's network namespaces: `router`, `remote`, `acme`, or `mID` of a machine. */
export const inNamespace = (name: string, ...command: string[]) =>
  run('ip', ['netns', 'exec', name, ...command]);

/** Makes the router and the link to who works in the lab. */
export function createNetwork(): void {
  const { router, outside, authoritative, resolver, v4Network, v6Network } = addresses;
  const ns = 'router';
  ip('netns', 'add', ns);
  ip('-n', ns, 'link', 'set', 'lo', 'up');
  for (const address of [authoritative.v4, resolver.v4, metadataAddress]) {
    ip('-n', ns, 'addr', 'add', `${address}/32`, 'dev', 'lo');
  }
  for (const address of [authoritative.v6, resolver.v6]) {
    ip('-n', ns, 'addr', 'add', `${address}/128`, 'dev', 'lo', 'nodad');
  }
  // These settings are the namespace's own.
  inNamespace(
    ns,
    'sh',
    '-c',
    'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding',
  );

  ip('link', 'add', 'lab', 'type', 'veth', 'peer', 'name', 'outside', 'netns', ns);
  ip('-n', ns, 'addr', 'add', `${router.v4}/31`, 'dev', 'outside');
  ip('-n', ns, 'addr', 'add', `${router.v6}/64`, 'dev', 'outside', 'nodad');
  ip('-n', ns, 'link', 'set', 'outside', 'up');
  ip('addr', 'add', `${outside.v4}/31`, 'dev', 'lab');
  ip('addr', 'add', `${outside.v6}/64`, 'dev', 'lab', 'nodad');
  ip('link', 'set', 'lab', 'up');
  ip('route', 'add', v4Network, 'via', router.v4, 'src', outside.v4);
  ip('-6', 'route', 'add', v6Network, 'via', router.v6, 'src', outside.v6);
}

/**
 * Gives a machine its link as Hetzner does: the address alone on it, the gateway 172.31.1.1 and fe80::1.
 *
 * @param ns name of the namespace, and of the router's end of the link, e.g. `m3`
 * @param ipv6 an address with its prefix length
 */
export function createLink(ns: string, ipv4: string | undefined, ipv6: string | undefined): void {
  const router = 'router';
  const link = ns;
  ip('netns', 'add', ns);
  ip('-n', ns, 'link', 'set', 'lo', 'up');
  ip('-n', router, 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', ns);
  ip('-n', router, 'addr', 'add', '172.31.1.1/32', 'dev', link);
  ip('-n', router, 'addr', 'add', 'fe80::1/64', 'dev', link, 'nodad');
  ip('-n', router, 'link', 'set', link, 'up');
  ip('-n', ns, 'link', 'set', 'eth0', 'up');
  if (ipv4 !== undefined) {
    ip('-n', ns, 'addr', 'add', `${ipv4}/32`, 'dev', 'eth0');
    ip(
      '-n',
      ns,
      'route',
      'add',
      'default',
      'via',
      '172.31.1.1',
      'dev',
      'eth0',
      'onlink',
      'src',
      ipv4,
    );
    ip('-n', router, 'route', 'add', `${ipv4}/32`, 'dev', link);
  }
  if (ipv6 !== undefined) {
    const [address = '', length = '64'] = ipv6.split('/');
    const network = length === '128' ? ipv6 : `${address.replace(/::[0-9a-f]*$/, '::')}/${length}`;
    ip('-n', ns, 'addr', 'add', ipv6, 'dev', 'eth0', 'nodad');
    ip('-n', ns, 'route', 'add', 'default', 'via', 'fe80::1', 'dev', 'eth0', 'src', address);
    ip('-n', router, 'route', 'add', network, 'dev', link);
  }
}

/** The link goes first: the kernel takes those of a deleted namespace away later, and till then their names are in use. */
export function deleteNamespace(name: string): void {
  const links = run('ip', ['-n', name, '-brief', 'link', 'show']);
  if (links.includes('eth0')) ip('-n', name, 'link', 'del', 'eth0');
  ip('netns', 'del', name);
}

/** Takes the router and the link to it away, with all other namespaces of the lab. */
export function deleteNetwork(): void {
  for (const name of namespaces()) deleteNamespace(name);
}

export const namespaces = (): string[] =>
  run('ip', ['netns', 'list'])
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')
    .filter(Boolean);

/** Puts the cloud firewalls of all machines in force on the router, in one transaction. */
export function applyFirewalls(lab: Lab, rules: ReadonlyMap<number, FirewallRule[]>): void {
  const file = join(lab.dir, 'firewall.nft');
  writeFileSync(file, firewallText(rules));
  inNamespace('router', 'nft', '-f', file);
}

/** As Hetzner's: inbound is dropped but for the rules, outbound is free unless there are outbound rules; answers pass. */
function firewallText(rules: ReadonlyMap<number, FirewallRule[]>): string {
  const lines = ['table inet cloud', 'delete table inet cloud', 'table inet cloud {'];
  lines.push(
    '  chain forward {',
    '    type filter hook forward priority 0;',
    '    ct state established,related accept',
    '    meta l4proto ipv6-icmp icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept',
  );
  for (const [id, list] of rules) {
    const link = `m${id}`;
    for (const direction of ['in', 'out'] as const) {
      const own = list.filter((rule) => rule.direction === direction);
      if (direction === 'out' && own.length === 0) continue;
      const match = `${direction === 'in' ? 'oifname' : 'iifname'} "${link}"`;
      for (const rule of own) lines.push(...ruleLines(match, rule).map((line) => `    ${line}`));
      lines.push(`    ${match} drop`);
    }
  }
  lines.push('  }', '}', '');
  return lines.join('\n');
}

function ruleLines(match: string, rule: FirewallRule): string[] {
  const side = rule.direction === 'in' ? 'saddr' : 'daddr';
  const networks = rule.direction === 'in' ? rule.sourceIps : rule.destinationIps;
  return networks.map((network) => {
    const v6 = network.includes(':');
    const protocol = rule.protocol === 'icmp' ? (v6 ? 'ipv6-icmp' : 'icmp') : rule.protocol;
    const port = rule.port === undefined || rule.port === 'any' ? '' : ` th dport ${rule.port}`;
    return `${match} ${v6 ? 'ip6' : 'ip'} ${side} ${network} meta l4proto ${protocol}${port} accept`;
  });
}
