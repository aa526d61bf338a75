import { daemonPlan } from '../components/daemons/catalogue';
import type { DaemonSpec, Given, Plan, Secrets } from '../components/daemons/spec';
import type { KeyHistory } from '../components/dns/dkimKeys';
import type { HostFiles } from '../components/hostFiles/files';
import type { MailHostArgs } from '../components/mailHostArgs';
import { mailSettings, type MailSettings } from '../components/settings/mailSettings';
import { parseSettings } from '../components/settings/parse';

/** A hash of the right form. */
export const hash = `$6$saltsaltsaltsalt$${'a'.repeat(86)}`;

/** An SSH public key of the right form. */
export const sshKey =
  'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIGPhV2oBqDn4qNaJqDfTGG8VvmtCkh8jcZ+9vE6lfkP';

/** Settings with two domains and an account in each. */
export const example: MailHostArgs = {
  hostName: 'mail.example.org',
  domains: [{ name: 'example.org' }, { name: 'example.net' }],
  accounts: [
    {
      address: 'anna@example.org',
      passwordHash: hash,
      aliases: ['info@example.org', 'abuse@example.net'],
    },
    { address: 'bert@example.net', passwordHash: hash },
  ],
  postmaster: 'anna@example.org',
  tls: { issuer: 'selfSigned' },
};

/** A history of keys for each domain, as if each had always signed with the selector that it has. */
const exampleKeys = (mail: MailSettings): Record<string, KeyHistory> =>
  Object.fromEntries(
    mail.domains.map(({ name, selector }) => {
      const signs = Number(selector.slice(1));
      return [name, { signs, keys: [{ generation: signs }, { generation: signs + 1 }] }];
    }),
  );

/** What the daemons' files are rendered from: the example, changed as told. */
export function exampleMail(change: Partial<MailHostArgs> = {}): MailSettings {
  return mailSettings(parseSettings({ ...example, ...change }));
}

/** The plan that daemons' files are rendered from. */
export const planOf = (mail: MailSettings, more: Partial<Plan> = {}): Plan =>
  daemonPlan({ mail, dkim: exampleKeys(mail), ...more });

const nothingGiven: Given = { adminNetworks: [], smarthost: undefined, repository: undefined };

/** The readable files of a daemon, where other resources give nothing unless told. */
export function filesOf(
  { files }: DaemonSpec,
  mail: MailSettings = exampleMail(),
  given: Partial<Given> = {},
): HostFiles {
  const plan = planOf(mail);
  return typeof files === 'function'
    ? files(plan)
    : files.files(plan, { ...nothingGiven, ...given });
}

/** The files of a daemon that are rendered from these secrets. */
export const secretFilesOf = (
  daemon: DaemonSpec,
  secrets: Partial<Secrets>,
  mail: MailSettings = exampleMail(),
): HostFiles => daemon.secrets!.files(planOf(mail), secrets as Secrets);
