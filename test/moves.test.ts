import { promises as dns } from 'node:dns';
import * as pulumi from '@pulumi/pulumi';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { quoteTxt, resourceName, ttl, unquoted } from '../components/dns/recordForms';
import { recordInputs } from '../components/dns/cloudflare';
import { rememberedUntil, type Move } from '../components/dns/moves';
import { mechanismsToKeep, spfWithHost } from '../components/dns/spf';
import type { ExistingRecord } from '../components/dns/provider';
import { isKnown, recordContent } from '../components/dns/recordForms';
import { openSmtpd } from '../components/daemons/openSmtpd';
import { tls } from '../components/daemons/tls';
import { web } from '../components/daemons/web';
import { MailHost } from '../components/mailHost';
import type { MailHostArgs } from '../components/mailHostArgs';
import { preflight, type Preflight } from '../components/preflight/preflight';
import { parseSettings } from '../components/settings/parse';
import { onHost } from '../components/ssh';
import { example, exampleMail, filesOf } from './example';
import { publicKey, record, type Answers, type StackState } from './mocks';

vi.mock('../components/ssh', async (original) => ({
  ...(await original<object>()),
  onHost: vi.fn(),
}));

const day = 86_400_000;
type Live = ExistingRecord & { ttl: number };

const domains = (more: object = {}, other: object = {}) => [
  { name: 'example.org', delivery: 'elsewhere' as const, ...more },
  { name: 'example.net', ...other },
];
const acme = { issuer: 'acme' as const, acceptTerms: true };
const elsewhere: Partial<MailHostArgs> = { tls: acme, domains: domains() };
const here: Partial<MailHostArgs> = { tls: acme, domains: domains({ delivery: 'here' }) };

/** A zone as another host's customers have it: records that are replaced, and others that have to stay. */
const oldZone = (): Live[] => [
  {
    id: 'o1',
    type: 'MX',
    name: 'example.org',
    content: 'mx1.old.example',
    priority: 5,
    ttl: 14400,
  },
  {
    id: 'o2',
    type: 'MX',
    name: 'example.org',
    content: 'mx2.old.example',
    priority: 10,
    ttl: 14400,
  },
  {
    id: 'o3',
    type: 'TXT',
    name: 'example.org',
    content: '"v=spf1 mx include:_spf.old.example ~all"',
    ttl: 1,
  },
  { id: 'o4', type: 'TXT', name: '_dmarc.example.org', content: '"v=DMARC1; p=none"', ttl: 3600 },
  {
    id: 'o5',
    type: 'A',
    name: 'autoconfig.example.org',
    content: '198.51.100.7',
    proxied: true,
    ttl: 1,
  },
  {
    id: 'o6',
    type: 'SRV',
    name: '_imaps._tcp.example.org',
    content: '0 1 993 imap.old.example',
    ttl: 300,
  },
  {
    id: 'o7',
    type: 'TXT',
    name: 'old._domainkey.example.org',
    content: '"v=DKIM1; p=AAAA"',
    ttl: 300,
  },
  { id: 'o8', type: 'TXT', name: 'example.org', content: '"site-verification=1"', ttl: 300 },
  { id: 'o9', type: 'A', name: 'imap.example.org', content: '198.51.100.8', ttl: 300 },
  { id: 'o10', type: 'TLSA', name: '_25._tcp.mx1.old.example.org', content: '3 1 1 aa', ttl: 300 },
];

/** The zone of example.org, and what the stack has. */
let zone: Live[];
let state: StackState;
let made = 0;

const resource = (type: string, name: string, outputs: object): StackState => ({
  [`urn:pulumi:test::mailhost::mailhost:index:MailHost$${type}::${name}`]: { type, outputs },
});
const type = 'cloudflare:index/dnsRecord:DnsRecord';
/** The DKIM keys that the first plan makes. */
const keys = (): StackState =>
  Object.assign(
    {},
    ...['example.org', 'example.net'].flatMap((domain) =>
      ['s1', 's2'].map((selector) =>
        resource(
          'mailhost:index:Dkim$tls:index/privateKey:PrivateKey',
          `mail-${domain}-${selector}`,
          {
            publicKeyPem: publicKey,
          },
        ),
      ),
    ),
  ) as StackState;
const urnOf = (name: string) => Object.keys(resource(type, name, {}))[0]!;

const answers: Answers = (token, inputs) =>
  token.endsWith(':getDnsRecords')
    ? { results: inputs.zoneId === 'id of example.org' ? zone : [] }
    : undefined;

