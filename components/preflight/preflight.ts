import { promises as dns } from 'node:dns';
import { domainToUnicode } from 'node:url';
import * as cloudflare from '@pulumi/cloudflare';
import * as pulumi from '@pulumi/pulumi';
import type { Change } from '../daemon';
import { dkimSelector, nextHistories, type KeyHistory } from '../dns/dkimKeys';
import {
  dkimKeyRecord,
  dnsRecords,
  publicKeyHash,
  revokedKeyRecord,
  tlsaName,
  tlsKeyName,
  type DnsRecord,
  type RecordSource,
} from '../dns/dnsRecords';
import { announcedMtaSts } from '../dns/mtaSts';
import { cloudflareContent, isKnown, quoteTxt, resourceName, withValue } from '../dns/recordForms';
import { isSpf, spfMistake, spfRecord, type TxtLookup } from '../dns/spf';
import { enableHooks } from '../hooks';
import { hostAddress } from '../machineFiles';
import type { Zone } from '../nextSteps';
import { seconds } from '../settings/duration';
import { signingGenerations, type MtaSts } from '../settings/mailSettings';
import { asciiName, isZoneId, liesIn } from '../settings/names';
import type { Settings } from '../settings/settings';
import type { KeptWithKeys } from '../summary';
import {
  dangers,
  droppedAddresses,
  machineDangers,
  mtaStsNoneSince,
  serverWarnings,
  summaryOf,
  type Danger,
  type Summary,
} from './changes';
import {
  asciiRecord,
  findRecords,
  isReplaced,
  signerMistakes,
  type ExistingRecord,
  type FoundRecords,
} from './existingRecords';
import { LookUps } from './lookUps';
import { serverOffer } from './offers';
import { ownParts } from './ownParts';

/** What the checks before a plan have found out. */
export interface Preflight {
  /** As the domains name them; none where a person publishes the records. */
  zones: Map<string, Zone>;
  /** What a person had published when the host was made or changed last. */
  zoneFile?: string;
  /**
   * What exists already and is the stack's: ids by type and name of the resource. An `up` that was cut off may have made it
   * and never learned of it.
   */
  adopted: Map<string, string>;
  /** Whether the server was adopted; the state then does not tell which addresses it was made with. */
  serverAdopted: boolean;
  /** Whether the plan makes the server, or puts another in its place. */
  serverMade: boolean;
  /** Parts of the machine that the stack has, as Machine names them. */
  machineParts: string[];
  /** What the plan publishes. */
  records: DnsRecord[];
  /** Names of the resources of those records that the plan makes, or makes anew. */
  madeRecords: Set<string>;
  /** Whether the stack publishes already which TLS keys the host may have. */
  hasTlsa: boolean;
  /** What later changes are judged against. */
  summary: Summary;
  /**
   * The publicKeyHash() of a key, by the name of its resource below the MailHost: as it was when daemons got their files
   * last, or else as the state has it.
   */
  keyHashOf: (key: string) => string | undefined;
  /** What a command brought to the host last, or was about to, by the name of its resource. */
  changeBefore: (command: string) => Change | undefined;
  /** The time that changes of keys have in it. */
  plannedAt: Date;
}

/**
 * Looks at what the plan would change before any of it is registered: at the stack's own state, the zones, and the
 * offers of the cloud.
 *
 * @param name of the MailHost
 * @param opts with the resource whose providers answer
 * @throws pulumi.RunError with everything that stops the plan, each with the words to go on
 */
