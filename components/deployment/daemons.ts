import type { HostAccess } from '../daemon';
import { daemonPlan, wantedDaemons } from '../daemons/catalogue';
import type { Dkim } from '../dkim';
import type { Host } from '../host';
import { credentialsOf, givenOf, smarthostLoginOf } from '../settings/checked';
import type { Served } from './certificate';
import type { Deployment } from './deployment';
import { signingKeys } from './keys';
import { Pushes, type PushesArgs } from './pushes';

/** What the daemons need of the parts made before them. */
export interface DaemonsFrom {
  host: HostAccess;
  system: Host;
  keys: Map<string, Dkim>;
  secrets: Served['secrets'];
}

/** The pushes of the daemons that the settings ask for. */
export const daemonPushes = (
  deployment: Deployment,
  { host, system, keys, secrets }: DaemonsFrom,
  milestones: PushesArgs['milestones'],
): Pushes => {
  const { name, settings, mail, found, own } = deployment;
  return new Pushes(
    name,
    {
      host,
      daemons: wantedDaemons(mail),
      plan: daemonPlan({ restore: settings.restore, mail, dkim: found.summary.dkim }),
      given: givenOf(settings),
      secrets: {
        ...secrets,
        credentials: credentialsOf(settings),
        smarthostLogin: smarthostLoginOf(settings),
        dkimKeys: signingKeys(deployment, keys),
      },
      milestones,
    },
    { ...own, dependsOn: [system] },
  );
};
