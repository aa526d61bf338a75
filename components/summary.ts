import * as pulumi from '@pulumi/pulumi';
import type { Summary as Kept } from './preflight/summary';

/** What is kept, with the publicKeyHash() of each key that others go by, by the name of its resource below the MailHost. */
export type KeptWithKeys = Kept & { publicKeys: Record<string, string> };

/**
 * Keeps in the state what the host takes mail in for, so that a later change is judged against it. It waits for the
 * daemons, not for the check after them: a host that fails the check may have mail already.
 */
export class Summary extends pulumi.ComponentResource {
  constructor(
    name: string,
    summary: pulumi.Input<KeptWithKeys>,
    opts: pulumi.ComponentResourceOptions,
  ) {
    super('mailhost:index:Summary', name, {}, opts);
    this.registerOutputs({ summary });
  }
}
