import * as pulumi from '@pulumi/pulumi';
import * as tls from '@pulumi/tls';
import { dkimSelector, type KeyHistory } from './dns/dkimKeys';
import { dkimKeyRecord, dkimPublicKey, publicKeyHash, revokedKeyRecord } from './dns/dnsRecords';
import { keeping } from './hooks';
import { anewMistake, publishedKey } from './publishedKey';

export interface DkimArgs {
  domain: string;
  /** The keys to make, by generation, and the one that signs, e.g. `{ signs: 1, keys: [{ generation: 1 }, { generation: 2 }] }`. */
  history: KeyHistory;
  /** The publicKeyHash() of a selector's key that the stack has had before. Default: none is known. */
  before?: (selector: string) => string | undefined;
  /** Generations whose records revoke them. Default: none. */
  compromised?: number[];
  /** Keeps the keys that sign, or will, from being deleted. Default: true. */
  protect?: boolean;
}

/** The DKIM keys of one domain, RSA-2048, each with its selector for ever. */
export class Dkim extends pulumi.ComponentResource {
  /** PEM of the signing key, PKCS#8; secret. None where the domain has no mail. */
  readonly privateKeyPem?: pulumi.Output<string>;
  /** The key record of each selector, as text. */
  readonly records: Record<string, pulumi.Output<string>>;
  /** The publicKeyHash() of each selector's key that others may go by. */
  readonly fingerprints: Record<string, pulumi.Output<string>>;
  /** What stands behind `p=` in the record of each selector that is not revoked. */
  readonly publicKeys: pulumi.Output<Record<string, string>>;

  constructor(name: string, args: DkimArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:Dkim', name, {}, opts);
    const { domain, history, before = () => undefined, compromised = [], protect = true } = args;
    const { signs, keys } = history;
    const made = keys.map(({ generation }) => {
      const selector = dkimSelector(generation);
      const isRevoked = compromised.includes(generation);
      const what = `the DKIM key ${selector} of ${domain}`;
      const isTrusted = !isRevoked && signs !== undefined;
      const key = new tls.PrivateKey(
        `${name}-${selector}`,
        { algorithm: 'RSA', rsaBits: 2048 },
        {
          parent: this,
          // A rotation removes what is below the one that signs.
          protect: protect && !(signs !== undefined && generation < signs),
          // Another default is for keys that are new.
          ignoreChanges: ['algorithm', 'rsaBits'],
          hooks: keeping(
            `${name}-${selector}`,
            isTrusted && before(selector) !== undefined
              ? { message: anewMistake(what), isRefused: true }
              : undefined,
            this,
          ),
        },
      );
      const publicKeyPem = isTrusted
        ? key.publicKeyPem.apply((pem) => publishedKey(what, pem, before(selector)))
        : key.publicKeyPem;
      return { generation, selector, key, publicKeyPem, isRevoked, isTrusted };
    });
    this.privateKeyPem = made.find(({ generation }) => generation === signs)?.key
      .privateKeyPemPkcs8;
    this.records = Object.fromEntries(
      made.map(({ selector, publicKeyPem, isRevoked }) => [
        selector,
        isRevoked ? pulumi.output(revokedKeyRecord) : publicKeyPem.apply(dkimKeyRecord),
      ]),
    );
    this.fingerprints = Object.fromEntries(
      made
        .filter(({ isTrusted }) => isTrusted)
        .map(({ selector, publicKeyPem }) => [selector, publicKeyPem.apply(publicKeyHash)]),
    );
    this.publicKeys = pulumi.output(
      Object.fromEntries(
        made
          .filter(({ isRevoked }) => !isRevoked)
          .map(({ selector, publicKeyPem }) => [selector, publicKeyPem.apply(dkimPublicKey)]),
      ),
    );
    this.registerOutputs({});
  }
}
