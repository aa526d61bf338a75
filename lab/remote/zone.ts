import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dkimKeyRecord } from '../../components/dns/dnsRecords';
import { quoteTxt } from '../../components/dns/recordForms';
import type { ZoneRecord } from '../backend';

/** The domain of the remote mail system, and its host in it. */
export const remoteZone = 'remote.example';
export const remoteHost = `mx.${remoteZone}`;
/** Where the same system takes mail to anybody, for a login. */
export const smarthost = `smtp.${remoteZone}`;
/** A domain of the same system, whose host has no IPv4 address. */
export const remoteIpv6Zone = `ipv6.${remoteZone}`;
/** A domain of the Cloudflare account whose mail this system takes, too, where it is the MX. */
export const movingZone = 'example.com';
/** A domain that this system's exchanger is named for, and for which it takes no mail. */
export const refusedZone = `refused.${remoteZone}`;
/** A domain whose mail exchanger is whoever sends to it. */
export const loopbackZone = `loopback.${remoteZone}`;
export const remoteSelector = 'remote';

/** Where the remote mail system keeps what it received, and its key. */
export const remoteDir = (labDir: string) => join(labDir, 'remote');

/** PEM of the key that the remote mail system signs with; made at the first call. */
export function remoteDkimKey(labDir: string): string {
  const file = join(remoteDir(labDir), 'dkim.pem');
  if (!existsSync(file)) {
    mkdirSync(remoteDir(labDir), { recursive: true });
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  }
  return readFileSync(file, 'utf8');
}

/** What the remote domain publishes, as a well-kept mail system does. */
export function remoteRecords(labDir: string, address: { v4: string; v6: string }): ZoneRecord[] {
  const publicKey = createPublicKey(remoteDkimKey(labDir)).export({ type: 'spki', format: 'pem' });
  const record = (name: string, type: string, rdata: string) => ({ name, type, ttl: 300, rdata });
  return [
    record(remoteHost, 'A', address.v4),
    record(remoteHost, 'AAAA', address.v6),
    record(smarthost, 'A', address.v4),
    record(smarthost, 'AAAA', address.v6),
    record(remoteZone, 'MX', `10 ${remoteHost}.`),
    record(remoteIpv6Zone, 'MX', `10 ${remoteIpv6Zone}.`),
    record(remoteIpv6Zone, 'AAAA', address.v6),
    record(refusedZone, 'MX', `10 ${remoteHost}.`),
    record(loopbackZone, 'MX', `10 ${loopbackZone}.`),
    record(loopbackZone, 'A', '127.0.0.1'),
    record(loopbackZone, 'AAAA', '::1'),
    record(remoteZone, 'TXT', quoteTxt('v=spf1 mx -all')),
    record(
      `${remoteSelector}._domainkey.${remoteZone}`,
      'TXT',
      quoteTxt(dkimKeyRecord(publicKey.toString())),
    ),
    record(`_dmarc.${remoteZone}`, 'TXT', quoteTxt('v=DMARC1; p=reject')),
  ];
}