export async function preflight(
  name: string,
  settings: Settings,
  opts: pulumi.InvokeOptions,
): Promise<Preflight> {
  const lookUps = new LookUps();
  const [state, { zones, mistakes }] = await Promise.all([
    ownState(),
    settings.dns === 'manual'
      ? { zones: new Map<string, Zone>(), mistakes: [] }
      : findZones(settings, lookUps, opts),
    enableHooks(name),
  ]);
  const outputsOf = (type: string, resource: string) =>
    state.find(({ urn }) => urn.endsWith(`${type}::${name}-${resource}`))?.outputs;
  const summary = outputsOf('mailhost:index:Summary', 'summary')?.summary as OldSummary | undefined;
  const plannedAt = new Date();
  const keys = dkimKeys(name, state);
  const keysBefore = summary?.dkim ?? withoutHistory(summary ?? {});
  const { histories, mistakes: keyMistakes } = nextHistories(
    keysBefore,
    keys,
    signingGenerations(settings),
    {
      compromised: settings.dkimCompromised,
      retention: seconds(settings.dkimRetention),
      retentionBefore: summary?.dkimRetention,
      now: plannedAt,
    },
  );
  const records = dnsRecords(settings, (domain) =>
    histories[domain]!.keys.map(({ generation }) => dkimSelector(generation)),
  );
  const wanted = summaryOf(settings, histories, (zone) => zones.get(zone)?.name ?? zone);
  // What an earlier version did not write down is as it was.
  const before: Summary | undefined = summary && { ...wanted, ...summary };
  const noneSince = before && mtaStsNoneSince(before, wanted, plannedAt);
  const after: Summary = { ...wanted, ...(noneSince && { mtaStsNoneSince: noneSince }) };
  const volume = outputsOf('hcloud:index/volume:Volume', 'machine-volume');
  const server = outputsOf('hcloud:index/server:Server', 'machine-server');
  const published = state.filter(({ type }) => type === recordType);

  const present = new Map(
    published.map(({ urn, outputs }) => [
      `${urn.split('::').at(-1)} ${String(outputs.zoneId)}`,
      outputs,
    ]),
  );
  const isMade = (record: DnsRecord) => {
    const zoneId = zones.get(record.zone)?.id;
    if (zoneId === undefined) return false;
    const inState = present.get(`${resourceName(name, record)} ${zoneId}`);
    return inState === undefined || isReplaced(record, inState);
  };
  const isInState = (type: string, resource: string) => outputsOf(type, resource) !== undefined;
  const text = (type: string, resource: string, property: string) =>
    outputsOf(type, resource)?.[property] as string | undefined;
  const publicKeyOf = (key: string) => text('tls:index/privateKey:PrivateKey', key, 'publicKeyPem');
  const keyHashOf = (key: string) => {
    const pem = publicKeyOf(key);
    return summary?.publicKeys?.[key] ?? (pem && publicKeyHash(pem));
  };
  /** What only the plan's own resources can say is known once the state has them; before that no record is ours. */
  const stated = (source: RecordSource): string | RecordSource => {
    switch (source.from) {
      case 'ipv4':
        return text('hcloud:index/primaryIp:PrimaryIp', 'machine-ipv4', 'ipAddress') ?? source;
      case 'ipv6': {
        const network = text('hcloud:index/primaryIp:PrimaryIp', 'machine-ipv6', 'ipAddress');
        return network === undefined ? source : hostAddress(network);
      }
      case 'tls': {
        const pem = publicKeyOf(`certificate-${tlsKeyName(source.generation)}`);
        return pem === undefined ? source : publicKeyHash(pem);
      }
      case 'dkim': {
        const pem = publicKeyOf(`${source.domain}-${source.selector}`);
        if (pem === undefined) return source;
        const isRevoked = settings.dkimCompromised.some((n) => dkimSelector(n) === source.selector);
        return isRevoked ? revokedKeyRecord : dkimKeyRecord(pem);
      }
      case 'acme':
        return text('mailhost:index:AcmeAccount', 'account', 'caa') ?? source;
    }
  };
  const made = records.map((record) => withValue(record, stated)).filter(isMade);
  const [parts, inZones] = await Promise.all([
    ownParts(
      name,
      settings,
      lookUps,
      opts,
      isInState,
      text('tls:index/privateKey:PrivateKey', 'machine-ssh-key', 'publicKeyOpenssh'),
      outputsOf('hcloud:index/volumeAttachment:VolumeAttachment', 'machine-volume'),
    ),
    existingRecords(made, zones, published, announcedMtaSts(settings), lookUps, opts),
  ]);
  const serverId = `hcloud:index/server:Server ${name}-machine-server`;
  const replaced =
    summary?.serverGeneration !== undefined &&
    summary.serverGeneration !== settings.serverGeneration;
  const { serverType, location } = settings;
  const isNew = server === undefined && !parts.ids.has(serverId);
  const offer =
    isNew || server
      ? await serverOffer(
          { serverType, location, present: server, replaced },
          lookUps,
          plannedAt,
          opts,
        )
      : { mistakes: [], warnings: [] };
  const missing = await missingKeys(
    nextSigners(keysBefore, histories, records),
    zones,
    stated,
    lookUps,
    opts,
  );
  const machine = {
    location: volume?.location as string | undefined,
    volumeSize: volume?.size as number | undefined,
  };
  const stops: Danger[] = [
    ...mistakes.map((message) => ({ message })),
    ...(before ? dangers(before, after, plannedAt) : []),
    ...keyMistakes.map((message) => ({ message })),
    ...machineDangers(machine, settings),
    ...offer.mistakes.map((message) => ({ message })),
    ...parts.mistakes.map((message) => ({ message })),
    ...inZones.conflicts,
    ...missing.map((message) => ({ message })),
    ...lookUps.mistakes().map((message) => ({ message })),
    ...(await spfMistakes(settings, records, published)).map((message) => ({ message })),
  ];

  const refused = stops.filter(({ words }) => !words || !settings.confirm.includes(words));
  if (refused.length > 0) throw new Refusal(refused, settings.confirm.length);
  for (const { message } of stops) await pulumi.log.warn(`confirmed: ${message}`);
  for (const message of offer.warnings) await pulumi.log.warn(message);
  if (before) {
    const warnings = [
      ...droppedAddresses(before, after),
      ...serverWarnings(before, after, volume ? settings.restore : undefined),
    ];
    for (const message of warnings) await pulumi.log.warn(message);
    for (const words of settings.confirm.filter((w) => !stops.some((stop) => stop.words === w)))
      await pulumi.log.warn(
        `confirm holds "${words}", which nothing asks for any more: take it out, so that it cannot confirm a later change`,
      );
  }
  if (!settings.dnssec || settings.dns === 'manual')
    for (const { outputs } of state.filter(({ type }) => type.endsWith(':ZoneDnssec')))
      await pulumi.log.warn(
        `the zone stays signed at Cloudflare (${String(outputs.ds)}), and this stack no longer looks after that. To end it, ` +
          `take the DS record away at the registrar, wait until nobody remembers it, and disable DNSSEC at Cloudflare`,
      );
  const zoneFile = state.find(({ urn }) => urn.endsWith(`mailhost:index:MailHost::${name}`))
    ?.outputs.zoneFile as string | undefined;
  const changes = new Map(
    state
      .filter(({ type }) => type.startsWith('mailhost:index:'))
      .flatMap(({ outputs }) => Object.entries((outputs.changes ?? {}) as Record<string, Change>)),
  );
  const adopted = new Map([
    ...parts.ids,
    ...inZones.same.map(
      ({ zoneId, wanted, existing }) =>
        [`${recordType} ${resourceName(name, wanted)}`, `${zoneId}/${existing.id}`] as const,
    ),
  ]);
  const serverAdopted =
    adopted.has(serverId) ||
    (server !== undefined && ((server.publicNets ?? []) as unknown[]).length === 0);
  return {
    zones,
    zoneFile,
    adopted,
    serverAdopted,
    serverMade: isNew || replaced || (server !== undefined && server.location !== location),
    machineParts: machineParts.flatMap(([type, part]) =>
      isInState(type, `machine-${part}`) ? [part] : [],
    ),
    records,
    madeRecords: new Set(made.map((record) => resourceName(name, record))),
    hasTlsa: published.some(
      ({ outputs }) => outputs.type === 'TLSA' && outputs.name === tlsaName(settings.hostName),
    ),
    summary: after,
    keyHashOf,
    changeBefore: (command) => changes.get(command),
    plannedAt,
  };
}

