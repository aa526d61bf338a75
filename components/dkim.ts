import * as pulumi from '@pulumi/pulumi';
import * as tls from '@pulumi/tls';
import { dkimKeyRecord, dkimSelector, publishedGenerations } from './dnsRecords';

export interface DkimArgs {
  /** The generation that signs, from 1. */
  generation: number;
}

/** The DKIM keys of one domain: an RSA-2048 key for each generation that is published while one signs. */
export class Dkim extends pulumi.ComponentResource {
  /** The selector that signs, e.g. `s1`. */
  readonly selector: string;
  /** PEM of the signing key, PKCS#8; secret. */
  readonly privateKeyPem: pulumi.Output<string>;
  /** The key record of each published selector, as text. */
  readonly records: Record<string, pulumi.Output<string>>;

  constructor(name: string, args: DkimArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:Dkim', name, {}, opts);
    const keys = publishedGenerations(args.generation).map((generation) => {
      const selector = dkimSelector(generation);
      const key = new tls.PrivateKey(
        `${name}-${selector}`,
        { algorithm: 'RSA', rsaBits: 2048 },
        { parent: this },
      );
      return { selector, key };
    });
    this.selector = dkimSelector(args.generation);
    this.privateKeyPem = keys.find(
      ({ selector }) => selector === this.selector,
    )!.key.privateKeyPemPkcs8;
    this.records = Object.fromEntries(
      keys.map(({ selector, key }) => [selector, key.publicKeyPem.apply(dkimKeyRecord)]),
    );
    this.registerOutputs({ selector: this.selector });
  }
}
