import * as pulumi from '@pulumi/pulumi';
import * as tls from '@pulumi/tls';
import { publicKeyHash, tlsGenerations, tlsKeyName } from './dns/dnsRecords';
import { keeping, type Loss } from './hooks';
import { anewMistake, publishedKey } from './publishedKey';

export interface CertificateArgs {
  hostName: string;
  /** The generation of its key, from 1. */
  generation: number;
  /** The publicKeyHash() of a key of its own, by name, where the stack has had it before. */
  before: (key: string) => string | undefined;
}

const day = 24;

/**
 * A certificate for the host by a CA of the stack's own. The private key stays the same when the certificate is issued
 * again, so that what pins the key stays true.
 */
export class Certificate extends pulumi.ComponentResource {
  /** The SHA-256 of the public key of each generation, in hexadecimal. */
  readonly fingerprints: ReadonlyMap<number, pulumi.Output<string>>;
  /** PEM of the private key; secret. */
  readonly privateKeyPem: pulumi.Output<string>;
  /** PEM of the certificate followed by its issuer's. */
  readonly chainPem: pulumi.Output<string>;
  /** PEM of the request for it, which another CA may be asked with. */
  readonly requestPem: pulumi.Output<string>;
  /** PEM of the CA, for mail clients to trust. */
  readonly caCertPem: pulumi.Output<string>;

  constructor(name: string, args: CertificateArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:Certificate', name, {}, opts);
    const own = { parent: this };
    // Not protected: they go where another CA's key is provided.
    const key = (part: string, loss: Loss) =>
      new tls.PrivateKey(
        `${name}-${part}`,
        { algorithm: 'ECDSA', ecdsaCurve: 'P256' },
        {
          ...own,
          // Another default is for keys that are new.
          ignoreChanges: ['algorithm', 'ecdsaCurve'],
          hooks: keeping(
            `${name}-${part}`,
            args.before(part) === undefined ? undefined : loss,
            this,
          ),
        },
      );
    const caKey = key('ca-key', {
      message:
        "the key of the stack's CA would be made anew: mail clients that trust it refuse the host until they trust the new one (`pulumi stack output caCertPem`)",
    });
    const titleOf = (n: number) => `the TLS key of generation ${n}`;
    const keys = new Map(
      tlsGenerations(args.generation).map((n) => [
        n,
        key(tlsKeyName(n), { message: anewMistake(titleOf(n)), isRefused: true }),
      ]),
    );
    const hostKey = keys.get(args.generation)!;
    this.fingerprints = new Map(
      [...keys].map(([n, { publicKeyPem }]) => {
        const before = args.before(tlsKeyName(n));
        const judged = (pem: string) => publishedKey(titleOf(n), pem, before);
        return [n, publicKeyPem.apply((pem) => publicKeyHash(judged(pem)))];
      }),
    );

    const ca = new tls.SelfSignedCert(
      `${name}-ca`,
      {
        privateKeyPem: caKey.privateKeyPem,
        // A new host name must not make clients trust another CA.
        subject: { commonName: 'Mail host CA' },
        isCaCertificate: true,
        setSubjectKeyId: true,
        allowedUses: ['cert_signing', 'crl_signing'],
        validityPeriodHours: 3650 * day,
      },
      own,
    );
    const request = new tls.CertRequest(
      `${name}-request`,
      {
        privateKeyPem: hostKey.privateKeyPem,
        subject: { commonName: args.hostName },
        dnsNames: [args.hostName],
      },
      own,
    );
    const certificate = new tls.LocallySignedCert(
      name,
      {
        certRequestPem: request.certRequestPem,
        caPrivateKeyPem: caKey.privateKeyPem,
        caCertPem: ca.certPem,
        allowedUses: ['digital_signature', 'server_auth'],
        validityPeriodHours: 397 * day,
        earlyRenewalHours: 60 * day,
      },
      own,
    );
    this.privateKeyPem = hostKey.privateKeyPem;
    this.requestPem = request.certRequestPem;
    this.caCertPem = ca.certPem;
    this.chainPem = pulumi.interpolate`${certificate.certPem}${ca.certPem}`;
    this.registerOutputs({ caCertPem: this.caCertPem });
  }
}

export interface WebRequestsArgs {
  /** What is asked for, by the names of the certificates. */
  certificates: { name: string; dnsNames: string[] }[];
}

/** Requests for the certificates of the domains' own names, all with one key. */
export class WebRequests extends pulumi.ComponentResource {
  /** PEM of the private key; secret. */
  readonly privateKeyPem: pulumi.Output<string>;
  /** PEM of each request, by the name of the certificate. */
  readonly requestPems: pulumi.Output<Record<string, string>>;

  constructor(name: string, args: WebRequestsArgs, opts?: pulumi.ComponentResourceOptions) {
    super('mailhost:index:WebRequests', name, {}, opts);
    const own = { parent: this };
    const key = new tls.PrivateKey(`${name}-key`, { algorithm: 'ECDSA', ecdsaCurve: 'P256' }, own);
    const requests = args.certificates.map(({ name: certificate, dnsNames }) => {
      // No common name: it would take 64 octets, and the names are below.
      const { certRequestPem } = new tls.CertRequest(
        `${name}-${certificate}`,
        { privateKeyPem: key.privateKeyPem, dnsNames },
        own,
      );
      return certRequestPem.apply((pem) => [certificate, pem] as const);
    });
    this.privateKeyPem = key.privateKeyPem;
    this.requestPems = pulumi.all(requests).apply((entries) => Object.fromEntries(entries));
    this.registerOutputs({});
  }
}
