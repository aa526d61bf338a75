import { promises as dns } from 'node:dns';
import * as cloudflare from '@pulumi/cloudflare';
import * as hcloud from '@pulumi/hcloud';
import * as pulumi from '@pulumi/pulumi';
import { dangers, droppedAddresses, summaryOf, type Danger, type Summary } from './changes';
import { importFile, recordConflicts, resourceNameOf, type WantedRecord } from './existingRecords';
import type { Zone } from './nextSteps';
import { plannedRecords } from './plannedRecords';
import type { Settings } from './settings';
import { spfMistake, spfRecord, type TxtLookup } from './spf';
import { quoteTxt } from './dnsRecords';

/** What the checks before a plan have found out. */
export interface Preflight {
  /** By name. */
  zones: Map<string, Zone>;
}

/**
 * Looks at what the plan would change before any of it is registered: at the stack's own state, the zones, and the
 * offers of the cloud.
 *
 * @param name of the MailHost
 * @throws pulumi.RunError with everything that stops the plan, each with the words to go on
 */
export async function preflight(name: string, settings: Settings): Promise<Preflight> {
  const state = await ownState();
  const before = state.find(({ urn }) => urn.endsWith(`mailhost:index:MailHost::${name}`))?.outputs
    .summary as Summary | undefined;
  const records = state.filter(({ type }) => type === 'cloudflare:index/dnsRecord:DnsRecord');
  const isNew = (record: WantedRecord) =>
    !records.some(({ urn }) => urn.endsWith(`::${resourceNameOf(record)}`));

  const { zones, mistakes } = await findZones(settings);
  const stops: Danger[] = [
    ...mistakes.map((message) => ({ message })),
    ...(before ? dangers(before, summaryOf(settings)) : []),
    ...(await offerMistakes(settings, before)).map((message) => ({ message })),
    ...(await conflicts(name, settings, zones, isNew)),
    ...(await spfMistakes(settings, records)).map((message) => ({ message })),
  ];

  const refused = stops.filter(({ words }) => !words || !settings.confirm.includes(words));
  if (refused.length > 0) throw new Refusal(refused, settings.confirm.length);
  for (const { message } of stops) await pulumi.log.warn(`confirmed: ${message}`);
  if (before) {
    for (const message of droppedAddresses(before, summaryOf(settings)))
      await pulumi.log.warn(message);
    for (const words of settings.confirm.filter((w) => !stops.some((stop) => stop.words === w)))
      await pulumi.log.warn(
        `confirm holds "${words}", which nothing asks for any more: take it out, so that it cannot confirm a later change`,
      );
  }
  return { zones };
}

interface OwnResource {
  urn: string;
  type: string;
  outputs: Record<string, unknown>;
}

/** The resources that the stack has now. A StackReference would tell outputs of the program alone, and none after a first `up` that failed. */
async function ownState(): Promise<OwnResource[]> {
  const stackName = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
  const { outputs } = (await pulumi.runtime.invoke(
    'pulumi:pulumi:readStackResourceOutputs',
    { stackName },
    { async: true },
  )) as { outputs: Record<string, Omit<OwnResource, 'urn'>> };
  return Object.entries(outputs).map(([urn, resource]) => ({ urn, ...resource }));
}

/**
 * Everything that stops a plan, with the words to go on.
 *
 * The SDK would show the stack of an error in an option, and put a prefix before its message for each resource that
 * waits: neither helps who reads it.
 */
class Refusal extends pulumi.RunError {
  /** @param confirmed how many words `confirm` has already */
  constructor(stops: Danger[], confirmed: number) {
    let next = confirmed;
    const lines = stops.map(({ message, words }) =>
      words === undefined
        ? `  ${message}`
        : `  ${message}. To go on: pulumi config set --path 'mailhost:confirm[${next++}]' '${words}'`,
    );
    const text = `the plan is stopped, for ${stops.length === 1 ? 'a reason' : `${stops.length} reasons`}; nothing was changed:\n${lines.join('\n')}`;
    super(text);
    this.stack = undefined;
    Object.defineProperty(this, 'message', { get: () => text, set: () => undefined });
  }
}

/** Each zone is looked up once, however many domains lie in it. */
async function findZones(
  settings: Settings,
): Promise<{ zones: Map<string, Zone>; mistakes: string[] }> {
  const zones = new Map<string, Zone>();
  const mistakes: string[] = [];
  const names = [...new Set(settings.domains.map(({ zone }) => zone))];
  await Promise.all(
    names.map((name) =>
      cloudflare.getZone({ filter: { name } }).then(
        ({ zoneId: id, status, nameServers }) => zones.set(name, { id, name, status, nameServers }),
        (error: Error) =>
          mistakes.push(
            `the zone ${name} cannot be read at Cloudflare: make it there, let the API token read it, or mend the ` +
              `name or zone of the domain (${error.message})`,
          ),
      ),
    ),
  );
  return { zones, mistakes: mistakes.sort() };
}

/** Asked only where an answer matters: for a host that is new, or becomes another. */
async function offerMistakes(
  { location, serverType }: Settings,
  before: Summary | undefined,
): Promise<string[]> {
  const known = (what: string, found: Promise<unknown>) =>
    found.then(
      () => [],
      (error: Error) => [`${what} is not known at Hetzner (${error.message})`],
    );
  const asked = await Promise.all([
    before?.location === location
      ? []
      : known(`the location ${location}`, hcloud.getLocation({ name: location })),
    before?.serverType === serverType
      ? []
      : known(`the server type ${serverType}`, hcloud.getServerType({ name: serverType })),
  ]);
  return asked.flat();
}

/** Zones are listed only where the plan creates a record in them. */
async function conflicts(
  name: string,
  settings: Settings,
  zones: Map<string, Zone>,
  isNew: (record: WantedRecord) => boolean,
): Promise<Danger[]> {
  const found = await Promise.all(
    [...plannedRecords(name, settings)].map(async ([zone, records]) => {
      const zoneId = zones.get(zone)?.id;
      const wanted = records.filter(isNew);
      if (zoneId === undefined || wanted.length === 0) return [];
      const { results } = await cloudflare.getDnsRecords({ zoneId, maxItems: 100_000 });
      return recordConflicts(wanted, results).map((conflict) => ({ zoneId, conflict }));
    }),
  );
  const all = found.flat();
  const adoptable = all.filter(({ conflict }) => conflict.adoptable);
  const adoption = {
    message: `to adopt what can be: echo '${importFile(name, adoptable)}' > adopt.json && pulumi import --protect=false --generate-code=false --file adopt.json`,
  };
  return [...all.map(({ conflict }) => conflict), ...(adoptable.length > 0 ? [adoption] : [])];
}

const lookUpTxt: TxtLookup = async (name) => {
  try {
    return (await dns.resolveTxt(name)).map((strings) => strings.join(''));
  } catch (error) {
    if (['ENODATA', 'ENOTFOUND'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
};

/** Follows the includes of each SPF record that is not published yet. */
async function spfMistakes(
  { domains }: Settings,
  records: OwnResource[],
  lookUp = lookUpTxt,
): Promise<string[]> {
  const published = new Set(records.map(({ outputs }) => outputs.content));
  const judged = await Promise.all(
    domains
      .filter(({ spf }) => spf.length > 0 && !published.has(quoteTxt(spfRecord(spf))))
      .map(async ({ name, spf }) => {
        try {
          const mistake = await spfMistake(spfRecord(spf), lookUp);
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
