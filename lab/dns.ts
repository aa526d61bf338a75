import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import ipaddr from 'ipaddr.js';
import type { ZoneRecord } from './backend';
import { nameServers } from './cloud/cloudflare/zone';
import { readJson, writeJson } from './jsonFile';
import { addresses } from './network';
import { run, say, startUntil, waitFor, type Lab } from './state';

/** Of the addresses of a lab. */
const reverseZones = ['0.88.10.in-addr.arpa', '0.0.0.0.0.0.0.0.8.8.d.f.ip6.arpa'];

/** A zone that its parent vouches for with another key: whoever validates has no answer from it. */
export const bogusZone = 'bogus.example';

export interface RootFiles {
  key: string;
  hints: string;
}

/**
 * The lab's DNS: Knot answers for the root and for every zone, each delegated from its parent and signed; unbound is the
 * validating resolver that starts at that root. Zones of customers are signed once they ask for it, and their parents
 * vouch for them once the registrar is told.
 */
export class Dns {
  private readonly records = new Map<string, ZoneRecord[]>();
  private readonly serials = new Map<string, number>();
  private readonly reverseNames = new Map<string, string>();
  private readonly signed: Set<string>;
  /** Zones whose DS record is in the parent; of those of customers the lab keeps it over a restart. */
  private readonly delegated: Set<string>;
  private readonly delegatedFile: string;

  /**
   * @param root root file system with knot and unbound in it
   * @param zones records by names without final dot, parents of the lab's own making left out
   * @param pointers names by address
   * @param customerZones further ones
   */
  constructor(
    private readonly lab: Lab,
    private readonly root: string,
    zones: Record<string, ZoneRecord[]>,
    pointers: Record<string, string>,
    private readonly customerZones: string[],
  ) {
    const own = [...reverseZones, ...Object.keys(zones)];
    const signed = ['', ...topLevels([...own, ...customerZones]), ...own];
    for (const zone of [...signed, ...customerZones]) this.records.set(zone, zones[zone] ?? []);
    for (const [address, name] of Object.entries(pointers))
      this.reverseNames.set(reverseName(address), name);
    for (const zone of reverseZones) this.records.set(zone, this.reverseRecords(zone));
    this.delegatedFile = join(lab.dir, 'delegated.json');
    const delegated = readJson<string[]>(this.delegatedFile, []);
    this.signed = new Set([...signed, ...delegated]);
    this.delegated = new Set([...signed, ...delegated]);
  }

  /** Starts both servers; ready when the resolver validates an answer. */
  async start(): Promise<void> {
    const { authoritative, resolver } = addresses;
    this.put('etc/knot/lab.conf', this.knotConfig());
    for (const dir of ['lab/zones', 'lab/keys', 'lab/journal', 'lab/timers', 'run/knot']) {
      mkdirSync(join(this.root, dir), { recursive: true });
    }
    const hadKeys = this.hasKeys();
    for (const zone of this.records.keys()) this.writeZone(zone);
    await this.inRouter('knot', ['knotd', '-c', '/etc/knot/lab.conf'], () =>
      this.isSigned('', true),
    );
    if (!hadKeys) this.delegateSigned();

    const { key, hints } = this.rootFiles();
    this.put('etc/unbound/root.key', key);
    this.put('etc/unbound/root.hints', hints);
    this.put('etc/unbound/lab.conf', unboundConfig(resolver));
    await this.inRouter('unbound', ['unbound', '-d', '-c', '/etc/unbound/lab.conf'], () =>
      this.dig(resolver.v4, '+dnssec', '.', 'SOA').includes('Flags: qr rd ra ad'),
    );
    say(`DNS on ${authoritative.v4} (authoritative) and ${resolver.v4} (resolver)`);
  }

  /** What a validating resolver starts from: the root's key and name servers, in the form of Debian's dns-root-data. */
  rootFiles(): RootFiles {
    const { v4, v6 } = addresses.authoritative;
    return {
      key: this.dsRecords('')
        .map((rdata) => `. IN DS ${rdata}\n`)
        .join(''),
      hints: nameServers
        .map((name) => `. NS ${name}.\n${name}. A ${v4}\n${name}. AAAA ${v6}\n`)
        .join(''),
    };
  }

