import { createHash } from 'node:crypto';
import { mtaStsPolicy } from '../dns/mtaSts';
import { clientNames } from '../dns/names';
import {
  fileAsItIs,
  filledFile,
  hostFile,
  renderTemplate,
  serviceFiles,
  type HostFiles,
} from '../hostFiles/files';
import type { MtaSts } from '../settings/enums';
import { trustedNetworks } from './fail2ban';
import { givenFiles, type DaemonSpec, type Given, type Plan } from './spec';
import { tlsCiphers, webDomains } from './tls';

const root = '/usr/local/share/mailhost/web';
const policyFile = `${root}/.well-known/mta-sts.txt`;

const policyMeanings: Record<MtaSts, string> = {
  none: 'senders deliver as if there were none',
  testing: 'senders report failures of TLS, and deliver',
  enforce: 'senders that follow it do not deliver without TLS to a certificate that they trust',
};

/** nginx, and what it serves: how to set up a mail client, and the domains' policy for TLS between mail systems. */
export const web: DaemonSpec = {
  name: 'web',
  title: 'nginx',
  effect: 'reloads nginx without a gap',
  isQuiet: true,
  comes:
    'mail clients find their configuration at autoconfig and autodiscover of each domain, and other systems the MTA-STS policy',
  goes: 'mail clients no longer find their configuration at autoconfig and autodiscover, nor other systems an MTA-STS policy if one is announced; SRV records stay',
  meanings: [
    {
      path: '/etc/nginx/nginx.conf',
      says: (before, after) => {
        const [old, next] = [before, after].map((text) => text.includes('location = /metrics'));
        if (old === next) return [];
        return [
          next
            ? 'serves figures about mail to Prometheus, at /metrics, to the networks in adminNetworks'
            : 'no longer serves figures about mail at /metrics',
        ];
      },
    },
    {
      path: policyFile,
      says: (before, after) => {
        const [old, next] = [before, after].map((text) => /^mode: (\w+)/m.exec(text)?.[1]);
        if (old === undefined || next === undefined || old === next) return [];
        return [
          `the MTA-STS policy is ${next} instead of ${old}: ${policyMeanings[next as MtaSts]}`,
        ];
      },
    },
  ],
  unit: 'nginx',
  isWanted: (mail) => mail.web,
  packages: () => ['nginx'],
  ports: {
    http: { number: 80, protocol: 'HTTP', purpose: 'web', from: 'everyone' },
    https: { number: 443, protocol: 'HTTP', security: 'TLS', purpose: 'web', from: 'everyone' },
    answers: { number: 10080, protocol: 'HTTP', purpose: 'answers to Outlook', from: 'host' },
  },
  waitsFor: ['tls'],
  files: givenFiles(['adminNetworks'], files),
};

function files(plan: Plan, { adminNetworks }: Pick<Given, 'adminNetworks'>): HostFiles {
  const { mail, ports } = plan;
  const virtual = mail.accountKind === 'virtual';
  const acme = mail.tls.issuer === 'acme';
  const values = {
    hostName: mail.hostName,
    ports,
    virtual,
    tlsCiphers,
    // A variable of Thunderbird's, which fills it in.
    userName: virtual ? '%EMAILADDRESS%' : '%EMAILLOCALPART%',
  };
  return {
    ...filledFile('/etc/nginx/nginx.conf', {
      ...values,
      acme,
      metrics: mail.metrics,
      trusted: trustedNetworks(adminNetworks),
    }),
    ...filledFile('/etc/nginx/pages.conf', values),
    ...(acme ? sites(plan) : {}),
    ...serviceFiles('nginx'),
    ...filledFile(`${root}/mail/config-v1.1.xml`, values),
    ...filledFile(`${root}/autodiscover/autodiscover.xml`, values),
    ...fileAsItIs(`${root}/autodiscover/error.xml`),
    // The host signs it with its certificate.
    ...filledFile('/usr/local/share/mailhost/apple.mobileconfig', {
      ...values,
      profileId: uuidOf(`profile of ${mail.hostName}`),
      mailId: uuidOf(`mail of ${mail.hostName}`),
    }),
    [policyFile]: hostFile(mtaStsPolicy(mail.mtaSts, [mail.hostName])),
  };
}

/** Always the same of a name, so that a profile that is installed again takes the place of the one before (RFC 9562, 5.8). */
function uuidOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`.toUpperCase();
}

/** The names of each domain, with a certificate of their own. */
const sites = ({ mail, ports }: Plan): HostFiles =>
  Object.fromEntries(
    webDomains(mail).map((domain) => [
      `/etc/nginx/sites/${domain}.conf`,
      hostFile(
        renderTemplate('/etc/nginx/sites.conf', { domain, names: clientNames(domain), ports }),
      ),
    ]),
  );