async function plan(change: Partial<MailHostArgs>): Promise<Preflight> {
  let running: Promise<Preflight> | undefined;
  const settings = parseSettings({ ...example, ...change });
  await record(
    () => {
      running = preflight('mail', settings, {});
      running.catch(() => undefined);
    },
    true,
    state,
    answers,
  );
  return running!;
}

/** What the engine makes of a plan, in the zone and in the state. */
async function up(change: Partial<MailHostArgs>) {
  const found = await plan(change);
  const planned = found.dns.records.filter((one) => one.zone === 'example.org' && isKnown(one));
  const names = new Set(planned.map((one) => resourceName('mail', one)));
  const stated = () => Object.entries(state).filter(([, one]) => one.type === type);
  const outputsOf = (name: string) => state[urnOf(name)]?.outputs as Live | undefined;
  const has = (name: string, live: Live) =>
    Object.assign(state, resource(type, name, { ...live, zoneId: 'id of example.org' }));
  for (const one of planned) {
    const name = resourceName('mail', one);
    const { id } = outputsOf(name) ?? {};
    const adopted = found.adopted.ids.get(`${type} ${name}`)?.split('/')[1];
    const untouched = one.old?.restored === false;
    if (untouched) {
      const live = zone.find((other) => other.id === (id ?? adopted));
      expect(live, `${name} is there`).toBeDefined();
      // Only a refresh reads what the state has.
      if (id === undefined) has(name, live!);
      continue;
    }
    if (!isKnown(one)) continue;
    const { priority, proxied, ttl: seconds } = recordInputs(one, quoteTxt);
    const live: Live = {
      ...{ id: id ?? adopted ?? `m${made++}`, type: one.type, name: one.name },
      ...{ content: recordContent(one), ttl: seconds },
      ...(one.type === 'MX' ? { priority } : {}),
      ...(proxied ? { proxied } : {}),
    };
    zone = [...zone.filter((other) => other.id !== live.id), live];
    has(name, live);
  }
  for (const [urn, { outputs }] of stated()) {
    const name = urn.split('::').at(-1)!;
    if (names.has(name)) continue;
    zone = zone.filter((other) => other.id !== (outputs as Live).id);
    delete state[urn];
  }
  Object.assign(
    state,
    keys(),
    resource('mailhost:index:Summary', 'mail-summary', { summary: found.summary }),
  );
  return found;
}

const sorted = (records: Live[]) =>
  records
    .map((one) => ({ ...one, id: '' }))
    .sort((a, b) =>
      `${a.name} ${a.type} ${a.content}`.localeCompare(`${b.name} ${b.type} ${b.content}`),
    );
const contents = (name: string, kind: string) =>
  zone.filter((one) => one.name === name && one.type === kind).map(({ content }) => content);
const refusal = async (change: Partial<MailHostArgs>) =>
  plan(change).then(
    () => 'nothing',
    ({ message }: Error) => message,
  );

beforeEach(() => {
  zone = oldZone();
  state = {};
  made = 0;
  vi.spyOn(dns, 'resolveTxt').mockRejectedValue(new Error('nobody asks'));
  vi.spyOn(pulumi.log, 'warn').mockResolvedValue();
});
afterEach(() => vi.restoreAllMocks());

