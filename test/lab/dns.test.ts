import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { liesIn } from '../../components/settings/names';
import { onHost } from '../../lab/machines';
import { submit, waitForReceived } from '../../lab/mail';
import { addresses, inNamespace } from '../../lab/network';
import { loginOf } from '../../lab/proof';
import type { StackOutputs } from '../../lab/stack';
import { waitFor, type Lab } from '../../lab/state';
import { changes, endLab, passDsOn, startLab, TestStack, zoneOf } from './testLab';

const name = 'dns';
let lab: Lab;
let stack: TestStack;
let outputs: StackOutputs;

const run = async (...args: string[]) => {
  const { status, output } = await stack.run(args);
  expect(status, output).toBe(0);
  outputs = stack.outputs();
  return output;
};
const up = (...options: string[]) => run('up', '--yes', '--skip-preview', ...options);
const unchanged = (output: string) =>
  expect(Object.keys(changes(output)), output).toEqual(['unchanged']);

/** Runs a program of Knot beside the lab's name servers. */
const knot = (...command: string[]): string =>
  inNamespace('router', 'chroot', services(), ...command);
const services = () => join(lab.dir, 'services/root');
const dig = (server: 'authoritative' | 'resolver', ...query: string[]): string =>
  knot('kdig', `@${addresses[server].v4}`, '+retry=0', '+timeout=5', ...query);

interface Line {
  zone: string;
  name: string;
  type: string;
  data: string;
}

/** Records that the engine shows to be published, each once: it repeats everything at the end. */
const printed = (text: string): Omit<Line, 'zone'>[] =>
  [...text.split('Diagnostics:')[0]!.matchAll(/publish (\S+)\. 300 IN (\S+) (.+)$/gm)].map(
    ([, owner, type, data]) => ({ name: owner!, type: type!, data: data! }),
  );

/** The records that the stack prints. */
const lines = (): Line[] =>
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
const answers = ({ name: owner, type }: Line): string[] => {
  const data = dig('authoritative', '+short', owner, type).trim();
  // kdig writes hexadecimal digits in upper case.
  return (type === 'TLSA' ? data.toLowerCase() : data).split('\n');
};
const published = () => lines().filter((line) => answers(line).includes(line.data));

const dsTask = (zone: string) =>
  `At the registrar of ${zone}, set the DS record ${outputs.dsRecords[zone]}`;

beforeAll(async () => {
  lab = startLab(name);
  stack = new TestStack(lab);
  await stack.select();
  await stack.set('mailhost:domains[2].name', 'sub.example.org', '--path');
  await stack.set('mailhost:domains[2].dmarcPolicy', 'quarantine', '--path');
  await stack.set('mailhost:accounts[0].aliases[1]', 'anna@sub.example.org', '--path');
  await stack.set('mailhost:dmarcReports', 'anna@example.org');
});
afterAll(() => endLab(name));

describe('before anything is made', () => {
  it('tells what collides, and a domain that does not lie in its zone', async () => {
    const zone = await zoneOf(lab, 'example.org');
    const { id } = await zoneOf(lab, 'example.com');
    const ids = [
      await zone.create({
        ttl: 300,
        type: 'A',
        name: 'autoconfig.example.org',
        content: '192.0.2.1',
      }),
      await zone.create({
        ttl: 300,
        type: 'SRV',
        name: '_imaps._tcp.sub.example.org',
        data: { priority: 0, weight: 1, port: 993, target: 'imap.other.example' },
      }),
    ];
    await stack.set('mailhost:domains[1].zone', id, '--path');
    const { status, output } = await stack.run(['preview']);
    expect(status).not.toBe(0);
    expect(output).toContain(
      'autoconfig.example.org already has A 192.0.2.1: a CNAME allows nothing',
    );
    expect(output).toContain(
      '_imaps._tcp.sub.example.org already has SRV 0 1 993 imap.other.example',
    );
    expect(output).toContain(`example.net does not lie in its zone, ${id}: that is example.com`);
    for (const record of ids) await zone.delete(record);
  });
});