/** The parts of the machine that cannot be made again as they are, by type and name. */
const machineParts = [
  ['tls:index/privateKey:PrivateKey', 'ssh-key'],
  ['tls:index/privateKey:PrivateKey', 'host-key'],
  ['hcloud:index/primaryIp:PrimaryIp', 'ipv4'],
  ['hcloud:index/primaryIp:PrimaryIp', 'ipv6'],
  ['hcloud:index/volume:Volume', 'volume'],
  ['hcloud:index/server:Server', 'server'],
] as const;

const recordType = 'cloudflare:index/dnsRecord:DnsRecord';

interface OwnResource {
  urn: string;
  type: string;
  outputs: Record<string, unknown>;
}

/** The resources that the stack has now. A StackReference would tell outputs of the program alone, and none after a first `up` that failed. */
async function ownState(): Promise<OwnResource[]> {
  const stackName = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
  const { outputs } = (await pulumi.runtime
    .invoke('pulumi:pulumi:readStackResourceOutputs', { stackName }, { async: true })
    .catch((error: Error) => {
      throw new Refusal([
        {
          message: `the stack's own state cannot be read, so no change can be judged (${error.message})`,
        },
      ]);
    })) as { outputs: Record<string, Omit<OwnResource, 'urn'>> };
  return Object.entries(outputs).map(([urn, resource]) => ({ urn, ...resource }));
}

