import * as pulumi from '@pulumi/pulumi';
import type { Change } from '../daemon';
import { dkimSelector } from '../dns/dkimKeys';
import {
  dkimKeyRecord,
  publicKeyHash,
  revokedKeyRecord,
  tlsKeyName,
  type RecordSource,
} from '../dns/dnsRecords';
import type { DnsProvider, ExistingRecord, StateResource } from '../dns/provider';
import { dnsProviders } from '../dns/providers';
import { hostAddress } from '../machineFiles';
import type { KeptWithKeys } from '../summary';
import { PreflightError } from './findings';
import { unlessEnded } from './lookUps';

/** Types of the resources that a mail host's state is asked for. */
export const types = {
  privateKey: 'tls:index/privateKey:PrivateKey',
  sshKey: 'hcloud:index/sshKey:SshKey',
  primaryIp: 'hcloud:index/primaryIp:PrimaryIp',
  firewall: 'hcloud:index/firewall:Firewall',
  volume: 'hcloud:index/volume:Volume',
  server: 'hcloud:index/server:Server',
  attachment: 'hcloud:index/volumeAttachment:VolumeAttachment',
  rdns: 'hcloud:index/rdns:Rdns',
  command: 'command:remote:Command',
  machine: 'mailhost:index:Machine',
  handover: 'mailhost:index:Handover',
  standby: 'mailhost:index:Standby',
} as const;

/** A record that the stack publishes. */
export interface PublishedRecord extends ExistingRecord {
  /** Name of its resource. */
  resource: string;
  zoneId: string;
}

const nameOf = (urn: string): string => urn.split('::').at(-1)!;

/** What the stack's current state has of a mail host. Names of resources are those below the mail host's own. */
export class OwnState {
  /** Outputs by type and whole name. */
  private readonly outputsByName: Map<string, Record<string, unknown>>;
  /** The records that the stack publishes. */
  readonly records: PublishedRecord[];

  /** @param mailHost its name */
  constructor(
    readonly mailHost: string,
    private readonly resources: StateResource[],
  ) {
    this.outputsByName = new Map(
      resources.map(({ urn, type, outputs }) => [`${type}::${nameOf(urn)}`, outputs]),
    );
    this.records = resources.flatMap((resource) =>
      Object.values(dnsProviders).flatMap((provider) => {
        const record = provider.recordIn(resource);
        return record ? [{ ...record, resource: nameOf(resource.urn) }] : [];
      }),
    );
  }

  /**
   * Reads the resources in the current state. A StackReference would expose the program's outputs only, and none after a
   * first `up` that failed.
   *
   * @throws PreflightError if the engine cannot tell them
   */
  static async read(mailHost: string): Promise<OwnState> {
    const stackName = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
    const { outputs } = (await pulumi.runtime
      .invoke('pulumi:pulumi:readStackResourceOutputs', { stackName }, { async: true })
      .catch(async (error: unknown) => {
        const { message } = await unlessEnded(error);
        throw new PreflightError([
          {
            message: `the stack's own state cannot be read, so no change can be judged (${message})`,
          },
        ]);
      })) as { outputs: Record<string, Omit<StateResource, 'urn'>> };
    return new OwnState(
      mailHost,
      Object.entries(outputs).map(([urn, resource]) => ({ urn, ...resource })),
    );
  }

  /** @returns undefined if the state does not have the resource */
  outputs(type: string, resource: string): Record<string, unknown> | undefined {
    return this.outputsByName.get(`${type}::${this.mailHost}-${resource}`);
  }

  has(type: string, resource: string): boolean {
    return this.outputs(type, resource) !== undefined;
  }

  text(type: string, resource: string, property: string): string | undefined {
    return this.outputs(type, resource)?.[property] as string | undefined;
  }

  /** What changes are judged against; undefined before there is a host. */
  get summary(): Partial<KeptWithKeys> | undefined {
    return this.outputs('mailhost:index:Summary', 'summary')?.summary as
      Partial<KeptWithKeys> | undefined;
  }

