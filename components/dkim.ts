import * as pulumi from '@pulumi/pulumi';
import * as tls from '@pulumi/tls';
import { dkimSelector, type KeyHistory } from './dkimKeys';
import { dkimKeyRecord, dkimPublicKey, revokedKeyRecord } from './dnsRecords';

export interface DkimArgs {
  history: KeyHistory;
  /** Generations that nobody may trust any more. */
  compromised: number[];
  /** Keep the keys that sign, or will, from being made anew. */
  protect: boolean;
}

/** The DKIM keys of one domain, RSA-2048, each with its selector for ever. */
export class Dkim extends pulumi.ComponentResource {
  /** PEM of the signing key, PKCS#8; secret. None where the domain has no mail. */
  readonly privateKeyPem?: pulumi.Output<string>;
  /** The key record of each selector, as text. */
  readonly records: Record<string, pulumi.Output<string>>;
  /** What stands behind `p=` in the record of each selector that is not revoked. */
  readonly publicKeys: pulumi.Output<Record<string, string>>;

  constructor(name: string, args: DkimArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:Dkim', name, {}, opts);
    const { signs, keys } = args.history;
    const made = keys.map(({ generation }) => {
      const selector = dkimSelector(generation);
      const key = new tls.PrivateKey(
        `${name}-${selector}`,
        { algorithm: 'RSA', rsaBits: 2048 },
        {
          parent: this,
          // A rotation removes what is below the one that signs.
          protect: args.protect && !(signs !== undefined && generation < signs),
          // Another default is for keys that are new.
          ignoreChanges: ['algorithm', 'rsaBits'],
        },
      );
      return { generation, selector, key, isRevoked: args.compromised.includes(generation) };
    });
    this.privateKeyPem = made.find(({ generation }) => generation === signs)?.key
      .privateKeyPemPkcs8;
    this.records = Object.fromEntries(
      made.map(({ selector, key, isRevoked }) => [
        selector,
        isRevoked ? pulumi.output(revokedKeyRecord) : key.publicKeyPem.apply(dkimKeyRecord),
      ]),
    );
    this.publicKeys = pulumi.output(
      Object.fromEntries(
        made
          .filter(({ isRevoked }) => !isRevoked)
          .map(({ selector, key }) => [selector, key.publicKeyPem.apply(dkimPublicKey)]),
      ),
    );
    this.registerOutputs({});
  }
}