  /** Publishes the zone's records, besides the SOA, NS and keys that are the server's own matter. */
  async putZone(zone: string, records: ZoneRecord[]): Promise<void> {
    const present = this.records.get(zone);
    if (present === undefined) throw new Error(`the lab's DNS has no zone ${zone}`);
    if (isDeepStrictEqual(present, records)) return;
    this.records.set(zone, records);
    this.writeZone(zone);
    this.knotc('zone-reload', `${zone}.`);
    await waitFor(
      `zone ${zone} is loaded`,
      () => this.servedSerial(zone) >= this.serials.get(zone)!,
    );
  }

  async sign(zone: string, signed: boolean): Promise<void> {
    // What the parent vouches for stays signed.
    if (signed) this.signed.add(zone);
    else if (!this.delegated.has(zone)) this.signed.delete(zone);
    this.put('etc/knot/lab.conf', this.knotConfig());
    this.knotc('reload');
    const wanted = this.signed.has(zone);
    await waitFor(`zone ${zone} is ${wanted ? '' : 'not '}signed`, () =>
      this.isSigned(zone, wanted),
    );
  }

  dnssec(zone: string): { ds?: string; delegated: boolean } {
    const ds = this.signed.has(zone) ? this.dsRecords(zone)[0] : undefined;
    return { ...(ds && { ds }), delegated: this.delegated.has(zone) };
  }

  /**
   * What the registrar does for who has a zone there.
   *
   * @returns the DS record that the parent has from then on
   */
  delegate(zone: string): string {
    const { ds } = this.dnssec(zone);
    if (ds === undefined) throw new Error(`${zone} is no signed zone`);
    this.delegated.add(zone);
    const ours = [...this.delegated].filter((name) => this.customerZones.includes(name));
    writeJson(this.delegatedFile, ours);
    const parent = parentOf(zone, this.records);
    this.writeZone(parent);
    this.knotc('zone-reload', `${parent}.`);
    return ds;
  }

  async setReverse(address: string, name: string | undefined): Promise<void> {
    const owner = reverseName(address);
    if (name === undefined) this.reverseNames.delete(owner);
    else this.reverseNames.set(owner, name);
    const zone = reverseZones.find((z) => owner.endsWith(`.${z}`));
    if (zone === undefined) throw new Error(`${address} is no address of the lab`);
    await this.putZone(zone, this.reverseRecords(zone));
  }

  private reverseRecords(zone: string): ZoneRecord[] {
    return [...this.reverseNames]
      .filter(([owner]) => owner.endsWith(`.${zone}`))
      .map(([owner, name]) => ({ name: owner, type: 'PTR', ttl: 300, rdata: `${name}.` }));
  }

  private servedSerial(zone: string): number {
    return Number(
      this.dig(addresses.authoritative.v4, '+short', `${zone}.`, 'SOA').split(' ')[2] ?? 0,
    );
  }

  /** Whether the zone is served, and signed or not as `wanted`. */
  private isSigned(zone: string, wanted: boolean): boolean {
    const { v4 } = addresses.authoritative;
    const answer = this.dig(v4, '+dnssec', '+short', `${zone}.`, 'SOA');
    return answer !== '' && answer.includes('SOA ') === wanted;
  }

  /** @returns empty if no answer came */
  private dig(server: string, ...args: string[]): string {
    try {
      return run('ip', [
        'netns',
        'exec',
        'router',
        'chroot',
        this.root,
        'kdig',
        `@${server}`,
        '+retry=0',
        '+timeout=5',
        ...args,
      ]);
    } catch {
      return '';
    }
  }

  private knotc(...args: string[]): void {
    const blocking = ['-b', '--timeout', '600'];
    run('chroot', [this.root, 'knotc', ...blocking, '-c', '/etc/knot/lab.conf', ...args]);
  }

  private dsRecords(zone: string): string[] {
    return run('chroot', [this.root, 'keymgr', '-c', '/etc/knot/lab.conf', `${zone}.`, 'ds'])
      .split('\n')
      .filter((line) => / 13 2 /.test(line))
      .map((line) => line.replace(/^.* DS /, ''));
  }

  /** Now that every zone has its keys, each parent vouches for its children. */
  private delegateSigned(): void {
    for (const zone of this.records.keys()) {
      if (this.children(zone).length > 0) {
        this.writeZone(zone, true);
        this.knotc('zone-reload', `${zone}.`);
      }
    }
  }

  private children(zone: string): string[] {
    return [...this.records.keys()].filter(
      (child) => child !== '' && parentOf(child, this.records) === zone,
    );
  }

  /** Whether every zone has its key: in a copy of a kept lab from the start. */
  private readonly hasKeys = () => existsSync(join(this.root, 'etc/unbound/root.key'));