  /** What a person had published when the host was made or changed last. */
  get zoneFile(): string | undefined {
    return this.outputsByName.get(`mailhost:index:MailHost::${this.mailHost}`)?.zoneFile as
      string | undefined;
  }

  /** The DKIM keys that the state holds, also of domains that have no mail any more. */
  get dkimKeys(): { domain: string; generation: number }[] {
    const form = /mailhost:index:Dkim\$tls:index\/privateKey:PrivateKey::(.+)-s(\d+)$/;
    return this.resources.flatMap(({ urn, outputs }) => {
      const [, owner, generation] = form.exec(urn) ?? [];
      return owner?.startsWith(`${this.mailHost}-`) === true &&
        typeof outputs.publicKeyPem === 'string'
        ? [{ domain: owner.slice(this.mailHost.length + 1), generation: Number(generation) }]
        : [];
    });
  }

  private publicKeyOf(key: string): string | undefined {
    return this.text(types.privateKey, key, 'publicKeyPem');
  }

  /**
   * The publicKeyHash() of a key, by the name of its resource: as it was when daemons got their files last, or else as the
   * state has it.
   */
  keyHashOf(key: string): string | undefined {
    const pem = this.publicKeyOf(key);
    return this.summary?.publicKeys?.[key] ?? (pem && publicKeyHash(pem));
  }

  /**
   * What only the plan's own resources can say is known once the state has them; before that no record is ours.
   *
   * @param compromised generations of DKIM keys that nobody may trust any more
   */
  valueOf(source: RecordSource, compromised: number[]): string | RecordSource {
    switch (source.from) {
      case 'ipv4':
        return this.text(types.primaryIp, 'machine-ipv4', 'ipAddress') ?? source;
      case 'ipv6': {
        const network = this.text(types.primaryIp, 'machine-ipv6', 'ipAddress');
        return network === undefined ? source : hostAddress(network);
      }
      case 'tls': {
        const pem = this.publicKeyOf(`certificate-${tlsKeyName(source.generation)}`);
        return pem === undefined ? source : publicKeyHash(pem);
      }
      case 'dkim': {
        const pem = this.publicKeyOf(`${source.domain}-${source.selector}`);
        if (pem === undefined) return source;
        const isRevoked = compromised.some((n) => dkimSelector(n) === source.selector);
        return isRevoked ? revokedKeyRecord : dkimKeyRecord(pem);
      }
      case 'acme':
        return this.text('mailhost:index:AcmeAccount', 'account', 'caa') ?? source;
    }
  }

  /** Every resource of this mail host, those of another one whose name begins like its own left out. */
  get own(): StateResource[] {
    const others = this.resources
      .filter(({ type }) => type === 'mailhost:index:MailHost')
      .map(({ urn }) => nameOf(urn))
      .filter((name) => name.startsWith(`${this.mailHost}-`));
    return this.resources.filter(({ urn }) => {
      const name = nameOf(urn);
      return (
        urn.includes('mailhost:index:MailHost$') &&
        name.startsWith(`${this.mailHost}-`) &&
        !others.some((other) => name.startsWith(`${other}-`))
      );
    });
  }

  /** What each command brought to the host last, or was about to, by the whole name of its resource. */
  get changes(): Map<string, Change> {
    return new Map(
      this.resources
        .filter(({ type }) => type.startsWith('mailhost:index:'))
        .flatMap(({ outputs }) =>
          Object.entries((outputs.changes ?? {}) as Record<string, Change>),
        ),
    );
  }

  /** The DS record of each zone that the stack signs. */
  get signedZones(): { provider: DnsProvider; ds: string }[] {
    return this.resources.flatMap((resource) =>
      Object.values(dnsProviders).flatMap((provider) => {
        const ds = provider.dsRecordIn(resource);
        return ds === undefined ? [] : [{ provider, ds }];
      }),
    );
  }
}
