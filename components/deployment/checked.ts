import type { Preflight } from '../preflight/preflight';
import type { Settings } from '../settings/settings';
import type { PreviewReport } from './report';

/** What a mail host is made from, and what the checks have found out. */
export interface Checked {
  settings: Settings;
  checked: Promise<Preflight>;
  report?: PreviewReport;
}

/** For initialize() alone: properties that can be enumerated would be kept in the state as the component's inputs. */
export const hidden = (args: Checked): Checked =>
  Object.defineProperties({} as Checked, {
    settings: { value: args.settings },
    checked: { value: args.checked },
    report: { value: args.report },
  });
