import { dkimSelector } from '../dns/dkimKeys';
import { fileAsItIs, filledFile, hostFile, serviceFiles, type HostFiles } from '../hostFiles/files';
import { seconds } from '../settings/duration';
import { mailDomains } from '../settings/mailSettings';
import { amavisMeanings } from './amavisMeanings';
import { probeDomain } from './probe';
import { secretFiles, type DaemonSpec, type Plan, type Secrets } from './spec';

/**
 * Where amavis listens. Each address is a next hop of its own to OpenSMTPD, which would else let a message wait for the
 * scan of another one.
 */
export const scannerAddresses = Array.from({ length: 32 }, (_, index) => `127.0.0.${index + 1}`);

/** amavis: scanning in, signing out. */
export const amavis: DaemonSpec = {
  name: 'amavis',
  title: 'amavis',
  effect: 'restarts amavis; mail waits in the queue until it answers',
  meanings: amavisMeanings,
  unit: 'amavis',
  packageUsers: ['amavis'],
  timers: ['mailhost-sign.timer'],
  packages: () => ['amavisd-new'],
  users: [{ name: 'amavis', id: 903, home: '/var/lib/amavis' }],
  ports: {
    scan: { number: 10024, protocol: 'SMTP', purpose: 'mail to scan', from: 'host' },
    sign: { number: 10026, protocol: 'SMTP', purpose: 'mail to scan and sign', from: 'host' },
  },
  // The host refuses to sign with a key that the domain's name servers do not answer.
  waitsFor: ['volume', 'spamassassin', 'antivirus', 'records'],
  files,
  secrets: secretFiles('the private DKIM keys', ['dkimKeys'], (_plan, { dkimKeys }) =>
    keyFiles(dkimKeys),
  ),
};

function files({ mail, dkim, ports }: Plan): HostFiles {
  const retention = seconds(mail.dkimRetention);
  const keys = {
    retention,
    domains: Object.fromEntries(
      mail.domains.map(({ name, selector }) => [
        name,
        { signs: selector, published: dkim[name]!.keys.map((key) => dkimSelector(key.generation)) },
      ]),
    ),
  };
  return {
    ...filledFile('/etc/amavis/conf.d/60-mailhost', {
      ...mail,
      dkimRetention: retention,
      localDomains: [...mailDomains(mail), probeDomain],
      ports,
      probeDomain,
      scannerAddresses: scannerAddresses.join(' '),
      sizeLimit: mail.messageSize + 1,
      passSpam: mail.spamAction === 'file',
      holdSpam: mail.spamAction === 'hold',
      spamFate: { file: 'filed into Junk', hold: 'held', drop: 'dropped' }[mail.spamAction],
      holdVirus: mail.virusAction === 'hold',
    }),
    ...fileAsItIs('/etc/amavis/conf.d/70-mailhost-scan'),
    ...fileAsItIs('/etc/tmpfiles.d/mailhost-scanning.conf'),
    // The host program reads from it which keys must be out before they sign, and which ones must stay.
    '/etc/mailhost/dkim.json': hostFile(`${JSON.stringify(keys, undefined, 2)}\n`),
    ...fileAsItIs('/etc/systemd/system/mailhost-sign.service'),
    ...fileAsItIs('/etc/systemd/system/mailhost-sign.timer'),
    ...serviceFiles('amavis'),
  };
}

/**
 * The key that signs, for each domain: amavis would sign with the first of several, so it gets no other. The public part
 * of each key that is out travels along: in a readable file it would hide the rest while it is not known.
 */
function keyFiles(keys: Secrets['dkimKeys']): HostFiles {
  const publicKeys = Object.fromEntries(keys.map((key) => [key.name, key.publicKeys]));
  return {
    ...Object.fromEntries(
      keys.map(({ name, selector, privateKeyPem }) => [
        `/etc/amavis/dkim/${name}.${selector}.pem`,
        hostFile(privateKeyPem, '0640', 'root:amavis'),
      ]),
    ),
    '/etc/mailhost/dkim-keys.json': hostFile(`${JSON.stringify(publicKeys, undefined, 2)}\n`),
  };
}
