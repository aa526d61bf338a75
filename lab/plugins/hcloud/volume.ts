import type { Volume } from '../../cloud/hcloud/account';
import type { ResourceKind } from '../resource';
import { act, api, settle, type WithActions } from './api';
import { collection, locationOf } from './collection';

export const volume = collection({
  path: 'volumes',
  inputs: ['size', 'location', 'format'],
  required: ['size'],
  optionalComputed: ['location'],
  replaces: ['location'],
  deleteBeforeReplace: true,
  computed: ['linuxDevice', 'serverId'],
  protections: ['delete'],
  body: ({ size, location, format }) => ({ size, location, format }),
  outputs: (item) => ({
    size: item.size,
    location: locationOf(item),
    linuxDevice: item.linux_device,
    serverId: item.server ?? undefined,
  }),
  change: async (path, { size }, state) => {
    if (size !== state.size) await act(`${path}/actions/resize`, { size });
  },
  release: async (path, { server }) => {
    if (typeof server === 'number') await act(`${path}/actions/detach`);
  },
});

/** The server that a volume is attached to. */
async function attachedTo(volumeId: string): Promise<number | undefined> {
  const found = await api.find<{ volume: Volume }>(`/volumes/${volumeId}`);
  return found?.volume.server ?? undefined;
}

/** Its id is the volume's. */
export const volumeAttachment: ResourceKind = {
  inputs: ['volumeId', 'serverId', 'automount'],
  required: ['volumeId', 'serverId'],
  optionalComputed: ['automount'],
  replaces: ['volumeId', 'serverId'],
  computed: [],
  create: async ({ volumeId, serverId: server, automount }) => {
    const id = String(volumeId);
    const answer = await api.call<WithActions>('POST', `/volumes/${id}/actions/attach`, {
      server,
      automount,
    });
    const failure = await settle(answer).then(
      () => undefined,
      (error: Error) => error,
    );
    return { id, outputs: {}, failure };
  },
  delete: async (id) => {
    if ((await attachedTo(id)) !== undefined) await act(`/volumes/${id}/actions/detach`);
  },
  read: async (id) => {
    const serverId = await attachedTo(id);
    return serverId === undefined ? undefined : { id, outputs: { volumeId: Number(id), serverId } };
  },
};
