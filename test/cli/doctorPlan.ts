import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostStack, PlannedRecord } from '../../cli/stack';
import { dnsRecords } from '../../components/dns/dnsRecords';
import { isKnown, withValue, zoneFile } from '../../components/dns/recordForms';
import { parseSettings } from '../../components/settings/parse';
import { example } from '../example';

export const [ipv4, ipv6] = ['192.0.2.10', '2001:db8::10'];
export const hostName = 'mail.example.org';

/** A certificate for names, signed by its own key, which is also that of the host. */
export function certificateFor(...names: string[]): { key: string; cert: string; hash: string } {
  const dir = mkdtempSync(join(tmpdir(), 'doctor-'));
  try {
    const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'],
        ...['-days', '90', '-subj', `/CN=${names[0]}`, '-keyout', key, '-out', cert],
        ...['-addext', `subjectAltName=${names.map((name) => `DNS:${name}`).join()}`],
      ],
      { stdio: 'ignore' },
    );
    const der = execFileSync(
      'sh',
      ['-c', `openssl x509 -in ${cert} -noout -pubkey | openssl pkey -pubin -outform DER`],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    const hash = createHash('sha256').update(der).digest('hex');
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8'), hash };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

export const own = certificateFor(hostName, 'mta-sts.example.org', 'mta-sts.example.net');

/** The records as the plan of the example has them. */
function plannedRecords(): PlannedRecord[] {
  const settings = parseSettings({
    ...example,
    domains: [
      { name: 'example.org', spf: ['include:_spf.sender.example'] },
      { name: 'example.net' },
    ],
    dmarcReports: 'reports@collector.example',
    tls: { issuer: 'acme', acceptTerms: true },
    mtaSts: 'enforce',
  });
  const records = dnsRecords(settings, () => ['s1']).map((record) =>
    withValue(record, (source) =>
      source.from === 'ipv4'
        ? ipv4
        : source.from === 'ipv6'
          ? ipv6
          : source.from === 'tls'
            ? source.generation === 1
              ? own.hash
              : 'ab'.repeat(32)
            : source.from === 'dkim'
              ? `v=DKIM1; k=rsa; p=${'A'.repeat(300)}`
              : 'ca.example; accounturi=https://ca.example/1',
    ),
  );
  let zone = '';
  return zoneFile(records.filter(isKnown))
    .split('\n')
    .flatMap((line) => {
      zone = /^; (\S+)$/.exec(line)?.[1] ?? zone;
      const [, name, type, data] = /^(\S+)\. \d+ IN (\S+) (.+)$/.exec(line) ?? [];
      return name === undefined ? [] : [{ zone, name, type: type!, data: data! }];
    });
}

export const stack: HostStack = {
  stack: 'mailhost/prod',
  hostName,
  ipv4,
  ipv6,
  caCertPem: own.cert,
  domains: ['example.org', 'example.net'],
  parked: [],
  zones: { 'example.org': 'example.org', 'example.net': 'example.net' },
  records: plannedRecords(),
  dsRecords: {},
  mtaSts: 'enforce',
  connection: { host: ipv4, user: 'root', hostKey: 'ssh-ed25519 AAAA', privateKey: 'secret' },
  mail: JSON.stringify({ hostName, domains: [{ name: 'example.org' }, { name: 'example.net' }] }),
};
