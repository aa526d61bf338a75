import type { Step } from './plan';
import { filesIn } from './values';

/** What a push does on the host when a file or secret of it changes: see the class of the daemon in the host program. */
interface Push {
  title: string;
  effect: string;
  /** What its secrets are. */
  secrets?: string;
}

/** By the name that the host program has for them, in the order in which they are made. */
export const pushes: Record<string, Push> = {
  program: { title: 'Host program', effect: 'updates the host program' },
  system: { title: 'System', effect: 'prepares the system: names, users, mounts and packages' },
  firewall: {
    title: 'Packet filter',
    effect: 'replaces the rules of the packet filter in one step',
  },
  ssh: { title: 'SSH', effect: 'reloads sshd; open sessions stay' },
  fail2ban: { title: 'fail2ban', effect: 'restarts fail2ban' },
  resolver: { title: 'Resolver', effect: 'restarts unbound, whose cache is empty then' },
  tls: {
    title: 'TLS certificate',
    effect:
      'restarts OpenSMTPD and reloads Dovecot and nginx if the certificate is another one: open SMTP sessions end, and senders try again',
    secrets: 'the certificates and their private keys',
  },
  accounts: {
    title: 'System users',
    effect: 'changes system users',
    secrets: "the accounts' password hashes",
  },
  spamassassin: {
    title: 'SpamAssassin',
    effect: 'restarts spamd and amavis; mail waits in the queue until amavis answers',
  },
  dovecot: {
    title: 'Dovecot',
    effect:
      'restarts Dovecot: mail clients connect again, and mail waits in the queue until it answers',
    secrets: "the accounts' password hashes",
  },
  antivirus: {
    title: 'ClamAV',
    effect: 'restarts ClamAV; mail waits in the queue until it answers',
  },
  amavis: {
    title: 'amavis',
    effect: 'restarts amavis; mail waits in the queue until it answers',
    secrets: 'the private DKIM keys',
  },
  opensmtpd: {
    title: 'OpenSMTPD',
    effect:
      'restarts OpenSMTPD: open sessions get up to 15 s to end, and senders that come meanwhile try again',
    secrets: "the accounts' password hashes, or the smarthost's password",
  },
  web: { title: 'nginx', effect: 'reloads nginx without a gap' },
  backup: {
    title: 'Backup',
    effect: 'restarts the timer of the backup',
    secrets: 'the access to the repository and its password',
  },
};

/** Commands of the host program that carry no files. */
export const tasks: Record<string, Omit<Push, 'secrets'>> = {
  account: { title: 'ACME account', effect: 'registers the account at the certificate authority' },
  renew: { title: 'Certificate renewal', effect: 'gets the certificates that are due' },
  restore: { title: 'Restore', effect: 'fills the volume from a backup before any daemon starts' },
  drift: {
    title: 'Drift check',
    effect: 'compares the host with the last push, and stops if it differs',
  },
  records: { title: 'Record check', effect: 'checks that the records are published' },
  check: { title: 'Check', effect: 'checks at the end that mail works' },
};

/**
 * What a command on the host pushes or does: a key of `pushes` or `tasks`. Undefined for any other resource.
 *
 * @param prefixes of the names of each mail host's resources: the rest of the name is used if the command is not known yet
 */
export function pushOf(step: Step, prefixes: string[]): string | undefined {
  if (step.type !== 'command:remote:Command') return undefined;
  const inputs = [step.after?.inputs ?? {}, step.before?.inputs ?? {}];
  for (const { create, stdin } of inputs) {
    const [, verb, push] = /\bmailhost (\w+)(?: (\w+))?/.exec(commandOf(create)) ?? [];
    if (filesIn(stdin)?.[hostProgram]) return 'program';
    if (verb === 'activate' || verb === 'stage') return push;
    if (verb !== undefined) return verb === 'prepare' ? 'system' : verb;
  }
  if (!/\bmailhost:index:\w+\$command:remote:Command::/.test(step.urn)) return undefined;
  const prefix = prefixes.find((text) => step.name.startsWith(text)) ?? '';
  return step.name.slice(prefix.length).replace(/^host-|-secrets$/g, '');
}

const hostProgram = '/usr/local/sbin/mailhost';

/** A command without what is another with each push: numbers of changes, and fingerprints of what it brings. */
export const commandOf = (create: unknown): string =>
  typeof create === 'string'
    ? create
        .replaceAll(/ --(?:change \d+|(?:tag|secrets|program|state) [0-9a-f]+)\b/g, '')
        .replace(/^(mailhost check)(?: [0-9a-f]{12})+$/, '$1')
    : '';
