import type { MailHostArgs } from '../components/mailHostArgs';
import { mailSettings, type MailSettings } from '../components/mailSettings';
import { parseSettings } from '../components/settings';

/** A hash of the right form. */
export const hash = `$6$saltsaltsaltsalt$${'a'.repeat(86)}`;

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
};

/** What the daemons' files are rendered from: the example, changed as told. */
export function exampleMail(change: Partial<MailHostArgs> = {}): MailSettings {
  const settings = parseSettings({ ...example, ...change });
  const selector = `s${settings.dkimGeneration}`;
  return mailSettings(
    settings,
    settings.domains.map(() => selector),
  );
}
