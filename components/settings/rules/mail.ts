import { reportConsentName } from '../../dns/names';
import { domainOf } from '../names';
import { at, placed, type Rule } from './draft';

export const smarthostCanSend: Rule = function* ({ smarthost, hostName, domains }) {
  const host = smarthost?.host;
  if (host === undefined) return;
  if (host === hostName)
    yield {
      path: ['smarthost', 'host'],
      value: host,
      problem: `is this host itself; name another one`,
    };
  for (const { path: domain, value } of placed(domains, 'domains')) {
    const { name, parked, spf } = value;
    if (name === undefined || parked || spf === undefined || spf.length > 0) continue;
    const path = [...domain, 'spf'];
    yield {
      path,
      problem: `is empty, but the smarthost sends for ${name}; add its SPF mechanism, e.g.`,
      remedy: { path: [...path, 0], value: `include:_spf.${host.split('.').slice(-2).join('.')}` },
    };
  }
};

export const taggedMailIsNoJunk: Rule = function* ({ spamTagLevel, spamJunkLevel }) {
  if (spamTagLevel === undefined || spamJunkLevel === undefined) return;
  if (spamJunkLevel >= spamTagLevel) return;
  const path = ['spamJunkLevel'];
  yield {
    path,
    value: spamJunkLevel,
    problem: `is below spamTagLevel, ${spamTagLevel}: only tagged mail is treated as spam; raise it, or lower spamTagLevel`,
    remedy: { path, value: spamTagLevel },
  };
};

export const virusesAreScannedFor: Rule = function* ({ virusAction, antivirus }) {
  if (virusAction !== 'drop' || antivirus !== false) return;
  yield {
    path: ['virusAction'],
    value: 'drop',
    problem: 'has no effect without a scanner; turn it on, or remove virusAction',
    remedy: { path: ['antivirus'], value: true },
  };
};

export const mailboxesHoldAMessage: Rule = function* ({ quota, accounts, messageSize }) {
  const quotas = [
    ...at(quota, 'quota'),
    ...placed(accounts, 'accounts').flatMap(({ path, value }) => at(value.quota, ...path, 'quota')),
  ];
  for (const { path, value } of quotas)
    if (messageSize !== undefined && value > 0 && value < messageSize)
      yield {
        path,
        value,
        problem: `is less than messageSize, ${messageSize}; raise it, or lower messageSize`,
        remedy: { path, value: messageSize },
      };
};

/** A consent to reports is a DNS name of two domains (RFC 7489, section 7.1). */
export const reportsCanBeConsentedTo: Rule = function* ({ dmarcReports, domains }) {
  if (dmarcReports === undefined) return;
  for (const { value } of placed(domains)) {
    const consent = value.name && reportConsentName(value.name, domainOf(dmarcReports));
    if (consent !== undefined && consent.length > 253)
      yield {
        path: ['dmarcReports'],
        value: dmarcReports,
        problem: `needs a DNS name of ${consent.length} octets, of which 253 fit; choose an address in a shorter domain`,
      };
  }
};
