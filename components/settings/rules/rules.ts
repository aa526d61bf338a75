import * as access from './access';
import * as addresses from './addresses';
import * as backup from './backup';
import * as certificates from './certificates';
import * as domains from './domains';
import type { Rule } from './draft';
import * as keys from './keys';
import * as machine from './machine';
import * as mail from './mail';

/** Rules between settings, in the order in which their mistakes are reported. */
export const rules: Rule[] = [
  domains.distinctDomains,
  domains.zonesHoldDomains,
  domains.parkedDomainsHaveNoMail,
  domains.spfFits,
  domains.hostIsInADomain,
  domains.clientNamesAreFree,
  certificates.mtaStsCanBeEnforced,
  mail.reportsCanBeConsentedTo,
  addresses.distinctAddresses,
  addresses.addressesAreInDomains,
  addresses.recipientsExist,
  addresses.aliasesEnd,
  addresses.systemUsersAreValid,
  keys.compromisedKeysDoNotSign,
  keys.signaturesOutlastTheQueue,
  certificates.termsAreAccepted,
  certificates.pairIsComplete,
  certificates.pairFits,
  mail.smarthostCanSend,
  mail.taggedMailIsNoJunk,
  mail.virusesAreScannedFor,
  mail.mailboxesHoldAMessage,
  access.pulumiCanConnect,
  access.metricsHaveReaders,
  machine.machineIsGivenOrMade,
  backup.hostKeyIsOfAnSshServer,
  backup.backupIsElsewhere,
  backup.restoreHasABackup,
];
