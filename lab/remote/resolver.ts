import { Resolver } from 'node:dns/promises';

/** Looks names up at one DNS server, in the form that mailauth asks for. */
export function labResolver(server: string) {
  const resolver = new Resolver({ timeout: 2000, tries: 3 });
  resolver.setServers([server]);
  return (name: string, type: string) => resolver.resolve(name, type as 'TXT') as Promise<never>;
}
