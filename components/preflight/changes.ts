import { dkimSelector, nextHistories, type KeyHistory } from '../dns/dkimKeys';
import { maxAge } from '../dns/mtaSts';
import type { Zone } from '../dns/provider';
import { dnsProvider } from '../dns/providers';
import { seconds } from '../settings/duration';
import { signingGenerations } from '../settings/derived';
import { roles } from '../settings/mailSettings';
import { domainOf, localPartOf } from '../settings/names';
import type { Settings } from '../settings/settings';
import { blockers, type Blocker, type Findings } from './findings';
import { types, type OwnState } from './state';
import { summaryOf, type Summary } from './summary';

/** What changes against the host as it was made or changed last. */
export interface Changes extends Findings {
  /** What later changes are judged against. */
  summary: Summary;
  /** Of each domain's DKIM keys, before this plan. */
  historiesBefore: Record<string, KeyHistory>;
}

/** Compares the settings with what the state has of the host. */
export function judgeChanges(
  settings: Settings,
  state: OwnState,
  zones: Map<string, Zone>,
  plannedAt: Date,
): Changes {
  const kept = state.summary;
  const historiesBefore = kept?.dkim ?? {};
  const { histories, mistakes } = nextHistories(
    historiesBefore,
    state.dkimKeys,
    signingGenerations(settings),
    {
      compromised: settings.dkimCompromised,
      retention: seconds(settings.dkimRetention),
      retentionBefore: kept?.dkimRetention,
      now: plannedAt,
    },
  );
  const wanted = summaryOf(settings, histories, (zone) => zones.get(zone)?.name ?? zone);
  if (kept === undefined)
    return { summary: wanted, historiesBefore, blockers: blockers(mistakes), warnings: [] };
  // What an earlier version did not write down is as it was; it made every machine.
  const before: Summary = { ...wanted, machine: 'made', ...kept };
  const noneSince = mtaStsNoneSince(before, wanted, plannedAt);
  const after: Summary = { ...wanted, ...(noneSince && { mtaStsNoneSince: noneSince }) };
  const hasMail = settings.machine !== undefined || state.has(types.volume, 'machine-volume');
  const restore = hasMail ? settings.restore : undefined;
  return {
    summary: after,
    historiesBefore,
    blockers: [...blockingChanges(before, after, plannedAt), ...blockers(mistakes)],
    warnings: [
      ...droppedAddresses(before, after),
      ...serverWarnings(before, after, restore, settings.standbyServer),
    ],
  };
}

/** The modes that others keep to for as long as they remember them. */
const promises = (mode: Summary['mtaSts']): boolean => mode === 'testing' || mode === 'enforce';

/** Since when the policy ends what others were promised; undefined where there is nothing to end. */
export function mtaStsNoneSince(before: Summary, after: Summary, now: Date): string | undefined {
  if (after.mtaSts !== 'none') return undefined;
  return promises(before.mtaSts) ? now.toISOString() : before.mtaStsNoneSince;
}

/** @returns what would be lost or broken between `before` and `after` */
export const blockingChanges = (before: Summary, after: Summary, now: Date): Blocker[] =>
  [
    removedDomains,
    removedAccounts,
    otherHostName,
    otherZones,
    otherAccountKind,
    recordsByHand,
    noMtaSts,
    noIpv6,
    otherMachine,
    otherTlsKey,
    trustedKeys,
  ].flatMap((judge) => judge(before, after, now));

type Judge = (before: Summary, after: Summary, now: Date) => Blocker[];

const removedDomains: Judge = (before, after) => {
  const ofDomain = (domain: string) =>
    before.accounts.filter((address) => domainOf(address) === domain);
  return [
    ...without(before.domains, after.domains).map((domain) => ({
      confirmation: `remove ${domain}`,
      message: `${domain} would no longer have mail${list(' with its accounts ', ofDomain(domain))}: mail to it is refused from then on. Their mail stays on the host, in ${mailFolder(`@${domain}`, before.accountKind)}. What it has sent lately can no longer be verified. Its DKIM keys stay in the state: should it come again, it signs with them`,
    })),
    ...without(before.parked, [...after.parked, ...after.domains]).map((domain) => ({
      confirmation: `remove ${domain}`,
      message: `${domain} would no longer say that it has no mail: anybody could send in its name`,
    })),
  ];
};

