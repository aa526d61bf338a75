import * as pulumi from '@pulumi/pulumi';
import type { Dkim } from './dkim';
import type { KeyHistory } from './dns/dkimKeys';
import { tlsKeyName } from './dns/dnsRecords';
import type { Summary as Kept } from './preflight/summary';
import type { Certificate } from './tls';

/** What is kept, with the publicKeyHash() of each key that others go by, by the name of its resource below the MailHost. */
export type KeptWithKeys = Kept & { publicKeys: Record<string, string> };

export interface SummaryArgs {
  /** As the checks before the plan have it. */
  summary: pulumi.Input<Kept>;
  /** Of each domain, with the changes that this plan makes. */
  dkim: pulumi.Input<Record<string, KeyHistory>>;
  keys: Map<string, Dkim>;
  certificate?: Certificate;
}

/**
 * Keeps in the state what the host takes mail in for, so that a later change is judged against it. It waits for the
 * daemons, not for the check after them: a host that fails the check may have mail already.
 */
export class Summary extends pulumi.ComponentResource {
  constructor(name: string, args: SummaryArgs, opts: pulumi.ComponentResourceOptions) {
    super('mailhost:index:Summary', name, {}, opts);
    const summary = pulumi
      .all([args.summary, args.dkim, publicKeys(args)])
      .apply(([kept, dkim, hashes]): KeptWithKeys => ({ ...kept, dkim, publicKeys: hashes }));
    this.registerOutputs({ summary });
  }
}

const publicKeys = ({ keys, certificate }: SummaryArgs) =>
  pulumi.all(
    Object.fromEntries([
      ...[...keys].flatMap(([domain, { fingerprints }]) =>
        Object.entries(fingerprints).map(
          ([selector, hash]) => [`${domain}-${selector}`, hash] as const,
        ),
      ),
      ...[...(certificate?.fingerprints ?? [])].map(
        ([generation, hash]) => [`certificate-${tlsKeyName(generation)}`, hash] as const,
      ),
    ]),
  );
