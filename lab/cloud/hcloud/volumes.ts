import { z } from 'zod';
import { ApiError } from '../api';
import { mustBeDeletable, type Volume } from './account';
import { locationNamed } from './catalogue';
import { collection, created, id, idOf, protect, type Hcloud } from './collection';

const creation = created.extend({
  size: z.number().int().min(10).max(10240),
  location: z.string().optional(),
  format: z.enum(['ext4', 'xfs']).optional(),
  server: id.optional(),
});
const attachment = z.looseObject({ server: id });
const resizing = z.object({ size: z.number().int() });

export function volumes(cloud: Hcloud): void {
  const { app, account, actions, backend } = cloud;
  const report = ({ location, ...volume }: Volume) => ({
    ...volume,
    status: 'available',
    location: locationNamed(location),
    linux_device: `/dev/disk/by-id/scsi-0HC_Volume_${volume.id}`,
  });
  const action = collection(cloud, 'volumes', report);

  app.post('/v1/volumes', (request) => {
    const body = creation.parse(request.body);
    const { size, format, server } = body;
    const ofServer = server === undefined ? 'fsn1' : account.find('servers', server).location;
    const volume = account.add('volumes', body, {
      size,
      location: locationNamed(body.location ?? ofServer).name,
      format: format ?? null,
      server: server ?? null,
      protection: { delete: false },
    });
    const creating = actions.begin('create_volume', 'volume', volume.id, async () => {
      await backend.createVolume({ id: volume.id, sizeGb: size, format });
      if (server !== undefined) await backend.attachVolume(volume.id, server);
    });
    return { volume: report(volume), action: creating, next_actions: [] };
  });
  app.delete('/v1/volumes/:id', async (request, reply) => {
    const volume = account.find('volumes', idOf(request));
    mustBeDeletable(volume);
    if (volume.server !== null)
      throw new ApiError(422, 'volume_still_attached', 'volume is attached to a server');
    await backend.deleteVolume(volume.id);
    account.remove('volumes', volume);
    return reply.status(204).send();
  });
  action('change_protection', 'change_protection', protect);
  action('attach', 'attach_volume', (volume, body) => {
    const { server } = attachment.parse(body);
    if (volume.server !== null)
      throw new ApiError(422, 'volume_already_attached', 'volume is attached already');
    account.find('servers', server);
    actions.mustBeFree('server', server);
    volume.server = server;
    return () => backend.attachVolume(volume.id, server);
  });
  action('detach', 'detach_volume', (volume) => {
    volume.server = null;
    return () => backend.detachVolume(volume.id);
  });
  action('resize', 'resize_volume', (volume, body) => {
    const { size } = resizing.parse(body);
    if (size <= volume.size) throw new ApiError(422, 'invalid_input', 'a volume can only grow');
    volume.size = size;
    return () => backend.resizeVolume(volume.id, size);
  });
}
