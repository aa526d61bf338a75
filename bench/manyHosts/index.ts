import '../../stackTraces';
import { MailHost } from '../../components/mailHost';
import { cloudflareLimit } from '../../components/dns/cloudflare';
import { domainsOf } from './domains';

Object.assign(cloudflareLimit, JSON.parse(process.env.BENCH_LIMIT!));

/** Hosts with so many domains each, and ten accounts in each of these. */
const passwordHash = `$6$saltsaltsaltsalt$${'a'.repeat(86)}`;

for (let host = 0; host < Number(process.env.BENCH_HOSTS); host++) {
  const domains = domainsOf(host, Number(process.env.BENCH_DOMAINS));
  new MailHost(`host${host}`, {
    hostName: `mail.${domains[0]}`,
    domains: domains.map((name) => ({ name })),
    accounts: domains.flatMap((name) =>
      Array.from({ length: 10 }, (_, i) => ({ address: `user${i}@${name}`, passwordHash })),
    ),
    postmaster: `user0@${domains[0]}`,
    tls: { acceptTerms: true },
    protect: false,
  });
}
