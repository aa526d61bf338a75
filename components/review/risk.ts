import { unquoted } from '../dns/recordForms';
import { isSpf } from '../dns/spf';
import type { Change } from './changes';
import { moves, resizes } from './machineMeaning';
import { accountsOf } from './meaning';
import type { Verdict } from './model';
import { works } from './pushes';
import type { DnsRecord } from './records';

const risky = (reason: string): Verdict => ({ mark: 'risky', reason });
const harmless = (reason: string): Verdict => ({ mark: 'harmless', reason });

/** The mark of a change by itself. What the engine or the program refuses is no change of the plan, but a diagnostic. */
export function verdictOn(change: Change): Verdict {
  if (change.edits.some(({ at, after }) => at === 'protect' && after === 'false'))
    return risky('Nothing protects this resource from being deleted afterwards.');
  if (change.push !== undefined) return verdictOnPush(change, change.push);
  if (change.record) return verdictOnRecord(change, change.record);
  const verdict = byType[change.type]?.(change);
  if (verdict) return verdict;
  return risky(
    `This review has no rule for ${change.type}${change.action === 'add' ? '' : ': check what depends on it'}.`,
  );
}

function verdictOnPush(change: Change, push: string): Verdict {
  const { action } = change;
  const work = works().get(push);
  if (action === 'remove' && work?.isTask)
    return harmless('This step is no longer part of an update.');
  if (action === 'remove')
    return risky(`${work?.title ?? push} is no longer wanted: the host stops it.`);
  if (!work) return risky(`This review has no rule for the push ${push}.`);
  if (accountsOf([change]).removed.length > 0)
    return risky('Accounts are removed: nobody can log in to them any longer.');
  if (push === 'restore') return risky('The volume is filled from a backup.');
  return harmless(work.safeguard);
}

/** What mail needs the records of a type for. */
const purposes: Record<string, string> = {
  MX: 'Mail is sent where this record points',
  A: 'Mail and clients reach the host by this address',
  AAAA: 'Mail and clients reach the host by this address',
  TLSA: 'Senders that use DANE accept only the keys that these records name',
  CAA: 'Certificate authorities issue only what this record allows',
  NS: 'The zone is looked up where this record points',
};

function purposeOf({ name, type, data }: DnsRecord): string | undefined {
  if (name.includes('._domainkey.')) return 'Receivers verify signatures with this record';
  if (type === 'TXT' && (name.startsWith('_dmarc.') || isSpf(unquoted(data))))
    return 'Receivers detect forged mail of the domain by this record';
  return purposes[type];
}

function verdictOnRecord({ action }: Change, { before, after }: NonNullable<Change['record']>) {
  if (action === 'import') return harmless('The record exists already, and is taken over.');
  if (!before) return harmless('A new record takes nothing away.');
  const purpose = purposeOf(before);
  if (!after)
    return risky(`${purpose ?? 'Other systems may rely on this record'}, and it is removed.`);
  return purpose
    ? risky(`${purpose}, and it changes.`)
    : harmless('Resolvers return the new record once the TTL of the old one is over.');
}

type Rule = (change: Change) => Verdict;

/** For resources that can be changed in place; to delete or replace one loses something. */
const lasting =
  (loss: string, update: Verdict): Rule =>
  ({ action }) =>
    action === 'remove' || action === 'replace'
      ? risky(loss)
      : action === 'change'
        ? update
        : harmless('Nothing that exists changes.');

const byType: Record<string, Rule> = {
  'hcloud:index/server:Server': (change) =>
    lasting(
      change.action === 'remove'
        ? 'If this server has the volume, there is no host any more; another one keeps serving.'
        : 'There is no host from the moment the server is deleted until the new one answers.',
      resizes(change) || moves(change)
        ? risky('The server is turned off for it.')
        : harmless('The server keeps running.'),
    )(change),
  'hcloud:index/volume:Volume': lasting(
    'All mail, the queue and what was learned lie on it.',
    harmless('The file system grows while the host runs; a volume cannot shrink.'),
  ),
  'hcloud:index/volumeAttachment:VolumeAttachment': lasting(
    'Mailboxes and queue cannot be reached while the volume is detached.',
    risky('The volume is attached in another way.'),
  ),
  'hcloud:index/primaryIp:PrimaryIp': lasting(
    'The address and its reputation are lost; another one starts without any.',
    harmless('The address stays.'),
  ),
  'hcloud:index/rdns:Rdns': lasting(
    'Other systems refuse mail from an address whose name in reverse DNS is missing or another one.',
    risky('Other systems refuse mail whose HELO does not match reverse DNS.'),
  ),
  'hcloud:index/firewall:Firewall': (change) =>
    lasting(
      'The server has no cloud firewall meanwhile, only its own.',
      change.edits.some(({ at }) => at === 'rules')
        ? risky('Its rules decide which ports are open, and who may log in by SSH.')
        : harmless('Its rules stay.'),
    )(change),
  'hcloud:index/firewallAttachment:FirewallAttachment': lasting(
    'No firewall protects the server while it is detached.',
    harmless('It protects the server as before.'),
  ),
  'hcloud:index/sshKey:SshKey': lasting(
    'A new server would not accept the old key.',
    harmless('A server that exists keeps its keys.'),
  ),
  'cloudflare:index/zoneDnssec:ZoneDnssec': (change) =>
    lasting(
      'The zone stays signed, and this stack no longer watches it. To end DNSSEC, remove its DS record at the registrar before the signing is switched off.',
      change.edits.every(isConfirmation)
        ? harmless(
            'The zone is signed already: Cloudflare calls it pending until it sees the DS record at the registrar.',
          )
        : risky('The signing of the zone changes.'),
    )(change),
  'tls:index/privateKey:PrivateKey': lasting(
    'Everything that relies on this key stops working with the new one.',
    risky('A key changes.'),
  ),
  'tls:index/certRequest:CertRequest': () => harmless('It is made from the key that exists.'),
  'tls:index/selfSignedCert:SelfSignedCert': lasting(
    'Clients have to trust the new certificate.',
    risky('Clients have to trust the new certificate.'),
  ),
  'tls:index/locallySignedCert:LocallySignedCert': () =>
    harmless('It is issued again with the same key and by the same authority.'),
};

/** Cloudflare's own progress, which a refresh finds. */
const isConfirmation = ({ at, before, after }: Change['edits'][number]): boolean =>
  at === 'status' && [before, after].every((status) => status === 'pending' || status === 'active');
