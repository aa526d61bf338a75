import * as hcloud from '@pulumi/hcloud';
import { image } from '../machineFiles';
import { causeOf, hetzner, type LookUps } from './lookUps';

/** Until when something can still be ordered; texts are empty where it is not deprecated. */
interface Deprecation {
  isDeprecated?: boolean;
  /** ISO date. */
  deprecationAnnounced?: string;
  /** ISO date. */
  unavailableAfter?: string;
}

/** A server type as Hetzner Cloud describes it. */
export interface ServerType extends Deprecation {
  name?: string;
  architecture: string;
  cores?: number;
  /** GB. */
  memory?: number;
  /** GB. */
  disk: number;
  /** Where it is offered. `available` is false while a location has no room for one more; none where nobody knows. */
  locations: readonly ({ name: string; available?: boolean } & Deprecation)[];
}

/** What is wrong with a server type at a location, and what will be. */
export interface Offer {
  mistakes: string[];
  warnings: string[];
}

/** The day of an ISO date. */
const day = (date: string): string => date.slice(0, 10);

/**
 * Whether a server of a type can be made at a location now. Hetzner answers `/datacenters`, which had this too, with 410
 * since October 2026: the server type itself says where it is available.
 *
 * @param others all server types, from which to name some that can be had
 * @see https://docs.hetzner.cloud/reference/cloud#tag/server-types
 */
export function offerOf(
  type: ServerType,
  location: string,
  now: Date,
  others: readonly ServerType[] = [],
): Offer {
  const name = String(type.name);
  const here = type.locations.find((offered) => offered.name === location);
  const remedy = `set serverType to ${alternatives(type, location, now, others)}, or wait`;
  if (here === undefined) {
    return {
      mistakes: [`${name} is not offered in ${location}: choose another of the two`],
      warnings: [],
    };
  }
  const { isDeprecated, deprecationAnnounced, unavailableAfter } = here.isDeprecated ? here : type;
  const end = unavailableAfter ? day(unavailableAfter) : undefined;
  if (isDeprecated && unavailableAfter && new Date(unavailableAfter) <= now) {
    return {
      mistakes: [
        `no server of type ${name} can be made in ${location} since ${end}, when its deprecation took effect: ${remedy.replace(/, or wait$/, '')}`,
      ],
      warnings: [],
    };
  }
  const since = deprecationAnnounced ? ` since ${day(deprecationAnnounced)}` : '';
  const deprecated = isDeprecated
    ? `${name} is deprecated in ${location}${since}${end ? `, and no server of it can be made after ${end}` : ''}`
    : undefined;
  if (here.available === false) {
    return {
      mistakes: [
        `${location} has no room for a server of type ${name} now${deprecated ? `, and ${deprecated}` : ''}: ${remedy}`,
      ],
      warnings: [],
    };
  }
  return {
    mistakes: [],
    warnings: deprecated
      ? [
          `${deprecated}: a server that is lost could not be replaced by the same. ${sentence(remedy.replace(/, or wait$/, ''))}`,
        ]
      : [],
  };
}

/** From an image that is deprecated, Hetzner makes servers for that long (hcloud-go, Image.UnavailableAfter). */
const imageMonths = 3;

/**
 * Whether a server can be made from the image now.
 *
 * @param deprecated ISO date; empty if it is not
 */
export function imageOffer(deprecated: string | undefined, now: Date): Offer {
  if (!deprecated) return { mistakes: [], warnings: [] };
  const end = new Date(deprecated);
  end.setUTCMonth(end.getUTCMonth() + imageMonths);
  const last = day(end.toISOString());
  return end <= now
    ? {
        mistakes: [
          `no server can be made from the image ${image} since ${last}, when its deprecation took effect: take a newer version of this package`,
        ],
        warnings: [],
      }
    : {
        mistakes: [],
        warnings: [
          `the image ${image} is deprecated since ${day(deprecated)}, and no server can be made from it after ${last}: a server that is lost could not be replaced. Take a newer version of this package before that day`,
        ],
      };
}

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** Types that can be had at a location now in the place of another, in words. */
function alternatives(
  type: ServerType,
  location: string,
  now: Date,
  others: readonly ServerType[],
): string {
  const fitting = others
    .filter((other) => other.name !== type.name && other.architecture === type.architecture)
    .filter((other) => other.disk >= type.disk && (other.memory ?? 0) >= (type.memory ?? 0))
    .filter((other) => {
      const here = other.locations.find(({ name }) => name === location);
      const { mistakes, warnings } = offerOf(other, location, now);
      return here?.available === true && mistakes.length + warnings.length === 0;
    })
    .sort((a, b) => (a.memory ?? 0) - (b.memory ?? 0) || (a.cores ?? 0) - (b.cores ?? 0))
    .slice(0, 3)
    .map(({ name }) => name);
  return fitting.length > 0
    ? `one that ${location} has (${fitting.join(', ')})`
    : 'one that the location has, or location to another where the volume is yet to be made';
}

/** A server that the plan makes or changes. */
export interface ServerChange {
  serverType: string;
  location: string;
  /** What the stack has of it; none where it is new. */
  present?: { serverType?: string; location?: string };
  /** Whether another takes its place. */
  replaced: boolean;
}

/**
 * Whether Hetzner Cloud can make or resize the server, asked only where the plan does: once the old server is deleted or
 * turned off, it is too late.
 *
 * @param lookUps at the provider that makes the server; gets what cannot be found out
 */