describe('the zones', () => {
  it('are taken by name or by id', async () => {
    await stack.set('mailhost:domains[1].zone', (await zoneOf(lab, 'example.net')).id, '--path');
    await up();
    expect(new Set(lines().map(({ zone }) => zone))).toEqual(
      new Set(['example.net', 'example.org']),
    );
    expect(Object.keys(outputs.dsRecords).sort()).toEqual(['example.net', 'example.org']);
  });

  it('hold every record as it is printed, to the octet, and no other', async () => {
    expect(published()).toEqual(lines());
    for (const zone of ['example.org', 'example.net']) {
      const there = (await (await zoneOf(lab, zone)).list()).length;
      expect(there).toBe(lines().filter((line) => line.zone === zone).length);
    }
  });

  it('lead from the name to the addresses, and from each of them back', () => {
    const addressesOf = (type: string) =>
      dig('resolver', '+short', 'mail.example.org', type).trim();
    expect([addressesOf('A'), addressesOf('AAAA')]).toEqual([outputs.ipv4, outputs.ipv6]);
    for (const address of [outputs.ipv4, outputs.ipv6])
      expect(dig('resolver', '+short', '-x', address).trim()).toBe('mail.example.org.');
  });

  it('pass the check of another name server, as printed', () => {
    mkdirSync(join(services(), 'lab/printed'), { recursive: true });
    const zones = ['example.org', 'example.net'];
    for (const zone of zones) {
      const records = lines().filter((line) => line.zone === zone);
      const text = [
        `${zone}. 300 SOA ns.other.example. hostmaster.other.example. 1 300 60 86400 60`,
        `${zone}. 300 NS ns.other.example.`,
        ...records.map(({ name: owner, type, data }) => `${owner}. 300 IN ${type} ${data}`),
      ];
      writeFileSync(join(services(), `lab/printed/${zone}.zone`), `${text.join('\n')}\n`);
    }
    const config = `zone:\n${zones.map((zone) => `  - domain: ${zone}\n    file: /lab/printed/${zone}.zone\n    semantic-checks: on\n`).join('')}`;
    writeFileSync(join(services(), 'lab/printed/knot.conf'), config);
    // Fails with the reasons where a zone could not be served.
    knot('knotc', '-c', '/lab/printed/knot.conf', 'zone-check');
  });

  it('have the public part of every key that amavis was given', () => {
    const keys = onHost(
      lab,
      'for key in /etc/amavis/dkim/*.pem; do echo "$(basename "$key" .pem) $(openssl rsa -in "$key" -pubout 2>/dev/null | grep -v -- - | tr -d "\\n")"; done',
    );
    const deployed = keys
      .trim()
      .split('\n')
      .map((line) => line.split(' '));
    expect(deployed).toHaveLength(3);
    for (const [file, key] of deployed) {
      const [, domain, selector] = /^(.+)\.(s\d+)$/.exec(file!)!;
      const [record] = answers({
        zone: '',
        name: `${selector}._domainkey.${domain}`,
        type: 'TXT',
        data: '',
      });
      expect(record!.replace(/^"|"$|" "/g, '')).toBe(`v=DKIM1; k=rsa; p=${key}`);
    }
  });

  it('let mail of each domain pass SPF, DKIM and DMARC, also by IPv6', async () => {
    const anna = loginOf(outputs, 'anna@example.org');
    const bert = loginOf(outputs, 'bert@example.net');
    for (const [login, from, to, host] of [
      [anna, 'anna@example.org', 'erika@remote.example', undefined],
      [anna, 'anna@sub.example.org', 'erika@remote.example', undefined],
      [bert, 'bert@example.net', 'erika@remote.example', undefined],
      [anna, 'anna@example.org', 'erika@ipv6.remote.example', outputs.ipv6],
    ] as const) {
      const subject = randomUUID();
      await submit(login, 465, { from, to, subject, text: 'Signed?' });
      const { client, dkim, spf, dmarc } = await waitForReceived(lab, subject);
      if (host !== undefined) expect(client).toBe(host);
      const domain = from.split('@')[1];
      expect({ dkim: dkim.map((d) => `${d.result} ${d.domain}`), spf, dmarc }).toEqual({
        dkim: [`pass ${domain}`],
        spf: 'pass',
        dmarc: 'pass',
      });
    }
  });

  it('stay as they are', async () => {
    unchanged(await up());
  });
});

