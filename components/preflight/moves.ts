import { promises as dns } from 'node:dns';
import { recordsOfSwitch, type DnsRecord } from '../dns/dnsRecords';
import {
  changesOfSwitch,
  mxTtl,
  oldRecords,
  plannedRecord,
  rememberedUntil,
  type Move,
  type MoveReport,
} from '../dns/moves';
import type { DnsProvider, ExistingRecord, Zone } from '../dns/provider';
import { recordContent, resourceName, unquoted } from '../dns/recordForms';
import { isSpf, mechanismsToKeep, spfWithHost } from '../dns/spf';
import { deliveredElsewhere, withMail } from '../settings/derived';
import type { Settings } from '../settings/settings';
import { clashes } from './existingRecords';
import { blockers, type Blocker, type Findings } from './findings';
import { lookUpTxt } from './spf';
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
    const existing = domain.delivery === 'elsewhere' || isChanging ? await context.list(zone) : [];
    if (existing === undefined) continue;
    const step = new Step(context, domain, zone, existing, before);
    if (domain.delivery === 'here') step.here(findings);
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
    const { provider, state } = this.context;
    if (this.before === undefined && state.summary?.domains?.includes(this.name)) {
      findings.blockers.push(...this.unknownHost());
      return;
    }
    const { records, inTheWay } = oldRecords(
      this.wanted,
      this.existing,
      (own, other) => clashes(own, other, this.zone, provider),
      this.stated,
    );
    for (const { id, record } of records) {
      findings.records.push(this.plan(record, false));
      this.adopt(record.key, id, findings);
    }
    const move: Move = { delivery: 'elsewhere', records: records.map(({ record }) => record) };
    findings.moves[this.name] = move;
    findings.reports[this.name] = {
      delivery: 'elsewhere',
      changes: changesOfSwitch(this.wanted, move.records),
    };
    findings.tasks.push(...this.tasks(move, inTheWay));
  }

  /** A domain that the stack has published: what would it give way to? */
  private unknownHost(): Blocker[] {
    return [
      {
        message: `the records of ${this.name} are this stack's, and it knows no other host whose records it could put back: delivery elsewhere is for a domain that comes from another host. To move a domain away, see docs/moving.md`,
      },
    ];
  }

  /** Puts back what the other host had. */
  back(findings: MoveFindings): void {
    const { state } = this.context;
    const move: Move = { delivery: 'elsewhere', records: this.before!.records };
    for (const record of move.records) {
      const isThere = this.stated.some(({ key }) => key === record.key);
      const existing = isThere ? undefined : this.existing.find((other) => isSame(record, other));
      findings.records.push(this.plan(record, existing === undefined));
      if (existing) this.adopt(record.key, existing.id, findings);
    }
    findings.moves[this.name] = move;
    findings.reports[this.name] = {
      delivery: 'elsewhere',
      changes: changesOfSwitch(this.wanted, move.records),
    };
    findings.tasks.push(...this.tasks(move, []));
    if (state.summary?.mtaSts === 'enforce')
      findings.blockers.push({
        confirmation: `move ${this.name} back under MTA-STS`,
        message: `others may keep for 7 days to the MTA-STS policy of ${this.name}, which names this host alone, and hold mail back from ${mxOf(move)}: set mtaSts to none first, and leave it so for 7 days`,
      });
  }

  /** Replaces what was written down, and says until when others may remember it. */
  here(findings: MoveFindings): void {
    const { provider, now } = this.context;
    const before = this.before!;
    const isSwitched = before.delivery === 'elsewhere';
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

/** What SPF needs while either host sends: both are allowed before the switch and after it. */
export function spfTasks(
  { name, spf }: Pick<Domain, 'name' | 'spf'>,
  record: string | undefined,
  mx: string[],
  hostName: string,
  where: string,
): string[] {
  if (record === undefined || !isSpf(record)) return [];
  const both = spfWithHost(record, hostName);
  const lost = mechanismsToKeep(record, spf, mx, hostName);
  return [
    ...(both === undefined
      ? []
      : [
          `So that mail of ${name} from this host passes SPF, set the SPF record of ${name} at ${where} to "${both}"`,
        ]),
    ...(lost.length > 0
      ? [
          `So that mail of ${name} from the other host passes SPF after the switch, add to spf of the domain: ${lost.join(', ')}`,
        ]
      : []),
  ];
}

/** What SPF needs where a person publishes the records, as far as DNS answers. */
export async function tasksByHand({ domains, hostName }: Settings): Promise<string[]> {
  const tasks = deliveredElsewhere(domains).map(async (domain) => {
    const [texts, exchangers] = await Promise.all([
      lookUpTxt(domain.name).catch(() => []),
      dns.resolveMx(domain.name).catch(() => []),
    ]);
    const mx = exchangers.map(({ exchange }) => exchange.toLowerCase());
    return spfTasks(domain, texts.find(isSpf), mx, hostName, 'its DNS provider');
  });
  return (await Promise.all(tasks)).flat();
}

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
