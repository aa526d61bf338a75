import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { liesIn } from '../../components/settings/names';
import { submit, waitForReceived } from '../../lab/mail';
import { addresses, inNamespace } from '../../lab/network';
import { waitFor, type Lab } from '../../lab/state';
import { hostTest, type Host } from './hosts';
import { changes, passDsOn, zoneOf, type Settings } from './testLab';

const settings: Settings = {
  'domains[2].name': 'sub.example.org',
  'domains[2].dmarcPolicy': 'quarantine',
  'accounts[0].aliases[1]': 'anna@sub.example.org',
  dmarcReports: 'anna@example.org',
};
const it = hostTest(settings);
/** With a host whose records a person publishes; none is published yet. */
const itByHand = hostTest({
  ...settings,
  dns: 'manual',
  'confirm[0]': 'delete all records at Cloudflare',
});
const zoneNames = ['example.net', 'example.org'];

const unchanged = (output: string) =>
  expect(Object.keys(changes(output)), output).toEqual(['unchanged']);

const services = (lab: Lab) => join(lab.dir, 'services/root');
/** Runs a program of Knot beside the lab's name servers. */
const knot = (lab: Lab, ...command: string[]): string =>
  inNamespace('router', 'chroot', services(lab), ...command);
const dig = (lab: Lab, server: 'authoritative' | 'resolver', ...query: string[]): string =>
  knot(lab, 'kdig', `@${addresses[server].v4}`, '+timeout=30', ...query);

/** A record as a line of a zone file has it. */
interface Line {
  name: string;
  type: string;
  data: string;
}
interface ZoneLine extends Line {
  zone: string;
}

/** Records that the engine shows to be published, each once: it repeats everything at the end. */
const printed = (text: string): Line[] =>
  [...text.split('Diagnostics:')[0]!.matchAll(/publish (\S+)\. 300 IN (\S+) (.+)$/gm)].map(
    ([, owner, type, data]) => ({ name: owner!, type: type!, data: data! }),
  );

/** The records that the stack prints. */
const linesOf = ({ outputs }: Host): ZoneLine[] =>
  outputs.zoneFile
    .split(/^; /m)
    .slice(1)
    .flatMap((section) => {
      const [zone, ...records] = section.trim().split('\n');
      return records.map((record) => {
        const [, owner, type, data] = /^(\S+)\. 300 IN (\S+) (.+)$/.exec(record)!;
        return { zone: zone!, name: owner!, type: type!, data: data! };
      });
    });

/** What the name servers answer, each record's data as a line. */
const answers = (lab: Lab, { name, type }: Pick<Line, 'name' | 'type'>): string[] => {
  const data = dig(lab, 'authoritative', '+short', name, type).trim();
  // kdig writes hexadecimal digits in upper case.
  return (type === 'TLSA' ? data.toLowerCase() : data).split('\n');
};
const published = (host: Host) =>
  linesOf(host).filter((line) => answers(host.lab, line).includes(line.data));

describe('before anything is made', () => {
  it('tells what collides, and a domain that does not lie in its zone', async ({ freshLab }) => {
    const zone = await zoneOf(freshLab.lab, 'example.org');
    const { id } = await zoneOf(freshLab.lab, 'example.com');
    await zone.create({
      ttl: 300,
      type: 'A',
      name: 'autoconfig.example.org',
      content: '192.0.2.1',
    });
    await zone.create({
      ttl: 300,
      type: 'SRV',
      name: '_imaps._tcp.sub.example.org',
      data: { priority: 0, weight: 1, port: 993, target: 'imap.other.example' },
    });
    const { status, output } = await freshLab.preview({ ...settings, 'domains[1].zone': id });
    expect(status).not.toBe(0);
    expect(output).toContain(
      'autoconfig.example.org already has A 192.0.2.1: a CNAME allows nothing',
    );
    expect(output).toContain(
      '_imaps._tcp.sub.example.org already has SRV 0 1 993 imap.other.example',
    );
    expect(output).toContain(`example.net does not lie in its zone, ${id}: that is example.com`);
  });
});

