import { describe, expect } from 'vitest';
import { addresses } from '../../lab/network';
import { hostTest } from './hosts';

const it = hostTest();

/** Runs `mailhost check` with those domains, whatever its end. */
const check = (domains: object[] = []) =>
  `{ echo '${JSON.stringify({ hostName: 'mail.example.org', domains })}' | mailhost check 2>&1 || true; }`;

describe('the check of a mail host', () => {
  it('tells what is broken', ({ host }) => {
    const output = host.shell(
      `echo '@bypass_spam_checks_maps = (1); 1;' >/etc/amavis/conf.d/99-broken
       systemctl restart amavis
       systemd-run --quiet --unit stray --property RuntimeMaxSec=60 python3 -m http.server 8080
       until ss --listening --tcp --numeric | grep -q :8080; do :; done
       ${check()}
       systemctl stop stray
       ${check([{ name: 'example.org', selector: 's9' }])}
       rm /etc/amavis/conf.d/99-broken; systemctl restart amavis`,
    );
    expect(output).toContain('something listens on port 8080');
    expect(output).toMatch(/a spam probe came through unmarked/);
    expect(output).toContain('example.org: an outbound message is not signed with selector s9');
  });

  it('tells where amavis signs with another key than that which is published', ({ host }) => {
    const key = '/etc/amavis/dkim/example.org.s1.pem';
    const output = host.shell(
      `cp -p ${key} /run/key; openssl genrsa 2048 >${key} 2>/dev/null
       ${check([{ name: 'example.org', selector: 's1' }])}
       mv /run/key ${key}`,
    );
    expect(output).toContain(
      'amavis signs with another key than that of s1._domainkey.example.org: set drift to mend',
    );
  });

  it('says plainly when outbound port 25 is closed', ({ host }) => {
    const unused = addresses.remote.v4.replace(/\d+$/, '250');
    const output = host.shell(
      `cp /etc/hosts /run/hosts; echo '${unused} gmail-smtp-in.l.google.com' >>/etc/hosts
       ${check()}; cat /run/hosts >/etc/hosts`,
    );
    expect(output).toContain('WARNING: outbound port 25 seems to be blocked');
  });
});
