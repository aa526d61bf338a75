import { MailHost } from '../../components/mailHost';

/** In a zone that no other stack of the lab uses; ten accounts in each. */
const names = Array.from({ length: Number(process.env.BENCH_DOMAINS) }, (_, i) =>
  i === 0 ? 'example.com' : `d${i}.example.com`,
);
const passwordHash = `$6$saltsaltsaltsalt$${'a'.repeat(86)}`;

new MailHost('many', {
  hostName: 'mail.example.com',
  domains: names.map((name) => ({ name })),
  accounts: names.flatMap((name) =>
    Array.from({ length: 10 }, (_, i) => ({ address: `user${i}@${name}`, passwordHash })),
  ),
  postmaster: 'user0@example.com',
  tls: { acceptTerms: true },
});