/** The DKIM keys that the state holds, also of domains that have no mail any more. */
function dkimKeys(mailHost: string, state: OwnResource[]) {
  const form = /mailhost:index:Dkim\$tls:index\/privateKey:PrivateKey::(.+)-s(\d+)$/;
  return state.flatMap(({ urn, outputs }) => {
    const [, owner, generation] = form.exec(urn) ?? [];
    return owner?.startsWith(`${mailHost}-`) === true && typeof outputs.publicKeyPem === 'string'
      ? [
          {
            domain: owner.slice(mailHost.length + 1),
            generation: Number(generation),
            publicKeyPem: outputs.publicKeyPem,
          },
        ]
      : [];
  });
}

/** The records of the keys that are to sign from now on in the place of others. */
const nextSigners = (
  before: Record<string, KeyHistory>,
  after: Record<string, KeyHistory>,
  records: DnsRecord[],
): DnsRecord[] =>
  records.filter((record) => {
    const source = 'value' in record && typeof record.value !== 'string' ? record.value : undefined;
    if (source?.from !== 'dkim') return false;
    const { signs } = after[source.domain]!;
    const signed = before[source.domain]?.signs;
    return (
      signed !== undefined &&
      signs !== signed &&
      signs !== undefined &&
      source.selector === dkimSelector(signs)
    );
  });

/**
 * Records of keys that are to follow others, and that are not at Cloudflare as the key in the state has it: whoever
 * verifies would not find them, or might remember that they were not there.
 */
async function missingKeys(
  wanted: DnsRecord[],
  zones: Map<string, Zone>,
  stated: (source: RecordSource) => string | RecordSource,
  lookUps: LookUps,
  opts: pulumi.InvokeOptions,
): Promise<string[]> {
  const found = await Promise.all(
    wanted.map(async (record) => {
      const zoneId = zones.get(record.zone)?.id;
      const known = withValue(record, stated);
      if (zoneId === undefined || !isKnown(known)) return [];
      const answer = await lookUps.ask(
        { api: 'cloudflare', call: 'getDnsRecords', about: record.name },
        cloudflare.getDnsRecords({ zoneId, name: { exact: record.name }, type: record.type }, opts),
      );
      if (answer === undefined) return [];
      const contents = answer.results.map(({ content }) => content);
      return signerMistakes(record.name, cloudflareContent(known), contents);
    }),
  );
  return found.flat();
}

