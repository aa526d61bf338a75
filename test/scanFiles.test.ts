import { describe, expect, it } from 'vitest';
import { amavis as scanner } from '../components/daemons/amavis';
import { packages } from '../components/hostFiles/systemFiles';
import { resolver as unbound } from '../components/daemons/resolver';
import { spamAssassin as rules } from '../components/daemons/spamAssassin';
import type { MailHostArgs } from '../components/mailHostArgs';
import { exampleMail, filesOf } from './example';

const amavis = (change: Partial<MailHostArgs> = {}) =>
  filesOf(scanner, exampleMail(change))['/etc/amavis/conf.d/60-mailhost']!.text;
const spamAssassin = (change: Partial<MailHostArgs> = {}) =>
  filesOf(rules, exampleMail(change))['/etc/spamassassin/local.cf']!.text;
const resolver = (change: Partial<MailHostArgs> = {}) =>
  filesOf(unbound, exampleMail(change))['/etc/unbound/unbound.conf.d/mailhost.conf']!.text;
/** What is assigned to a variable of amavis outside the policy banks. */
const assigned = (text: string, name: string) =>
  [...text.matchAll(new RegExp(`^\\$${name} = (.*);$`, 'gm'))].map(([, value]) => value);

describe('what happens to spam and viruses', () => {
  const root = "'root@mail.example.org'";
  it.each([
    ['file', 'D_PASS', 'undef', 'undef'],
    ['hold', 'D_DISCARD', "'spam-quarantine'", root],
    ['drop', 'D_DISCARD', 'undef', 'undef'],
  ] as const)('spam: %s', (spamAction, destiny, quarantine, admin) => {
    const text = amavis({ spamAction, spamJunkLevel: 6.5 });
    expect(assigned(text, 'sa_kill_level_deflt')).toEqual(['6.5']);
    expect(assigned(text, 'final_spam_destiny')).toEqual([destiny]);
    expect(assigned(text, 'spam_quarantine_to')).toEqual([quarantine]);
    expect(assigned(text, 'spam_admin')).toEqual([admin]);
  });

  it.each([
    ['hold', "'virus-quarantine'", root],
    ['drop', 'undef', 'undef'],
  ] as const)('viruses: %s', (virusAction, quarantine, admin) => {
    const text = amavis({ antivirus: true, virusAction });
    expect(assigned(text, 'final_virus_destiny')).toEqual(['D_DISCARD']);
    expect(assigned(text, 'virus_quarantine_to')).toEqual([quarantine]);
    expect(assigned(text, 'virus_admin')).toEqual([admin]);
  });

  it('never bounces what came from outside, and refuses only to those who are logged in', () => {
    for (const spamAction of ['file', 'hold', 'drop'] as const) {
      const [outside, loggedIn] = amavis({ spamAction }).split("$policy_bank{'ORIGINATING'} = {");
      expect(outside).not.toMatch(/D_(REJECT|BOUNCE)/);
      expect(loggedIn).toContain('CC_VIRUS, D_REJECT, CC_SPAM, D_REJECT, CC_CATCHALL, D_PASS');
      for (const kind of ['banned', 'bad_header']) {
        expect(assigned(outside!, `final_${kind}_destiny`)).toEqual(['D_PASS']);
        expect(assigned(outside!, `${kind}_quarantine_to`)).toEqual(['undef']);
      }
    }
  });

  it('lets the spam probe of the check through', () => {
    expect(amavis({ spamAction: 'hold' })).toContain(
      "@spam_kill_level_maps = ({ '.mailhost-probe.invalid' => 9999 }, \\$sa_kill_level_deflt);",
    );
  });
});

describe('ClamAV', () => {
  it('is installed and asked where it is wanted, and by its daemon alone', () => {
    expect(packages(exampleMail({ antivirus: true }))).toContain('clamav-daemon');
    const text = amavis({ antivirus: true });
    expect(text).toContain('@bypass_virus_checks_maps = (0);');
    expect(text).toContain("grep { $_->[0] eq 'ClamAV-clamd' }");
    expect(text).toContain('@av_scanners_backup = ();');
    expect(assigned(text, 'virus_scanners_failure_is_fatal')).toEqual(['1']);
    expect(text).not.toContain('bypass_decode_parts');
  });

  it('is neither installed nor asked else', () => {
    expect(packages(exampleMail()).join(' ')).not.toContain('clam');
    expect(amavis()).toContain('@bypass_virus_checks_maps = (1);');
    expect(amavis()).not.toMatch(/clam|av_scanners/);
    expect(assigned(amavis(), 'bypass_decode_parts')).toEqual(['1']);
  });
});

it('takes a little more than OpenSMTPD, which adds lines', () => {
  expect(assigned(amavis({ messageSize: 50 }), 'smtpd_message_size_limit')).toEqual([
    '51 * 1024 * 1024',
  ]);
});

describe('SpamAssassin', () => {
  it('scores above the level of spam what a domain declares forged, where that is enforced', () => {
    expect(spamAssassin({ spamJunkLevel: 6 })).toContain('\nscore DMARC_REJECT 8\n');
    expect(spamAssassin({ enforceDmarc: false })).not.toContain('DMARC');
  });

  it('asks the host’s own resolver', () => {
    expect(spamAssassin()).toContain('\ndns_server 127.0.0.1\n');
  });
});

describe('the resolver', () => {
  it('listens on loopback alone, and asks nobody on its behalf', () => {
    const listens = resolver().match(/^ {2}interface: .*$/gm);
    expect(listens).toEqual(['  interface: 127.0.0.1', '  interface: ::1']);
    expect(resolver()).not.toMatch(/forward|stub|0\.0\.0\.0/);
  });

  it('leaves IPv6 alone where the host has none', () => {
    expect(resolver({ ipv6: false })).not.toContain('::1');
    expect(resolver({ ipv6: false })).toContain('  do-ip6: no\n');
  });
});