  private writeZone(zone: string, withDs = this.hasKeys()): void {
    const serial = (this.serials.get(zone) ?? Math.floor(Date.now() / 1000)) + 1;
    this.serials.set(zone, serial);
    const { authoritative } = addresses;
    // That a zone has no DS record is soon forgotten, and a key that is new may sign after seconds.
    const negativeTtl = this.children(zone).length > 0 ? 5 : 20;
    const lines = [
      `${zone}. 300 SOA ${nameServers[0]}. hostmaster.lab-cloud.example. ${serial} 300 60 86400 ${negativeTtl}`,
      ...nameServers.map((name) => `${zone}. 300 NS ${name}.`),
    ];
    for (const child of this.children(zone)) {
      lines.push(...nameServers.map((name) => `${child}. 300 NS ${name}.`));
      if (withDs && this.delegated.has(child)) {
        const key = child === bogusZone ? '' : child;
        lines.push(...this.dsRecords(key).map((rdata) => `${child}. 300 DS ${rdata}`));
      }
    }
    const glue = zone === '' || zone === 'example' || zone === 'lab-cloud.example';
    if (glue) {
      for (const name of nameServers) {
        lines.push(`${name}. 300 A ${authoritative.v4}`, `${name}. 300 AAAA ${authoritative.v6}`);
      }
    }
    for (const { name, type, ttl, rdata } of this.records.get(zone)!) {
      lines.push(`${name}. ${ttl} ${type} ${rdata}`);
    }
    this.put(`lab/zones/${zone || 'root'}.zone`, `${lines.join('\n')}\n`);
  }

  private knotConfig(): string {
    const { v4, v6 } = addresses.authoritative;
    const zones = [...this.records.keys()].map(
      (zone) => `  - domain: ${zone}.
    file: /lab/zones/${zone || 'root'}.zone
    dnssec-signing: ${this.signed.has(zone) ? 'on' : 'off'}
`,
    );
    return `server:
  rundir: /run/knot
  listen: [${v4}@53, "${v6}@53"]
log:
  - target: stderr
    any: info
database:
  journal-db: /lab/journal
  kasp-db: /lab/keys
  timer-db: /lab/timers
policy:
  - id: lab
    algorithm: ecdsap256sha256
    single-type-signing: on
template:
  - id: default
    dnssec-policy: lab
    zonefile-sync: -1
    zonefile-load: difference
    journal-content: none
    semantic-checks: on
    serial-policy: increment
zone:
${zones.join('')}`;
  }

  private put(path: string, text: string): void {
    writeFileSync(join(this.root, path), text);
  }

  private async inRouter(role: string, command: string[], works: () => boolean): Promise<void> {
    const inside = ['netns', 'exec', 'router', 'chroot', this.root, ...command];
    await startUntil(this.lab, role, 'ip', inside, works);
  }
}

/** The names between the root and `zones` that need a zone of their own. */
function topLevels(zones: string[]): string[] {
  const tops = zones
    .filter((zone) => !zone.endsWith('.arpa'))
    .map((zone) => zone.split('.').at(-1)!);
  return [...new Set(tops)];
}

function parentOf(zone: string, zones: ReadonlyMap<string, unknown>): string {
  let parent = zone;
  do {
    parent = parent.includes('.') ? parent.slice(parent.indexOf('.') + 1) : '';
  } while (!zones.has(parent));
  return parent;
}

/** The owner name of an address's PTR record (RFC 1035, section 3.5; RFC 3596, section 2.5), without final dot. */
function reverseName(address: string): string {
  if (isIPv4(address)) return `${address.split('.').reverse().join('.')}.in-addr.arpa`;
  const hex = ipaddr.IPv6.parse(address)
    .toByteArray()
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
  return `${[...hex].reverse().join('.')}.ip6.arpa`;
}

/** unbound answers for private address space by itself unless told that it is served. */
export const privateReverseZones = `  local-zone: "10.in-addr.arpa." nodefault
  local-zone: "d.f.ip6.arpa." nodefault
`;

function unboundConfig({ v4, v6 }: { v4: string; v6: string }): string {
  return `server:
  interface: ${v4}
  interface: ${v6}
  access-control: 10.88.0.0/16 allow
  access-control: fd88::/16 allow
  chroot: ""
  username: ""
  directory: "/etc/unbound"
  pidfile: ""
  use-syslog: no
  logfile: ""
  root-hints: "root.hints"
  trust-anchor-file: "root.key"
  val-permissive-mode: no
  do-not-query-localhost: no
${privateReverseZones}remote-control:
  control-enable: no
`;
}
