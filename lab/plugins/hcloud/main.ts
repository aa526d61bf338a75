import { serve } from '../resourceProvider';
import { api } from './api';
import { firewall } from './firewall';
import { getImage, getLocation, getServerType, getServerTypes, listing } from './lookUps';
import { primaryIp } from './primaryIp';
import { rdns } from './rdns';
import { server, type PublicNet } from './server';
import { sshKey } from './sshKey';
import { volume, volumeAttachment } from './volume';

serve({
  name: 'hcloud',
  version: '1.41.0',
  configure: ({ endpoint, token }) =>
    api.configure(endpoint ?? process.env.HCLOUD_ENDPOINT, token ?? process.env.HCLOUD_TOKEN),
  resources: {
    'hcloud:index/firewall:Firewall': firewall,
    'hcloud:index/primaryIp:PrimaryIp': primaryIp,
    'hcloud:index/rdns:Rdns': rdns,
    'hcloud:index/server:Server': server,
    'hcloud:index/sshKey:SshKey': sshKey,
    'hcloud:index/volume:Volume': volume,
    'hcloud:index/volumeAttachment:VolumeAttachment': volumeAttachment,
  },
  functions: {
    'hcloud:index/getImage:getImage': getImage,
    'hcloud:index/getLocation:getLocation': getLocation,
    'hcloud:index/getServerType:getServerType': getServerType,
    'hcloud:index/getServerTypes:getServerTypes': getServerTypes,
    'hcloud:index/getFirewalls:getFirewalls': listing('firewalls', 'firewalls'),
    'hcloud:index/getPrimaryIps:getPrimaryIps': listing(
      'primary_ips',
      'primaryIps',
      // The official plugin has 0 for none.
      ({ assignee_id: assigneeId }) => ({ assigneeId: assigneeId ?? 0 }),
    ),
    'hcloud:index/getServers:getServers': listing(
      'servers',
      'servers',
      ({ status, public_net: net }) => ({
        status,
        ipv4Address: (net as PublicNet).ipv4?.ip ?? '',
        firewallIds: (net as PublicNet).firewalls.map(({ id }) => id),
      }),
    ),
    'hcloud:index/getSshKeys:getSshKeys': listing('ssh_keys', 'sshKeys'),
    'hcloud:index/getVolumes:getVolumes': listing('volumes', 'volumes', ({ server: serverId }) => ({
      serverId: serverId ?? undefined,
    })),
  },
});