describe('a domain that another host has', () => {
  it('gets the records of its DKIM keys, and keeps all that it has', async () => {
    const { dns: found, adopted } = await up(elsewhere);
    const planned = found.records.filter(({ owner }) => owner.name === 'example.org');
    expect(planned.filter(({ old }) => !old).map(({ key }) => key)).toEqual(['dkim-s1', 'dkim-s2']);
    expect(planned.filter(({ old }) => old).map(({ key, old }) => [key, old!.restored])).toEqual(
      ['spf', 'dmarc', 'autoconfig', 'imaps', 'mx', 'mx-old-mx2.old.example']
        .sort()
        .map((key) => [key, false])
        .sort(
          (a, b) =>
            planned.findIndex((p) => p.key === a[0]) - planned.findIndex((p) => p.key === b[0]),
        ),
    );
    expect([...adopted.ids.values()].sort()).toEqual(
      ['o1', 'o2', 'o3', 'o4', 'o5', 'o6'].map((id) => `id of example.org/${id}`),
    );
    expect(sorted(zone.filter(({ id }) => id.startsWith('o')))).toEqual(sorted(oldZone()));
  });

  it('is adopted once', async () => {
    await up(elsewhere);
    const { adopted, dns: found } = await up(elsewhere);
    expect([...adopted.ids]).toEqual([]);
    expect(found.records.filter(({ old }) => old)).toHaveLength(6);
  });

  it('shows what the switch changes', async () => {
    const { dns: found } = await plan(elsewhere);
    expect(found.moveReports).toEqual({
      'example.org': {
        delivery: 'elsewhere',
        changes: expect.arrayContaining([
          'example.org MX: 5 mx1.old.example., 10 mx2.old.example. -> 10 mail.example.org.',
          'example.org TXT: "v=spf1 mx include:_spf.old.example ~all" -> "v=spf1 mx -all"',
          'autoconfig.example.org CNAME: A 198.51.100.7 -> mail.example.org.',
          '_imaps._tcp.example.org SRV: 0 1 993 imap.old.example. -> 0 1 993 mail.example.org.',
          'autodiscover.example.org CNAME: none -> mail.example.org.',
        ]) as string[],
      },
    });
  });

  it('says what either host needs of SPF, and how long the MX is remembered', async () => {
    const { dns: found } = await plan(elsewhere);
    expect(found.tasks).toEqual([
      'So that mail of example.org from this host passes SPF, set the SPF record of example.org at Cloudflare to "v=spf1 a:mail.example.org mx include:_spf.old.example ~all"',
      'So that mail of example.org from the other host passes SPF after the switch, add to spf of the domain: a:mx1.old.example, a:mx2.old.example, include:_spf.old.example',
      'Lower the TTL of the MX of example.org at Cloudflare to 300: others may remember it for 14400 seconds after the switch. Do so at least 14400 seconds before it',
    ]);
    zone[2]!.content = '"v=spf1 a:mail.example.org a:mx1.old.example ~all"';
    for (const one of zone.slice(0, 2)) one.ttl = 300;
    const spf = ['a:mx1.old.example'];
    const { dns: then } = await plan({ ...elsewhere, domains: domains({ spf }) });
    expect(then.tasks).toEqual([]);
  });

  it('names what the switch cannot replace', async () => {
    zone.push(
      { id: 'p1', type: 'AAAA', name: 'autoconfig.example.org', content: '2001:db8::7', ttl: 300 },
      { id: 'p2', type: 'NS', name: '_tcp.example.org', content: 'ns.old.example', ttl: 300 },
    );
    const { dns: found } = await up(elsewhere);
    expect(found.tasks).toEqual(
      expect.arrayContaining([
        'Before the switch of example.org, delete autoconfig.example.org AAAA 2001:db8::7 at Cloudflare: it is not replaced, and nothing can stand beside it',
        'Before the switch of example.org, delete _tcp.example.org NS ns.old.example at Cloudflare: it is not replaced, and nothing can stand beside it',
      ]),
    );
    expect(await refusal(here)).toContain('autoconfig.example.org already has AAAA 2001:db8::7');
  });

  it('is told of a policy that no other takes the place of', async () => {
    zone.push({
      id: 'p',
      type: 'TXT',
      name: '_mta-sts.example.org',
      content: '"v=STSv1; id=1"',
      ttl: 300,
    });
    const policy = (tasks: string[]) => tasks.filter((task) => task.includes('MTA-STS'));
    expect(policy((await plan(elsewhere)).dns.tasks)).toEqual([]);
    expect(policy((await plan({ ...elsewhere, web: false })).dns.tasks)).toHaveLength(1);
  });

  it('is told where no other host has its mail', async () => {
    zone = zone.filter(({ type: kind }) => kind !== 'MX');
    expect((await plan(elsewhere)).dns.tasks).toContain(
      'example.org has no MX, so no other host has its mail: remove its delivery',
    );
    zone.push({
      id: 'p',
      type: 'MX',
      name: 'example.org',
      content: 'mail.example.org',
      priority: 1,
      ttl: 300,
    });
    expect((await plan(elsewhere)).dns.tasks).toContain(
      'The MX of example.org is this host, and mail to it from accounts here waits in the queue: remove its delivery, or change the MX at Cloudflare',
    );
  });

  it('cannot be one of which the stack knows no other host', async () => {
    zone = [];
    await up(here);
    expect(await refusal(elsewhere)).toContain(
      'it knows no other host whose records it could put back',
    );
  });
});