describe('the zones', () => {
  it('are taken by name', ({ host }) => {
    expect([...new Set(linesOf(host).map(({ zone }) => zone))].sort()).toEqual(zoneNames);
    expect(Object.keys(host.outputs.dsRecords).sort()).toEqual(zoneNames);
  });

  it('hold every record as it is printed, to the octet, and no other', async ({ host }) => {
    const lines = linesOf(host);
    expect(published(host)).toEqual(lines);
    for (const zone of zoneNames) {
      const there = (await (await zoneOf(host.lab, zone)).list()).length;
      expect(there).toBe(lines.filter((line) => line.zone === zone).length);
    }
  });

  it('lead from the name to the addresses, and from each of them back', ({ host }) => {
    const { ipv4, ipv6 } = host.outputs;
    const ask = (...query: string[]) => dig(host.lab, 'resolver', '+short', ...query).trim();
    expect(['A', 'AAAA'].map((type) => ask('mail.example.org', type))).toEqual([ipv4, ipv6]);
    for (const address of [ipv4, ipv6]) expect(ask('-x', address)).toBe('mail.example.org.');
  });

  it('pass the check of another name server, as printed', ({ host }) => {
    const folder = join(services(host.lab), 'lab/printed');
    mkdirSync(folder, { recursive: true });
    for (const zone of zoneNames) {
      const records = linesOf(host).filter((line) => line.zone === zone);
      const text = [
        `${zone}. 300 SOA ns.other.example. hostmaster.other.example. 1 300 60 86400 60`,
        `${zone}. 300 NS ns.other.example.`,
        ...records.map(({ name, type, data }) => `${name}. 300 IN ${type} ${data}`),
      ];
      writeFileSync(join(folder, `${zone}.zone`), `${text.join('\n')}\n`);
    }
    const config = `zone:\n${zoneNames.map((zone) => `  - domain: ${zone}\n    file: /lab/printed/${zone}.zone\n    semantic-checks: on\n`).join('')}`;
    writeFileSync(join(folder, 'knot.conf'), config);
    // Fails with the reasons where a zone could not be served.
    knot(host.lab, 'knotc', '-c', '/lab/printed/knot.conf', 'zone-check');
  });

  it('have the public part of every key that amavis was given', ({ host }) => {
    const keys = host.shell(
      'for key in /etc/amavis/dkim/*.pem; do echo "$(basename "$key" .pem) $(openssl rsa -in "$key" -pubout 2>/dev/null | grep -v -- - | tr -d "\\n")"; done',
    );
    const deployed = keys
      .trim()
      .split('\n')
      .map((line) => line.split(' '));
    expect(deployed).toHaveLength(3);
    for (const [file, key] of deployed) {
      const [, domain, selector] = /^(.+)\.(s\d+)$/.exec(file!)!;
      const name = `${selector}._domainkey.${domain}`;
      const [record] = answers(host.lab, { name, type: 'TXT' });
      expect(record!.replace(/^"|"$|" "/g, '')).toBe(`v=DKIM1; k=rsa; p=${key}`);
    }
  });

  it.for([
    ['anna@example.org', 'anna@example.org', 'erika@remote.example'],
    ['anna@example.org', 'anna@sub.example.org', 'erika@remote.example'],
    ['bert@example.net', 'bert@example.net', 'erika@remote.example'],
    ['anna@example.org', 'anna@example.org', 'erika@ipv6.remote.example'],
  ] as const)(
    'let mail pass SPF, DKIM and DMARC: %s as %s to %s',
    async ([user, from, to], { host }) => {
      const subject = randomUUID();
      await submit(host.login(user), 465, { from, to, subject, text: 'Signed?' });
      const { client, dkim, spf, dmarc } = await waitForReceived(host.lab, subject);
      if (to.endsWith('@ipv6.remote.example')) expect(client).toBe(host.outputs.ipv6);
      const domain = from.split('@')[1];
      expect({ dkim: dkim.map((d) => `${d.result} ${d.domain}`), spf, dmarc }).toEqual({
        dkim: [`pass ${domain}`],
        spf: 'pass',
        dmarc: 'pass',
      });
    },
  );

  it('stay as they are', async ({ host }) => {
    const { status, output } = await host.preview({}, '--expect-no-changes');
    expect(status, output).toBe(0);
  });

  it('are taken by their id too, with all that they have', async ({ freshHost: host }) => {
    const { zoneFile, dsRecords } = host.outputs;
    const { id } = await zoneOf(host.lab, 'example.net');
    expect(await host.up({ 'domains[1].zone': id })).not.toContain('DnsRecord');
    expect(host.outputs).toMatchObject({ zoneFile, dsRecords });
    const { status, output } = await host.preview({}, '--expect-no-changes');
    expect(status, output).toBe(0);
  });
});

