import * as pulumi from '@pulumi/pulumi';
import { AcmeAccount } from '../acmeAccount';
import type { HostAccess } from '../daemon';
import type { Pair, Secrets } from '../daemons/spec';
import { certificateNames, tls } from '../daemons/tls';
import { Renewal } from '../renewal';
import { pairOf } from '../settings/checked';
import { Certificate, WebRequests } from '../tls';
import type { Deployment } from './deployment';
import type { Pushes } from './pushes';

export interface Served {
  /** The stack's own. None where somebody else provides one. */
  certificate?: Certificate;
  secrets: {
    certificate: pulumi.Output<Secrets['certificate']>;
    tlsKeyHashes: pulumi.Output<string[]>;
  };
}

/**
 * What the daemons serve: a certificate by the stack's own CA, at first or for good, or one that is provided; and what an
 * ACME CA is asked with.
 */
export function makeCertificate(deployment: Deployment): Served {
  const { name, settings, mail, found, own } = deployment;
  if (settings.tls.issuer === 'provided') {
    return {
      secrets: {
        certificate: pairOf(settings).apply((pair) => ({ pair })),
        tlsKeyHashes: pulumi.output([]),
      },
    };
  }
  const certificate = new Certificate(
    `${name}-certificate`,
    {
      hostName: settings.hostName,
      generation: settings.tlsGeneration,
      before: (key) => found.before.keyHashOf(`certificate-${key}`),
    },
    own,
  );
  const acme = settings.tls.issuer === 'acme' ? requests(deployment, certificate) : undefined;
  return {
    certificate,
    secrets: {
      certificate: pulumi
        .all([certificate.chainPem, certificate.privateKeyPem, acme])
        .apply(([chainPem, privateKeyPem, asked]) => {
          const pair: Pair = { chainPem, privateKeyPem };
          return { pair, ...(asked ? { acme: asked } : {}) };
        }),
      tlsKeyHashes: mail.tlsa
        ? pulumi.all([...certificate.fingerprints.values()])
        : pulumi.output([]),
    },
  };
}

function requests({ name, mail, own }: Deployment, certificate: Certificate) {
  const [, ...ofDomains] = certificateNames(mail);
  const web = new WebRequests(`${name}-web-certificates`, { certificates: ofDomains }, own);
  return pulumi
    .all([web.privateKeyPem, certificate.requestPem, web.requestPems])
    .apply(([webKeyPem, request, others]) => ({
      webKeyPem,
      requests: { [mail.hostName]: request, ...others },
    }));
}

/** The account at the CA, where that issues the certificates. */
export const makeAccount = (
  { name, mail, own }: Deployment,
  host: HostAccess,
  dependsOn: pulumi.Resource[],
): AcmeAccount | undefined =>
  mail.tls.issuer === 'acme'
    ? new AcmeAccount(
        `${name}-account`,
        { host, directory: mail.tls.directory, contact: mail.tls.contact },
        { ...own, dependsOn },
      )
    : undefined;

/** The first issue of certificates by the CA. It finds the host by its names, at its web server. */
export const makeRenewal = (
  { name, mail, own }: Deployment,
  host: HostAccess,
  pushes: Pushes,
): Renewal[] =>
  mail.tls.issuer === 'acme'
    ? [
        new Renewal(
          `${name}-renewal`,
          { host, tls: pushes.push(tls) },
          { ...own, dependsOn: pushes.of('records', 'opensmtpd', 'web') },
        ),
      ]
    : [];