describe('the switch', () => {
  it('replaces what was shown in one plan, and leaves the rest alone', async () => {
    await up(elsewhere);
    const { dns: found, summary } = await up(here);
    expect(contents('example.org', 'MX')).toEqual(['mail.example.org']);
    expect(contents('example.org', 'TXT').sort()).toEqual([
      '"site-verification=1"',
      '"v=spf1 mx -all"',
    ]);
    expect(contents('autoconfig.example.org', 'A')).toEqual([]);
    expect(contents('autoconfig.example.org', 'CNAME')).toEqual(['mail.example.org']);
    expect(contents('_imaps._tcp.example.org', 'SRV')).toEqual(['0 1 993 mail.example.org']);
    for (const id of ['o7', 'o8', 'o9', 'o10'])
      expect(zone.find((one) => one.id === id)).toEqual(oldZone().find((one) => one.id === id));
    expect(zone.find(({ type: kind }) => kind === 'MX')).toMatchObject({ priority: 10, ttl });
    expect([...found.switched]).toEqual(['example.org']);
    expect(summary.moves!['example.org']).toMatchObject({ delivery: 'here' });
  });

  it('tells until when others may remember the MX from before', async () => {
    await up(elsewhere);
    const { dns: found, plannedAt, summary: last } = await up(here);
    const until = new Date(plannedAt.getTime() + (14400 + 3600) * 1000).toISOString();
    expect(found.moveReports['example.org']!.mxRememberedUntil).toBe(until);
    const after = (days: number) => new Date(Date.parse(until) + days * day).toISOString();
    expect(found.tasks).toEqual([
      `Keep the other host of example.org running until ${after(5)}, and longer while \`mailhost import\` finds new mail there: others may remember its MX, mx1.old.example, mx2.old.example, until ${until}, and try for 5 days to deliver what waits in their queues`,
    ]);
    const { dns: then } = await up(here);
    expect(then.moveReports['example.org']).toEqual({
      delivery: 'here',
      changes: [],
      mxRememberedUntil: until,
    });
    expect(then.switched.size).toBe(0);
    const ago = async (days: number) => {
      const summary = structuredClone(last);
      summary.moves!['example.org']!.switchedAt = after(-days);
      Object.assign(state, resource('mailhost:index:Summary', 'mail-summary', { summary }));
      const { dns: later } = await plan(here);
      return [later.moveReports['example.org']?.mxRememberedUntil, ...later.tasks];
    };
    expect(await ago(5)).toEqual([undefined, expect.stringMatching(/there: others may try for/)]);
    expect(await ago(6)).toEqual([undefined]);
  });

  describe('asks the host whether all was copied', () => {
    const connection = { host: '192.0.2.1', hostKey: 'key', privateKey: 'secret' };
    const accounts = ['anna@example.org', 'carl@example.org', 'bert@example.net'].map(
      (address) => ({ ...example.accounts![0]!, aliases: [], address }),
    );
    const warnings = () => vi.mocked(pulumi.log.warn).mock.calls.map(([text]) => text);
    const answered = (stdout: string, status = 0, stderr = '') =>
      vi.mocked(onHost).mockResolvedValue({ status, stdout, stderr });
    const copied = (hours: Record<string, number>) =>
      answered(
        JSON.stringify({
          copied: Object.fromEntries(
            Object.entries(hours).map(([name, ago]) => [
              `${name}@example.org`,
              500_000 - ago * 3600,
            ]),
          ),
          since: 500_000 - 86_400,
        }),
      );

    beforeEach(async () => {
      await up({ ...elsewhere, accounts });
      Object.assign(state, resource('command:remote:Command', 'mail-check', { connection }));
      vi.mocked(pulumi.log.warn).mockClear();
    });

    it('and is stopped for what was not, unless that is confirmed', async () => {
      copied({ anna: 25 });
      expect(await refusal({ ...here, accounts })).toMatch(
        /example.org would be switched .* within a day: anna@example.org \(1970-01-05T17:53:20.000Z\), carl@example.org \(never\)\. Run `mailhost import` first, .*confirm.*switch example.org as it is copied/,
      );
      expect(vi.mocked(onHost).mock.calls[0]!.slice(0, 2)).toEqual([
        { user: 'root', ...connection },
        'mailhost copies',
      ]);
      await plan({ ...here, accounts, confirm: ['switch example.org as it is copied'] });
      expect(warnings()).toContainEqual(expect.stringContaining('confirmed: example.org would be'));
    });

    it('and goes on where it was, and says for how long the other host is needed', async () => {
      copied({ anna: 23, carl: 1 });
      await plan({ ...here, accounts });
      expect(warnings()).toEqual([
        expect.stringMatching(/^example.org is switched .* for 14400 seconds after it, the TTL/),
      ]);
      vi.mocked(onHost).mockClear();
      await up({ ...here, accounts });
      vi.mocked(onHost).mockClear();
      await plan({ ...here, accounts });
      expect(onHost).not.toHaveBeenCalled();
    });

    it('and warns where that is not known', async () => {
      const known = async () => {
        vi.mocked(pulumi.log.warn).mockClear();
        await plan({ ...here, accounts });
        return warnings()[1]!.replace(/^whether the accounts of example.org .* is not known: /, '');
      };
      answered('', 2, "mailhost: error: argument COMMAND: invalid choice: 'copies' (choose from)");
      expect(await known()).toBe('its host program is older than this plan');
      answered('', 255, 'ssh: connect to host: timed out');
      expect(await known()).toBe('the host does not answer: ssh: connect to host: timed out');
      vi.mocked(onHost).mockRejectedValue(new Error('ssh cannot be run'));
      expect(await known()).toBe('ssh cannot be run');
      Object.assign(state, resource('command:remote:Command', 'mail-check', {}));
      expect(await known()).toBe('the last `pulumi up` did not finish');
    });
  });

  it('replaces what was changed by hand, once a plan has shown it', async () => {
    await up(elsewhere);
    zone[2]!.content = '"v=spf1 a:mail.example.org mx ~all"';
    zone[5]!.content = '0 1 993 imap2.old.example';
    const { dns: found } = await up(elsewhere);
    expect(found.moveReports['example.org']!.changes).toContain(
      'example.org TXT: "v=spf1 a:mail.example.org mx ~all" -> "v=spf1 mx -all"',
    );
    const before = sorted(zone);
    await up(here);
    expect(contents('example.org', 'TXT')).toContain('"v=spf1 mx -all"');
    expect(contents('_imaps._tcp.example.org', 'SRV')).toEqual(['0 1 993 mail.example.org']);
    await up(elsewhere);
    expect(sorted(zone)).toEqual(before);
  });

  it('is refused for what was not shown', async () => {
    expect(await refusal(here)).toContain('example.org already has MX mx1.old.example');
    await up(elsewhere);
    zone[0]!.content = 'mx3.old.example';
    expect(await refusal(here)).toContain(
      'example.org MX mx1.old.example is now mx3.old.example, and this was not shown before the switch',
    );
    zone = [...oldZone(), { ...oldZone()[0]!, id: 'p', content: 'mx4.old.example' }];
    expect(await refusal(here)).toContain('example.org already has MX mx4.old.example');
    zone = oldZone().slice(1);
    expect(await refusal(here)).toContain('example.org MX mx1.old.example is gone');
  });
});