export async function serverOffer(
  { serverType, location, present, replaced }: ServerChange,
  lookUps: LookUps,
  now: Date,
): Promise<Offer> {
  const nothing: Offer = { mistakes: [], warnings: [] };
  const moved = present?.location !== location;
  if (moved) await lookUpLocation(location, lookUps);
  const resized = present?.serverType !== undefined && present.serverType !== serverType;
  if (present !== undefined && !replaced && !resized && !moved) return nothing;

  const [next, before] = await Promise.all([
    lookUpType(serverType, lookUps),
    // Of a type that is no more nothing is known, and the API judges itself.
    resized
      ? lookUps.tryTo((options) => hcloud.getServerType({ name: present.serverType! }, options))
      : undefined,
  ]);
  if (next === undefined) return nothing;
  const isMade = present === undefined || replaced || moved;
  const source = isMade ? await lookUpImage(next.architecture, lookUps) : undefined;
  const ofImage = imageOffer(source?.deprecated, now);
  const judged = offerOf(next, location, now);
  const { mistakes, warnings } =
    judged.mistakes.length + judged.warnings.length > 0
      ? offerOf(next, location, now, await allTypes(lookUps))
      : judged;
  const misfits =
    before && !replaced
      ? resizeMistakes({ ...before, name: present!.serverType }, { ...next, name: serverType })
      : [];
  return {
    mistakes: [...mistakes, ...misfits, ...ofImage.mistakes],
    warnings: [...warnings, ...ofImage.warnings],
  };
}

const lookUpLocation = (name: string, lookUps: LookUps) =>
  lookUps.ask(
    {
      api: hetzner,
      call: 'getLocation',
      about: name,
      mistake: `the location ${name} is not known at Hetzner Cloud: set location to one of its own`,
    },
    (options) => hcloud.getLocation({ name }, options),
  );

const lookUpType = (name: string, lookUps: LookUps): Promise<ServerType | undefined> =>
  lookUps.ask(
    {
      api: hetzner,
      call: 'getServerType',
      about: name,
      mistake: `the server type ${name} is not known at Hetzner Cloud: it never was, or is no more; set serverType to one of its own`,
    },
    (options) => hcloud.getServerType({ name }, options),
  );

const lookUpImage = (architecture: string, lookUps: LookUps) =>
  lookUps.ask(
    {
      api: hetzner,
      call: 'getImage',
      about: image,
      mistake: `the image ${image} for ${architecture}, from which the server is made, is not known at Hetzner Cloud: take a newer version of this package`,
    },
    (options) =>
      hcloud.getImage(
        { name: image, withArchitecture: architecture, includeDeprecated: true },
        options,
      ),
  );

const allTypes = async (lookUps: LookUps): Promise<readonly ServerType[]> =>
  (await lookUps.tryTo((options) => hcloud.getServerTypes(options)))?.serverTypes ?? [];

/** Why a server of one type cannot become one of another, its disk kept. */
function resizeMistakes(before: ServerType, next: ServerType): string[] {
  const mistakes: string[] = [];
  if (next.architecture !== before.architecture)
    mistakes.push(
      `a server cannot change from ${before.architecture} (${before.name}) to ${next.architecture} (${next.name}): choose a type of the same architecture, or increment serverGeneration to replace the server`,
    );
  if (next.disk < before.disk)
    mistakes.push(
      `the disk of ${next.name} is smaller than that of ${before.name} (${next.disk} and ${before.disk} GB): choose a larger type`,
    );
  return mistakes;
}

/**
 * What a failure to make or resize the server means, and what to set.
 *
 * @param operation of the engine: `create`, `update` or `delete`
 * @param error of the plugin
 * @param lookUps at the provider that makes the server
 * @returns undefined where the error is not about what Hetzner Cloud has to offer
 */
export async function serverFailure(
  operation: string,
  error: string,
  {
    serverType,
    location,
    isStandby = false,
  }: Pick<ServerChange, 'serverType' | 'location'> & { isStandby?: boolean },
  now: Date,
  lookUps: LookUps,
): Promise<string | undefined> {
  const isOf = (what: RegExp) => operation === 'create' && what.test(error);
  const isImage = isOf(/\bimage\b/i);
  const isPart = isOf(/ssh[ _-]?key|primary[ _-]?ip|firewall/i);
  const isOffer =
    /resource_unavailable|placement|invalid_server_type|unsupported location|server type .*not found|can no longer be ordered|location disabled|resource_limit_exceeded|server_type/i;
  if (operation === 'delete' || !(isOffer.test(error) || isImage || isPart)) return undefined;
  const left =
    operation === 'create' && isStandby
      ? 'The server that serves is not touched'
      : operation === 'create'
        ? 'There is no server now: where it was to replace another, that is deleted; the volume with the mail, the addresses and the keys are kept, and other mail systems try again for days'
        : 'The server may be off: where `pulumi up` does not start it again, start it in the Hetzner console';
  const gone = `Hetzner Cloud ${operation === 'create' ? 'made no server' : 'did not change the server to one'} of type ${serverType} in ${location} (${causeOf(new Error(error))})`;
  if (/resource_limit_exceeded/.test(error))
    return `${gone}: the limits of the project are reached. Raise them in the Hetzner console, or delete what the project does not need, then run \`pulumi up\` again. ${left}`;
  if (isImage)
    return `${gone}: it is made from the image ${image}, which Hetzner Cloud does not offer any more. ${left}. Take a newer version of this package, and run \`pulumi up\` again`;
  if (isPart)
    return `${gone}: a part that it needs was deleted by hand, or another server has it, which has to let it go first. ${left}. Run \`pulumi refresh\`, which notices what is gone, then \`pulumi up\` again`;
  const types = await allTypes(lookUps);
  const type = types.find(({ name }) => name === serverType);
  const remedy = type
    ? alternatives(type, location, now, types)
    : 'one that Hetzner Cloud has in that location';
  return `${gone}. ${left}. Set serverType to ${remedy}, and run \`pulumi up\` again`;
}
