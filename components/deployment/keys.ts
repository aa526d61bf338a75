import * as pulumi from '@pulumi/pulumi';
import type { Secrets } from '../daemons/spec';
import { Dkim } from '../dkim';
import { keyCalendar, withChangeAt, type KeyCalendar, type KeyHistory } from '../dns/dkimKeys';
import { seconds } from '../settings/duration';
import { atUpdate, type Deployment } from './deployment';

/** The DKIM keys of each domain that has any, also of those that have no mail any more. */
export const makeDkimKeys = ({ name, settings, found, own }: Deployment): Map<string, Dkim> =>
  new Map(
    Object.entries(found.summary.dkim).map(([domain, history]) => [
      domain,
      new Dkim(
        `${name}-${domain}`,
        {
          domain,
          history,
          before: (selector) => found.before.keyHashOf(`${domain}-${selector}`),
          compromised: settings.dkimCompromised,
          protect: settings.protect,
        },
        own,
      ),
    ]),
  );

/** What each domain with mail signs with, and which keys of it are published. */
export const signingKeys = (
  { mail }: Deployment,
  keys: Map<string, Dkim>,
): pulumi.Output<Secrets['dkimKeys']> =>
  pulumi.all(
    mail.domains.map(({ name, selector }) => {
      const { privateKeyPem, publicKeys } = keys.get(name)!;
      return pulumi.output({ name, selector, privateKeyPem: privateKeyPem!, publicKeys });
    }),
  );

/**
 * The histories with the time at which the host changed keys, which is later than the plan.
 *
 * @param signing changes once the host signs as planned
 */
export const signedHistories = (
  { found: { summary, plannedAt } }: Deployment,
  signing: pulumi.Output<unknown>,
): pulumi.Output<Record<string, KeyHistory>> =>
  pulumi.runtime.isDryRun()
    ? atUpdate(summary.dkim, plannedAt.toISOString())
    : signing.apply(() => withChangeAt(summary.dkim, plannedAt, new Date()));

/** Of each domain: the selector that signs, the next, and from when on a rotation removes the others. */
export const dkimCalendar = (
  { settings: { dkimCompromised, dkimRetention } }: Deployment,
  histories: pulumi.Output<Record<string, KeyHistory>>,
): pulumi.Output<Record<string, KeyCalendar>> =>
  histories.apply((known) =>
    keyCalendar(known, { compromised: dkimCompromised, retention: seconds(dkimRetention) }),
  );
