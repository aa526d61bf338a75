import type { Dns } from '../settings/enums';
import { cloudflareDns } from './cloudflare';
import type { DnsProvider } from './provider';

/** Every DNS provider, by the value of the setting `dns`. */
export const dnsProviders: Record<Exclude<Dns, 'manual'>, DnsProvider> = {
  cloudflare: cloudflareDns,
};

/** @returns undefined if a person publishes the records */
export const dnsProvider = (dns: Dns): DnsProvider | undefined =>
  dns === 'manual' ? undefined : dnsProviders[dns];