describe('a domain that moves away', () => {
  const forward: Partial<MailHostArgs> = { tls: acme, domains: domains({ delivery: 'forward' }) };
  const byHand = () => {
    const mx = zone.find(({ type: kind }) => kind === 'MX')!;
    Object.assign(mx, { content: 'mx.new.example', ttl: 600 });
  };

  beforeEach(async () => {
    zone = [];
    await up(here);
  });

  it('has the MX of its new host first', async () => {
    const first = 'set the MX of the host that it moves to at Cloudflare first';
    expect(await refusal(forward)).toContain(`that is still mail.example.org: ${first}`);
    zone = zone.filter(({ type: kind }) => kind !== 'MX');
    expect(await refusal(forward)).toContain(`it has none: ${first}`);
    expect(await refusal(elsewhere)).toContain('and delivery to forward');
  });

  it('keeps all that is in its zone then, and its DKIM keys', async () => {
    byHand();
    const before = sorted(zone);
    const { dns: found, summary, plannedAt } = await up(forward);
    expect(sorted(zone)).toEqual(before);
    const forgotten = plannedAt.getTime() + (300 + 3600) * 1000;
    const at = (time: number) => new Date(time).toISOString();
    expect(found.tasks).toEqual([
      `Mail that still arrives here for example.org is sent on to mx.new.example. Others may remember this host as its MX until ${at(forgotten)}, and try for 5 days to deliver what waits in their queues: from ${at(forgotten + 5 * day)} on the domain can be removed here`,
    ]);
    expect(found.moveReports['example.org']).toMatchObject({ delivery: 'forward' });
    expect(summary.moves!['example.org']!.switchedAt).toBe(plannedAt.toISOString());
    const { dns: again, summary: later } = await up(forward);
    expect(again.tasks).toEqual(found.tasks);
    expect(later.moves!['example.org']!.switchedAt).toBe(plannedAt.toISOString());
    expect(again.records.filter(({ old }) => old?.restored)).toEqual([]);
    expect(sorted(zone)).toEqual(before);
  });

  it('comes back by another plan, with its records of before', async () => {
    const before = sorted(zone);
    byHand();
    await up(forward);
    const { dns: found } = await up(here);
    expect(sorted(zone)).toEqual(before);
    expect([...found.switched]).toEqual(['example.org']);
    expect(found.tasks[0]).toContain('others may remember its MX, mx.new.example, until');
  });

  it('may come from one host and go to another', async () => {
    [zone, state] = [oldZone(), {}];
    await up(elsewhere);
    await up(here);
    byHand();
    const { dns: found } = await up(forward);
    expect(contents('example.org', 'MX')).toEqual(['mx.new.example']);
    expect(found.moveReports['example.org']!.changes).toContain(
      'example.org MX: 10 mx.new.example. -> 10 mail.example.org.',
    );
  });

  it('is confirmed while others keep to a policy that names this host alone', async () => {
    await up({ ...here, mtaSts: 'enforce' });
    byHand();
    expect(await refusal({ ...forward, mtaSts: 'enforce' })).toMatch(
      /hold mail back from mx.new.example.*move example.org back under MTA-STS/,
    );
  });
});