const removedAccounts: Judge = (before, after) => {
  const gone = without(before.accounts, after.accounts).map(
    (address) => [address, heir(address, before, after)] as const,
  );
  const ofGoneDomain = (address: string) =>
    without(before.domains, after.domains).includes(domainOf(address));
  return [
    ...gone
      .filter(([address, next]) => next === undefined && !ofGoneDomain(address))
      .map(([address]) => ({
        confirmation: `remove ${address}`,
        message: `${address} would no longer be an account: it cannot log in from then on, and ${mailTo(address, after)}. Its mail stays on the host, in ${mailFolder(address, before.accountKind)}, for whoever gets that address again`,
      })),
    ...gone
      .filter(([, next]) => next !== undefined)
      .map(([address, next]) => ({
        confirmation: `hand the mailbox of ${address} to ${next}`,
        message: `${next} would be the same system user as ${address}, and read all of its mail`,
      })),
  ];
};

/** Who is the same system user as an account that goes: their names are local parts. */
const heir = (address: string, before: Summary, after: Summary): string | undefined =>
  before.accountKind === 'system' && after.accountKind === 'system'
    ? after.accounts.find((other) => localPartOf(other) === localPartOf(address))
    : undefined;

/** What becomes of mail to an address that is no account any more. */
function mailTo(address: string, { addresses }: Summary): string {
  if (addresses.includes(address)) return 'mail to it goes where its alias leads';
  if (roles.includes(localPartOf(address))) return 'mail to it goes to the postmaster';
  return addresses.includes(`@${domainOf(address)}`)
    ? 'mail to it goes to the catch-all'
    : 'mail to it is refused';
}

/** Where the mail of an account lies on the host. */
const mailFolder = (address: string, accountKind: string): string =>
  accountKind === 'system'
    ? `/srv/mailhost/home/${localPartOf(address)}`
    : `/srv/mailhost/mail/${domainOf(address)}/${localPartOf(address)}`;

const otherHostName: Judge = (before, after) =>
  before.hostName === after.hostName
    ? []
    : [
        {
          confirmation: `rename ${before.hostName} to ${after.hostName}`,
          message: `the host would be ${after.hostName} instead of ${before.hostName}: mail clients are set up with the old name, and its certificate and address records go`,
        },
      ];

const otherZones: Judge = (before, after) =>
  before.dns !== after.dns || after.dns === 'manual'
    ? []
    : Object.entries(after.zones)
        .filter(([domain, zone]) => (before.zones[domain] ?? zone) !== zone)
        .map(([domain, zone]) => ({
          confirmation: `move ${domain} to zone ${zone}`,
          message: `the records of ${domain} would be deleted in the zone ${before.zones[domain]} and made in ${zone}: until others look there, mail to it is held back or lost, and its signatures do not hold. Let the new zone answer for it first`,
        }));

const otherAccountKind: Judge = (before, after) =>
  before.accountKind === after.accountKind
    ? []
    : [
        {
          confirmation: `make accounts ${after.accountKind}`,
          message: `accounts would be ${after.accountKind} instead of ${before.accountKind}, with mailboxes elsewhere on the host: each is empty at first, and the mail stays where it was`,
        },
      ];

const recordsByHand: Judge = (before, after) => {
  const title = dnsProvider(before.dns)?.api.title;
  return title === undefined || before.dns === after.dns
    ? []
    : [
        {
          confirmation: `delete all records at ${title}`,
          message: `the records would be deleted at ${title}: publish those of \`pulumi stack output zoneFile\` elsewhere first, and let the registrar delegate there`,
        },
      ];
};

const noMtaSts: Judge = (before, after, now) => {
  if (after.mtaSts !== 'absent') return [];
  const confirmation = 'drop MTA-STS';
  const { mtaStsNoneSince: since } = before;
  // Until then others may keep a policy that promised something.
  const end = since === undefined ? now : new Date(Date.parse(since) + maxAge('enforce') * 1000);
  return [
    ...(now < end
      ? [
          {
            confirmation,
            message: `others may keep until ${end.toISOString()} to the MTA-STS policy from before, and could no longer read that it has ended: leave mtaSts at none until then`,
          },
        ]
      : []),
    ...(promises(before.mtaSts)
      ? [
          {
            confirmation,
            message: `no domain would announce MTA-STS any more, but others keep to the policy that they have read, in mode ${before.mtaSts}, and cannot read that it has ended: set mtaSts to none first, and leave it so for 7 days`,
          },
        ]
      : []),
  ];
};

