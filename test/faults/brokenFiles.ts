import { strict as assert } from 'node:assert';
import type { Row } from './bed';
import { asItIs, pushChanged, type Broken } from './host';

const refusal =
  /refuses the new files|does not run with its new files; the files from before are back, and so is the daemon/;

const smtpd = (what: string, text: string) => ({ what, path: '/etc/smtpd.conf', text });
const dovecot = (what: string, text: string) => ({ what, path: '/etc/dovecot/dovecot.conf', text });
const amavis = (what: string, text: string) => ({
  what,
  path: '/etc/amavis/conf.d/60-mailhost',
  // The file's last value counts, as Perl has it.
  text: `${text}\n1;\n`,
});
const spamAssassin = (what: string, text: string) => ({
  what,
  path: '/etc/spamassassin/local.cf',
  text,
});
const spamd = (what: string, options: string) => ({
  what,
  path: '/etc/default/spamd',
  text: `OPTIONS="${options}"\n`,
  instead: true as const,
});

/** Ten for each daemon that handles mail, fewer for the others: some its own check finds, some only show when it starts. */
export const brokenFiles: Record<string, Broken[]> = {
  opensmtpd: [
    smtpd('a line that is no directive', 'listen with care\n'),
    smtpd('a table that does not exist', 'match from any for domain <nobody> action "relay"\n'),
    smtpd('a certificate that does not exist', 'pki x cert "/nonexistent.pem"\n'),
    smtpd('a port that Dovecot has', 'listen on 127.0.0.1 port 993\n'),
    smtpd('an address that the host does not have', 'listen on 192.0.2.77 port 2525\n'),
    smtpd(
      'a filter that does not exist',
      'filter "gone" proc-exec "/nonexistent"\nlisten on 127.0.0.1 port 2525 filter "gone"\n',
    ),
    smtpd('the grammar of old', 'accept from any for any relay\n'),
    { ...smtpd('nothing at all', ''), instead: true },
    smtpd('an action that does not exist', 'match from any for any action "gone"\n'),
    {
      what: 'a table with half a line',
      path: '/etc/smtpd/virtuals',
      text: 'anna@example.org\n',
      words: /virtuals, line \d+: is no pair of key and value/,
    },
  ],
  dovecot: [
    dovecot('a setting that does not exist', 'no_such_setting = yes\n'),
    dovecot('a brace that is not closed', 'protocol imap {\n'),
    dovecot(
      'a port that OpenSMTPD has',
      'service imap-login {\n  inet_listener smtp {\n    port = 25\n  }\n}\n',
    ),
    dovecot('a certificate that does not exist', 'ssl_server_cert_file = /nonexistent.pem\n'),
    { ...dovecot('nothing at all', ''), instead: true },
    dovecot('a user that does not exist', 'default_internal_user = nobody-at-all\n'),
    dovecot(
      'a service without its program',
      'service lmtp {\n  executable = /nonexistent/lmtp\n}\n',
    ),
    dovecot('a password database of no kind', 'passdb other {\n  driver = nonesuch\n}\n'),
    dovecot('a number that is none', 'service imap-login {\n  process_limit = many\n}\n'),
    {
      what: 'a Sieve script that does not compile',
      path: '/etc/dovecot/sieve/junk.sieve',
      text: 'fileinto "x"\n',
      instead: true,
    },
  ],
  amavis: [
    amavis('a line that is no Perl', '$x = ;'),
    amavis('a place for its number where none can be', "$pid_file = '/nonexistent/amavisd.pid';"),
    amavis('a port that OpenSMTPD has', '$inet_socket_port = [10025];'),
    amavis('a file that ends it', 'die "on purpose";'),
    amavis('a user that does not exist', "$daemon_user = 'nobody-at-all';"),
    amavis('a folder that does not exist', "$TEMPBASE = '/nonexistent';"),
    amavis('an address that the host does not have', "$inet_socket_bind = '192.0.2.77';"),
    amavis('a module that does not exist', 'use No::Such::Module;'),
    amavis('a key that does not exist', "dkim_key('example.org', 'x', '/nonexistent.pem');"),
    amavis('a root that does not exist', "$daemon_chroot_dir = '/nonexistent';"),
  ],
  spamassassin: [
    spamAssassin('an option that does not exist', 'no_such_option yes\n'),
    spamAssassin('an expression that does not close', 'header BROKEN Subject =~ /(/\n'),
    spamAssassin('a rule that is no expression', 'body BROKEN nothing\n'),
    spamAssassin('a score that is none', 'required_score many\n'),
    spamAssassin('a rule with half a bracket', 'meta BROKEN (A && (B\n'),
    spamAssassin('a switch that is neither on nor off', 'use_bayes perhaps\n'),
    spamd('a socket where none can be', '--socketpath=/nonexistent/spamd.sock'),
    spamd('an option of spamd that does not exist', '--no-such-option'),
    spamd('a user that does not exist', '--username=nobody-at-all'),
    {
      what: 'a unit without its program',
      path: '/etc/systemd/system/spamd.service.d/mailhost.conf',
      text: '[Service]\nExecStart=\nExecStart=/nonexistent/spamd\n',
      instead: true,
    },
  ],
  firewall: [
    {
      what: 'a table that is not closed',
      path: '/etc/nftables.conf',
      text: 'table inet broken {\n',
    },
  ],
  ssh: [
    {
      what: 'a keyword that does not exist',
      path: '/etc/ssh/sshd_config.d/10-mailhost.conf',
      text: 'NoSuchKeyword yes\n',
    },
  ],
  resolver: [
    {
      what: 'an address that no link has',
      path: '/etc/unbound/unbound.conf.d/mailhost.conf',
      text: 'server:\n  interface: 192.0.2.77\n',
    },
  ],
  fail2ban: [
    {
      what: 'a jail without a filter',
      path: '/etc/fail2ban/jail.local',
      text: '[broken]\nenabled = true\nfilter = nonesuch\n',
    },
  ],
  web: [
    {
      what: 'a directive that does not exist',
      path: '/etc/nginx/nginx.conf',
      text: 'no_such_directive on;\n',
    },
  ],
};

/** No `up` is needed for these. */
export const brokenRows = Object.entries(brokenFiles).map(([push, list]): Row => ({
  name: `broken-${push}`,
  what: `${push}: ${list.length} broken configurations`,
  runs: list.length,
  expected: 'all are refused, 0 are left down, 0 half-applied',
  run: async ({ lab }) => {
    const wrong: string[] = [];
    for (const broken of list) {
      const before = asItIs(lab);
      const words = await pushChanged(lab, push, [broken]).then(
        () => 'it was taken',
        (error: Error) => error.message,
      );
      const [line] = words.split('\n');
      console.log(`  ${broken.what}: ${line}`);
      if (!(broken.words ?? refusal).test(words)) wrong.push(`${broken.what}: ${line}`);
      if (asItIs(lab) !== before) wrong.push(`${broken.what}: not all is as it was`);
    }
    assert.deepEqual(wrong, []);
    return 'in their own words';
  },
}));