describe('the way back', () => {
  it('puts back all that there was, and deletes what it had not', async () => {
    await up(elsewhere);
    const before = sorted(zone);
    await up(here);
    await up(elsewhere);
    expect(sorted(zone)).toEqual(before);
    const { dns: found } = await up(elsewhere);
    expect(sorted(zone)).toEqual(before);
    expect(found.records.filter(({ old }) => old?.restored)).toEqual([]);
  });

  it('goes on after it was interrupted', async () => {
    await up(elsewhere);
    const before = sorted(zone);
    await up(here);
    // The MX was put back, and nothing else, and the state has not got the summary.
    const summary = structuredClone(state);
    const found = await plan(elsewhere);
    const mx = found.dns.records.find(({ key, zone: of }) => key === 'mx' && of === 'example.org')!;
    expect(mx).toMatchObject({ target: 'mx1.old.example', priority: 5, old: { restored: true } });
    state = summary;
    const live = zone.find(({ type: kind }) => kind === 'MX')!;
    Object.assign(live, { content: 'mx1.old.example', priority: 5, ttl: 14400 });
    Object.assign(state[urnOf('mail-example.org/mx')]!.outputs, live);
    await up(elsewhere);
    expect(sorted(zone)).toEqual(before);
  });

  it('leads from a switch that was interrupted, which can also go on', async () => {
    await up(elsewhere);
    const [before, kept] = [sorted(zone), structuredClone(state)];
    const shown = structuredClone(zone);
    await up(here);
    // Of the switch the state has three records, and not the summary.
    for (const key of ['mx', 'autoconfig', 'autodiscover']) {
      const urn = urnOf(`mail-example.org/${key}`);
      const live = state[urn]!.outputs as Live;
      const there = kept[urn]?.outputs as Live | undefined;
      zone = [...shown.filter(({ id }) => id !== there?.id), live];
      shown.splice(0, shown.length, ...zone);
      kept[urn] = state[urn]!;
    }
    const [half, stated] = [structuredClone(shown), structuredClone(kept)];
    state = kept;
    await up(here);
    expect(contents('example.org', 'MX')).toEqual(['mail.example.org']);
    await up(elsewhere);
    expect(sorted(zone)).toEqual(before);
    [zone, state] = [half, stated];
    await up(elsewhere);
    expect(sorted(zone)).toEqual(before);
  });

  it('is confirmed while others keep to a policy that names this host alone', async () => {
    const enforced = { mtaSts: 'enforce' as const };
    await up({ ...elsewhere, ...enforced });
    await up({ ...here, ...enforced });
    const confirm = ['move example.org back under MTA-STS'];
    expect(await refusal({ ...elsewhere, ...enforced })).toContain(confirm[0]);
    expect(await refusal({ ...elsewhere, ...enforced, confirm })).toBe('nothing');
  });
});

it('is forgotten once nobody can remember it', () => {
  const move: Move = {
    delivery: 'here',
    switchedAt: '2026-01-01T00:00:00.000Z',
    records: [{ key: 'mx', type: 'MX', name: 'example.org', content: 'mx.old.example', ttl: 1 }],
  };
  expect(rememberedUntil(move, { automaticTtl: 300 })).toBe('2026-01-01T01:05:00.000Z');
});

