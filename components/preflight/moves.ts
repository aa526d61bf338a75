import { recordsOfSwitch, type DnsRecord } from '../dns/dnsRecords';
import {
  changesOfSwitch,
  longestUp,
  mxTtl,
  oldRecords,
  plannedRecord,
  rememberedUntil,
  type Move,
  type MoveReport,
  type OldRecord,
} from '../dns/moves';
import type { DnsProvider, ExistingRecord, Zone } from '../dns/provider';
import { recordContent, resourceName, ttl, unquoted } from '../dns/recordForms';
import { withMail } from '../settings/derived';
import type { Settings } from '../settings/settings';
import { clashes } from './existingRecords';
import { blockers, type Blocker, type Findings } from './findings';
import { spfTasks } from './spfTasks';
import type { OwnState, PublishedRecord } from './state';

/** What domains that change hosts need. */
export interface MoveFindings extends Findings {
  /** Kept in the state. */
  moves: Record<string, Move>;
  /** Records of other hosts that the plan has as they are, or puts back. */
  records: DnsRecord<string>[];
  /** Their ids where the state does not have them, by the name of the resource, with that of the zone. */
  adopted: Map<string, { zoneId: string; id: string }>;
  /** Domains whose mail is delivered here from now on. */
  switched: Set<string>;
  /** Ids of the records that they replace. */
  replaced: Set<string>;
  reports: Record<string, MoveReport>;
  /** What a person has to do. */
  tasks: string[];
}

type Domain = Settings['domains'][number];

interface MoveContext {
  settings: Settings;
  state: OwnState;
  provider: DnsProvider;
  zones: Map<string, Zone>;
  /** Lists the records of a zone; undefined if they cannot be read. */
  list: (zone: Zone) => Promise<ExistingRecord[] | undefined>;
  now: Date;
}

/** Looks at the records of domains whose mail another host has, or had until now. */
export async function judgeMoves(context: MoveContext): Promise<MoveFindings> {
  const findings: MoveFindings = {
    ...{ moves: {}, records: [], adopted: new Map(), switched: new Set(), replaced: new Set() },
    ...{ reports: {}, tasks: [], blockers: [], warnings: [] },
  };
  for (const domain of withMail(context.settings.domains)) {
    const before = context.state.summary?.moves?.[domain.name];
    const zone = context.zones.get(domain.zone);
    if (zone === undefined || (domain.delivery === 'here' && before === undefined)) continue;
    const isChanging = before?.delivery !== domain.delivery;
    const existing = domain.delivery !== 'here' || isChanging ? await context.list(zone) : [];
    if (existing === undefined) continue;
    const step = new Step(context, domain, zone, existing, before);
    if (domain.delivery === 'here') step.here(findings);
    else if (domain.delivery === 'forward') step.away(findings);
    else if (before && (isChanging || step.isHalfSwitched())) step.back(findings);
    else step.prepare(findings);
  }
  return findings;
}

/** What a plan does with the records of one domain. */
class Step {
  private readonly name: string;
  private readonly stated: (PublishedRecord & { key: string })[];
  /** What the domain publishes once its mail is delivered here. */
  private readonly wanted: DnsRecord<string>[];

  constructor(
    private readonly context: MoveContext,
    private readonly domain: Domain,
    private readonly zone: Zone,
    private readonly existing: ExistingRecord[],
    private readonly before: Move | undefined,
  ) {
    this.name = domain.name;
    this.wanted = recordsOfSwitch(context.settings, domain);
    const prefix = this.resource('');
    this.stated = context.state.records
      .filter(({ resource }) => resource.startsWith(prefix))
      .map((record) => ({ ...record, key: record.resource.slice(prefix.length) }));
  }

  private resource(key: string): string {
    const owner = { type: 'DomainDns', name: this.name } as const;
    return resourceName(this.context.state.mailHost, { owner, key });
  }

  private plan(record: Move['records'][number], restored: boolean): DnsRecord<string> {
    return plannedRecord(record, { domain: this.name, zone: this.domain.zone, restored });
  }

  private adopt(key: string, id: string, findings: MoveFindings): void {
    if (!this.stated.some((one) => one.key === key))
      findings.adopted.set(this.resource(key), { zoneId: this.zone.id, id });
  }

  /** Whether a switch was interrupted: the state has a record of this host where the other one had none, or another. */
  isHalfSwitched(): boolean {
    const known = this.before!.records;
    return this.wanted.some((own) => {
      const is = (record: Described) => isSame(asExisting(own), record);
      return (
        this.stated.some((record) => record.key === own.key && is(record)) &&
        !known.some((record) => record.key === own.key && is(record))
      );
    });
  }

