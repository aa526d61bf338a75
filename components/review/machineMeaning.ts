import { z } from 'zod';
import type { Change } from './changes';
import type { Effect } from './model';
import { replacedServer, resizedServer } from './measured';
import { forSeconds } from './words';

/** What a change of the machine means to mail, and to those who log in to it. */
export const machineEffects = (changes: Change[]): Effect[] =>
  changes.flatMap((change) => byType[change.type]?.(change) ?? []);

const stops = (what: string): Effect[] => [{ what, kind: 'stops' }];
const means = (what: string): Effect[] => [{ what, kind: 'means' }];
/** In the lab a server has less to start than at Hetzner. */
const boots = (seconds: number | undefined) =>
  forSeconds([seconds], '; a server at Hetzner boots more slowly');

const byType: Record<string, (change: Change) => Effect[]> = {
  'hcloud:index/server:Server': (server) => {
    if (server.action === 'replace')
      return stops(
        `replaces the server: no mail is accepted or read until the new one answers${boots(replacedServer)}; other systems try again, and the queue goes on from the volume`,
      );
    if (server.action === 'remove')
      return stops('deletes the server: no mail is accepted any more');
    return server.action === 'change' && resizes(server)
      ? stops(
          `turns the server off and on to resize it: no mail is accepted or read meanwhile${boots(resizedServer)}; other systems try again`,
        )
      : [];
  },
  'hcloud:index/volume:Volume': ({ action, edits }) => {
    const size = edits.find(({ at }) => at === 'size');
    return action === 'change' && size
      ? means(`mail and queue have ${size.after} GB of room instead of ${size.before} GB`)
      : [];
  },
  'hcloud:index/firewall:Firewall': ({ action, before, after }) => {
    const [old, next] = [sshNetworks(before), sshNetworks(after)];
    return action === 'change' && old !== next
      ? means(`SSH can be reached from ${next || 'nowhere'} instead of ${old || 'nowhere'}`)
      : [];
  },
  'hcloud:index/primaryIp:PrimaryIp': ({ action, after, before }) => {
    const family = (after ?? before)?.type === 'ipv6' ? 'IPv6' : 'IPv4';
    if (action === 'remove') return stops(`the host no longer has its ${family} address`);
    return action === 'add' || action === 'replace'
      ? means(`the host gets an ${family} address without a reputation`)
      : [];
  },
  'cloudflare:index/zoneDnssec:ZoneDnssec': ({ action }) =>
    action === 'add'
      ? means('signs the zone: DNSSEC counts once its DS record is at the registrar')
      : [],
};

const rules = z.array(z.object({ port: z.string().optional(), sourceIps: z.array(z.string()) }));

/** The networks that the cloud firewall lets in by SSH. */
const sshNetworks = (inputs: Record<string, unknown> | undefined): string =>
  (rules.safeParse(inputs?.rules).data ?? [])
    .filter(({ port }) => port === '22')
    .flatMap(({ sourceIps }) => sourceIps)
    .join(', ');

/** Properties of a server that Hetzner changes only while it is off. */
export const resizes = ({ edits }: Change): boolean => edits.some(({ at }) => at === 'serverType');
