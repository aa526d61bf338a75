import { accounts } from './accounts';
import { amavis } from './amavis';
import { antivirus } from './antivirus';
import { backup } from './backup';
import { dovecot } from './dovecot';
import { fail2ban } from './fail2ban';
import { figures } from './figures';
import { firewall } from './firewall';
import { openSmtpd } from './openSmtpd';
import { resolver } from './resolver';
import { spamAssassin } from './spamAssassin';
import type { DaemonSpec } from './spec';
import { ssh } from './ssh';
import { tls } from './tls';
import { web } from './web';

/** All daemons, in the order in which they are pushed and checked. Each waits only for what its `waitsFor` names. */
export const daemons: readonly DaemonSpec[] = [
  firewall,
  ssh,
  fail2ban,
  resolver,
  tls,
  accounts,
  spamAssassin,
  dovecot,
  antivirus,
  amavis,
  openSmtpd,
  web,
  figures,
  backup,
];