/** What an earlier version kept, which had one generation for all domains and no history. */
const withoutHistory = ({ dkimGeneration: signs, domains = [] }: OldSummary) =>
  Object.fromEntries(domains.map((domain) => [domain, { signs, keys: [] }]));

type OldSummary = Partial<KeptWithKeys> & { dkimGeneration?: number };

/**
 * Everything that stops a plan, with the words to go on.
 *
 * The SDK would show the stack of an error in an option, and put a prefix before its message for each resource that
 * waits: neither helps who reads it.
 */
class Refusal extends pulumi.RunError {
  /** @param confirmed how many words `confirm` has already */
  constructor(stops: Danger[], confirmed = 0) {
    let next = confirmed;
    const lines = stops.map(({ message, words }) =>
      words === undefined
        ? `  ${message}`
        : `  ${message}. To go on: pulumi config set --path 'mailhost:confirm[${next++}]' '${words}'`,
    );
    const text = `the plan is stopped, for ${stops.length === 1 ? 'one reason' : `${stops.length} reasons`}; nothing was changed:\n${lines.join('\n')}`;
    super(text);
    this.stack = undefined;
    Object.defineProperty(this, 'message', { get: () => text, set: () => undefined });
  }
}

/** Each zone is looked up once, however many domains lie in it. */
async function findZones(
  { domains, dnssec }: Settings,
  lookUps: LookUps,
  opts: pulumi.InvokeOptions,
): Promise<{ zones: Map<string, Zone>; mistakes: string[] }> {
  const found = new Map<string, Zone>();
  const mistakes: string[] = [];
  const zones = [...new Set(domains.map(({ zone }) => zone))];
  await Promise.all(
    zones.map(async (zone) => {
      const got = await lookUps.ask(
        {
          api: 'cloudflare',
          call: 'getZone',
          about: zone,
          mistake: `the zone ${zone} cannot be read at Cloudflare: make it there, let the API token read it, or mend the name or zone of the domain`,
        },
        zoneAt(zone, opts),
      );
      if (got === undefined) return;
      const { zoneId: id, status, nameServers } = got;
      // The API tells the names of zones in Unicode, and those of records in ASCII.
      const name = asciiName(got.name);
      const signing = dnssec
        ? await lookUps.ask(
            {
              api: 'cloudflare',
              call: 'getZoneDnssec',
              about: name,
              mistake: `whether the zone ${name} is signed cannot be read at Cloudflare: give the API token DNS:Edit for it, or set dnssec to false`,
            },
            cloudflare.getZoneDnssec({ zoneId: id }, opts),
          )
        : undefined;
      const servers = nameServers.map(asciiName);
      found.set(zone, { id, name, status, nameServers: servers, dnssec: signing?.status });
    }),
  );
  for (const { name, zone } of domains) {
    const there = found.get(zone);
    if (there && !liesIn(name, there.name))
      mistakes.push(`${name} does not lie in its zone, ${zone}: that is ${there.name}`);
  }
  for (const [zone, { id, name }] of found)
    if ([...found].some(([other, { id: otherId }]) => otherId === id && other < zone))
      mistakes.push(`the zone ${name} is named in two ways, also as ${zone}: write it in one`);
  // In an order that does not hang on who answers first.
  const sorted = [...found].sort(([, a], [, b]) => (a.name < b.name ? -1 : 1));
  return { zones: new Map(sorted), mistakes: mistakes.sort() };
}

