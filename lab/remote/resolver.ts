import { Resolver } from 'node:dns/promises';

/** Looks names up at one DNS server, in the form that mailauth asks for. */
export function labResolver(server: string) {
  const resolver = new Resolver({ timeout: 10_000, tries: 3 });
  resolver.setServers([server]);
  return (name: string, type: string) => resolver.resolve(name, type as 'TXT') as Promise<never>;
}

/** Where mail for a domain goes: its first MX, or the name itself where it has none (RFC 5321, section 5.1). */
export async function mailExchanger(
  resolve: ReturnType<typeof labResolver>,
  domain: string,
): Promise<string> {
  try {
    const [first] = (await resolve(domain, 'MX')) as { exchange: string }[];
    return first!.exchange;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENODATA') return domain;
    throw error;
  }
}
