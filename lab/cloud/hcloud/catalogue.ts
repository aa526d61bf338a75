import { ApiError } from '../api';
import type { Offers } from '../offers';

const serverTypes = [
  { id: 104, name: 'cx22', cores: 2, memory: 4, disk: 40, architecture: 'x86' },
  { id: 114, name: 'cx23', cores: 2, memory: 4, disk: 40, architecture: 'x86' },
  { id: 115, name: 'cx33', cores: 4, memory: 8, disk: 80, architecture: 'x86' },
  { id: 45, name: 'cax11', cores: 2, memory: 4, disk: 40, architecture: 'arm' },
].map((type) => ({
  ...type,
  description: type.name.toUpperCase(),
  storage_type: 'local',
  cpu_type: 'shared',
  category: 'cost_optimized',
  // Hetzner reports 0 since August 2024.
  included_traffic: 0,
  prices: [],
}));
type ServerType = (typeof serverTypes)[number];

export const locations = [
  { id: 1, name: 'fsn1', description: 'Falkenstein DC Park 1', city: 'Falkenstein', country: 'DE' },
  { id: 2, name: 'nbg1', description: 'Nuremberg DC Park 1', city: 'Nuremberg', country: 'DE' },
  { id: 3, name: 'hel1', description: 'Helsinki DC Park 1', city: 'Helsinki', country: 'FI' },
].map((location) => ({ ...location, latitude: 0, longitude: 0, network_zone: 'eu-central' }));

export const images = [
  { id: 310557660, name: 'debian-13', architecture: 'x86' },
  { id: 310558102, name: 'debian-13', architecture: 'arm' },
].map((image) => ({
  ...image,
  type: 'system',
  status: 'available',
  description: 'Debian 13',
  image_size: null,
  disk_size: 5,
  created: '2025-08-11T00:00:00Z',
  created_from: null,
  bound_to: null,
  os_flavor: 'debian',
  os_version: '13',
  rapid_deploy: true,
  protection: { delete: false },
  deprecated: null,
  deleted: null,
  labels: {},
}));

const invalid = (message: string) => new ApiError(422, 'invalid_input', message);

/** @throws ApiError if there is none of that name */
export function locationNamed(name: string) {
  const found = locations.find((location) => location.name === name);
  if (found === undefined) throw invalid('unknown location');
  return found;
}

/**
 * @param wanted name or id
 * @throws ApiError if there is none for the architecture
 */
export function imageFor(wanted: string | number, architecture: string) {
  const found = images.find(
    (image) =>
      image.id === Number(wanted) || (image.name === wanted && image.architecture === architecture),
  );
  if (found === undefined) throw invalid('unknown image');
  return found;
}

/** @throws ApiError if there is none of that name or id */
export function serverTypeOf(wanted: string | number): ServerType {
  const found = serverTypes.find(({ id, name }) => id === Number(wanted) || name === wanted);
  if (found === undefined) throw invalid('unknown server_type');
  return found;
}

/** Which server types the locations offer now. */
export class Catalogue {
  constructor(private readonly offers: () => Offers) {}

  private offer(type: string, location: string) {
    const { available = true, deprecation = null } = this.offers()[`${type}@${location}`] ?? {};
    const isGone = deprecation !== null && new Date(deprecation.unavailable_after) <= new Date();
    return { available: available && !isGone, deprecation };
  }

  serverTypes() {
    return serverTypes.map((type) => this.serverType(type));
  }

  /** A server type as the API reports it. */
  serverType(type: ServerType) {
    const offered = locations.map(({ id, name }) => {
      const { available, deprecation } = this.offer(type.name, name);
      const recommended = available && deprecation === null;
      return { id, name, available, recommended, deprecation };
    });
    // A type as a whole is deprecated once it is so everywhere.
    const everywhere = offered.every(({ deprecation }) => deprecation !== null);
    const deprecation = everywhere ? offered[0]!.deprecation : null;
    return { ...type, deprecated: everywhere, deprecation, locations: offered };
  }

  /** @throws ApiError if no server of the type can be made, or become one, at the location now */
  mustOffer(type: ServerType, location: string): void {
    if (!this.offer(type.name, locationNamed(location).name).available)
      throw new ApiError(412, 'resource_unavailable', 'error during placement');
  }

  datacenters() {
    return locations.map(({ name }) => this.datacenter(name));
  }

  /** The one data center of a location. */
  datacenter(location: string) {
    const available = serverTypes
      .filter(({ name }) => this.offer(name, location).available)
      .map(({ id }) => id);
    const found = locationNamed(location);
    return {
      id: found.id + 3,
      name: `${location}-dc14`,
      description: location,
      location: found,
      server_types: {
        supported: serverTypes.map(({ id }) => id),
        available,
        available_for_migration: available,
      },
    };
  }
}
