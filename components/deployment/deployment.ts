import * as pulumi from '@pulumi/pulumi';
import type { Preflight } from '../preflight/preflight';
import type { MailSettings } from '../settings/mailSettings';
import type { Settings } from '../settings/settings';

/** What each step of a deployment works with. */
export interface Deployment {
  /** Of the mail host; the name of each of its resources begins with it. */
  name: string;
  settings: Settings;
  /** The same settings as the daemons' files have them. */
  mail: MailSettings;
  /** What the checks before the plan have found out. */
  found: Preflight;
  /** When the plan was made, in ISO 8601; unknown in a preview. */
  time: pulumi.Output<string>;
  /** Options of each resource. */
  own: { parent: pulumi.Resource };
}

/**
 * What has the time of the plan in it: unknown in a preview, since the update has a time of its own. A plan that is saved
 * (`pulumi preview --save-plan`) would hold the update to the time of the preview, and refuse it.
 *
 * @param planned in ISO 8601
 */
export const atUpdate = <T>(value: T, planned: string): pulumi.Output<T> =>
  pulumi.output(
    pulumi.runtime.isDryRun() && JSON.stringify(value).includes(planned)
      ? (pulumi.unknown as T)
      : value,
  ) as pulumi.Output<T>;