/** A zone by its id, or by its name in either form: whether the API finds an international one by its A-labels is not said. */
async function zoneAt(zone: string, opts: pulumi.InvokeOptions): Promise<cloudflare.GetZoneResult> {
  if (isZoneId(zone)) return cloudflare.getZone({ zoneId: zone }, opts);
  const named = (name: string) => cloudflare.getZone({ filter: { name } }, opts);
  const unicode = domainToUnicode(zone);
  return unicode === zone ? named(zone) : named(zone).catch(() => named(unicode));
}

/**
 * Zones are listed only where the plan creates a record in them.
 *
 * @param made records that the plan creates
 * @param published records that the stack has
 */
async function existingRecords(
  made: DnsRecord[],
  zones: Map<string, Zone>,
  published: OwnResource[],
  mtaSts: MtaSts | undefined,
  lookUps: LookUps,
  opts: pulumi.InvokeOptions,
): Promise<{
  same: ({ zoneId: string } & FoundRecords['same'][number])[];
  conflicts: FoundRecords['conflicts'];
}> {
  const textOf = ({ type, name, content }: Pick<ExistingRecord, 'type' | 'name' | 'content'>) =>
    `${type} ${name} ${content}`;
  const own = new Set(
    published.map(({ outputs }) => textOf(asciiRecord(outputs as unknown as ExistingRecord))),
  );
  const found = await Promise.all(
    [...zones].map(async ([zone, { id: zoneId, name: zoneName }]) => {
      const wanted = made.filter((record) => record.zone === zone);
      if (wanted.length === 0) return { zoneId, same: [], conflicts: [] };
      const answer = await lookUps.ask(
        { api: 'cloudflare', call: 'getDnsRecords', about: zoneName },
        cloudflare.getDnsRecords({ zoneId, maxItems: 100_000 }, opts),
      );
      const results = (answer?.results ?? []).map(asciiRecord);
      const others = results.filter((record) => !own.has(textOf(record)));
      return { zoneId, ...findRecords(wanted, others, zoneName, mtaSts) };
    }),
  );
  return {
    same: found.flatMap(({ zoneId, same }) => same.map((record) => ({ zoneId, ...record }))),
    conflicts: found.flatMap(({ conflicts }) => conflicts),
  };
}

const lookUpTxt: TxtLookup = async (name) => {
  try {
    return (await dns.resolveTxt(name)).map((strings) => strings.join(''));
  } catch (error) {
    if (['ENODATA', 'ENOTFOUND'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
};

/**
 * Follows the includes of SPF records where one of them is not published yet; those of the plan are as it has them.
 *
 * @param published records that the stack has
 */
async function spfMistakes(
  { domains }: Settings,
  records: DnsRecord[],
  published: OwnResource[],
): Promise<string[]> {
  const known = new Set(
    published.map(({ outputs }) => `${String(outputs.name)} ${String(outputs.content)}`),
  );
  const planned = new Map(
    records.flatMap((record) =>
      record.type === 'TXT' && typeof record.value === 'string' && isSpf(record.value)
        ? [[record.name, record.value] as const]
        : [],
    ),
  );
  const isChanged = [...planned].some(([name, text]) => !known.has(`${name} ${quoteTxt(text)}`));
  if (!isChanged) return [];
  const lookUp: TxtLookup = async (name) => {
    const text = planned.get(name.toLowerCase());
    return text === undefined ? lookUpTxt(name) : [text];
  };
  const judged = await Promise.all(
    domains
      .filter(({ spf }) => spf.length > 0)
      .map(async ({ name, spf }) => {
        try {
          const mistake = await spfMistake(name, spfRecord(spf), lookUp);
          return mistake
            ? [`the SPF record of ${name} does not hold: ${mistake}; mend its spf`]
            : [];
        } catch (error) {
          await pulumi.log.warn(
            `the SPF record of ${name} could not be followed (${(error as Error).message}): receivers stop after 10 look-ups`,
          );
          return [];
        }
      }),
  );
  return judged.flat();
}
