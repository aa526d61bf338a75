import type { Catalogue } from '../../cloud/hcloud/catalogue';
import type { Properties } from '../values';
import { list } from './api';

type ServerType = ReturnType<Catalogue['serverType']>;

/** All server types, or the one of a name. */
export const serverTypes = (name?: string): Promise<ServerType[]> =>
  list('server_types', name === undefined ? { per_page: '50' } : { name });

const deprecationOf = ({ deprecation }: Pick<ServerType, 'deprecation'>) => ({
  isDeprecated: deprecation !== null,
  deprecationAnnounced: deprecation?.announced ?? '',
  unavailableAfter: deprecation?.unavailable_after ?? '',
});

/** A server type in the form of the official plugin's functions. */
export const serverTypeOutputs = (type: ServerType): Properties => ({
  id: type.id,
  name: type.name,
  description: type.description,
  category: type.category,
  cores: type.cores,
  memory: type.memory,
  disk: type.disk,
  storageType: type.storage_type,
  cpuType: type.cpu_type,
  architecture: type.architecture,
  includedTraffic: type.included_traffic,
  ...deprecationOf(type),
  locations: type.locations.map(({ deprecation, ...location }) => ({
    ...location,
    ...deprecationOf({ deprecation }),
  })),
});