it('keeps other hosts’ records untouched, whatever happens to the stack', async () => {
  state = {};
  const resources = await record(
    (opts) => void new MailHost('mail', { ...example, ...elsewhere }, opts),
    false,
    {},
    answers,
  );
  const mx = resources.find(({ name }) => name === 'mail-example.org/mx')!;
  expect(mx.inputs).toMatchObject({ content: 'mx1.old.example', priority: 5, ttl: 14400 });
  expect(mx.options.ignoreChanges).toEqual(
    expect.arrayContaining(['content', 'priority', 'ttl', 'comment']),
  );
  expect(mx.options.deletedWith).toBeDefined();
  const own = resources.find(({ name }) => name === 'mail-example.net/mx')!;
  expect(own.options.ignoreChanges).toBeUndefined();
  expect(own.options.deletedWith).toBeUndefined();
});

describe('SPF of both hosts', () => {
  it.each([
    ['v=spf1 mx -all', 'v=spf1 a:mail.example.org mx -all'],
    ['v=spf1 redirect=_spf.old.example', 'v=spf1 a:mail.example.org redirect=_spf.old.example'],
    ['v=spf1', 'v=spf1 a:mail.example.org'],
    ['v=spf1 +A:mail.example.org ~all', undefined],
  ])('of %s is %s', (before, expected) => {
    expect(spfWithHost(before, 'mail.example.org')).toBe(expected);
  });

  it.each([
    ['v=spf1 mx include:_spf.google.com ~all', ['a:mx.old.example', 'include:_spf.google.com']],
    ['v=spf1 redirect=_spf.old.example', ['include:_spf.old.example']],
    ['v=spf1 a ip4:192.0.2.1 -ip4:192.0.2.2 ?all', ['a', 'ip4:192.0.2.1']],
    ['v=spf1 a:mail.example.org include:known.example -all', []],
    ['v=spf1 exp=why.example -all', []],
  ])('after the switch needs, of %s, %j', (before, expected) => {
    const kept = mechanismsToKeep(
      before,
      ['include:known.example'],
      ['mx.old.example'],
      'mail.example.org',
    );
    expect(kept).toEqual(expected);
  });

  it('is asked of DNS where a person publishes the records', async () => {
    vi.mocked(dns.resolveTxt).mockResolvedValue([['v=spf1 mx ', '-all']]);
    vi.spyOn(dns, 'resolveMx').mockResolvedValue([{ exchange: 'MX.old.example', priority: 1 }]);
    const { dns: found } = await plan({ ...elsewhere, dns: 'manual' });
    expect(found.tasks).toEqual([
      'So that mail of example.org from this host passes SPF, set the SPF record of example.org at its DNS provider to "v=spf1 a:mail.example.org mx -all"',
      'So that mail of example.org from the other host passes SPF after the switch, add to spf of the domain: a:mx.old.example',
    ]);
    expect(
      found.records.filter(({ owner }) => owner.name === 'example.org').map(({ key }) => key),
    ).toEqual(['dkim-s1', 'dkim-s2']);
  });
});

it.each([
  ['"v=spf1 " "-all"', 'v=spf1 -all'],
  ['v=spf1 -all', 'v=spf1 -all'],
  [String.raw`"a\"b\\"`, String.raw`a"b\ `.trim()],
])('reads the text %s', (content, text) => expect(unquoted(content)).toBe(text));