  /** Keeps what the other host has in use as it is, and writes it down. */
  prepare(findings: MoveFindings): void {
    if (this.before === undefined && this.context.state.summary?.domains?.includes(this.name)) {
      findings.blockers.push(...this.unknownHost());
      return;
    }
    const { records, inTheWay } = this.keep(findings);
    const move: Move = { delivery: 'elsewhere', records };
    this.note(move, findings);
    findings.tasks.push(...this.tasks(move, inTheWay));
  }

  /** Plans what is in use at the other host as it is. */
  private keep(findings: MoveFindings): { records: OldRecord[]; inTheWay: ExistingRecord[] } {
    const { records, inTheWay } = oldRecords(
      this.wanted,
      this.existing,
      (own, other) => clashes(own, other, this.zone, this.context.provider),
      this.stated,
    );
    for (const { id, record } of records) {
      findings.records.push(this.plan(record, this.isChangedByHand(id, record)));
      this.adopt(record.key, id, findings);
    }
    return { records: records.map(({ record }) => record), inTheWay };
  }

  /** Whether a person has made it of a record of this host, and the state does not know: a later switch would change nothing. */
  private isChangedByHand(id: string, record: OldRecord): boolean {
    const stated = this.stated.find((one) => one.key === record.key && one.id === id);
    const own = this.wanted.find(({ key }) => key === record.key);
    return stated && own ? isSame(asExisting(own), stated) && !isSame(record, stated) : false;
  }

  private note(move: Move, findings: MoveFindings): void {
    findings.moves[this.name] = move;
    findings.reports[this.name] = {
      delivery: move.delivery,
      changes: changesOfSwitch(this.wanted, move.records),
    };
  }

  /** Leaves the records to the host that a domain has moved to. */
  away(findings: MoveFindings): void {
    const { settings, state, provider, now } = this.context;
    const { title } = provider.api;
    const { delivery: last } = this.before ?? {};
    const wasHere =
      last === 'here' || (last === undefined && state.summary?.domains?.includes(this.name));
    const mx = this.existing
      .filter(({ type, name }) => type === 'MX' && name === this.name)
      .map(({ content }) => content);
    if (mx.length === 0 || mx.includes(settings.hostName)) {
      const problem = `${this.name} is sent on to its MX, and ${mx.length === 0 ? 'it has none' : `that is still ${mx.join(', ')}`}`;
      findings.blockers.push(
        ...blockers([`${problem}: set the MX of the host that it moves to at ${title} first`]),
      );
    }
    const { records } = this.keep(findings);
    const since = (last === 'forward' ? this.before?.switchedAt : undefined) ?? now.toISOString();
    this.note({ delivery: 'forward', records, switchedAt: since }, findings);
    const forgotten = Date.parse(since) + (ttl + longestUp) * 1000;
    findings.tasks.push(
      `Mail that still arrives here for ${this.name} is sent on to ${mx.join(', ')}. Others may remember this host as its MX until ${new Date(forgotten).toISOString()}, and try for 5 days to deliver what waits in their queues: from ${new Date(forgotten + longestQueue * 1000).toISOString()} on the domain can be removed here`,
    );
    if (wasHere) findings.blockers.push(...this.promised(mx.join(', ')));
  }

  /** What others were promised by MTA-STS. */
  private promised(mx: string): Blocker[] {
    return this.context.state.summary?.mtaSts === 'enforce'
      ? [
          {
            confirmation: `move ${this.name} back under MTA-STS`,
            message: `others may keep for 7 days to the MTA-STS policy of ${this.name}, which names this host alone, and hold mail back from ${mx}: set mtaSts to none first, and leave it so for 7 days`,
          },
        ]
      : [];
  }

  /** A domain that the stack has published: what would it give way to? */
  private unknownHost(): Blocker[] {
    return [
      {
        message: `the records of ${this.name} are this stack's, and it knows no other host whose records it could put back: delivery elsewhere is for a domain that comes from another host. To move a domain away, set its MX at ${this.context.provider.api.title} to the new host, and delivery to forward (docs/moving.md)`,
      },
    ];
  }

  /** Puts back what the other host had. */
  back(findings: MoveFindings): void {
    const move: Move = { delivery: 'elsewhere', records: this.before!.records };
    for (const record of move.records) {
      const isThere = this.stated.some(({ key }) => key === record.key);
      const existing = isThere ? undefined : this.existing.find((other) => isSame(record, other));
      findings.records.push(this.plan(record, existing === undefined));
      if (existing) this.adopt(record.key, existing.id, findings);
    }
    this.note(move, findings);
    findings.tasks.push(...this.tasks(move, []));
    findings.blockers.push(...this.promised(mxOf(move)));
  }

