import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect } from 'vitest';
import type { Code } from '../../cli/doctor/catalogue';
import type { Report } from '../../cli/doctor/report';
import { addresses } from '../../lab/network';
import { project } from '../../lab/sources';
import { waitFor } from '../../lab/state';
import { hostTest, type Host } from './hosts';
import { passDsOn, step, zoneOf } from './testLab';

const it = hostTest();

/** Runs `mailhost doctor` as an operator does. */
async function examine(host: Host): Promise<Report & { status: number }> {
  const words = ['doctor', '--json', '--resolver', addresses.resolver.v4];
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', join(project, 'cli/main.ts'), ...words],
    { cwd: project, env: host.stack.env, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const ended = new Promise<number>((resolve) => child.on('close', resolve));
  const [status, stdout, stderr] = await Promise.all([
    ended,
    text(child.stdout),
    text(child.stderr),
  ]);
  expect(stderr).toBe('');
  return { ...(JSON.parse(stdout) as Report), status };
}

/** Codes and evidence without what the lab has not, or a kept host has from its age. */
const found = ({ findings }: Report) =>
  findings
    .filter(({ code, evidence }) => !isOfLab(code, evidence))
    .map(({ code, about, evidence }) => `${code} ${about} ${evidence}`);

const isOfLab = (code: Code, evidence: string) =>
  code === 'backup-absent' ||
  (code === 'check-failed' && evidence.startsWith('port-25-blocked:')) ||
  (code === 'updates-missing' && evidence.includes('Debian'));

describe('mailhost doctor', () => {
  it('finds nothing on a host that is well, and names each fault and nothing else', async ({
    freshHost: host,
  }) => {
    const { ipv4, ipv6 } = host.outputs;
    await step('well', async () => {
      for (const zone of ['example.org', 'example.net']) passDsOn(host.lab.name, zone);
      let report = await examine(host);
      // The parents' servers, and the resolver's memory of them, follow in seconds.
      await waitFor('the zones validate', async () => {
        if (!found(report).some((line) => line.startsWith('dnssec-'))) return true;
        report = await examine(host);
        return false;
      });
      expect(found(report)).toEqual([]);
      expect(report.unchecked.map(({ unchecked }) => unchecked).sort()).toEqual([
        'the DNS list bl.spamcop.net',
        'the DNS list psbl.surriel.com',
      ]);
    });

    const faults: [string, () => unknown, () => unknown, RegExp[]][] = [];
    const fault = (what: string, cause: () => unknown, end: () => unknown, ...lines: RegExp[]) =>
      faults.push([what, cause, end, lines]);
    const onHost = (command: string) => () => host.shell(command);

    const zone = await zoneOf(host.lab, 'example.org');
    const dmarc = await zone.find('_dmarc.example.org');
    const records = (await zone.list()) as {
      id: string;
      name: string;
      type: string;
      content: string;
    }[];
    const { content } = records.find(({ id }) => id === dmarc)!;
    fault(
      'a record that is deleted',
      () => zone.delete(dmarc),
      () => zone.create({ name: '_dmarc.example.org', type: 'TXT', ttl: 300, content }),
      /^record-missing _dmarc.example.org TXT /,
    );
    const { primary_ips: ips } = await host.hetzner<{
      primary_ips: { id: number; type: string }[];
    }>('primary_ips');
    const setPointer = (name: string) => () =>
      host.hetzner(
        `primary_ips/${ips.find(({ type }) => type === 'ipv6')!.id}/actions/change_dns_ptr`,
        'POST',
        { ip: ipv6, dns_ptr: name },
      );
    fault(
      'reverse DNS',
      setPointer('static.other.example'),
      setPointer('mail.example.org'),
      new RegExp(`^ptr-wrong ${ipv6} it names static.other.example`),
    );
    fault(
      'a service that is stopped',
      onHost('systemctl stop fail2ban'),
      onHost('systemctl start fail2ban'),
      /^service-stopped .*fail2ban/,
    );
    fault(
      'mail that is paused',
      onHost('smtpctl pause mta'),
      onHost('smtpctl resume mta'),
      /^mail-paused .*smtpctl resume mta/,
    );
    fault(
      'a file that was changed',
      onHost('cp -p /etc/nginx/nginx.conf /run/; echo "# by hand" >>/etc/nginx/nginx.conf'),
      onHost('cp -p /run/nginx.conf /etc/nginx/'),
      /^drift .*nginx.conf has another text/,
    );
    fault(
      'a port that is shut by a firewall',
      onHost(
        `nft insert rule inet mailhost input ip daddr ${ipv4} tcp dport 993 reject with tcp reset`,
      ),
      onHost('systemctl reload nftables'),
      new RegExp(`^port-closed mail.example.org port 993 of ${ipv4}`),
      /^drift .*the kernel has other rules/,
    );
    const other = await zoneOf(host.lab, 'example.net');
    let added = '';
    fault(
      'a second mail exchanger',
      async () => {
        const record = { name: 'example.net', type: 'MX', ttl: 300, priority: 20 };
        added = await other.create({ ...record, content: 'mx.other.example' });
      },
      () => other.delete(added),
      /^record-unplanned example.net MX .*mx.other.example/,
    );
    const alias = { name: 'autoconfig.example.net', type: 'CNAME', ttl: 300 };
    const replaceAlias = (content: string) => async () => {
      await other.delete(await other.find(alias.name));
      await other.create({ ...alias, content });
    };
    fault(
      'a record that was changed',
      replaceAlias('www.other.example'),
      replaceAlias('mail.example.org'),
      /^record-differs autoconfig.example.net CNAME .*www.other.example/,
    );
    fault(
      'a unit that fails',
      onHost(
        'systemd-run --quiet --unit=broken false; until systemctl is-failed --quiet broken; do :; done',
      ),
      onHost('systemctl reset-failed broken; mailhost failures'),
      /^unit-failed .*broken.service failed/,
    );
    fault(
      'a disk that is nearly full',
      onHost(
        'fallocate -l $(($(df --output=avail -B1 /srv/mailhost | tail -1) / 100 * 92)) /srv/mailhost/fill',
      ),
      onHost('rm /srv/mailhost/fill'),
      /^disk-full .*of the room of \/srv\/mailhost/,
    );
    fault(
      'amavis that hangs',
      onHost('systemctl kill --signal STOP amavis'),
      async () => {
        host.shell('systemctl kill --signal CONT amavis');
        await host.queueIsEmpty();
      },
      /^mail-not-delivered .*within 15 s/,
    );
    fault(
      'a timer that was stopped',
      onHost('systemctl stop logrotate.timer'),
      onHost('systemctl start logrotate.timer'),
      /^timer-stuck .*logrotate.timer does not run/,
    );
    fault(
      'a reboot that is due',
      onHost('echo linux-image-amd64 >/run/reboot-required.pkgs'),
      onHost('rm /run/reboot-required.pkgs'),
      /^reboot-due .*linux-image-amd64/,
    );
    fault(
      'another resolver before the own one',
      onHost('cp -p /etc/resolv.conf /run/; sed -i "1i nameserver 127.0.0.53" /etc/resolv.conf'),
      onHost('cp -p /run/resolv.conf /etc/'),
      /^resolver-broken .*does not name the host's own resolver/,
    );
    fault(
      'a message that OpenSMTPD set aside',
      onHost('mkdir -p /var/spool/smtpd/corrupt/1; touch /var/spool/smtpd/corrupt/1/x'),
      onHost('rm -r /var/spool/smtpd/corrupt/1'),
      /^queue-damaged /,
    );
    fault(
      'a jail that was stopped',
      onHost('fail2ban-client stop mailhost'),
      onHost(
        'systemctl restart fail2ban; until fail2ban-client status mailhost >/dev/null 2>&1; do sleep 0.1; done',
      ),
      /^bans-missing .*these jails do not run: mailhost$/,
    );
    fault(
      'a port that nothing should listen on',
      onHost(
        'systemd-run --quiet --collect --unit=stray python3 -m http.server 4444; until ss -Hltn "sport = :4444" | grep -q .; do :; done',
      ),
      onHost('systemctl stop stray'),
      /^listener-wrong .*something listens on port 4444/,
    );
    fault(
      'delivery that is paused',
      onHost('smtpctl pause mda'),
      onHost('smtpctl resume mda'),
      /^mail-paused .*smtpctl resume mda/,
    );
    const served = '/etc/ssl/mailhost';
    fault(
      'a certificate of somebody else, for another name',
      onHost(
        `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 90 -subj /CN=other.example \
           -addext subjectAltName=DNS:other.example -keyout /run/privkey.pem -out /run/fullchain.pem 2>/dev/null
         chmod 600 /run/privkey.pem
         mount --bind /run/privkey.pem ${served}/privkey.pem; mount --bind /run/fullchain.pem ${served}/fullchain.pem
         systemctl reload nginx
         until openssl s_client -connect localhost:443 </dev/null 2>/dev/null | grep -q 'CN *= *other.example'; do :; done
         umount ${served}/privkey.pem ${served}/fullchain.pem`,
      ),
      onHost('systemctl reload nginx'),
      /^certificate-name mail.example.org port 443 of .*it is for other.example/,
      /^certificate-not-served .*port 443/,
    );

    const wrong: Record<string, string[]> = {};
    for (const [what, cause, end, lines] of faults)
      await step(what, async () => {
        await cause();
        const named = found(await examine(host));
        await end();
        const isRight =
          named.length === lines.length &&
          lines.every((line) => named.some((one) => line.test(one)));
        if (!isRight) wrong[what] = named;
      });
    expect(wrong).toEqual({});
  });
});
