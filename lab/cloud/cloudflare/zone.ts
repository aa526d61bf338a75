import { domainToUnicode } from 'node:url';
import type { Backend } from '../../backend';
import type { DnsRecord } from './record';

type Dnssec = ReturnType<Backend['dnssec']>;

export interface Zone {
  id: string;
  /** In A-labels. */
  name: string;
  created_on: string;
  records: DnsRecord[];
  /** The status that was requested last. */
  dnssec?: { status: 'active' | 'disabled'; modified_on: string };
}

/** The name servers that each zone is delegated to. */
export const nameServers = ['ada.ns.lab-cloud.example', 'bob.ns.lab-cloud.example'];

/** A zone as the API reports it. */
export function zoneReport(zone: Zone) {
  return {
    id: zone.id,
    // In Unicode, unlike the names of records.
    name: domainToUnicode(zone.name),
    status: 'active',
    paused: false,
    type: 'full',
    development_mode: 0,
    name_servers: nameServers,
    original_name_servers: null,
    original_registrar: null,
    original_dnshost: null,
    created_on: zone.created_on,
    modified_on: zone.created_on,
    activated_on: zone.created_on,
    meta: {
      step: 2,
      custom_certificate_quota: 0,
      page_rule_quota: 3,
      phishing_detected: false,
    },
    owner: { id: null, type: 'user', email: null },
    account: { id: '0'.repeat(32), name: 'lab' },
    tenant: { id: null, name: null },
    tenant_unit: { id: null },
    permissions: ['#dns_records:edit', '#dns_records:read', '#zone:read'],
    plan: {
      id: '0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee',
      name: 'Free Website',
      price: 0,
      currency: 'USD',
      frequency: '',
      is_subscribed: false,
      can_subscribe: false,
      legacy_id: 'free',
      legacy_discount: false,
      externally_managed: false,
    },
  };
}

/** The state of a zone's DNSSEC as the API reports it. */
export function dnssecReport({ name, dnssec }: Zone, { ds, delegated }: Dnssec) {
  const [keyTag, algorithm, digestType, digest] = ds?.split(' ') ?? [];
  const isSigned = ds !== undefined;
  const isWanted = dnssec?.status === 'active';
  return {
    // "disabled" takes hold once the parent no longer has the DS record.
    status: delegated
      ? isWanted
        ? 'active'
        : 'pending-disabled'
      : isWanted
        ? 'pending'
        : 'disabled',
    flags: isSigned ? 257 : null,
    algorithm: algorithm ?? null,
    key_type: isSigned ? 'ECDSAP256SHA256' : null,
    digest_type: digestType ?? null,
    digest_algorithm: isSigned ? 'SHA256' : null,
    digest: digest ?? null,
    ds: isSigned ? `${name}. 3600 IN DS ${ds}` : null,
    key_tag: keyTag === undefined ? null : Number(keyTag),
    public_key: null,
    modified_on: dnssec?.modified_on ?? null,
  };
}
