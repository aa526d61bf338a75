import { isDeepStrictEqual } from 'node:util';
import type { ResourceKind } from '../resource';
import type { Properties } from '../values';
import { act, api, settle, type Item, type WithActions } from './api';

/** What tells one collection of the API from the others. */
interface Collection extends Pick<
  ResourceKind,
  'optionalComputed' | 'sets' | 'replaces' | 'deleteBeforeReplace'
> {
  /** Name of the collection in the API, which is that of one item with an `s`. */
  path: string;
  /** Inputs besides the name, the labels and the protections. */
  inputs: string[];
  required?: string[];
  defaults?: Properties;
  computed?: string[];
  protections?: ('delete' | 'rebuild')[];
  /** What the API is asked to create, besides the name and the labels. */
  body: (inputs: Properties) => object;
  /** An item's own properties as outputs. */
  outputs: (item: Item) => Properties;
  /** What the state keeps in place of inputs. */
  stored?: (inputs: Properties) => Properties;
  /** Changes besides the name, the labels and the protections. */
  change?: (path: string, inputs: Properties, state: Properties) => Promise<void>;
  /** What the official plugin judges before it asks the API to create. */
  judge?: (inputs: Properties, warn: (text: string) => void) => Promise<void>;
  /** Frees the item of what would keep it from being deleted. */
  release?: (path: string, item: Item, state: Properties) => Promise<void>;
}

/** A kind whose items live in a collection of their own, which is most of them. */
export function collection(kind: Collection): ResourceKind {
  const { protections = [] } = kind;
  const path = `/${kind.path}`;
  const key = kind.path.replace(/s$/, '');
  const at = (id: string) => `${path}/${id}`;
  const flag = (protection: string) => `${protection}Protection`;

  const item = async (id: string): Promise<Item | undefined> =>
    (await api.find<Record<string, Item>>(at(id)))?.[key];
  const read = async (id: string) => {
    const found = await item(id);
    if (found === undefined) return undefined;
    const { name, labels, protection } = found;
    const flags = protections.map((p) => [flag(p), (protection as Properties)[p]] as const);
    return { id, outputs: { name, labels, ...Object.fromEntries(flags), ...kind.outputs(found) } };
  };
  const told = async (id: string, inputs: Properties) => ({
    ...(await read(id))?.outputs,
    ...kind.stored?.(inputs),
  });
  const protect = async (id: string, wanted: Properties, present: Properties) => {
    const flags = protections.map((p) => [p, wanted[flag(p)] === true] as const);
    if (flags.every(([p, on]) => on === (present[flag(p)] === true))) return;
    await act(`${at(id)}/actions/change_protection`, Object.fromEntries(flags));
  };

  return {
    inputs: ['name', 'labels', ...kind.inputs, ...protections.map(flag)],
    required: ['name', ...(kind.required ?? [])],
    defaults: { ...Object.fromEntries(protections.map((p) => [flag(p), false])), ...kind.defaults },
    optionalComputed: kind.optionalComputed,
    sets: kind.sets,
    replaces: kind.replaces,
    deleteBeforeReplace: kind.deleteBeforeReplace,
    computed: kind.computed ?? [],
    create: async (inputs, { warn }) => {
      const { name, labels } = inputs;
      await kind.judge?.(inputs, warn);
      const answer = await api.call<WithActions & Record<string, Item>>('POST', path, {
        name,
        labels,
        ...kind.body(inputs),
      });
      const id = String((answer[key] as Item).id);
      try {
        await settle(answer);
        await protect(id, inputs, {});
      } catch (error) {
        // As with the official plugin, the state then knows no more than what was asked for.
        return { id, outputs: { ...kind.stored?.(inputs) }, failure: error as Error };
      }
      return { id, outputs: await told(id, inputs) };
    },
    update: async (id, inputs, state) => {
      const { name, labels = {} } = inputs;
      // The state of an item that was not made ready is not what the API has.
      const present = { ...state, ...(await read(id))?.outputs };
      if (name !== present.name || !isDeepStrictEqual(labels, present.labels)) {
        await api.call('PUT', at(id), { name, labels });
      }
      await kind.change?.(at(id), inputs, present);
      await protect(id, inputs, present);
      return told(id, inputs);
    },
    // A protected item is refused by the API: its protection has to be taken away by an update before.
    delete: async (id, state) => {
      const found = await item(id);
      if (found === undefined) return;
      await kind.release?.(at(id), found, state);
      const gone = await api.call<WithActions | undefined>('DELETE', at(id));
      if (gone) await settle(gone);
    },
    read,
  };
}

export const locationOf = (item: Item) => (item.location as { name: string }).name;