describe('the host of a domain that another one has', () => {
  const aliases = [
    { address: 'team@example.net', recipients: ['anna@example.org', 'bert@example.net'] },
    { address: 'all@example.org', recipients: ['team@example.net', 'anna@example.org'] },
  ];
  const mail = exampleMail({ ...elsewhere, aliases });
  const files = filesOf(openSmtpd, mail);
  const lines = (path: string) => files[path]!.text.trim().split('\n');

  it('has its mail lead on to its MX, but for what arrives here', () => {
    expect(lines('/etc/smtpd/elsewhere')).toEqual(['example.org']);
    expect(lines('/etc/smtpd/onward')).toEqual([
      'anna@example.org.onward.invalid anna@example.org',
    ]);
    expect(lines('/etc/smtpd/virtuals')).toEqual(
      expect.arrayContaining([
        'anna@example.org vmail',
        'info@example.org anna@example.org',
        'postmaster@example.org anna@example.org',
        'all@example.org anna@example.org,team@example.net',
        'team@example.net anna@example.org.onward.invalid,bert@example.net',
        'postmaster@example.net anna@example.org.onward.invalid',
        'root anna@example.org.onward.invalid',
      ]),
    );
  });

  it('has its rules before those of the domains, and no others without such a domain', () => {
    const rules = (of: typeof files) =>
      of['/etc/smtpd.conf']!.text.split('\n').filter((line) => line.startsWith('match '));
    const onward = 'domain regex "[.]onward[.]invalid$"';
    expect(rules(files)).toEqual([
      `match tag Own from any for ${onward} action onward`,
      'match tag Own from any for domain <elsewhere> action outbound',
      'match tag Own from any for domain <domains> action mailbox',
      'match tag Own from any for any action outbound',
      `match tag Sieve from any for ${onward} action onward`,
      'match tag Sieve from any for domain <elsewhere> action outbound',
      `match tag Filtered from any for ${onward} action again`,
      `match tag Signed from any for ${onward} action onward`,
      'match tag Signed from any for domain <elsewhere> action outbound',
      'match tag Sieve from any for domain <domains> action mailbox',
      'match tag Sieve from any for any action outbound',
      'match tag Filtered from any for domain <domains> action mailbox',
      'match tag Filtered from any for any action forward',
      'match tag Signed from any for domain <domains> action mailbox',
      'match tag Signed from any for any action outbound',
      'match auth from any for any action sign',
      'match from local for domain "mailhost-probe.invalid" action scan',
      `match from local for ${onward} action again`,
      'match from local for domain <elsewhere> action outbound',
      'match from any for domain <domains> rcpt-to regex "^[Ss][Rr][Ss][01]=" reject',
      'match from any for domain <domains> rcpt-to <recipients> action scan',
      'match from local for domain <domains> action mailbox',
      'match from local mail-from regex "^@$" for any action scan',
      'match from local for any action outbound',
    ]);
    const others = filesOf(openSmtpd, exampleMail(here));
    expect(rules(others).join('\n')).not.toMatch(/onward|elsewhere/);
    expect(Object.keys(others).join('\n')).not.toMatch(/onward|elsewhere/);
  });

  it('has what still arrives sent on by names of the host’s own after it moved away', () => {
    const away = exampleMail({
      ...elsewhere,
      aliases,
      domains: domains({ delivery: 'forward', catchAll: 'anna@example.org' }),
    });
    const then = filesOf(openSmtpd, away);
    const of = (path: string) => then[path]!.text.trim().split('\n');
    expect(of('/etc/smtpd/forwarded')).toEqual(['example.org']);
    expect(of('/etc/smtpd/elsewhere')).toEqual(['example.org']);
    expect(of('/etc/smtpd/late').filter((line) => /anna|^@|info/.test(line))).toEqual([
      'anna@example.org late=anna=example.org@mail.example.org',
      'late=anna=example.org@mail.example.org anna@example.org',
      'info@example.org late=info=example.org@mail.example.org',
      'late=info=example.org@mail.example.org info@example.org',
      '@example.org late=anna=example.org@mail.example.org',
    ]);
    expect(of('/etc/smtpd/late').join()).not.toContain('example.net');
    const meaning = openSmtpd.meanings.find(({ path }) => path === '/etc/smtpd/forwarded')!;
    expect(meaning.says('', then[meaning.path]!.text)).toEqual([
      'mail that still arrives here for example.org is sent on to the host that has its MX',
    ]);
    const own = 'for domain "mail.example.org" rcpt-to regex "^late=" action';
    expect(of('/etc/smtpd.conf').filter((line) => /^match.*(?:late|forwarded)/.test(line))).toEqual(
      [
        `match tag Filtered from any ${own} late`,
        'match tag Filtered from any for domain <forwarded> action forward',
        `match tag Signed from any ${own} late`,
        'match from any for domain <forwarded> rcpt-to <recipients> action late',
        `match from local ${own} scan`,
      ],
    );
  });

  it('asks for no certificate for its names, and serves none of them', () => {
    const certificates = JSON.parse(
      filesOf(tls, mail)['/etc/mailhost/certificates.json']!.text,
    ) as { certificates: object };
    expect(Object.keys(certificates.certificates)).toEqual(['mail.example.org', 'example.net']);
    const sites = Object.keys(filesOf(web, mail)).filter((path) => path.includes('/sites/'));
    expect(sites).toEqual(['/etc/nginx/sites/example.net.conf']);
  });

  it('is no parked one', () => {
    const parked = domains({ parked: true });
    expect(() =>
      parseSettings({ ...example, accounts: [], postmaster: 'x@example.net', domains: parked }),
    ).toThrow('does not apply to example.org, which is parked');
  });
});
