import type { Properties } from '../values';
import { list, type Item } from './api';
import { serverTypeOutputs, serverTypes } from './serverType';

/** The official plugin's words for what does not exist. */
const notFound = (what: string, name: string) =>
  new Error(`Resource not found: Resource (${what}) was not found: name="${name}"`);

export async function getLocation(args: Properties): Promise<Properties> {
  const name = String(args.name);
  const [found] = await list('locations', { name });
  if (found === undefined) throw notFound('location', name);
  const { network_zone: networkZone, ...location } = found;
  return { ...location, networkZone };
}

export async function getImage(args: Properties): Promise<Properties> {
  const name = String(args.name);
  const [found] = await list('images', { name, architecture: String(args.withArchitecture) });
  if (found === undefined) throw notFound('image', name);
  const { id, architecture, description, labels, created, deprecated } = found;
  const told = { id, name, architecture, description, labels, created };
  return { ...args, ...told, ...(deprecated !== null && { deprecated }) };
}

export async function getServerType(args: Properties): Promise<Properties> {
  const name = String(args.name);
  const [found] = await serverTypes(name);
  if (found === undefined) throw notFound('server type', name);
  return serverTypeOutputs(found);
}

export async function getServerTypes(): Promise<Properties> {
  const types = await serverTypes();
  return {
    names: types.map(({ name }) => name),
    serverTypeIds: types.map(({ id }) => String(id)),
    descriptions: types.map(({ description }) => description),
    serverTypes: types.map(serverTypeOutputs),
  };
}

/**
 * A function that lists all items of a collection.
 *
 * @param output name of the list
 * @param own outputs of an item besides its id, name and labels
 */
export const listing =
  (collection: string, output: string, own: (item: Item) => Properties = () => ({})) =>
  async (args: Properties): Promise<Properties> => {
    const items = (await list(collection, { per_page: '50' })).map((item) => ({
      id: item.id,
      name: item.name,
      labels: item.labels,
      ...own(item),
    }));
    return { ...args, [output]: items };
  };
