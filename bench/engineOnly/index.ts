import * as cloudflare from '@pulumi/cloudflare';
import * as command from '@pulumi/command';
import * as hcloud from '@pulumi/hcloud';
import * as pulumi from '@pulumi/pulumi';
import * as tls from '@pulumi/tls';

/** How many resources of each package. */
const counts = JSON.parse(process.env.BENCH_RESOURCES!) as Record<string, number>;
const times = (name: string, make: (name: string) => void) => {
  for (let i = 0; i < (counts[name] ?? 0); i++) make(`${name}-${i}`);
};

class Nothing extends pulumi.ComponentResource {
  constructor(name: string) {
    super('bench:index:Nothing', name);
    this.registerOutputs({});
  }
}

times('mailhost', (name) => new Nothing(name));
times('tls', (name) => new tls.PrivateKey(name, { algorithm: 'ED25519' }));
times('command', (name) => new command.remote.Command(name, { connection: { host: '127.0.0.1' } }));
times('hcloud', (name) => new hcloud.Firewall(name, { name }));
// Nothing is asked for a program of no package.
const zone = counts.cloudflare
  ? cloudflare.getZoneOutput({ filter: { name: 'example.com' } })
  : undefined;
times('cloudflare', (name) => {
  new cloudflare.DnsRecord(name, {
    zoneId: zone!.zoneId,
    name: `${name}.example.com`,
    type: 'TXT',
    ttl: 300,
    content: '"bench"',
  });
});