const noIpv6: Judge = (before, after) =>
  before.ipv6 && !after.ipv6
    ? [
        {
          confirmation: 'give up the IPv6 address',
          message: 'the IPv6 address would go for good, and with it what others think of it',
        },
      ]
    : [];

const otherMachine: Judge = (before, after) =>
  before.machine === after.machine
    ? []
    : [
        after.machine === 'given'
          ? {
              confirmation: 'delete the server with its volume',
              message:
                'the machine that is given would take the place of the server, which would be deleted with its addresses and the volume, and all mail on it: back it up first (docs/own-machine.md)',
            }
          : {
              confirmation: 'leave the mail on the machine',
              message:
                'a new server with an empty volume would take the place of the machine that was given: all mail stays there, and the machine is left as it is. Back it up first (docs/own-machine.md)',
            },
      ];

const otherTlsKey: Judge = (before, after) => [
  ...(Math.abs(after.tlsGeneration - before.tlsGeneration) > 1
    ? [
        {
          message: `the TLS key would jump from generation ${before.tlsGeneration} to ${after.tlsGeneration}, and others would know no TLSA record of it: go one step at a time`,
        },
      ]
    : []),
  ...(before.dnssec && before.issuer !== 'provided' && after.issuer === 'provided'
    ? [
        {
          confirmation: 'serve a key that no TLSA record names',
          message:
            'others may remember the TLSA records for as long as their TTL, and hold mail back from a host that serves the provided key: they try again later',
        },
      ]
    : []),
];

const trustedKeys: Judge = (before, after) =>
  without(before.dkimCompromised, after.dkimCompromised)
    .filter((generation) => isPublished(after.dkim, generation))
    .map((generation) => ({
      confirmation: `trust ${dkimSelector(generation)} again`,
      message: `DKIM keys of generation ${generation} would be valid again, though they were declared compromised: leave it in dkimCompromised until no domain publishes them any more`,
    }));

const isPublished = (dkim: Record<string, KeyHistory>, generation: number): boolean =>
  Object.values(dkim).some(
    ({ signs, keys }) => signs !== undefined && keys.some((key) => key.generation === generation),
  );

/**
 * @param restore where the volume stays
 * @param standbyServer whether a change of the generation is a switch, which has a warning of its own
 * @returns a warning for each thing that happens with the server
 */
export function serverWarnings(
  before: Summary,
  after: Summary,
  restore?: string,
  standbyServer = false,
): string[] {
  return [
    ...(standbyServer || before.serverGeneration === after.serverGeneration
      ? []
      : [
          'another server takes the place of this one: for some minutes no mail is taken in, and others try again later. Logs and what was done by hand are lost with it; mail, queue, addresses and keys stay',
        ]),
    ...(restore === undefined
      ? []
      : [
          `restore (${restore}) fills an empty volume only, and this host has had mail: take the setting out, or see docs/backups.md for how to bring single mailboxes back`,
        ]),
  ];
}

/**
 * Addresses that mail was taken in for and will be refused, though no account goes.
 *
 * @returns a warning for each
 */
export function droppedAddresses(before: Summary, after: Summary): string[] {
  const kept = new Set([...after.addresses, ...before.accounts]);
  return before.addresses
    .filter((address) => !kept.has(address) && !after.addresses.includes(`@${domainOf(address)}`))
    .filter((address) => after.domains.includes(domainOf(address)))
    .map((address) =>
      address.startsWith('@')
        ? `mail to addresses of ${domainOf(address)} that nobody has is refused from now on`
        : `mail to ${address} is refused from now on`,
    );
}

const without = <T>(items: T[], others: T[]): T[] => items.filter((item) => !others.includes(item));

const list = (prefix: string, items: string[]): string =>
  items.length === 0
    ? ''
    : `${prefix}${items.slice(0, 5).join(', ')}${items.length > 5 ? ` and ${items.length - 5} more` : ''}`;
