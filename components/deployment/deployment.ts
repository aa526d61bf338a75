import type * as pulumi from '@pulumi/pulumi';
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
  /** When the plan was made, in ISO 8601. */
  time: string;
  /** Options of each resource. */
  own: { parent: pulumi.Resource };
}
