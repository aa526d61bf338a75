import { hasPublicCertificate } from '../../dns/mtaSts';
import { pairMistake, uncovered } from '../certificates';
import type { Mistake } from '../mistakes';
import { domainsHere, type Rule } from './draft';

export const termsAreAccepted: Rule = function* ({ tls }) {
  if (tls?.issuer !== 'acme' || tls.acceptTerms !== false) return;
  const { directory = '' } = tls;
  const terms = /^https:\/\/[^/]*\.letsencrypt\.org\//.test(directory)
    ? 'https://letsencrypt.org/repository/'
    : `which ${directory} names`;
  const path = ['tls', 'acceptTerms'];
  yield {
    path,
    problem: `must be true for tls.issuer acme; read the terms of the CA, ${terms}, and accept them, or set tls.issuer`,
    remedy: { path, value: true },
  };
};

export const pairIsComplete: Rule = function* ({ tls }) {
  if (tls?.issuer === undefined) return;
  for (const [key, file] of [
    ['chain', 'fullchain.pem'],
    ['privateKey', 'privkey.pem'],
  ] as const) {
    const path = ['tls', key];
    if (tls.issuer !== 'provided' && key in tls)
      yield {
        path,
        problem: 'applies only to tls.issuer provided; remove it',
        remedy: { path, remove: true },
      };
    if (tls.issuer === 'provided' && !(key in tls))
      yield {
        path,
        problem: 'is missing, and tls.issuer is provided; set it',
        remedy: { path, secret: true, file },
      };
  }
};

export const pairFits: Rule = function* ({ tls, hostName }) {
  const { issuer, chain, privateKey } = tls ?? {};
  if (issuer !== 'provided' || !chain || !privateKey || hostName === undefined) return;
  yield* pairMistakes(chain, privateKey, hostName);
};

/** What is wrong with a certificate for a host: none or one mistake. */
export const pairMistakes = (chain: string, privateKey: string, hostName: string): Mistake[] =>
  [pairMistake(chain, privateKey, hostName) ?? []].flat().map((problem) => ({
    path: ['tls', 'chain'],
    problem,
  }));

/** Others find the policy, and a certificate that they trust (RFC 8461, section 3.3). */
export const mtaStsCanBeEnforced: Rule = function* (draft) {
  const { mtaSts, web, tls } = draft;
  if (mtaSts !== 'enforce') return;
  const path = ['mtaSts'];
  if (web === false)
    yield {
      path,
      value: 'enforce',
      problem: 'needs the web server, where senders read the policy; set web, or leave mtaSts out',
      remedy: { path: ['web'], value: true },
    };
  else if (tls && !hasPublicCertificate({ tls }))
    yield {
      path,
      value: 'enforce',
      problem:
        'needs a certificate that senders trust, by a public CA; set another tls.issuer, or leave mtaSts out',
    };
  const missing =
    web && tls?.issuer === 'provided' && tls.chain && tls.privateKey
      ? uncovered(
          tls.chain,
          domainsHere(draft).map((name) => `mta-sts.${name}`),
        )
      : [];
  if (missing.length > 0)
    yield {
      path,
      value: 'enforce',
      problem: `needs a certificate for the names where senders read the policy, and tls.chain is not for ${missing.join(', ')}; have it issued for them, or take testing`,
      remedy: { path, value: 'testing' },
    };
};