describe('DNSSEC', () => {
  /** Asks for what nobody can have in memory: also that a name does not exist is signed. */
  const validated = (zone: string) =>
    / ad[ ;]/.test(
      /^;; Flags:.*$/m.exec(dig('resolver', '+dnssec', `${randomUUID()}.${zone}`, 'A'))![0],
    );

  it('is asked of the registrar, and holds from the root once that is done', async () => {
    expect(outputs.openTasks).toEqual(
      expect.arrayContaining(['example.org', 'example.net'].map(dsTask)),
    );
    expect(validated('example.org')).toBe(false);
    for (const zone of ['example.org', 'example.net']) {
      passDsOn(name, zone);
      await waitFor(`${zone} validates`, () => validated(zone), 30);
      const [ds] = answers({ zone: '', name: zone, type: 'DS', data: '' });
      expect(outputs.dsRecords[zone]!.toLowerCase()).toBe(
        `${zone}. 3600 in ds ${ds!.toLowerCase()}`,
      );
    }
  });

  it('changes nothing afterwards, for any type, also as the cloud tells it', async () => {
    unchanged(await up());
    expect(outputs.openTasks.filter((task) => task.includes('DS record'))).toEqual([]);
    const { status, output } = await stack.run(['preview', '--refresh']);
    expect(status, output).toBe(0);
    unchanged(output);
  });

  it('stays on where the stack no longer looks after it', async () => {
    await stack.set('mailhost:dnssec', 'false');
    const output = await up();
    expect(output).toContain('the zone stays signed at Cloudflare');
    expect(outputs.dsRecords).toEqual({});
    expect(validated('example.org')).toBe(true);
  });
});

describe('records that a person publishes', () => {
  const look = async () => {
    const urn =
      'urn:pulumi:dev::mailhost::mailhost:index:MailHost$mailhost:index:Check$command:remote:Command::mail-check-records';
    await up('--replace', urn);
    return outputs.openTasks.filter((task) => task.startsWith('publish '));
  };

  it('go from Cloudflare only when that is confirmed', async () => {
    const before = lines();
    await stack.unset('mailhost:domains[1].zone');
    await stack.set('mailhost:dns', 'manual');
    const refused = await stack.run(['preview']);
    expect(refused.output).toContain('the records would be deleted at Cloudflare');
    await stack.set('mailhost:confirm[0]', 'delete all records at Cloudflare', '--path');
    await up();
    await stack.unset('mailhost:confirm');
    expect(lines()).toEqual(before);
    for (const zone of ['example.org', 'example.net'])
      expect(await (await zoneOf(lab, zone)).list()).toEqual([]);
  });

  it('are looked for by the host, and each that is missing or another one is told', async () => {
    const missing = await look();
    expect(missing).toHaveLength(lines().length);
    for (const line of lines()) {
      const other = line.type === 'MX' && line.zone === 'example.net';
      await (
        await zoneOf(lab, line.zone)
      ).create(apiRecord(other ? { ...line, data: '10 mx.other.example.' } : line));
    }
    expect(await look()).toEqual([
      expect.stringMatching(
        /^publish example\.net\. MX 10 mail\.example\.org\.: name server \S+ answers .*10 mx\.other\.example\./,
      ),
    ]);
  });

  it('stay as they are', async () => {
    unchanged(await up());
  });

  it('are printed when they are new, for a person to publish while the host waits for them', async () => {
    await stack.set('mailhost:domains[3].name', 'example.com', '--path');
    const before = lines().length;
    const zones = [await zoneOf(lab, 'example.com'), await zoneOf(lab, 'example.org')];
    const zoneFor = (owner: string) => zones[liesIn(owner, 'example.com') ? 0 : 1]!;
    let text = '';
    let seen = 0;
    const made: Promise<string>[] = [];
    const { status, output } = await stack.run(['up', '--yes', '--skip-preview'], (part) => {
      text += part;
      const found = printed(text.slice(0, text.lastIndexOf('\n') + 1));
      made.push(...found.slice(seen).map((line) => zoneFor(line.name).create(apiRecord(line))));
      seen = found.length;
    });
    expect(status, output).toBe(0);
    await Promise.all(made);
    outputs = stack.outputs();
    expect(made).toHaveLength(lines().length - before);
    const ofNew = (all: Line[]) => all.filter((line) => line.name.includes('example.com'));
    expect(ofNew(published())).toEqual(ofNew(lines()));
  });
});

/** A line of the zone file as a person would enter it at Cloudflare. */
function apiRecord({ name: owner, type, data }: Omit<Line, 'zone'>): object {
  const common = { name: owner, type, ttl: 300 };
  const [first, weight, port, target] = data.split(' ');
  switch (type) {
    case 'MX':
      return { ...common, priority: Number(first), content: weight };
    case 'SRV':
      return {
        ...common,
        data: { priority: Number(first), weight: Number(weight), port: Number(port), target },
      };
    default:
      return { ...common, content: data };
  }
}