describe('DNSSEC', () => {
  /** Asks for what nobody can have in memory: also that a name does not exist is signed. */
  const validated = (lab: Lab, zone: string) =>
    / ad[ ;]/.test(
      /^;; Flags:.*$/m.exec(dig(lab, 'resolver', '+dnssec', `${randomUUID()}.${zone}`, 'A'))![0],
    );
  const holds = async (lab: Lab, zone: string) => {
    passDsOn(lab.name, zone);
    await waitFor(`${zone} validates`, () => validated(lab, zone));
  };

  it('is asked of the registrar, holds from the root once that is done, and changes nothing afterwards', async ({
    freshHost: host,
  }) => {
    const { lab, outputs } = host;
    expect(outputs.openTasks).toEqual(
      expect.arrayContaining(
        zoneNames.map(
          (zone) => `At the registrar of ${zone}, set the DS record ${outputs.dsRecords[zone]}`,
        ),
      ),
    );
    expect(validated(lab, 'example.org')).toBe(false);
    for (const zone of zoneNames) {
      await holds(lab, zone);
      const [ds] = answers(lab, { name: zone, type: 'DS' });
      expect(outputs.dsRecords[zone]!.toLowerCase()).toBe(
        `${zone}. 3600 in ds ${ds!.toLowerCase()}`,
      );
    }
    unchanged(await host.up());
    expect(host.outputs.openTasks.filter((task) => task.includes('DS record'))).toEqual([]);
    // Also as the cloud tells it, for every type.
    const { status, output } = await host.preview({}, '--refresh');
    expect(status, output).toBe(0);
    unchanged(output);
  });

  it('stays on where the stack no longer looks after it', async ({ freshHost: host }) => {
    await holds(host.lab, 'example.org');
    const output = await host.up({ dnssec: 'false' });
    expect(output).toContain('the zone stays signed at Cloudflare');
    expect(host.outputs.dsRecords).toEqual({});
    expect(validated(host.lab, 'example.org')).toBe(true);
  });
});

describe('records that a person publishes', () => {
  /** Enters records of the stack at Cloudflare. */
  async function publish(lab: Lab, lines: ZoneLine[]): Promise<void> {
    for (const line of lines) await (await zoneOf(lab, line.zone)).create(apiRecord(line));
  }

  it('go from Cloudflare only when that is confirmed', async ({ freshHost: host }) => {
    const before = linesOf(host);
    const { output } = await host.preview({ dns: 'manual' });
    expect(output).toContain('the records would be deleted at Cloudflare');
    await host.up({ dns: 'manual', 'confirm[0]': 'delete all records at Cloudflare' });
    expect(linesOf(host)).toEqual(before);
    for (const zone of zoneNames) expect(await (await zoneOf(host.lab, zone)).list()).toEqual([]);
  });

  itByHand(
    'are looked for by the host, and each that is missing or another one is told',
    async ({ freshHost: host }) => {
      const { urn } = host.stack
        .resources()
        .find((resource) => resource.urn.endsWith('::mail-check-records'))!;
      const look = async () => {
        await host.up({}, '--replace', urn);
        return host.outputs.openTasks.filter((task) => task.startsWith('publish '));
      };
      const lines = linesOf(host);
      expect(await look()).toHaveLength(lines.length);
      await publish(
        host.lab,
        lines.map((line) =>
          line.type === 'MX' && line.zone === 'example.net'
            ? { ...line, data: '10 mx.other.example.' }
            : line,
        ),
      );
      expect(await look()).toEqual([
        expect.stringMatching(
          /^publish example\.net\. MX 10 mail\.example\.org\.: name server \S+ answers .*10 mx\.other\.example\./,
        ),
      ]);
      await host.stack.unset('mailhost:confirm');
      unchanged(await host.up());
    },
  );

  itByHand(
    'are printed when they are new, for a person to publish while the host waits for them',
    async ({ freshHost: host }) => {
      const { lab, stack } = host;
      const before = linesOf(host);
      await publish(lab, before);
      await stack.setAll({ 'domains[3].name': 'example.com' });
      const zones = [await zoneOf(lab, 'example.com'), await zoneOf(lab, 'example.org')];
      const zoneFor = (owner: string) => zones[liesIn(owner, 'example.com') ? 0 : 1]!;
      let text = '';
      let seen = 0;
      const made: Promise<string>[] = [];
      const { status, output } = await stack.up((part) => {
        text += part;
        const found = printed(text.slice(0, text.lastIndexOf('\n') + 1));
        made.push(...found.slice(seen).map((line) => zoneFor(line.name).create(apiRecord(line))));
        seen = found.length;
      });
      expect(status, output).toBe(0);
      await Promise.all(made);
      expect(made).toHaveLength(linesOf(host).length - before.length);
      const ofNew = (all: ZoneLine[]) => all.filter(({ name }) => name.includes('example.com'));
      expect(ofNew(published(host))).toEqual(ofNew(linesOf(host)));
    },
  );
});

/** A line of the zone file as a person would enter it at Cloudflare. */
function apiRecord({ name, type, data }: Line): object {
  const common = { name, type, ttl: 300 };
  const [first, second, third, fourth] = data.split(' ');
  switch (type) {
    case 'MX':
      return { ...common, priority: Number(first), content: second };
    case 'SRV':
      return {
        ...common,
        data: {
          priority: Number(first),
          weight: Number(second),
          port: Number(third),
          target: fourth,
        },
      };
    case 'TLSA':
      return {
        ...common,
        data: {
          usage: Number(first),
          selector: Number(second),
          matching_type: Number(third),
          certificate: fourth,
        },
      };
    default:
      return { ...common, content: data };
  }
}