  /** Replaces what was written down, and says until when others may remember it. */
  here(findings: MoveFindings): void {
    const { provider, now } = this.context;
    const before = this.before!;
    const isSwitched = before.delivery !== 'here';
    const move: Move = isSwitched
      ? { ...before, delivery: 'here', switchedAt: now.toISOString() }
      : before;
    findings.moves[this.name] = move;
    if (isSwitched) {
      findings.switched.add(this.name);
      findings.blockers.push(...before.records.flatMap((record) => this.changedSince(record)));
      for (const { key } of before.records)
        for (const one of this.stated) if (one.key === key) findings.replaced.add(one.id);
    }
    const until = rememberedUntil(move, provider);
    if (until === undefined) return;
    const mayGo = new Date(Date.parse(until) + longestQueue * 1000);
    if (now >= mayGo) return;
    findings.reports[this.name] = {
      delivery: 'here',
      changes: isSwitched ? changesOfSwitch(this.wanted, move.records) : [],
      ...(now < new Date(until) ? { mxRememberedUntil: until } : {}),
    };
    const remembered =
      now < new Date(until) ? `remember its MX, ${mxOf(move)}, until ${until}, and ` : '';
    findings.tasks.push(
      `Keep the other host of ${this.name} running until ${mayGo.toISOString()}, and longer while \`mailhost import\` finds new mail there: others may ${remembered}try for 5 days to deliver what waits in their queues`,
    );
  }

  /** The switch replaces what the last plan showed, and nothing else. */
  private changedSince(record: Move['records'][number]): Blocker[] {
    const id = this.stated.find(({ key }) => key === record.key)?.id;
    const now = this.existing.find((other) => other.id === id);
    // An `up` that was interrupted has put a record of this host there.
    const own = this.wanted.find(({ key }) => key === record.key);
    const expected = [record, ...(own ? [asExisting(own)] : [])];
    if (id === undefined || (now && expected.some((one) => isSame(one, now)))) return [];
    const what = `${record.name} ${record.type} ${record.content}`;
    return blockers([
      now
        ? `${what} is now ${now.content}, and this was not shown before the switch: set delivery of ${this.name} to elsewhere again, run \`pulumi up\`, and switch then`
        : `${what} is gone, and the state does not know it: run \`pulumi up --refresh\``,
    ]);
  }

  private tasks(move: Move, inTheWay: ExistingRecord[]): string[] {
    const { settings, provider } = this.context;
    const { hostName } = settings;
    const { title } = provider.api;
    const mx = move.records.filter(({ type }) => type === 'MX').map(({ content }) => content);
    const text = move.records.find(({ key, type }) => key === 'spf' && type === 'TXT')?.content;
    const policy = `_mta-sts.${this.name}`;
    const announcesNone = !this.wanted.some(({ name }) => name === policy);
    const seconds = mxTtl(move, provider);
    return [
      ...(mx.length === 0
        ? [`${this.name} has no MX, so no other host has its mail: remove its delivery`]
        : []),
      ...(mx.includes(hostName)
        ? [
            `The MX of ${this.name} is this host, and mail to it from accounts here waits in the queue: remove its delivery, or change the MX at ${title}`,
          ]
        : []),
      ...spfTasks(this.domain, text && unquoted(text), mx, hostName, title),
      ...(seconds > longestTtl
        ? [
            `Lower the TTL of the MX of ${this.name} at ${title} to 300: others may remember it for ${seconds} seconds after the switch. Do so at least ${seconds} seconds before it`,
          ]
        : []),
      ...inTheWay.map(
        ({ name, type, content }) =>
          `Before the switch of ${this.name}, delete ${name} ${type} ${content} at ${title}: it is not replaced, and nothing can stand beside it`,
      ),
      ...(announcesNone && this.existing.some(({ name }) => name === policy)
        ? [
            `${this.name} announces an MTA-STS policy of the other host, and this host would announce none: set its mode to none there, and wait for as long as its max_age before the switch`,
          ]
        : []),
    ];
  }
}

/** Seconds for which mail servers try again. */
const longestQueue = 5 * 86_400;

/** Seconds: what others remember for longer is worth a task. */
const longestTtl = 3600;

const mxOf = ({ records }: Move): string =>
  records
    .filter(({ type }) => type === 'MX')
    .map(({ content }) => content)
    .join(', ');

type Described = Omit<ExistingRecord, 'id'>;

const asExisting = (record: DnsRecord<string>): Described => ({
  name: record.name,
  type: record.type,
  content: recordContent(record),
  ...(record.type === 'MX' ? { priority: record.priority } : {}),
});

const isSame = (record: Described, other: Described): boolean =>
  record.type === other.type &&
  record.name === other.name &&
  record.content === other.content &&
  (record.type !== 'MX' || record.priority === other.priority);
