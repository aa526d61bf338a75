import { fileAsItIs, serviceFiles } from '../hostFiles/files';
import type { DaemonSpec } from './spec';

const folder = '/etc/systemd/system';

/** The timer that reads figures about mail from the journal and the daemons. */
export const figures: DaemonSpec = {
  name: 'figures',
  title: 'Figures',
  effect: 'restarts the timer that collects figures about mail',
  isQuiet: true,
  timers: ['mailhost-figures.timer'],
  // It reads their files, and asks them.
  waitsFor: ['dovecot', 'opensmtpd'],
  files: ({ mail }) => ({
    ...fileAsItIs(`${folder}/mailhost-figures.service`),
    ...fileAsItIs(`${folder}/mailhost-figures.timer`),
    ...serviceFiles('mailhost-figures'),
    // Where the collector leaves them for nginx.
    ...(mail.metrics ? fileAsItIs('/etc/tmpfiles.d/mailhost-metrics.conf') : {}),
  }),
};
