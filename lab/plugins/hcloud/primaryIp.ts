import { act, api } from './api';
import { collection, locationOf } from './collection';

export const primaryIp = collection({
  path: 'primary_ips',
  // Without `assigneeId`, which the stand-in does not know, the assignee's type has no effect.
  inputs: ['type', 'location', 'assigneeType', 'autoDelete'],
  required: ['type', 'location'],
  defaults: { autoDelete: false },
  optionalComputed: ['assigneeType'],
  replaces: ['type', 'location'],
  computed: ['ipAddress', 'ipNetwork', 'assigneeId'],
  protections: ['delete'],
  body: ({ type, location, autoDelete }) => ({ type, location, auto_delete: autoDelete }),
  outputs: (item) => ({
    type: item.type,
    location: locationOf(item),
    assigneeId: item.assignee_id ?? 0,
    assigneeType: item.assignee_type,
    autoDelete: item.auto_delete,
    ipAddress: (item.ip as string).replace(/\/\d+$/, ''),
    ipNetwork: item.type === 'ipv6' ? item.ip : undefined,
  }),
  change: async (path, { autoDelete }, state) => {
    if (autoDelete !== state.autoDelete) await api.call('PUT', path, { auto_delete: autoDelete });
  },
  // An address can only leave a server that is off.
  release: async (path, { assignee_id: server }) => {
    if (typeof server !== 'number') return;
    await act(`/servers/${server}/actions/poweroff`);
    await act(`${path}/actions/unassign`);
    await act(`/servers/${server}/actions/poweron`);
  },
});
